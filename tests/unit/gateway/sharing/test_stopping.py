"""Stopping: by people, by what a share rests on, by time. What moves is told, what does not apply stays as it is."""

from __future__ import annotations

from datetime import timedelta

import pytest

from gateway.errors import Invalid, NotAllowed, NotFound, StaleFactor, Withheld, WrongState
from gateway.identity.service import change_organisation_state
from gateway.notify.models import Message
from gateway.sharing import service as sharing
from gateway.sharing.models import RevealedSecret
from gateway.signing import service as signing
from tests.factories import World
from tests.worlds import Scene

WHY = "因合作安排变更，停止提供资料"
STOPPERS = ("gm", "dgm", "adm", "hod.sj", "biz.sj", "arc1", "arc2")
OTHERS = ("hod.gc", "biz.gc", "aud", "sys", "s1", "d1")


def revoke(scene: Scene, name: str) -> None:
    """A revocation by somebody."""
    sharing.revoke(scene.deps, scene.share, WHY, actor=scene.world.actor(name), now=scene.world.now())


def state(scene: Scene) -> str:
    """The share's state."""
    return scene.world.share(scene.share).state


def told(scene: Scene, event: str) -> set[str]:
    """Who got a message of this event."""
    with scene.deps.database.read() as session:
        return {row.recipient for row in session.query(Message).filter_by(event=event)}


def agreement(scene: Scene) -> str:
    """The one agreement in force."""
    return str(scene.sql("SELECT id FROM agreement WHERE state IN ('IN_FORCE', 'EXPIRING')")[0][0])


@pytest.mark.parametrize("name", STOPPERS)
def test_who_may_revoke_does_and_everyone_is_told(scene: Scene, name: str) -> None:
    revoke(scene, name)
    assert state(scene) == "REVOKED"
    assert scene.bundle_row().state == "ABANDONED"
    assert [copy.state for copy in scene.copies()] == ["ABANDONED"]
    assert told(scene, "share.stopped.outside") == {scene.world.id("s1"), scene.world.id("s2")}
    assert told(scene, "share.stopped") == {scene.world.id("biz.sj")}
    assert scene.used() == 0
    with pytest.raises(WrongState):
        revoke(scene, name)


@pytest.mark.parametrize("name", OTHERS)
def test_nobody_else_revokes(scene: Scene, name: str) -> None:
    with pytest.raises(NotAllowed):
        revoke(scene, name)
    assert state(scene) == "ACTIVE"


def test_revoking_needs_a_reason(scene: Scene) -> None:
    with pytest.raises(Invalid):
        sharing.revoke(scene.deps, scene.share, "停", actor=scene.world.actor("gm"), now=scene.world.now())
    with pytest.raises(NotFound):
        sharing.revoke(scene.deps, "0" * 32, WHY, actor=scene.world.actor("gm"), now=scene.world.now())


def test_only_administration_pauses_and_resumes_and_resuming_needs_a_fresh_factor(scene: Scene) -> None:
    world = scene.world
    for name in ("gm", "arc1", "biz.sj", "s1", "sys"):
        with pytest.raises(NotAllowed):
            sharing.suspend(scene.deps, scene.share, WHY, actor=world.actor(name), now=world.now())
    sharing.suspend(scene.deps, scene.share, WHY, actor=world.actor("adm"), now=world.now())
    assert state(scene) == "SUSPENDED"
    with pytest.raises(Withheld):
        scene.collect(scene.partner())
    stale = world.actor("adm")
    scene.later(minutes=11)
    with pytest.raises(StaleFactor):
        sharing.resume(scene.deps, scene.share, WHY, actor=stale, now=world.now())
    with pytest.raises(NotAllowed):
        sharing.resume(scene.deps, scene.share, WHY, actor=world.actor("gm"), now=world.now())
    sharing.resume(scene.deps, scene.share, WHY, actor=world.actor("adm"), now=world.now())
    assert state(scene) == "ACTIVE"
    scene.collect(scene.partner())


# --- what a share rests on --------------------------------------------------------------------------------------


def test_an_agreement_that_lapses_halts_and_its_renewal_recovers(world: World) -> None:
    items = world.filed_items(1)
    world.agreement(days=2)
    share = world.draft_share(items, ("s1",), valid_days=7)
    world.approve_share(share)
    made = Scene(world, share, items)
    made.later(days=3)
    signing.sweep(made.deps, now=world.now())
    assert state(made) == "SUSPENDED"
    assert world.id("s1") in told(made, "share.stopped.outside")
    signing.sweep(made.deps, now=world.now())
    assert len(world.leaves("share.halt")) == 1
    world.agreement()
    assert state(made) == "ACTIVE"
    assert len(world.leaves("share.recover")) == 1


def test_a_share_that_people_paused_is_not_resumed_by_an_agreement(scene: Scene) -> None:
    world = scene.world
    sharing.suspend(scene.deps, scene.share, WHY, actor=world.actor("adm"), now=world.now())
    world.agreement()
    assert state(scene) == "SUSPENDED"


def test_an_agreement_that_is_terminated_withdraws(scene: Scene) -> None:
    world = scene.world
    signing.terminate(scene.deps, agreement(scene), WHY, actor=world.actor("gm"), now=world.now())
    assert state(scene) == "REVOKED" and scene.bundle_row().state == "ABANDONED"


def test_the_partner_s_own_termination_withdraws_too(scene: Scene) -> None:
    world = scene.world
    signing.partner_terminate(scene.deps, agreement(scene), WHY, actor=world.actor("s1"), now=world.now())
    assert state(scene) == "REVOKED"


@pytest.mark.parametrize("how", ["terminated", "lapsed"])
def test_another_agreement_in_force_keeps_the_share(scene: Scene, how: str) -> None:
    world = scene.world
    first = agreement(scene)
    world.agreement(days=600, classes=("F07",))
    if how == "terminated":
        signing.terminate(scene.deps, first, WHY, actor=world.actor("gm"), now=world.now())
    else:
        scene.later(days=302)
        signing.sweep(scene.deps, now=world.now())
    assert state(scene) == "ACTIVE"


@pytest.mark.parametrize("event", ["suspend", "disable"])
def test_an_organisation_that_is_stopped_halts_its_shares(scene: Scene, event: str) -> None:
    world = scene.world
    organisation = world.company.organisations["supplier"]
    change_organisation_state(
        scene.deps, organisation, event, reason=WHY, actor=world.actor("adm"), now=world.now()
    )
    assert state(scene) == "SUSPENDED"
    if event == "suspend":
        change_organisation_state(
            scene.deps, organisation, "resume", reason=WHY, actor=world.actor("adm"), now=world.now()
        )
        world.agreement()
    assert state(scene) == "SUSPENDED"


def test_another_organisation_s_end_changes_nothing(scene: Scene) -> None:
    world = scene.world
    studio = world.company.organisations["studio"]
    change_organisation_state(
        scene.deps, studio, "disable", reason=WHY, actor=world.actor("adm"), now=world.now()
    )
    assert state(scene) == "ACTIVE"
    scene.collect(scene.partner())


# --- time -------------------------------------------------------------------------------------------------------


def test_the_sweep_moves_each_thing_once(scene: Scene) -> None:
    scene.later(hours=24)
    assert sharing.sweep(scene.deps, now=scene.world.now()) == 1
    assert scene.bundle_row().state == "ABANDONED" and state(scene) == "ACTIVE"
    assert sharing.sweep(scene.deps, now=scene.world.now()) == 0
    scene.later(days=7)
    assert sharing.sweep(scene.deps, now=scene.world.now()) == 1
    assert state(scene) == "EXPIRED"
    assert sharing.sweep(scene.deps, now=scene.world.now()) == 0


def test_what_is_not_due_is_left_alone(scene: Scene) -> None:
    scene.world.clock.offset += scene.bundle_row().expires_at - scene.world.now() - timedelta(minutes=1)
    scene.deps.log.sequence(now=scene.world.now())
    before = len(scene.world.leaves())
    assert sharing.sweep(scene.deps, now=scene.world.now()) == 0
    assert scene.bundle_row().state == "READY" and len(scene.world.leaves()) == before


def test_a_share_that_expires_takes_its_waiting_bundles_along(scene: Scene) -> None:
    ends = scene.world.share(scene.share).ends
    assert ends is not None
    scene.world.clock.offset += ends - scene.world.now() - timedelta(minutes=10)
    scene.later(seconds=0)
    bundle = scene.prepare(wanted="zip")
    scene.later(minutes=15)
    sharing.sweep(scene.deps, now=scene.world.now())
    assert state(scene) == "EXPIRED" and scene.bundle_row(bundle).state == "ABANDONED"
    with scene.deps.database.read() as session:
        assert session.query(RevealedSecret).count() == 0
    assert not list(scene.deps.keyring.names("field:bundle:"))


def test_an_approval_that_nobody_gives_lapses(scene: Scene) -> None:
    world = scene.world
    share = world.draft_share(scene.items[:1])
    sharing.submit(scene.deps, share, actor=world.actor("biz.sj"), now=world.now())
    due = world.share(share).due_at
    assert due is not None and due - world.now() >= timedelta(days=2, hours=23)
    world.clock.offset += due - world.now() - timedelta(minutes=1)
    sharing.sweep(scene.deps, now=world.now())
    assert world.share(share).state == "DEPT_REVIEW"
    scene.later(minutes=2)
    sharing.sweep(scene.deps, now=world.now())
    assert world.share(share).state == "LAPSED"


def test_one_altered_row_does_not_keep_others_from_ending(scene: Scene) -> None:
    scene.sql("UPDATE bundle SET state = 'READY', expires_at = '2020-01-01 00:00:00', format = 'zip'")
    other = scene.world.draft_share(scene.items[:1])
    sharing.submit(scene.deps, other, actor=scene.world.actor("biz.sj"), now=scene.world.now())
    scene.later(days=6)
    assert sharing.sweep(scene.deps, now=scene.world.now()) >= 1
    assert scene.world.share(other).state == "LAPSED"
