"""The decision behind the gate: asked anew each time, on what the database holds; and pages looked at on duty."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from PIL import Image

from gateway.audit.service import record
from gateway.db import new_id
from gateway.errors import Unavailable, Withheld
from gateway.principal import SYSTEM
from gateway.release import Ask, clock_behind, decide, duty_view
from gateway.sharing.models import Approval
from tests.worlds import Scene


def looked_at(
    scene: Scene, name: str, *, purpose: str = "P03", sha256: str | None = None, **more: Any
) -> bytes:
    """The first page of the first item, as somebody in their own session sees it."""
    [(stored,)] = scene.sql("SELECT sha256 FROM item_version WHERE item_id = :i", i=scene.items[0])
    actor = replace(scene.partner(name), **more)
    return duty_view(
        scene.deps, scene.items[0], 1, 1, purpose, sha256=sha256 or stored, number="SG01-KH·2026·SJ-0001-001",
        actor=actor, now=scene.world.now(),
    )  # fmt: skip


def test_a_page_looked_at_on_duty_is_a_marked_picture_with_an_entry(scene: Scene) -> None:
    with Image.open(io.BytesIO(looked_at(scene, "hod.sj"))) as picture:
        assert min(picture.size) > 200 and len(picture.convert("L").getcolors(1 << 24) or []) > 2
    [leaf] = scene.world.leaves("item.view")
    assert json.loads(leaf.body)["data"] == {"page": 1, "purpose": "P03", "version": 1}
    assert leaf.seq is not None


@pytest.mark.parametrize("name", ["sys", "aud", "hod.gc", "biz.gc", "s1", "gm"])
def test_nobody_off_duty_sees_a_page(scene: Scene, name: str) -> None:
    with pytest.raises(Withheld) as refusal:
        looked_at(scene, name)
    assert "RIGHT" in refusal.value.codes
    assert not scene.world.leaves("item.view") and scene.world.leaves("refused")


def test_a_page_needs_a_purpose_a_factor_and_its_own_bytes(scene: Scene) -> None:
    with pytest.raises(Withheld) as refusal:
        looked_at(scene, "arc1", purpose="P77")
    assert refusal.value.codes == ("RIGHT",)
    with pytest.raises(Withheld) as refusal:
        looked_at(scene, "arc1", session="loader")
    assert {"MFA", "SESS"} <= set(refusal.value.codes)
    with pytest.raises(Withheld) as refusal:
        looked_at(scene, "arc1", sha256="0" * 64)
    assert refusal.value.codes == ("HASH",)


def test_a_page_whose_entry_cannot_be_signed_is_not_shown(scene: Scene) -> None:
    scene.deps.log.sequence(now=scene.world.now())
    scene.sql("UPDATE audit_checkpoint SET root = :r", r=b"\0" * 32)
    with pytest.raises((Unavailable, Withheld)):
        looked_at(scene, "arc1")


def ask(scene: Scene) -> Ask:
    """What collecting the scene's bundle asks."""
    partner = scene.partner()
    items = tuple((copy.item_id, copy.version) for copy in scene.copies())
    now = scene.world.now()
    return Ask("copy", "collect", partner, now, scene.share, partner.id, items, "DOWNLOAD", scene.bundle)


def missing(scene: Scene, asked: Ask) -> set[str]:
    """The codes that are unmet."""
    with scene.deps.database.read() as session:
        return {condition.code for condition in decide(scene.deps, session, asked).missing}


def test_an_approver_who_asked_or_decided_before_is_seen_by_the_gate_too(scene: Scene) -> None:
    """Even rows that were written with a good seal do not let one person stand twice."""
    assert missing(scene, ask(scene)) == set()
    for approver in (scene.world.id("biz.sj"), scene.world.id("hod.sj")):
        _consent_by(scene, approver)
        assert missing(scene, ask(scene)) == {"SOD"}
        scene.sql("DELETE FROM approval WHERE stage = 'GM'")


def _consent_by(scene: Scene, approver: str) -> None:
    with scene.deps.database.write() as session:
        now = scene.world.now()
        leaf = record(session, "approval.planted", actor=SYSTEM, obj=("share", scene.share), now=now)
        row = Approval(id=new_id(), share_id=scene.share, stage="GM", decision="CONSENT", approver=approver)
        row.version_hash, row.at, row.leaf = scene.world.share(scene.share).version_hash, now, leaf
        session.add(row)


CHANGES: dict[str, dict[str, Any]] = {
    "CONTACT": {"contact": None},
    "RIGHT": {"right": "ORIGINAL"},
    "ITEM": {"items": (("0" * 32, 1),)},
    "STATE": {"share": None},
    "MARKED": {"bundle": "0" * 32},
}


@pytest.mark.parametrize("code", CHANGES)
def test_what_is_not_known_is_not_met(scene: Scene, code: str) -> None:
    assert code in missing(scene, replace(ask(scene), **CHANGES[code]))


def test_a_version_that_is_not_listed_is_not_met(scene: Scene) -> None:
    asked = ask(scene)
    assert "ITEM" in missing(scene, replace(asked, items=((asked.items[0][0], 2),)))


def test_a_clock_set_back_stops_issuing(scene: Scene) -> None:
    """policy.md §10 clock.back_s: 120 s behind the newest entry, and no further."""
    newest = max(leaf.at for leaf in scene.world.leaves())
    asked = ask(scene)
    with scene.deps.database.read() as session:
        assert clock_behind(session, newest - timedelta(seconds=90)) >= 90
        assert clock_behind(session, asked.now + timedelta(hours=1)) == 0
    assert "CLOCK" in missing(scene, replace(asked, now=asked.now - timedelta(seconds=200)))
    assert "CLOCK" not in missing(scene, replace(asked, now=asked.now - timedelta(seconds=60)))


def test_a_log_that_falls_behind_stops_issuing(scene: Scene) -> None:
    partner = scene.partner()
    scene.world.clock.advance(seconds=90)
    with pytest.raises(Withheld) as refusal:
        scene.collect(partner)
    assert refusal.value.codes == ("LOG",)
    scene.deps.log.sequence(now=scene.world.now())
    scene.collect(partner)
