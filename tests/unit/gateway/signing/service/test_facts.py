"""What the release decision is told of agreements."""

from datetime import timedelta

import pytest

from gateway.release import Ask
from gateway.signing import service
from gateway.signing.service.facts import agreement_facts


def facts(room, stage="collect", contact="s1"):
    actor = room.world.actor("s1")
    ask = Ask("copy", stage, actor, room.now, contact=room.world.id(contact) if contact else None)
    with room.deps.database.read() as session:
        return agreement_facts(room.deps, session, ask)


def test_without_a_contact_nothing_is_offered(room) -> None:
    assert facts(room, contact=None) == {}


def test_an_agreement_in_force_with_its_scope(room) -> None:
    agreement = room.in_force()
    found = facts(room)
    assert [(a.id, a.in_force, a.intact, a.clients) for a in found["agreements"]] == [
        (agreement, True, True, None)
    ]
    assert found["agreements"][0].classes == {"F07", "F08"}
    assert found["evidence"]["COVER"] == (room.row(agreement).number,)
    assert found["pledge"] is False
    assert facts(room, contact="d1")["agreements"] == ()


def test_the_undertaking_is_each_contacts_own(room) -> None:
    agreement = room.in_force()
    service.accept_pledge(room.deps, agreement, consent=True, actor=room.world.actor("s1"), now=room.now)
    assert (facts(room)["pledge"], facts(room, contact="s2")["pledge"]) == (True, False)


@pytest.mark.parametrize(
    "state", ["SENT", "PARTNER_SIGNED", "COUNTERSIGNED", "LAPSED", "RENEWED", "TERMINATED", "DECLINED"]
)
def test_no_other_state_governs(room, at_state, state) -> None:
    agreement = at_state(state)
    assert agreement not in [a.id for a in facts(room)["agreements"]]


def test_a_swapped_or_lost_document_is_not_intact(room) -> None:
    agreement = room.in_force()
    room.swap(agreement, b"other")
    assert facts(room)["agreements"][0].intact is False
    room.deps.evidence.delete(f"agreement-{agreement}", 1)
    assert facts(room)["agreements"][0].intact is False


def test_the_bytes_are_read_when_copies_are_made_and_collected_only(room) -> None:
    room.in_force()
    for stage, intact in (("submit", False), ("reserve", True), ("collect", True), ("live", False)):
        assert facts(room, stage)["agreements"][0].intact is intact


def test_dates_count_before_the_sweep_has_run(room) -> None:
    agreement = room.in_force()
    service.accept_pledge(room.deps, agreement, consent=True, actor=room.world.actor("s1"), now=room.now)
    room.world.clock.offset += timedelta(days=101)
    found = facts(room)
    assert found["agreements"][0].valid_to < room.now
    assert (found["pledge"], found["evidence"]["COVER"]) == (False, ())
