"""Agreements on paper: what is taken in, who checks, and that the effect is that of a signature here."""

import hashlib
import io
from dataclasses import replace
from datetime import timedelta

import pikepdf
import pytest
from sqlalchemy import select

from gateway.errors import NotAllowed, NotFound, StaleFactor, WrongState
from gateway.release import Ask
from gateway.signing import queries, service
from gateway.signing.errors import BadAgreement, Overdue
from gateway.signing.models import PaperCheck
from gateway.signing.rules import PAPER_CHECKS
from gateway.signing.service.facts import agreement_facts


def facts(room, stage="reserve"):
    ask = Ask("copy", stage, room.world.actor("s1"), room.now, contact=room.world.id("s1"))
    with room.deps.database.read() as session:
        return agreement_facts(room.deps, session, ask)["agreements"]


def checked(room, **changes) -> str:
    made = room.paper(**changes)
    room.check(made, 1)
    room.check(made, 2)
    return made


def test_two_people_bring_a_paper_into_force(room) -> None:
    made = room.paper()
    assert room.row(made).state == "PAPER_INTAKE"
    room.check(made, 1)
    assert room.row(made).state == "CHECK1"
    room.check(made, 2)
    row = room.row(made)
    assert row.state == "IN_FORCE"
    assert room.leaves(made) == [f"agreement.{e}" for e in ("intake", "check1", "check2", "enter_force")]
    with room.deps.database.read() as session:
        found = session.scalars(select(PaperCheck).order_by(PaperCheck.stage)).all()
        assert [(c.stage, c.by) for c in found] == [(1, room.world.id("adm")), (2, room.world.id("arc1"))]


def test_the_scan_is_the_evidence_and_its_digest_is_recorded(room) -> None:
    data = room.scan("另一份")
    made = room.paper(data=data)
    assert room.stored(made) == data
    row = room.row(made)
    assert row.pdf_sha256 == row.signed_sha256 == hashlib.sha256(data).hexdigest()
    assert service.pdf_bytes(room.deps, made, actor=room.world.actor("aud"), now=room.now) == data


def test_the_gate_takes_it_like_a_signature_made_here(room) -> None:
    made = checked(room)
    found = facts(room, "reserve")
    (fact,) = found
    assert (fact.id, fact.in_force, fact.intact) == (made, True, True)


@pytest.mark.parametrize("stage", [0, 1])
def test_it_governs_nothing_before_both_checks(room, stage) -> None:
    made = room.paper()
    if stage:
        room.check(made, 1)
    found = facts(room, "reserve")
    assert found == ()


def test_before_its_first_day_it_waits(room, at_state) -> None:
    made = at_state("CHECK2")
    room.world.clock.advance(days=4)
    room.sweep()
    assert room.row(made).state == "IN_FORCE"


def test_who_registered_or_checked_it_first_does_not_make_the_second_check(room) -> None:
    made = room.paper()
    room.check(made, 1)
    both = replace(
        room.world.actor("adm"), roles=room.world.actor("adm").roles | room.world.actor("arc1").roles
    )
    before = room.everything()
    with pytest.raises(NotAllowed) as refused:
        service.check(room.deps, made, 2, tuple(PAPER_CHECKS[2]), actor=both, now=room.now)
    assert refused.value.code == "SOD-2"
    assert room.everything() == before
    assert room.refusals()[-1] == ("agreement.check2", "SOD-2")


@pytest.mark.parametrize("stage", [1, 2])
def test_every_point_has_to_be_ticked(room, stage) -> None:
    made = room.paper()
    if stage == 2:
        room.check(made, 1)
    points = tuple(PAPER_CHECKS[stage])
    for ticked in ((), points[1:], (*points[1:], "OTHER")):
        with pytest.raises(BadAgreement) as refused:
            room.check(made, stage, ticked=ticked)
        assert refused.value.field == "points"
    assert room.row(made).state == ("PAPER_INTAKE", "CHECK1")[stage - 1]


def test_checks_ask_for_a_fresh_second_factor(room) -> None:
    made = room.paper()
    stale = replace(room.world.actor("adm"), mfa_at=room.now - timedelta(minutes=11))
    with pytest.raises(StaleFactor):
        service.check(room.deps, made, 1, tuple(PAPER_CHECKS[1]), actor=stale, now=room.now)


def protected() -> bytes:
    out = io.BytesIO()
    with pikepdf.new() as pdf:
        pdf.add_blank_page()
        pdf.save(out, encryption=pikepdf.Encryption(user="x", owner="y", R=6))
    return out.getvalue()


@pytest.mark.parametrize(
    "data",
    [b"", b"%PDF-1.7 nothing", b"\xff\xd8\xff\xe0 picture", protected(), bytes(service.MAX_SCAN + 1)],
    ids=["empty", "broken", "picture", "protected", "large"],
)
def test_what_is_no_readable_pdf_is_refused_and_nothing_kept(room, data) -> None:
    before = room.everything()
    with pytest.raises(BadAgreement) as refused:
        room.paper(data=data)
    assert refused.value.field == "scan"
    assert room.everything() == before


def test_the_same_scan_is_registered_once(room) -> None:
    data = room.scan()
    room.paper(data=data)
    with pytest.raises(BadAgreement) as refused:
        room.paper(data=data)
    assert refused.value.field == "scan"


@pytest.mark.parametrize(
    ("field", "changes"),
    [
        ("location", {"location": "  "}),
        ("location", {"location": "x" * 201}),
        ("template", {"template": "0" * 32}),
        ("classes", {"classes": ()}),
        ("clients", {"clients": ()}),
    ],
)
def test_each_field_is_judged(room, field, changes) -> None:
    with pytest.raises(BadAgreement) as refused:
        room.paper(**changes)
    assert refused.value.field == field


def test_a_day_of_signing_ahead_is_refused(room) -> None:
    with pytest.raises(BadAgreement) as refused:
        room.paper(signed_on=room.scope().valid_from + timedelta(days=1))
    assert refused.value.field == "signed_on"


@pytest.mark.parametrize("who", ["gm", "arc1", "hod.sj", "biz.sj"])
def test_only_administration_registers(room, who) -> None:
    before = room.everything()
    with pytest.raises(NotAllowed):
        room.paper(who)
    assert room.everything() == before


def test_a_refused_paper_stays_as_evidence_and_never_governs(room) -> None:
    made = room.paper()
    service.refuse(room.deps, made, "印章名称与单位名称不一致", actor=room.world.actor("arc1"), now=room.now)
    assert room.stored(made)
    for stage in (1, 2):
        with pytest.raises(WrongState):
            room.check(made, stage)


def test_a_term_that_has_passed_is_not_confirmed(room) -> None:
    made = room.paper(valid_to=room.scope().valid_from + timedelta(days=1))
    room.world.clock.advance(days=3)
    with pytest.raises(Overdue):
        room.check(made, 1)


def test_a_swapped_scan_shuts_the_gate_and_is_said_to_be_unreadable(room) -> None:
    made = checked(room)
    room.swap(made, room.scan("替换"))
    found = facts(room, "collect")
    assert found[0].intact is False
    page = queries.agreement_page(room.deps, made, actor=room.world.actor("adm"), now=room.now)
    assert page.readable is False


def test_pages_are_pictures_from_the_sandbox_with_the_readers_mark(room) -> None:
    made = room.paper()
    picture = service.page_webp(room.deps, made, 1, actor=room.world.actor("arc1"), now=room.now)
    assert picture[:4] == b"RIFF"
    other = service.page_webp(room.deps, made, 1, actor=room.world.actor("aud"), now=room.now)
    assert picture != other
    with pytest.raises(NotFound):
        service.page_webp(room.deps, made, 2, actor=room.world.actor("arc1"), now=room.now)
    page = queries.agreement_page(room.deps, made, actor=room.world.actor("adm"), now=room.now)
    assert (page.pages, page.zh, page.row.form.zh, page.row.original.zh) == (
        1,
        (),
        "纸质",
        "档案室 3 柜 2 盒",
    )
