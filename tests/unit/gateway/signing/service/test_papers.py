"""The document, its pages, the certificate, and the evidence that a stranger can check by hand."""

import base64
import hashlib
import io
import zipfile

import pypdfium2
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from PIL import Image

from agreements import evidence as ev
from gateway.errors import NotFound, Unavailable, WrongState
from gateway.signing import service


def text_of(pdf: bytes) -> str:
    document = pypdfium2.PdfDocument(pdf)
    found = "\n".join(page.get_textpage().get_text_range() for page in document)
    document.close()
    return found


def test_the_document_is_the_one_sent_for_everybody_who_may_read(room) -> None:
    agreement = room.sent()
    for who in ("s1", "s2", "gm", "dgm", "adm", "aud", "arc1"):
        pdf = service.pdf_bytes(room.deps, agreement, actor=room.world.actor(who), now=room.now)
        assert hashlib.sha256(pdf).hexdigest() == room.row(agreement).pdf_sha256
    for who in ("d1", "biz.sj", "hod.sj", "sys"):
        with pytest.raises(NotFound):
            service.pdf_bytes(room.deps, agreement, actor=room.world.actor(who), now=room.now)


def test_a_draft_is_shown_to_the_company_only_and_says_so(room) -> None:
    agreement = room.draft()
    text = text_of(service.pdf_bytes(room.deps, agreement, actor=room.world.actor("adm"), now=room.now))
    assert "草稿" in text
    assert room.row(agreement).number in text
    with pytest.raises(NotFound):
        service.pdf_bytes(room.deps, agreement, actor=room.world.actor("s1"), now=room.now)
    sent = room.sent()
    assert "草稿" not in text_of(
        service.pdf_bytes(room.deps, sent, actor=room.world.actor("s1"), now=room.now)
    )


def test_pages_are_images_and_end_where_the_document_ends(room) -> None:
    agreement, actor = room.sent(), room.world.actor("s1")
    image = Image.open(io.BytesIO(service.page_webp(room.deps, agreement, 1, actor=actor, now=room.now)))
    assert (image.format, image.width) == ("WEBP", 910)
    for page in (0, 99):
        with pytest.raises(NotFound):
            service.page_webp(room.deps, agreement, page, actor=actor, now=room.now)


def test_a_swapped_document_is_shown_to_nobody(room) -> None:
    agreement = room.sent()
    room.swap(agreement, b"%PDF-1.7 other")
    for call in (service.pdf_bytes, lambda *a, **k: service.page_webp(a[0], a[1], 1, **k)):
        with pytest.raises(Unavailable) as refusal:
            call(room.deps, agreement, actor=room.world.actor("s1"), now=room.now)
        assert refusal.value.code == "NDAHASH"


def test_the_evidence_can_be_checked_without_the_gateway(room) -> None:
    agreement = room.in_force()
    packed = service.evidence_zip(room.deps, agreement, actor=room.world.actor("s2"), now=room.now)
    files = {
        i.filename: zipfile.ZipFile(io.BytesIO(packed)).read(i)
        for i in zipfile.ZipFile(io.BytesIO(packed)).infolist()
    }
    assert {
        "agreement.pdf",
        "agreement-signed.pdf",
        "evidence.json",
        "evidence.sig",
        "public-key.txt",
    } <= set(files)
    key = Ed25519PublicKey.from_public_bytes(base64.b64decode(files["public-key.txt"]))
    proved = ev.verify(files["evidence.json"], files["evidence.sig"], key)
    assert proved.pdf_sha256 == hashlib.sha256(files["agreement.pdf"]).hexdigest()
    room.world.drain()
    kept = service.evidence_zip(room.deps, agreement, actor=room.world.actor("gm"), now=room.now)
    assert kept == service.evidence_zip(room.deps, agreement, actor=room.world.actor("s1"), now=room.now)


def test_there_is_no_evidence_and_no_certificate_too_early(room) -> None:
    agreement, actor = room.sent(), room.world.actor("s1")
    with pytest.raises(WrongState):
        service.evidence_zip(room.deps, agreement, actor=actor, now=room.now)
    room.sign(agreement)
    with pytest.raises(WrongState):
        service.certificate_pdf(room.deps, agreement, actor=actor)


def test_the_certificate_tells_both_signatures_and_their_place_in_the_log(room) -> None:
    agreement = room.in_force()
    room.deps.log.sequence(now=room.now)
    text = text_of(service.certificate_pdf(room.deps, agreement, actor=room.world.actor("s1")))
    flat = "".join(text.split())
    for said in (
        room.row(agreement).number,
        "供应商联系人一",
        "总经理",
        "agreement.countersign",
        room.row(agreement).pdf_sha256,
    ):
        assert "".join(said.split()) in flat
