"""Countersigning by the company, entering into force, renewal."""

from dataclasses import replace
from datetime import timedelta

import pytest

from gateway.errors import NotAllowed, NotFound, StaleFactor, TamperedRow, Unavailable
from gateway.signing import service
from gateway.signing.errors import DigestConflict, Overdue


def signed(room, **changes):
    agreement = room.sent(**changes)
    room.sign(agreement)
    return agreement


def test_it_is_in_force_at_once_when_its_first_day_has_come(room) -> None:
    agreement = signed(room)
    room.countersign(agreement)
    row = room.row(agreement)
    assert (row.state, row.countersigned_by) == ("IN_FORCE", room.world.id("gm"))
    assert room.leaves(agreement)[-3:] == [
        "agreement.countersign",
        "agreement.complete",
        "agreement.enter_force",
    ]
    assert room.told("agreement.in_force") == [("contact", room.world.id("s1"))]


def test_it_waits_for_its_first_day(room) -> None:
    first = room.scope().valid_from + timedelta(days=2)
    agreement = signed(room, valid_from=first, valid_to=first)
    room.countersign(agreement)
    assert room.row(agreement).state == "COUNTERSIGNED"
    assert room.sweep() == 0
    room.world.clock.advance(days=2)
    assert room.sweep() == 1
    assert room.row(agreement).state == "IN_FORCE"


@pytest.mark.parametrize("shown", ["", "0" * 64])
def test_another_digest_changes_nothing(room, shown) -> None:
    agreement = signed(room)
    before = room.everything()
    with pytest.raises(DigestConflict):
        room.countersign(agreement, pdf_sha256=shown)
    assert room.everything() == before
    assert room.row(agreement).state == "PARTNER_SIGNED"
    assert room.refusals()[-1] == ("agreement.countersign", "DIGEST")


def test_a_swapped_document_is_not_countersigned(room) -> None:
    agreement = signed(room)
    shown = room.row(agreement).pdf_sha256
    other = room.swap(agreement, room.stored(agreement) + b" ")
    before = room.everything()
    for claimed in (shown, other):
        with pytest.raises(DigestConflict):
            room.countersign(agreement, pdf_sha256=claimed)
    assert room.everything() == before


def test_a_lost_document_is_not_countersigned(room) -> None:
    agreement = signed(room)
    room.deps.evidence.delete(f"agreement-{agreement}", 1)
    with pytest.raises(Unavailable):
        room.countersign(agreement)
    assert room.row(agreement).state == "PARTNER_SIGNED"


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE signed_evidence SET body = replace(body, '供应商联系人一', '供应商联系人九')",
        "UPDATE signed_evidence SET signature = '02' || substr(signature, 3)",
        "UPDATE agreement SET drafted_by = 'somebody'",
        'UPDATE agreement SET classes = \'["F01","F07","F08"]\'',
    ],
)
def test_rows_changed_from_outside_stop_it(room, change) -> None:
    agreement = signed(room)
    with room.deps.database.engine.connect() as connection:
        changed = connection.exec_driver_sql(change).rowcount
        connection.commit()
    assert changed == 1
    with pytest.raises(TamperedRow):
        service.countersign(
            room.deps,
            agreement,
            pdf_sha256=room_digest(room, agreement),
            actor=room.world.actor("gm"),
            now=room.now,
        )


def room_digest(room, agreement):
    with room.deps.database.engine.connect() as connection:
        return connection.exec_driver_sql(
            "SELECT pdf_sha256 FROM agreement WHERE id = ?", (agreement,)
        ).scalar_one()


def test_who_drafted_it_does_not_countersign_it(room) -> None:
    agreement = signed(room)
    both = replace(
        room.world.actor("adm"), roles=room.world.actor("adm").roles | room.world.actor("gm").roles
    )
    with pytest.raises(NotAllowed) as refusal:
        service.countersign(
            room.deps, agreement, pdf_sha256=room.row(agreement).pdf_sha256, actor=both, now=room.now
        )
    assert refusal.value.code == "SOD-1"
    assert room.row(agreement).state == "PARTNER_SIGNED"


def test_a_stale_second_factor_countersigns_nothing(room) -> None:
    agreement = signed(room)
    actor = replace(room.world.actor("gm"), mfa_at=room.now - timedelta(minutes=11))
    with pytest.raises(StaleFactor):
        service.countersign(
            room.deps, agreement, pdf_sha256=room.row(agreement).pdf_sha256, actor=actor, now=room.now
        )
    assert room.row(agreement).state == "PARTNER_SIGNED"


def test_after_its_last_day_it_is_not_brought_into_force(room) -> None:
    agreement = signed(room, valid_to=room.scope().valid_from)
    room.world.clock.advance(days=1)
    with pytest.raises(Overdue):
        room.countersign(agreement)


def test_an_unknown_agreement_is_not_found(room) -> None:
    with pytest.raises(NotFound):
        service.countersign(
            room.deps, "0" * 32, pdf_sha256="0" * 64, actor=room.world.actor("gm"), now=room.now
        )


def test_a_wider_and_longer_successor_renews_the_older(room) -> None:
    old = room.in_force(classes=("F07",))
    new = room.in_force(classes=("F07", "F08"), valid_to=room.scope().valid_to + timedelta(days=1))
    assert (room.row(old).state, room.row(new).state) == ("RENEWED", "IN_FORCE")
    assert room.leaves(old)[-1] == "agreement.renew"


@pytest.mark.parametrize(
    "changes",
    [{"classes": ("F07",)}, {"purposes": ("P01",)}, {"valid_to": -1}, {"clients": "one"}],
    ids=["fewer classes", "fewer purposes", "ends sooner", "fewer clients"],
)
def test_a_narrower_agreement_renews_nothing(room, changes) -> None:
    old = room.in_force()
    if changes.get("valid_to") == -1:
        changes = {"valid_to": room.scope().valid_to - timedelta(days=1)}
    if "clients" in changes:
        changes = {"clients": (room.world.company.clients["示例客户甲"],)}
    room.in_force(**changes)
    assert room.row(old).state == "IN_FORCE"
