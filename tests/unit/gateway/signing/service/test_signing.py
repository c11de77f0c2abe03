"""Opening, signing and declining by the partner."""

import base64
import io
import json
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw
from sqlalchemy import select

from agreements import evidence as ev
from agreements.render import digest
from agreements.text import fill
from gateway.errors import Invalid, NotAllowed, NotFound, StaleFactor, TamperedRow, Unavailable, WrongState
from gateway.identity import service as identity
from gateway.signing import service
from gateway.signing.errors import DigestConflict, NotTheSigner, Overdue
from gateway.signing.models import AgreementEvent, Template
from gateway.signing.service.signing import typed_name
from gateway.signing.visibility import text_of


def drawing() -> str:
    picture = Image.new("RGBA", (300, 120), "white")
    ImageDraw.Draw(picture).line([(20, 90), (140, 30), (280, 80)], fill="#1c232b", width=4)
    out = io.BytesIO()
    picture.save(out, "PNG")
    return "data:image/png;base64," + base64.b64encode(out.getvalue()).decode()


def view(room, agreement, who="s1", pages=()):
    service.view(room.deps, agreement, pages, actor=room.world.actor(who), now=room.now)


def test_opening_is_noted_once_and_each_page_once(room) -> None:
    agreement = room.sent()
    for pages in ((), (1,), (1,), (2, 1), (99, 0, -1), ()):
        view(room, agreement, pages=pages)
    assert room.row(agreement).state == "VIEWED"
    assert room.leaves(agreement)[2:] == ["agreement.view", "agreement.read", "agreement.read"]
    with room.deps.database.read() as session:
        seen = [
            e.detail["pages"] for e in session.scalars(select(AgreementEvent).order_by(AgreementEvent.at))
        ]
    assert seen == [[], [1], [2]]


def test_a_colleague_reads_without_moving_the_state_and_stays_out_of_the_evidence(room) -> None:
    agreement = room.sent()
    view(room, agreement, "s2", (1,))
    view(room, agreement, "s2", (1,))
    assert room.row(agreement).state == "SENT"
    assert room.leaves(agreement)[2:] == ["agreement.read"]
    room.sign(agreement)
    events = json.loads(room.evidence(agreement).body)["events"]
    assert [(e["kind"], e["pages"]) for e in events] == [("viewed", [])]


def test_signing_without_an_opening_notes_both(room) -> None:
    agreement = room.sent()
    room.sign(agreement)
    assert room.row(agreement).state == "PARTNER_SIGNED"
    assert room.leaves(agreement)[-2:] == ["agreement.view", "agreement.sign"]
    assert {r for _, r in room.told("agreement.signed")} == {"GM", "ADM"}


def test_after_signing_nothing_is_noted(room) -> None:
    agreement = room.sent()
    room.sign(agreement)
    before, count = room.everything(), len(room.world.leaves())
    view(room, agreement, pages=(1, 2))
    assert (room.everything(), len(room.world.leaves())) == (before, count)


def test_the_evidence_verifies_offline_and_says_what_happened(room) -> None:
    agreement = room.sent()
    view(room, agreement, pages=(2,))
    room.sign(agreement, name=" 王小明 ", drawing=drawing())
    kept, row = room.evidence(agreement), room.row(agreement)
    proved = ev.verify(kept.body.encode(), bytes.fromhex(kept.signature), room.deps.evidence_key.public_key())
    assert proved.agreement_no == row.number
    assert proved.pdf_sha256 == row.pdf_sha256 == row.signed_sha256 == digest(room.stored(agreement))
    assert (proved.signer.name, proved.signer.contact_id) == ("王小明", room.world.id("s1"))
    assert proved.signed_at == row.signed_at
    assert proved.consent == ev.Consent(ev.CONSENT_VERSION, "zh", ev.CONSENT_ZH)
    assert [e.pages for e in proved.events] == [(2,)]
    with room.deps.database.read() as session:
        template = text_of(session.get_one(Template, row.template_id))
    assert proved.text_sha256 == fill(template, row.values).text_sha256
    png = b"".join(room.deps.evidence.open(f"drawing-{kept.id}", 1))
    assert proved.drawing_sha256 == kept.drawing_sha256 == digest(png)
    leaf = json.loads(room.world.leaves("agreement.sign")[-1].body)
    assert leaf["data"]["evidence_sha256"] == digest(kept.body.encode())
    assert kept.leaf == row.leaf == leaf["id"]


@pytest.mark.parametrize(
    ("shown", "own", "found"), [("en", "zh-CN", "en"), ("zh", "en", "zh"), ("", "en", "en")]
)
def test_the_consent_is_kept_in_the_words_that_were_shown(room, shown, own, found) -> None:
    agreement = room.sent()
    actor = replace(room.world.actor("s1"), language=own)
    given = service.Signature(room.row(agreement).pdf_sha256, "王小明", consent=True, language=shown)
    service.sign(room.deps, agreement, given, actor=actor, now=room.now)
    assert json.loads(room.evidence(agreement).body)["consent"]["language"] == found


REFUSED = {
    "another digest": ({"pdf_sha256": "0" * 64}, DigestConflict),
    "no digest": ({"pdf_sha256": ""}, DigestConflict),
    "no consent": ({"consent": False}, Invalid),
    "no name": ({"name": "  "}, Invalid),
    "a hidden name": ({"name": "王\u202e小明"}, Invalid),
    "a long name": ({"name": "王" * 61}, Invalid),
    "a name without glyphs": ({"name": "\U0001f600"}, Invalid),
    "no drawing": ({"drawing": "data:image/png;base64,AAAA"}, Invalid),
    "no picture": ({"drawing": "javascript:alert(1)"}, Invalid),
}


@pytest.mark.parametrize("case", REFUSED)
@pytest.mark.parametrize("opened", [False, True])
def test_a_signature_that_cannot_be_taken_changes_nothing(room, case, opened) -> None:
    agreement = room.sent()
    if opened:
        view(room, agreement)
    changes, error = REFUSED[case]
    before, state = room.everything(), room.row(agreement).state
    with pytest.raises(error):
        room.sign(agreement, **changes)
    assert room.everything() == before
    assert room.row(agreement).state == state
    if error is DigestConflict:
        assert room.refusals()[-1] == ("agreement.sign", "DIGEST")


def test_a_stale_second_factor_signs_nothing(room) -> None:
    agreement = room.sent()
    given = service.Signature(room.row(agreement).pdf_sha256, "王小明", consent=True)
    before = room.everything()
    for given_at in (None, room.now - timedelta(minutes=11), room.now + timedelta(minutes=1)):
        actor = replace(room.world.actor("s1"), mfa_at=given_at)
        with pytest.raises(StaleFactor):
            service.sign(room.deps, agreement, given, actor=actor, now=room.now)
    assert room.everything() == before


@pytest.mark.parametrize("event", ["sign", "decline", "terminate"])
def test_only_the_signer_acts_for_the_organisation(room, event) -> None:
    agreement = room.in_force() if event == "terminate" else room.sent()
    before = room.everything()
    reason = "不同意这份协议的条款内容"
    acts = {
        "sign": lambda who: room.sign(agreement, who),
        "decline": lambda who: service.decline(
            room.deps, agreement, reason, actor=room.world.actor(who), now=room.now
        ),
        "terminate": lambda who: service.partner_terminate(
            room.deps, agreement, reason, actor=room.world.actor(who), now=room.now
        ),
    }
    with pytest.raises(NotTheSigner):
        acts[event]("s2")
    with pytest.raises(NotFound):
        acts[event]("d1")
    with pytest.raises((NotFound, NotAllowed)):
        acts[event]("adm")
    assert room.everything() == before


def test_another_organisations_contact_finds_nothing(room) -> None:
    agreement, stranger = room.in_force(), room.world.actor("d1")
    for call in (
        lambda: service.view(room.deps, agreement, (1,), actor=stranger, now=room.now),
        lambda: service.view(room.deps, agreement, (), actor=stranger, now=room.now),
        lambda: service.pdf_bytes(room.deps, agreement, actor=stranger, now=room.now),
        lambda: service.page_webp(room.deps, agreement, 1, actor=stranger, now=room.now),
        lambda: service.certificate_pdf(room.deps, agreement, actor=stranger),
        lambda: service.evidence_zip(room.deps, agreement, actor=stranger, now=room.now),
        lambda: service.accept_pledge(room.deps, agreement, consent=True, actor=stranger, now=room.now),
    ):
        with pytest.raises(NotFound):
            call()


def test_a_signer_who_lost_the_authority_signs_nothing(room) -> None:
    agreement = room.sent()
    identity.set_signer(
        room.deps, room.world.id("s1"), signer=False, actor=room.world.actor("adm"), now=room.now
    )
    with pytest.raises(NotTheSigner):
        room.sign(agreement)


@pytest.mark.parametrize("opened", [False, True])
def test_the_last_moment_counts_before_the_sweep_has_run(room, opened) -> None:
    agreement = room.sent()
    if opened:
        view(room, agreement)
    room.world.clock.advance(days=14, seconds=1)
    before = room.everything()
    with pytest.raises(Overdue):
        room.sign(agreement)
    if not opened:
        with pytest.raises(Overdue):
            view(room, agreement)
    assert room.everything() == before
    assert issubclass(Overdue, WrongState)


def test_a_swapped_document_is_not_signed(room) -> None:
    agreement = room.sent()
    shown = room.row(agreement).pdf_sha256
    other = room.swap(agreement, room.stored(agreement) + b"\n")
    before = room.everything()
    for claimed in (shown, other):
        with pytest.raises(Unavailable) as refusal:
            room.sign(agreement, pdf_sha256=claimed)
        assert refusal.value.code == "NDAHASH"
    assert room.everything() == before


def test_a_row_changed_from_outside_is_not_signed(room) -> None:
    agreement = room.sent()
    with room.deps.database.engine.connect() as connection:
        stored = connection.exec_driver_sql(
            'SELECT "values" FROM agreement WHERE id = ?', (agreement,)
        ).scalar_one()
        values = json.dumps({**json.loads(stored), "liability_clause": "不承担责任"})
        connection.exec_driver_sql('UPDATE agreement SET "values" = ? WHERE id = ?', (values, agreement))
        connection.commit()
    with pytest.raises(TamperedRow):
        room.sign(agreement)


def test_declining_needs_a_reason_and_ends_it(room) -> None:
    agreement = room.sent()
    with pytest.raises(Invalid) as refusal:
        service.decline(room.deps, agreement, "不签", actor=room.world.actor("s1"), now=room.now)
    assert refusal.value.field == "reason"
    assert room.row(agreement).state == "SENT"
    service.decline(
        room.deps, agreement, "条款需要再议，暂不签署", actor=room.world.actor("s1"), now=room.now
    )
    assert room.row(agreement).state == "DECLINED"
    assert ("role", "ADM") in room.told("agreement.inside")


@given(st.text(max_size=80))
def test_a_typed_name_is_clean_or_refused(name: str) -> None:
    try:
        clean = typed_name(name)
    except Invalid:
        clean = ""
    if clean:
        assert len(clean) <= 60
        assert clean == clean.strip() == typed_name(clean)
    else:
        with pytest.raises(Invalid):
            typed_name(name)
