"""Reading the log and changing a parameter, on both installations."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from gateway.audit import verify
from gateway.oversight import message_queries, parameter_queries, queries, service
from gateway.oversight.filters import Wanted, read_filter
from gateway.oversight.indexing import catch_up
from tests.factories import World


def test_the_log_is_read_filtered_counted_and_exported(portal: World, tmp_path: Path) -> None:
    deps, aud = portal.deps, portal.actor("aud")
    portal.case()
    deps.log.sequence(now=portal.now())
    head = queries.head(deps)
    assert head is not None
    assert head.sound
    first = queries.log_page(deps, Wanted())
    assert len(first.lines) == queries.PAGE
    assert {line.proof for line in first.lines} == {"proved"}
    catch_up(deps)
    asked = read_filter({"person": "biz.sj@demo.invalid", "kind": "case"}, aud.timezone)
    found = queries.log_page(deps, asked)
    assert [line.entry.event for line in found.lines] == ["case.create"]
    case = found.lines[0].entry.object
    by_number = read_filter({"kind": "case", "object": str(found.lines[0].number)}, aud.timezone)
    assert [line.entry.object for line in queries.log_page(deps, by_number).lines] == [case]
    assert queries.object_page(deps, *case, actor=aud).lines
    assert queries.counts(deps, now=portal.now()).total == len(portal.leaves())
    health = queries.health(deps, now=portal.now())
    assert (health.ok, health.entries, health.waiting) == (True, head.size, 0)
    service.note_reading(deps, "jsonl", Wanted(), actor=aud, now=portal.now())
    export = tmp_path / "log.jsonl"
    export.write_bytes(b"".join(queries.export(deps, Wanted(), "jsonl")))
    assert verify.verify_file(export, verify.read_keys(deps.log.vkey)).lines()


def test_a_parameter_is_changed_by_two(portal: World) -> None:
    deps, starts = portal.deps, portal.now() + timedelta(hours=1)
    made = service.propose(
        deps,
        "nda.remind_days",
        "60,7",
        starts,
        "提醒要更早一些，便于续签",
        actor=portal.actor("adm"),
        now=portal.now(),
    )
    assert message_queries.messages(deps, actor=portal.actor("gm")).unread
    assert service.confirm(deps, made, actor=portal.actor("gm"), now=portal.now()) == 1
    page = parameter_queries.parameter_page(deps, actor=portal.actor("gm"), now=portal.now())
    line = next(found for found in page.lines if found.definition.key == "nda.remind_days")
    assert line.value == (30, 7, 1)
    assert line.coming == ((starts, (60, 7)),)
    portal.clock.advance(hours=1, seconds=1)
    with deps.database.read() as session:
        assert deps.parameters(session, portal.now()).days("nda.remind_days") == (60, 7)
