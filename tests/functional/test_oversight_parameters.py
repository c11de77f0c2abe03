"""Parameters change by two people from a future moment on; messages reach those they are for, without secrets."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import select, text

from gateway.audit.leaf import parse
from gateway.errors import Invalid, NotAllowed, NotFound, StaleFactor, TamperedRow, WrongState
from gateway.notify.models import Message
from gateway.notify.service import Recipient, tell
from gateway.oversight import message_queries, service
from gateway.policy.parameters import ParameterVersion
from gateway.principal import Role
from tests.factories import Browser, World

WHY = "供应商要求更长的查阅时间"


def proposal(world: World, key: str = "share.download_limit", value: str = "2", **ahead: float) -> str:
    """A proposal by ADM that starts in an hour, or `ahead`."""
    starts = world.now() + timedelta(**(ahead or {"hours": 1}))
    return service.propose(world.deps, key, value, starts, WHY, actor=world.actor("adm"), now=world.now())


def confirmed(world: World, *args: str, **ahead: float) -> int:
    """A confirmed change; its number."""
    made = proposal(world, *args, **ahead)
    return service.confirm(world.deps, made, actor=world.actor("gm"), now=world.now())


def value(world: World, key: str, version: int | None = None) -> object:
    """The value in force."""
    with world.deps.database.read() as session:
        return world.deps.parameters(session, world.now(), version).values[key]


def row(world: World, version_id: str) -> ParameterVersion:
    """The stored version."""
    with world.deps.database.read() as session:
        return session.get_one(ParameterVersion, version_id)


def test_a_change_holds_from_its_moment_on_and_not_before(world: World) -> None:
    number = confirmed(world)
    assert number == 1
    assert value(world, "share.download_limit") == 3
    world.clock.advance(hours=1, seconds=1)
    assert value(world, "share.download_limit") == 2
    # A pinned version keeps its value.
    assert value(world, "share.download_limit", 0) == 3
    events = [parse(leaf.body) for leaf in world.leaves() if leaf.object_kind == "parameter"]
    assert [(e.event, e.source, e.target) for e in events] == [
        ("parameter.propose", None, "PROPOSED"),
        ("parameter.confirm", "PROPOSED", "CONFIRMED"),
    ]
    assert events[1].data["changes"] == {"share.download_limit": 2}
    assert events[1].data["number"] == 1
    assert "reason" in events[0].personal


def test_lists_and_switches_change_too(world: World) -> None:
    confirmed(world, "nda.remind_days", "60, 14")
    confirmed(world, "scan.required", "on")
    world.clock.advance(hours=2)
    assert value(world, "nda.remind_days") == (60, 14)
    assert value(world, "scan.required") is True


@pytest.mark.parametrize(
    ("key", "typed", "field"),
    [
        ("share.download_limit", "11", "value"),
        ("share.download_limit", "0", "value"),
        ("share.download_limit", "3", "value"),
        ("share.download_limit", "two", "value"),
        ("share.download_limit", "٢", "value"),
        ("share.download_limit", "", "value"),
        ("nda.remind_days", "1,7", "value"),
        ("nda.remind_days", "7,,1", "value"),
        ("scan.required", "1", "value"),
        ("share.unknown", "1", "key"),
    ],
)
def test_a_value_outside_its_bounds_is_not_taken(world: World, key: str, typed: str, field: str) -> None:
    with pytest.raises(Invalid) as refusal:
        proposal(world, key, typed)
    assert refusal.value.field == field
    assert not world.leaves("parameter.propose")


def test_a_change_starts_not_before_now_and_has_a_reason(world: World) -> None:
    with pytest.raises(Invalid) as refusal:
        proposal(world, seconds=-1)
    assert refusal.value.field == "valid_from"
    starts = world.now() + timedelta(hours=1)
    with pytest.raises(Invalid) as refusal:
        service.propose(
            world.deps, "share.items", "5", starts, "zu kurz", actor=world.actor("adm"), now=world.now()
        )
    assert refusal.value.field == "reason"


@pytest.mark.parametrize("name", ["gm", "dgm", "sys", "aud", "biz.sj", "s1"])
def test_only_administration_proposes(world: World, name: str) -> None:
    starts = world.now() + timedelta(hours=1)
    with pytest.raises(NotAllowed):
        service.propose(world.deps, "share.items", "5", starts, WHY, actor=world.actor(name), now=world.now())
    assert world.leaves("refused")[-1].object_kind == "parameter"


@pytest.mark.parametrize("name", ["adm", "dgm", "sys", "aud", "biz.sj", "s1"])
def test_only_the_general_manager_confirms(world: World, name: str) -> None:
    made = proposal(world)
    with pytest.raises(NotAllowed):
        service.confirm(world.deps, made, actor=world.actor(name), now=world.now())
    assert row(world, made).state == "PROPOSED"


def test_nobody_confirms_their_own_proposal(world: World) -> None:
    from dataclasses import replace

    made = proposal(world)
    both = replace(world.actor("adm"), roles=frozenset({Role.ADM, Role.GM}))
    with pytest.raises(NotAllowed) as refusal:
        service.confirm(world.deps, made, actor=both, now=world.now())
    assert refusal.value.code == "SOD-4"
    assert row(world, made).state == "PROPOSED"


def test_confirming_asks_for_a_fresh_factor(world: World) -> None:
    made = proposal(world)
    stale = world.actor("gm")
    world.clock.advance(minutes=11)
    with pytest.raises(StaleFactor):
        service.confirm(world.deps, made, actor=stale, now=world.now())


def test_a_proposal_whose_moment_has_passed_is_not_confirmed(world: World) -> None:
    made = proposal(world)
    world.clock.advance(hours=2)
    with pytest.raises(WrongState) as refusal:
        service.confirm(world.deps, made, actor=world.actor("gm"), now=world.now())
    assert refusal.value.code == "PARAMETER_LATE"


def test_versions_come_into_force_in_the_order_of_their_numbers(world: World) -> None:
    early = proposal(world, hours=1)
    confirmed(world, "share.items", "30", hours=3)
    with pytest.raises(WrongState) as refusal:
        service.confirm(world.deps, early, actor=world.actor("gm"), now=world.now())
    assert refusal.value.code == "PARAMETER_ORDER"
    with pytest.raises(WrongState):
        proposal(world, hours=2)
    assert confirmed(world, "share.items", "40", hours=3) == 2


def test_declined_and_withdrawn_changes_never_hold(world: World) -> None:
    one, two = proposal(world), proposal(world)
    service.decline(world.deps, one, WHY, actor=world.actor("gm"), now=world.now())
    service.withdraw(world.deps, two, WHY, actor=world.actor("adm"), now=world.now())
    for made in (one, two):
        with pytest.raises(WrongState):
            service.confirm(world.deps, made, actor=world.actor("gm"), now=world.now())
    world.clock.advance(hours=2)
    assert value(world, "share.download_limit") == 3
    with pytest.raises(NotFound):
        service.confirm(world.deps, "0" * 32, actor=world.actor("gm"), now=world.now())


def test_a_value_changed_in_the_database_stops_everything_that_reads_it(world: World) -> None:
    made = proposal(world)
    service.confirm(world.deps, made, actor=world.actor("gm"), now=world.now())
    browser = world.browser("adm")
    assert browser.get("/parameters").status_code == 200
    with world.deps.database.write() as session:
        session.execute(text("UPDATE parameter_version SET changes = '{\"share.download_limit\": 10}'"))
    with pytest.raises(TamperedRow):
        value(world, "share.download_limit")
    assert browser.get("/parameters").status_code == 500


def test_two_people_change_a_parameter_in_their_browsers(world: World) -> None:
    adm, gm = world.browser("adm"), world.browser("gm")
    assert "每人每件下载次数" in adm.get("/parameters?key=share.download_limit").get_data(as_text=True)
    local = (world.now() + timedelta(hours=9)).strftime("%Y-%m-%dT%H:%M")
    typed = {"key": "share.download_limit", "value": "2", "valid_from": local, "reason": WHY}
    wrong = adm.post("/parameters/propose", {**typed, "value": "99"})
    assert wrong.status_code == 422
    assert "1–10" in wrong.get_data(as_text=True)
    assert adm.post("/parameters/propose", typed).status_code == 302
    with world.deps.database.read() as session:
        made = session.scalars(select(ParameterVersion)).one()
    # What was typed is in the reader's zone, eight hours ahead of UTC.
    assert abs(made.valid_from - (world.now() + timedelta(hours=1))) < timedelta(minutes=2)
    assert "业务参数变更待确认" in gm.get("/messages").get_data(as_text=True)
    assert adm.post(f"/parameters/{made.id}/confirm").status_code == 403
    assert "确认变更" in gm.get("/parameters").get_data(as_text=True)
    assert gm.post(f"/parameters/{made.id}/decline", {"reason": "kurz"}).status_code == 422
    assert gm.post(f"/parameters/{made.id}/confirm").status_code == 302
    assert "版本 1" in gm.get("/parameters").get_data(as_text=True)
    assert gm.post(f"/parameters/{made.id}/confirm").status_code == 409
    world.clock.advance(hours=2)
    assert value(world, "share.download_limit") == 2


def test_a_proposal_is_withdrawn_and_declined_in_the_browser(world: World) -> None:
    one, two = proposal(world), proposal(world)
    assert (
        seeing(world, "adm", "/parameters").post(f"/parameters/{one}/withdraw", {"reason": WHY}).status_code
        == 302
    )
    assert (
        seeing(world, "gm", "/parameters").post(f"/parameters/{two}/decline", {"reason": WHY}).status_code
        == 302
    )
    assert (row(world, one).state, row(world, two).state) == ("WITHDRAWN", "DECLINED")


def seeing(world: World, name: str, path: str) -> Browser:
    """Somebody's browser after a look at a page, whose token its next form carries."""
    browser = world.browser(name)
    assert browser.get(path).status_code == 200
    return browser


def told(world: World, event: str, kind: str, recipient: str, **fields: str) -> str:
    """A message."""
    with world.deps.database.write() as session:
        to = Recipient(kind, recipient)  # type: ignore[arg-type]
        return tell(session, event, [to], now=world.now(), fields=fields)[0]


def test_messages_reach_those_they_are_for_and_nobody_else(world: World) -> None:
    told(world, "copy.downloaded", "account", world.id("biz.sj"), copy="F0001")
    told(world, "approval.waiting", "role", "ARC", type="共享", no="GX-1")
    told(world, "share.active", "contact", world.id("s1"), no="GX-2")
    pages = {
        name: world.browser(name)
        .get("/my/messages" if name in ("s1", "s2") else "/messages")
        .get_data(as_text=True)
        for name in ("biz.sj", "arc1", "arc2", "s1", "s2", "hod.sj")
    }
    assert {n for n, p in pages.items() if "副本 F0001 已下载" in p} == {"biz.sj"}
    assert {n for n, p in pages.items() if "待您审批：共享 GX-1" in p} == {"arc1", "arc2"}
    assert {n for n, p in pages.items() if "GX-2" in p} == {"s1"}
    assert world.browser("s1").get("/messages").status_code == 404
    assert world.browser("biz.sj").get("/my/messages").status_code == 404


def test_a_one_time_link_is_never_shown(world: World) -> None:
    told(world, "invitation", "contact", world.id("s1"), link="http://localhost/enrol/secret-token")
    shown = world.browser("s1").get("/my/messages").get_data(as_text=True)
    assert "请启用您的账号" in shown
    assert "secret-token" not in shown


def test_messages_are_marked_as_read_by_their_reader_only(world: World) -> None:
    own = told(world, "copy.downloaded", "account", world.id("biz.sj"), copy="F0001")
    other = told(world, "copy.downloaded", "account", world.id("biz.gc"), copy="F0002")
    browser = seeing(world, "biz.sj", "/messages")
    assert browser.post(f"/messages/{other}/read").status_code == 404
    assert browser.post(f"/messages/{own}/read").status_code == 302
    with world.deps.database.read() as session:
        assert session.get_one(Message, own).read_at is not None
        assert session.get_one(Message, other).read_at is None
    assert world.browser(None).post(f"/messages/{own}/read").status_code in (302, 400, 404)


def test_reading_all_leaves_those_of_roles_alone(world: World) -> None:
    own = told(world, "copy.downloaded", "account", world.id("arc1"), copy="F0001")
    role = told(world, "approval.waiting", "role", "ARC", type="共享", no="GX-1")
    assert seeing(world, "arc1", "/messages").post("/messages/read").status_code == 302
    with world.deps.database.read() as session:
        assert session.get_one(Message, own).read_at is not None
        assert session.get_one(Message, role).read_at is None
    assert seeing(world, "arc2", "/messages").post(f"/messages/{role}/read").status_code == 302
    page = message_queries.messages(world.deps, actor=world.actor("arc1"))
    assert {line.id for line in page.lines if line.read_at is None} & {role} == set()


def test_many_messages_come_in_pages(world: World) -> None:
    made = [told(world, "copy.downloaded", "contact", world.id("s1"), copy=f"F{n:04}") for n in range(60)]
    first = message_queries.messages(world.deps, actor=world.actor("s1"))
    assert first.before is not None
    second = message_queries.messages(world.deps, first.before, actor=world.actor("s1"))
    shown = [line.id for page in (first, second) for line in page.lines]
    assert set(made) <= set(shown)
    assert len(shown) == len(set(shown))
    answer = world.browser("s1").get(f"/my/messages?before={first.before}")
    assert "F0000" in answer.get_data(as_text=True)
