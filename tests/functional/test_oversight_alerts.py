"""Alerts end to end: raised once from the log, told to those who watch, shown to nobody else, acknowledged with a note."""

from __future__ import annotations

import re
from datetime import time, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select, text

from gateway.audit.leaf import parse
from gateway.audit.models import Leaf
from gateway.audit.service import record, record_refusal
from gateway.errors import Invalid, NotAllowed, NotFound, WrongState
from gateway.identity.rules import COMPANY_ZONE
from gateway.notify.models import Message
from gateway.oversight.alert_queries import open_count
from gateway.oversight.alerts import SATURDAY
from gateway.oversight.models import Alert
from gateway.oversight.watching import acknowledge, watch
from tests.factories import World

NOTE = "已电话核实，属于正常领取。"
MORNING = time(10, 5)


@pytest.fixture
def world(world: World) -> World:
    """A world at five past ten of the company's next working day, its checkpoint just confirmed.

    No rule speaks there for the hour at which the tests run or for the age of what the world was copied from, and no burst
    falls into two hours of the clock.
    """
    now = world.now().astimezone(COMPANY_ZONE)
    begin = now.combine(now, MORNING, COMPANY_ZONE)
    while begin < now or begin.weekday() >= SATURDAY:
        begin += timedelta(days=1)
    world.clock.offset += begin - now
    world.deps.log.heartbeat(now=world.now())
    return world


def raised(world: World) -> list[Alert]:
    """Every alert, oldest first."""
    with world.deps.database.read() as session:
        return list(session.scalars(select(Alert).order_by(Alert.at, Alert.rule)))


def messages(world: World) -> list[Message]:
    """What was told of alerts."""
    with world.deps.database.read() as session:
        return list(session.scalars(select(Message).where(Message.event == "alert")))


def refuse(world: World, name: str = "s1", times: int = 10) -> None:
    """So many refusals of one person, now."""
    for _ in range(times):
        record_refusal(
            world.deps.database, "WITHHELD", actor=world.actor(name), obj=("share", "x"), now=world.now()
        )
    world.tick()


def test_a_burst_is_raised_once_told_once_and_repeated_after_a_day(world: World) -> None:
    assert watch(world.deps, now=world.now()) == 0
    refuse(world)
    assert watch(world.deps, now=world.now()) == 1
    (alert,) = raised(world)
    assert (alert.rule, alert.state, alert.about_id) == ("refusals", "OPEN", world.id("s1"))
    assert {(m.recipient_kind, m.recipient) for m in messages(world)} == {("role", "AUD"), ("role", "ADM")}
    for _ in range(2):
        refuse(world, times=1)
        assert watch(world.deps, now=world.now()) == 0
    assert len(raised(world)) == 1
    assert len(messages(world)) == 2
    world.clock.advance(hours=23)
    world.deps.log.heartbeat(now=world.now())
    watch(world.deps, now=world.now())
    assert len(messages(world)) == 2
    world.clock.advance(hours=2)
    world.deps.log.heartbeat(now=world.now())
    watch(world.deps, now=world.now())
    watch(world.deps, now=world.now())
    assert len(messages(world)) == 4


def test_what_is_told_outside_names_nobody(world: World) -> None:
    refuse(world)
    watch(world.deps, now=world.now())
    world.deps.mailer.flush(now=world.now())
    mails = [path.read_text() for path in (world.deps.settings.home / "outbox").glob("*.eml")]
    found = [m for m in mails if "REFUSALS" in m]
    assert found
    company = world.company.people["s1"]
    for mail in found:
        assert not [s for s in (company.email, world.id("s1"), "供应商联系人") if s in mail]
    entry = world.leaves("alert.raise")[-1]
    assert company.email.encode() not in entry.body
    assert "供应商联系人".encode() not in entry.body


def test_downloads_out_of_the_ordinary_are_seen(world: World) -> None:
    share, items = world.active_share()
    bundle = world.ready_bundle(share, items)
    world.browser("s1")
    from gateway.sharing import service as sharing

    _, actor = world.session("s1")
    sharing.collect(world.deps, bundle, actor=actor, now=world.now())
    world.tick()
    watch(world.deps, now=world.now())
    assert raised(world) == []
    # The same person once more, from elsewhere.
    from dataclasses import replace

    other = replace(actor, ip="203.0.113.77")
    with world.deps.database.write() as session:
        for who in (actor, other, other):
            record(session, "bundle.collect", actor=who, obj=("bundle", bundle), now=world.now())
    world.tick()
    watch(world.deps, now=world.now())
    fresh = [a for a in raised(world) if a.rule == "address"]
    assert [a.entry for a in fresh] == [world.leaves("bundle.collect")[-2].id]
    with world.deps.database.write() as session:
        for _ in range(3):
            record(session, "bundle.collect", actor=actor, obj=("bundle", bundle), now=world.now())
    world.tick()
    watch(world.deps, now=world.now())
    assert "rate" in [a.rule for a in raised(world)]


def test_a_download_in_the_evening_is_seen(world: World) -> None:
    world.clock.advance(hours=10)
    with world.deps.database.write() as session:
        record(session, "bundle.collect", actor=world.actor("s1"), obj=("bundle", "x"), now=world.now())
    world.tick()
    watch(world.deps, now=world.now())
    assert [(a.rule, a.facts) for a in raised(world)] == [("hours", {"hour": 20})]


def test_a_condition_that_lasts_is_one_alert_until_it_is_over(world: World) -> None:
    world.deps.log.heartbeat(now=world.now())
    world.clock.advance(minutes=6)
    for _ in range(2):
        watch(world.deps, now=world.now())
    assert [(a.rule, a.ended_at) for a in raised(world)] == [("heartbeat", None)]
    world.deps.log.heartbeat(now=world.now())
    watch(world.deps, now=world.now())
    assert raised(world)[0].ended_at is not None
    world.clock.advance(minutes=6)
    watch(world.deps, now=world.now())
    assert [a.rule for a in raised(world)] == ["heartbeat", "heartbeat"]


def test_gaps_and_steps_of_the_clock_are_seen(world: World) -> None:
    with world.deps.database.write() as session:
        for back in (0, 500, 499, 0):
            at = world.now() - timedelta(seconds=back)
            record(session, "log.read", actor=world.actor("aud"), obj=("log", "page"), now=at)
    world.tick()
    world.deps.log.heartbeat(now=world.now())
    watch(world.deps, now=world.now())
    steps = [a for a in raised(world) if a.rule == "clock"]
    assert len(steps) == 1
    assert 498 <= steps[0].facts["back_s"] <= 501
    world.tick()
    numbered = world.leaves()
    lost = numbered[-1].seq
    with world.deps.database.write() as session:
        session.execute(text("DELETE FROM audit_personal WHERE leaf_id = :i"), {"i": numbered[-1].id})
        session.execute(text("DELETE FROM audit_leaf WHERE id = :i"), {"i": numbered[-1].id})
    watch(world.deps, now=world.now())
    assert [a.facts["seq"] for a in raised(world) if a.rule == "gap"] == [lost]


def test_a_failed_anchor_is_an_alert_until_one_stands_again(world: World) -> None:
    from gateway.audit import anchors
    from gateway.principal import SYSTEM

    def say(event: str) -> None:
        with world.deps.database.write() as session:
            record(session, event, actor=SYSTEM, obj=anchors.OBJECT, now=world.now(), size=1)
        world.deps.log.heartbeat(now=world.now())
        watch(world.deps, now=world.now())

    say(anchors.FAILED)
    say(anchors.FAILED)
    assert [(a.rule, a.ended_at) for a in raised(world)] == [("anchor", None)]
    assert {m.recipient for m in messages(world)} == {"AUD", "ADM", "SYS"}
    say(anchors.RESTORED)
    assert raised(world)[0].ended_at is not None


def test_an_alert_is_acknowledged_by_name_with_a_note(world: World) -> None:
    refuse(world)
    watch(world.deps, now=world.now())
    (alert,) = raised(world)
    adm = world.actor("adm")
    with pytest.raises(Invalid):
        acknowledge(world.deps, alert.id, "短", actor=adm, now=world.now())
    assert raised(world)[0].state == "OPEN"
    acknowledge(world.deps, alert.id, NOTE, actor=adm, now=world.now())
    (done,) = raised(world)
    assert (done.state, done.acknowledged_by, done.note) == ("ACKNOWLEDGED", adm.id, NOTE)
    entry = parse(world.leaves("alert.acknowledge")[-1].body)
    assert entry.object == ("alert", alert.id)
    assert "reason" in entry.personal
    with pytest.raises(WrongState):
        acknowledge(world.deps, alert.id, NOTE, actor=adm, now=world.now())
    world.clock.advance(hours=30)
    world.deps.log.heartbeat(now=world.now())
    before = len(messages(world))
    watch(world.deps, now=world.now())
    assert len(messages(world)) == before
    assert len([a for a in raised(world) if a.rule == "refusals"]) == 1


def test_the_auditor_sees_alerts_and_acknowledges_none(world: World) -> None:
    refuse(world)
    world.clock.advance(minutes=6)
    watch(world.deps, now=world.now())
    found = raised(world)
    assert {a.rule for a in found} == {"refusals", "heartbeat"}
    browser = world.browser("aud")
    shown = browser.get("/alerts").get_data(as_text=True)
    assert "一小时内多次被拒" in shown
    assert "检查点心跳中断" in shown
    assert "/acknowledge" not in shown
    for alert in found:
        with pytest.raises(NotAllowed):
            acknowledge(world.deps, alert.id, NOTE, actor=world.actor("aud"), now=world.now())
        answer = browser.post(f"/alerts/{alert.id}/acknowledge", {"reason": NOTE})
        assert answer.status_code == 403
    assert {(a.state, a.acknowledged_by, a.note) for a in raised(world)} == {("OPEN", None, None)}
    assert world.leaves("alert.acknowledge") == []


def test_the_administrator_is_told_of_the_log_and_nobodys_doings(world: World) -> None:
    refuse(world)
    world.deps.log.heartbeat(now=world.now())
    world.clock.advance(minutes=6)
    watch(world.deps, now=world.now())
    people = {a.rule: a for a in raised(world)}
    assert set(people) == {"refusals", "heartbeat"}
    sys = world.browser("sys")
    shown = sys.get("/alerts").get_data(as_text=True)
    assert "检查点心跳中断" in shown
    assert "多次被拒" not in shown
    assert open_count(world.deps, actor=world.actor("sys")) == 1
    assert open_count(world.deps, actor=world.actor("biz.sj")) == 0
    with pytest.raises(NotFound):
        acknowledge(world.deps, people["refusals"].id, NOTE, actor=world.actor("sys"), now=world.now())
    answer = sys.post(f"/alerts/{people['refusals'].id}/acknowledge", {"reason": NOTE})
    assert answer.status_code == 404
    answer = sys.post(f"/alerts/{people['heartbeat'].id}/acknowledge", {"reason": NOTE})
    assert answer.status_code == 302


def test_the_page_the_banner_and_the_note(world: World) -> None:
    assert "安全告警待确认" not in world.browser("aud").get("/log").get_data(as_text=True)
    refuse(world)
    watch(world.deps, now=world.now())
    browser = world.browser("aud")
    assert "有 1 个安全告警待确认" in browser.get("/log").get_data(as_text=True)
    assert "安全告警待确认" not in world.browser("biz.sj").get("/shares").get_data(as_text=True)
    shown = browser.get("/alerts").get_data(as_text=True)
    assert "一小时内多次被拒" in shown
    assert "供应商联系人一" in shown
    link = re.search(r'href="(/log/entry/[0-9a-f]{32})"', shown)
    assert link is not None
    assert "已拒绝" in browser.get(link[1]).get_data(as_text=True)
    alert = raised(world)[0]
    browser = world.browser("adm")
    assert "有 1 个安全告警待确认" in browser.get("/cases").get_data(as_text=True)
    assert f"/alerts/{alert.id}/acknowledge" in browser.get("/alerts").get_data(as_text=True)
    answer = browser.post(f"/alerts/{alert.id}/acknowledge", {"reason": "短"})
    assert answer.status_code == 422
    assert "10 到 500" in answer.get_data(as_text=True)
    browser.post(f"/alerts/{alert.id}/acknowledge", {"reason": NOTE})
    after = browser.get("/alerts").get_data(as_text=True)
    assert "没有待确认的告警" in after
    assert NOTE in after
    assert "行政专员" in after
    assert NOTE in world.browser("aud").get("/alerts").get_data(as_text=True)
    assert world.browser("gm").get("/alerts").status_code == 403


def test_a_changed_alert_is_not_believed(world: World) -> None:
    refuse(world)
    watch(world.deps, now=world.now())
    with world.deps.database.write() as session:
        session.execute(text("UPDATE alert SET state = 'ACKNOWLEDGED'"))
    assert world.browser("aud").get("/alerts").status_code == 500


def test_two_looks_at_once_raise_one_alert(portal: World, tmp_path: Path) -> None:
    from threading import Thread

    refuse(portal)
    threads = [Thread(target=watch, args=(portal.deps,), kwargs={"now": portal.now()}) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [a.rule for a in raised(portal)] == ["refusals"]
    with portal.deps.database.read() as session:
        assert session.scalar(select(Leaf.id).where(Leaf.event == "alert.raise")) is not None
