"""Rows that grant power, changed behind the product's back: every exit refuses, and not one byte leaves."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.bootstrap import everything
from gateway.db import Guarded
from gateway.errors import NotFound, Refused, SealGateError, TamperedRow, Withheld
from gateway.policy.parameters import current
from gateway.release import release_bytes
from gateway.sharing import service as sharing
from tests.worlds import Scene

pytestmark = pytest.mark.filterwarnings("ignore:.*:sqlalchemy.exc.SAWarning")
OTHER = "f" * 32

# One change per sealed row that the decision to release reads; each on its own, in raw SQL.
ALTERED: dict[str, str] = {
    "share state": "UPDATE share SET state = 'SUSPENDED'",
    "share ends": "UPDATE share SET ends = '2099-01-01 00:00:00'",
    "share limit": "UPDATE share SET download_limit = 10",
    "share purpose": "UPDATE share SET purpose = 'P01'",
    "share major": "UPDATE share SET major = '[\"M9\"]'",
    "share requester": f"UPDATE share SET requester = '{OTHER}'",
    "share version": f"UPDATE share SET version_hash = '{'0' * 64}'",
    "share item": "UPDATE share_item SET version = 2",
    "share contact": "UPDATE share_contact SET contact_id = substr(contact_id, 2) || 'x'",
    "approval approver": f"UPDATE approval SET approver = '{OTHER}'",
    "approval stage": "UPDATE approval SET stage = 'GM' WHERE stage = 'ARC'",
    "agreement end": "UPDATE agreement SET valid_to = '2099-01-01 00:00:00'",
    "agreement scope": 'UPDATE agreement SET classes = \'["F07", "F09"]\'',
    "agreement digest": f"UPDATE agreement SET signed_sha256 = '{'0' * 64}'",
    "contact state": "UPDATE contact SET state = 'ENROLLED' WHERE email LIKE 's1@%'",
    "contact organisation": "UPDATE contact SET valid_to = '2099-01-01 00:00:00' WHERE email LIKE 's1@%'",
    "organisation": "UPDATE organisation SET abroad = NULL",
    "session factor": "UPDATE login_session SET mfa_at = '2099-01-01 00:00:00'",
    "session principal": "UPDATE login_session SET principal = principal || 'x' WHERE principal LIKE 'contact:%'",
    "pledge": "UPDATE pledge SET at = '2020-01-01 00:00:00'",
    "item version": f"UPDATE item_version SET sha256 = '{'0' * 64}'",
    "legal basis": "UPDATE legal_basis SET purpose = 'P03'",
    "bundle state": "UPDATE bundle SET state = 'COLLECTED'",
    "bundle expiry": "UPDATE bundle SET expires_at = '2099-01-01 00:00:00'",
    "bundle digest": f"UPDATE bundle SET sha256 = '{'0' * 64}'",
    "copy state": "UPDATE copy SET state = 'RESERVED'",
    "copy number": "UPDATE copy SET number = 'SG01-KH·2026·SJ-0001-001_F0009'",
    "copy item": f"UPDATE copy SET item_id = '{OTHER}'",
    "requester's account": "UPDATE account SET state = 'ACTIVE', name = 'x', ends_on = '2099-01-01' WHERE email LIKE 'biz.sj@%'",
    "leaf moved on": f"UPDATE share SET leaf = '{OTHER}'",
}


@pytest.mark.parametrize("what", ALTERED)
def test_an_altered_row_lets_nothing_be_collected(scene: Scene, what: str) -> None:
    partner = scene.partner()
    scene.sql(ALTERED[what])
    with pytest.raises(TamperedRow):
        scene.collect(partner)
    assert scene.used() == 0
    assert not scene.world.leaves("bundle.collect")


@pytest.mark.parametrize(
    "what", ["share state", "share ends", "session factor", "contact state", "leaf moved on"]
)
def test_an_altered_row_lets_no_byte_out_of_an_open_passage(scene: Scene, what: str) -> None:
    partner = scene.partner()
    opened = sharing.open_ticket(scene.deps, scene.collect(partner), actor=partner, now=scene.world.now())
    scene.sql(ALTERED[what])
    with pytest.raises(TamperedRow):
        release_bytes(scene.deps, opened.passage)
    with pytest.raises((TamperedRow, Refused)):
        sharing.reveal(scene.deps, scene.bundle, actor=partner, now=scene.world.now())


COLLECTION = {
    "window": "UPDATE collection SET window_until = '2099-01-01 00:00:00'",
    "session": "UPDATE collection SET session_id = :other",
    "contact": "UPDATE collection SET contact_id = :other",
    "bundle": "UPDATE collection SET secret_session = :other",
    "acknowledged": "UPDATE collection SET acknowledged_at = NULL, secret_shown_at = '2099-01-01 00:00:00'",
}


@pytest.mark.parametrize("what", COLLECTION)
def test_an_altered_collection_opens_nothing(scene: Scene, what: str) -> None:
    partner = scene.partner()
    ticket = scene.collect(partner)
    values = {"other": OTHER} if ":other" in COLLECTION[what] else {}
    scene.sql(COLLECTION[what], **values)
    with pytest.raises(TamperedRow):
        sharing.open_ticket(scene.deps, ticket, actor=partner, now=scene.world.now())
    with pytest.raises(TamperedRow):
        sharing.reveal(scene.deps, scene.bundle, actor=partner, now=scene.world.now())


def test_an_approval_put_in_by_hand_is_refused(scene: Scene) -> None:
    world = scene.world
    share = world.draft_share(scene.items[:1])
    sharing.submit(world.deps, share, actor=world.actor("biz.sj"), now=world.now())
    row = world.share(share)
    scene.sql(
        "INSERT INTO approval (id, share_id, stage, decision, approver, version_hash, reason, at, leaf, mac)"
        " SELECT :new, :share, stage, decision, approver, :hash, reason, at, leaf, mac FROM approval LIMIT 1",
        new=OTHER, share=share, hash=row.version_hash,
    )  # fmt: skip
    with pytest.raises(TamperedRow):
        sharing.consent(
            world.deps, share, version_hash=row.version_hash, actor=world.actor("hod.sj"), now=world.now()
        )


def test_a_consent_copied_within_a_share_does_not_stand_for_another(scene: Scene) -> None:
    scene.sql(
        "INSERT INTO approval (id, share_id, stage, decision, approver, version_hash, reason, at, leaf, mac)"
        " SELECT :new, share_id, 'GM', decision, approver, version_hash, reason, at, leaf, mac FROM approval LIMIT 1",
        new=OTHER,
    )  # fmt: skip
    with pytest.raises(TamperedRow):
        scene.collect(scene.partner())


@pytest.mark.parametrize("table", ["share_item", "share_contact"])
def test_a_listed_row_put_back_by_hand_is_not_what_was_approved(scene: Scene, table: str) -> None:
    """A row of an earlier draft carries a good seal, but the approvals were given for other contents."""
    world = scene.world
    from dataclasses import replace

    from gateway.sharing.service.drafting import Wish

    wish = Wish("平面图", tuple(scene.items), (world.id("s1"), world.id("s2")), "P03")
    share = sharing.draft(world.deps, wish, actor=world.actor("biz.sj"), now=world.now())
    old = scene.sql(f"SELECT * FROM {table} WHERE share_id = :s", s=share)
    less = replace(wish, items=wish.items[:1], contacts=wish.contacts[:1])
    sharing.edit(world.deps, share, less, actor=world.actor("biz.sj"), now=world.now())
    world.approve_share(share)
    wanted = scene.items[1] if table == "share_item" else world.id("s2")
    [row] = [found for found in old if wanted in found]
    columns = ", ".join(f":{name}" for name in row._fields)
    scene.sql(f"INSERT INTO {table} ({', '.join(row._fields)}) VALUES ({columns})", **row._mapping)
    scene.sql(
        'INSERT INTO counter (id, share_id, contact_id, item_id, used, "limit") VALUES (:i, :s, :c, :t, 0, 3)',
        i=OTHER, s=share, c=world.id("s2"), t=scene.items[0],
    )  # fmt: skip
    name, items = ("s1", scene.items[1:]) if table == "share_item" else ("s2", scene.items[:1])
    with pytest.raises(Withheld) as refusal:
        sharing.prepare(world.deps, share, items, wanted=None, actor=scene.partner(name), now=world.now())
    assert "APPROVAL" in refusal.value.codes


def test_a_parameter_put_in_by_hand_is_refused(scene: Scene) -> None:
    scene.parameter("rate.downloads_per_hour", "20")
    scene.sql("UPDATE parameter_version SET changes = '{\"rate.downloads_per_hour\": 100}'")
    with pytest.raises(TamperedRow):
        scene.collect(scene.partner())
    with scene.deps.database.read() as session, pytest.raises(TamperedRow):
        current(session, scene.world.now())


def test_a_role_given_by_hand_gives_nobody_power(scene: Scene) -> None:
    scene.sql("UPDATE role_grant SET role = 'GM' WHERE account_id = :a", a=scene.world.id("biz.sj"))
    with pytest.raises((TamperedRow, AssertionError)) as refusal:
        scene.world.actor("biz.sj")
    assert isinstance(refusal.value, TamperedRow)


def test_every_row_that_the_decision_reads_is_sealed() -> None:
    """DESIGN.md §2.8 names them; a model that loses its seal fails here."""
    everything()
    sealed: dict[str, Any] = {}
    waiting = list(Guarded.__subclasses__())
    while waiting:
        model = waiting.pop()
        waiting += model.__subclasses__()
        sealed[model.__tablename__] = model.__guarded__  # type: ignore[attr-defined]
    wanted = {
        "share", "share_item", "share_contact", "approval", "bundle", "copy", "collection", "agreement", "pledge",
        "contact", "organisation", "login_session", "credential", "account", "role_grant", "invitation",
        "item_version", "legal_basis", "parameter_version",
    }  # fmt: skip
    assert wanted <= set(sealed)
    assert all(columns for columns in sealed.values())


def test_rows_that_are_deleted_by_hand_close_the_gate(scene: Scene) -> None:
    partner = scene.partner()
    for statement, code in (
        ("DELETE FROM approval WHERE stage = 'ARC'", "APPROVAL"),
        ("DELETE FROM pledge", "PLEDGE"),
        ("DELETE FROM legal_basis", "BASIS"),
        ("DELETE FROM counter", "LIMIT"),
    ):
        scene.sql(statement)
        with pytest.raises(Withheld) as refusal:
            scene.collect(partner)
        assert code in refusal.value.codes
    scene.sql("DELETE FROM share_contact")
    with pytest.raises(Withheld) as refusal:
        scene.collect(partner)
    assert "CONTACT" in refusal.value.codes


def test_the_message_of_a_seal_that_does_not_fit_says_nothing_of_the_row(scene: Scene) -> None:
    scene.sql("UPDATE share SET title = 'x', download_limit = 9")
    with pytest.raises(SealGateError) as refusal:
        scene.collect(scene.partner())
    assert scene.share not in str(refusal.value) and "share" not in str(refusal.value)


def test_an_unknown_bundle_is_not_found(scene: Scene) -> None:
    with pytest.raises(NotFound):
        scene.collect(scene.partner(), OTHER)
