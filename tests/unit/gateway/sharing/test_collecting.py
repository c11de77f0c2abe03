"""Handing over: all or nothing is spent, a ticket is one person's for its window, the passphrase is seen once."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import pytest

from gateway.errors import NotFound, Refused, StaleFactor, Unavailable, Withheld, WrongState
from gateway.identity.service.sessions import refresh_factor
from gateway.policy.conditions import CRITERIA
from gateway.principal import Actor
from gateway.sharing import service as sharing
from gateway.sharing.models import Bundle, Collection, Copy, RevealedSecret
from gateway.sharing.service.collecting import _spend
from gateway.sharing.service.sealing import secret_owner
from tests.factories import World, page_count
from tests.worlds import Scene, shared

EVERYBODY = ("gm", "dgm", "adm", "hod.sj", "biz.sj", "arc1", "aud", "sys", "s2", "d1")


def reveal(scene: Scene, actor: Actor) -> str:
    """The passphrase of the scene's bundle."""
    return sharing.reveal(scene.deps, scene.bundle, actor=actor, now=scene.world.now())


def key_kept(scene: Scene, bundle: str = "") -> bool:
    """Whether the keyring still holds the key that wraps a bundle's passphrase."""
    wanted = f"field:{secret_owner(bundle or scene.bundle)}"
    return wanted in list(scene.deps.keyring.names(wanted))


def kept(scene: Scene, bundle: str = "") -> bool:
    """Whether the wrapped passphrase is still there."""
    with scene.deps.database.read() as session:
        return session.get(RevealedSecret, bundle or scene.bundle) is not None


def test_collecting_stores_the_whole_vector_with_each_copy_and_its_entry(scene: Scene) -> None:
    [copy] = scene.copies()
    assert [line["code"] for line in copy.vector] == [
        f"REL-{c.code}" for c in CRITERIA if c.code not in ("MARKED", "KEY", "LOG")
    ]
    scene.collect(scene.partner())
    [copy] = scene.copies()
    assert [line["code"] for line in copy.vector] == [f"REL-{c.code}" for c in CRITERIA]
    assert {line["result"] for line in copy.vector} <= {"met", "waived", "not_enabled"}
    data = json.loads(scene.world.leaves("bundle.collect")[0].body)["data"]
    assert data["vector"] == copy.vector and data["copies"] == [copy.number]
    assert data["sha256"] == scene.bundle_row().sha256
    with scene.deps.database.read() as session:
        assert session.query(Collection).one().vector == copy.vector


def test_collecting_spends_once_and_never_again(scene: Scene) -> None:
    partner = scene.partner()
    scene.collect(partner)
    assert scene.used() == 1 and scene.bundle_row().state == "COLLECTED"
    with pytest.raises(Refused):
        scene.collect(partner)
    assert scene.used() == 1
    assert len(scene.world.leaves("bundle.collect")) == 1


def test_a_collected_bundle_is_not_collected_again_though_downloads_are_left(world: World) -> None:
    made = shared(world, download_limit=3)
    made.bundle = made.prepare()
    partner = made.partner()
    made.collect(partner)
    with pytest.raises(WrongState):
        made.collect(partner)
    assert made.used() == 1


def test_collecting_needs_a_fresh_second_factor(scene: Scene) -> None:
    partner = scene.partner()
    scene.later(minutes=11)
    with pytest.raises(Withheld) as stale:
        scene.collect(partner)
    assert stale.value.codes == ("MFA",)
    with pytest.raises((Withheld, StaleFactor)):
        scene.collect(replace(partner, mfa_at=scene.world.now()))
    assert scene.used() == 0


def test_a_bundle_past_its_deadline_is_not_collected_even_before_the_sweep(scene: Scene) -> None:
    scene.later(hours=24)
    with pytest.raises(WrongState):
        scene.collect(scene.partner())
    assert scene.used() == 0
    assert scene.prepare() != scene.bundle


@pytest.mark.parametrize("name", EVERYBODY)
def test_nobody_else_collects_reveals_or_acknowledges(scene: Scene, name: str) -> None:
    partner, other = scene.partner(), scene.partner(name)
    with pytest.raises(NotFound) as foreign:
        scene.collect(other)
    ticket = scene.collect(partner)
    verbs: list[Callable[[], object]] = [
        lambda: reveal(scene, other),
        lambda: sharing.acknowledge(scene.deps, scene.bundle, actor=other, now=scene.world.now()),
        lambda: sharing.open_ticket(scene.deps, ticket, actor=other, now=scene.world.now()),
    ]
    for verb in verbs:
        with pytest.raises(NotFound) as refusal:
            verb()
        assert str(refusal.value) == str(foreign.value)


def test_unknown_foreign_and_past_look_the_same(scene: Scene) -> None:
    partner = scene.partner()
    ticket = scene.collect(partner)
    said = set()
    asked: list[tuple[str, Actor]] = [
        ("0" * 64, partner),
        ("", partner),
        (ticket, scene.partner("d1")),
        (ticket, scene.partner()),
        (ticket[:-1], partner),
    ]
    for given, actor in asked:
        with pytest.raises(NotFound) as refusal:
            sharing.open_ticket(scene.deps, given, actor=actor, now=scene.world.now())
        said.add(repr(refusal.value))
    scene.later(minutes=30)
    with pytest.raises(NotFound) as late:
        sharing.open_ticket(scene.deps, ticket, actor=partner, now=scene.world.now())
    assert said == {repr(late.value)}


@pytest.mark.parametrize("state", ["ACTIVE", "REVOKED", "EXPIRED", "unknown"])
def test_a_stranger_to_a_share_learns_nothing_of_its_state(scene: Scene, state: str) -> None:
    share = scene.share if state != "unknown" else "0" * 32
    if state == "REVOKED":
        sharing.revoke(
            scene.deps,
            share,
            "合作已经终止，收回全部资料",
            actor=scene.world.actor("gm"),
            now=scene.world.now(),
        )
    if state == "EXPIRED":
        scene.later(days=8)
        sharing.sweep(scene.deps, now=scene.world.now())
    with pytest.raises(NotFound) as refusal:
        sharing.prepare(
            scene.deps, share, scene.items, wanted=None, actor=scene.partner("d1"), now=scene.world.now()
        )
    assert repr(refusal.value) == repr(NotFound())


def test_opening_a_ticket_spends_nothing_however_often(scene: Scene) -> None:
    partner = scene.partner()
    ticket = scene.collect(partner)
    before = (
        scene.used(),
        len(scene.world.leaves("bundle.collect")),
        len(scene.world.leaves("copy.collect")),
    )
    for _ in range(20):
        sharing.open_ticket(scene.deps, ticket, actor=partner, now=scene.world.now())
    sizes = {len(b"".join(scene.stream(ticket, partner))) for _ in range(3)}
    assert sizes == {scene.bundle_row().size}
    after = (scene.used(), len(scene.world.leaves("bundle.collect")), len(scene.world.leaves("copy.collect")))
    assert before == after == (1, 1, 1)
    scene.later(minutes=29)
    assert sharing.open_ticket(scene.deps, ticket, actor=partner, now=scene.world.now())


def test_a_ticket_is_kept_as_a_hash_only(scene: Scene) -> None:
    ticket = scene.collect(scene.partner())
    assert len(bytes.fromhex(ticket)) == 32
    stored = scene.sql("SELECT * FROM collection")[0]
    assert ticket not in map(str, stored)


# --- the passphrase ---------------------------------------------------------------------------------------------


def test_the_passphrase_opens_the_file_and_is_gone_once_acknowledged(scene: Scene) -> None:
    partner = scene.partner()
    data = b"".join(scene.stream(scene.collect(partner), partner))
    shown = reveal(scene, partner)
    assert page_count(data, shown) == 2
    assert reveal(scene, partner) == shown and kept(scene) and key_kept(scene)
    [first, _] = scene.world.leaves("bundle.reveal")
    assert first.seq is not None
    sharing.acknowledge(scene.deps, scene.bundle, actor=partner, now=scene.world.now())
    assert not kept(scene) and not key_kept(scene)
    with pytest.raises(NotFound):
        reveal(scene, partner)
    sharing.acknowledge(scene.deps, scene.bundle, actor=partner, now=scene.world.now())
    assert len(scene.world.leaves("bundle.acknowledge")) == 1


def test_the_passphrase_is_not_shown_before_the_bundle_is_collected(scene: Scene) -> None:
    with pytest.raises(NotFound):
        reveal(scene, scene.partner())
    with pytest.raises(NotFound):
        sharing.acknowledge(scene.deps, scene.bundle, actor=scene.partner(), now=scene.world.now())
    assert kept(scene)


def test_the_passphrase_needs_a_fresh_second_factor(scene: Scene) -> None:
    partner = scene.partner()
    scene.collect(partner)
    with pytest.raises(StaleFactor):
        reveal(scene, replace(partner, mfa_at=None))
    scene.later(minutes=11)
    with pytest.raises(StaleFactor):
        reveal(scene, partner)
    with pytest.raises(Withheld):
        reveal(scene, replace(partner, mfa_at=scene.world.now()))
    assert not scene.world.leaves("bundle.reveal")


def test_the_passphrase_is_shown_again_in_its_session_for_ten_minutes(scene: Scene) -> None:
    partner, other = scene.partner(), scene.partner()
    scene.collect(partner)
    shown = reveal(scene, partner)
    with pytest.raises(NotFound):
        reveal(scene, other)
    with pytest.raises(NotFound):
        sharing.acknowledge(scene.deps, scene.bundle, actor=other, now=scene.world.now())
    scene.later(minutes=9)
    assert reveal(scene, partner) == shown
    scene.later(minutes=1)
    with pytest.raises(NotFound):
        reveal(scene, scene.partner())
    assert kept(scene)
    sharing.sweep(scene.deps, now=scene.world.now())
    assert not kept(scene) and not key_kept(scene)


def test_ten_minutes_are_over_whatever_an_unsealed_column_says(scene: Scene) -> None:
    partner = scene.partner()
    scene.collect(partner)
    reveal(scene, partner)
    scene.sql("UPDATE collection SET secret_until = '2099-01-01 00:00:00'")
    with pytest.raises(NotFound):
        reveal(scene, scene.partner())
    scene.sql("UPDATE collection SET secret_until = NULL")
    with pytest.raises(NotFound):
        reveal(scene, scene.partner())
    scene.later(minutes=9, seconds=50)
    with scene.deps.database.write() as session:
        partner = refresh_factor(session, partner, scene.world.now())
    assert reveal(scene, partner)
    scene.later(seconds=11)
    with pytest.raises(NotFound):
        reveal(scene, partner)


def test_a_reveal_whose_entry_cannot_be_signed_shows_nothing(scene: Scene) -> None:
    partner = scene.partner()
    scene.collect(partner)
    scene.deps.log.sequence(now=scene.world.now())
    scene.sql("UPDATE audit_checkpoint SET root = :r", r=b"\0" * 32)
    with pytest.raises((Unavailable, Withheld)):
        reveal(scene, partner)


def test_a_revoked_share_shows_no_passphrase_and_the_sweep_forgets_it(scene: Scene) -> None:
    partner = scene.partner()
    scene.collect(partner)
    sharing.revoke(
        scene.deps,
        scene.share,
        "合作已经终止，收回全部资料",
        actor=scene.world.actor("gm"),
        now=scene.world.now(),
    )
    with pytest.raises(Withheld) as refusal:
        reveal(scene, partner)
    assert refusal.value.codes == ("STATE",)
    sharing.sweep(scene.deps, now=scene.world.now())
    assert not kept(scene) and not key_kept(scene)


# --- limits -----------------------------------------------------------------------------------------------------


def test_a_counter_set_back_by_hand_gains_nothing(scene: Scene) -> None:
    partner = scene.partner()
    scene.collect(partner)
    scene.sql("UPDATE counter SET used = 0")
    scene.sql('UPDATE counter SET "limit" = 10')
    with pytest.raises(Withheld) as refusal:
        scene.prepare(actor=partner)
    assert refusal.value.codes == ("LIMIT",)


def test_a_second_bundle_prepared_before_is_refused_though_its_counter_was_set_back(scene: Scene) -> None:
    partner = scene.partner()
    second = scene.prepare(actor=partner, wanted="zip")
    assert second != scene.bundle
    scene.collect(partner)
    scene.sql('UPDATE counter SET used = 0, "limit" = 10')
    with pytest.raises(Withheld) as refusal:
        scene.collect(partner, second)
    assert refusal.value.codes == ("LIMIT",)
    assert scene.bundle_row(second).state == "READY"


def test_spending_itself_stops_at_the_limit(scene: Scene) -> None:
    """The statement that spends names the limit, whatever was read before it."""
    with scene.deps.database.write() as session:
        bundle = session.get_one(Bundle, scene.bundle)
        copies = list(session.query(Copy).filter_by(bundle_id=scene.bundle))
        _spend(session, bundle, copies)
        with pytest.raises(Withheld) as refusal:
            _spend(session, bundle, copies)
    assert refusal.value.codes == ("LIMIT",)
    assert scene.used() == 1


def test_all_items_or_none_are_spent(scene: Scene) -> None:
    partner = scene.partner()
    both = scene.prepare(scene.items, actor=partner)
    scene.collect(partner)
    with pytest.raises(Withheld):
        scene.collect(partner, both)
    assert scene.used() == 1
    assert len(scene.world.leaves("copy.collect")) == 1


def test_each_contact_has_a_counter_of_their_own(scene: Scene) -> None:
    first, second = scene.partner(), scene.partner("s2")
    scene.collect(first)
    scene.collect(second, scene.prepare(actor=second))
    assert scene.used() == 2


def test_the_rate_of_downloads_is_limited_for_an_hour(scene: Scene) -> None:
    scene.parameter("rate.downloads_per_hour", "1")
    partner = scene.partner()
    other = scene.prepare(scene.items[1:], actor=partner)
    scene.collect(partner)
    for verb in (lambda: scene.collect(partner, other), lambda: scene.prepare(scene.items, actor=partner)):
        with pytest.raises(Withheld) as refusal:
            verb()
        assert "RATE" in refusal.value.codes
    scene.later(hours=1, seconds=10)
    scene.collect(scene.partner(), other)
