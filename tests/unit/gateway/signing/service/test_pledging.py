"""The personal undertaking."""

import pytest
from sqlalchemy import select

from gateway.errors import Invalid, NotFound
from gateway.signing import queries, service
from gateway.signing.models import Pledge


def accept(room, agreement, who="s1", consent=True):
    service.accept_pledge(room.deps, agreement, consent=consent, actor=room.world.actor(who), now=room.now)


def pledges(room):
    with room.deps.database.read() as session:
        return list(session.scalars(select(Pledge.contact_id)))


def test_each_contact_accepts_once(room) -> None:
    agreement = room.in_force()
    for who in ("s1", "s1", "s2"):
        accept(room, agreement, who)
    assert sorted(pledges(room)) == sorted([room.world.id("s1"), room.world.id("s2")])
    assert len(room.world.leaves("pledge.accept")) == 2


def test_the_box_must_be_ticked(room) -> None:
    with pytest.raises(Invalid):
        accept(room, room.in_force(), consent=False)
    assert pledges(room) == []


@pytest.mark.parametrize(
    "state", ["SENT", "PARTNER_SIGNED", "COUNTERSIGNED", "LAPSED", "TERMINATED", "RENEWED"]
)
def test_only_an_agreement_in_force_is_accepted(room, at_state, state) -> None:
    with pytest.raises(NotFound):
        accept(room, at_state(state))


def test_after_the_last_day_nothing_is_accepted_even_before_the_sweep(room) -> None:
    agreement = room.in_force()
    room.world.clock.advance(days=101)
    assert room.row(agreement).state == "IN_FORCE"
    with pytest.raises(NotFound):
        accept(room, agreement)
    assert queries.own_pledges(room.deps, actor=room.world.actor("s1"), now=room.now) == ()


def test_strangers_and_staff_find_nothing(room) -> None:
    agreement = room.in_force()
    for who in ("d1", "adm"):
        with pytest.raises(NotFound):
            accept(room, agreement, who)


def test_the_words_name_the_agreement_and_its_purpose(room) -> None:
    agreement = room.in_force()
    shown = queries.own_pledges(room.deps, actor=room.world.actor("s2"), now=room.now)[0]
    assert room.row(agreement).number in shown.text.zh
    assert "量房设计、采购下单" in shown.text.zh
    assert shown.accepted_at is None
    accept(room, agreement, "s2")
    assert (
        queries.own_pledges(room.deps, actor=room.world.actor("s2"), now=room.now)[0].accepted_at is not None
    )
