"""How agreements end: by time, by either side; reminders."""

from datetime import timedelta

import pytest

from gateway.errors import Invalid
from gateway.signing import service

REASON = "合作提前结束，双方已确认"


def heard(room, name):
    events = []
    room.deps.on(name, lambda deps, session, event: events.append((event.object[1], dict(event.data))))
    return events


def test_what_is_not_signed_in_time_is_void(room) -> None:
    agreement, other = room.sent(), room.sent()
    service.view(room.deps, other, (), actor=room.world.actor("s1"), now=room.now)
    room.world.clock.advance(days=13, hours=23)
    assert room.sweep() == 0
    room.world.clock.advance(hours=2)
    assert room.sweep() == 2
    assert [room.row(a).state for a in (agreement, other)] == ["VOID", "VOID"]
    assert room.sweep() == 0


def test_reminders_go_out_once_each_and_then_it_lapses(room) -> None:
    agreement, lapses = room.in_force(), heard(room, "agreement.lapse")
    end = room.row(agreement).valid_to
    sent = []
    for left in (31, 30, 20, 7, 6, 1, 0):
        room.world.clock.offset += (end - timedelta(days=left, minutes=-1)) - room.now - timedelta(minutes=2)
        room.sweep()
        room.sweep()
        sent.append(len(room.told("agreement.due")))
    assert sent == [0, 1, 1, 2, 2, 3, 3]
    assert room.row(agreement).state == "EXPIRING"
    assert lapses == []
    assert set(room.told("agreement.due")) == {("contact", room.world.id("s1"))}
    assert ("role", "ADM") in room.told("agreement.inside")
    room.world.clock.advance(minutes=5)
    assert (room.sweep(), room.sweep()) == (1, 0)
    assert room.row(agreement).state == "LAPSED"
    assert [found for found, _ in lapses] == [agreement]
    assert room.told("agreement.lapsed") == [("contact", room.world.id("s1"))]


def test_a_short_agreement_is_reminded_of_its_nearest_day_only(room) -> None:
    agreement = room.in_force(valid_to=room.scope().valid_from + timedelta(days=4))
    room.sweep()
    room.sweep()
    assert len(room.told("agreement.due")) == 1
    assert room.row(agreement).state == "EXPIRING"


def test_one_altered_row_does_not_keep_the_others_from_ending(room) -> None:
    altered, sound = room.sent(), room.sent()
    with room.deps.database.engine.connect() as connection:
        connection.exec_driver_sql("UPDATE agreement SET classes = '[\"F01\"]' WHERE id = ?", (altered,))
        connection.commit()
    room.world.clock.advance(days=15)
    assert room.sweep() == 1
    assert room.row(sound).state == "VOID"


@pytest.mark.parametrize(
    ("end", "who", "event"),
    [("company", "gm", "terminate"), ("company", "adm", "terminate"), ("partner", "s1", "partner_terminate")],
)
def test_either_side_ends_it_with_a_reason(room, end, who, event) -> None:
    agreement, told = room.in_force(), heard(room, f"agreement.{event}")
    act = service.terminate if end == "company" else service.partner_terminate
    with pytest.raises(Invalid):
        act(room.deps, agreement, "不合作了", actor=room.world.actor(who), now=room.now)
    assert room.row(agreement).state == "IN_FORCE"
    act(room.deps, agreement, REASON, actor=room.world.actor(who), now=room.now)
    assert room.row(agreement).state == "TERMINATED"
    assert [found for found, _ in told] == [agreement]
    if end == "company":
        assert room.told("agreement.ended") == [("contact", room.world.id("s1"))]
    else:
        assert {("role", "GM"), ("role", "ADM")} <= set(room.told("agreement.inside"))


def test_renewal_tells_the_successor(room) -> None:
    told = heard(room, "agreement.renew")
    old = room.in_force()
    new = room.in_force(valid_to=room.scope().valid_to + timedelta(days=9))
    assert told == [(old, {"successor": room.row(new).number})]
