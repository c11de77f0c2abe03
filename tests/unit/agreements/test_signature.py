"""Sealing a document: revisions on the very bytes shown, visible fields in their places, held by other programs too."""

import datetime
import io
import re
import subprocess
import sys

import pikepdf
import pytest

from agreements.errors import SealError
from agreements.render import PLACES
from agreements.signature import Sealer, seal
from agreements.validation import begins_with, validate

NOW = datetime.datetime.now(datetime.UTC)


def pdfsig(tmp_path, pdf: bytes) -> str:
    """What poppler says of the signatures."""
    path = tmp_path / "signed.pdf"
    path.write_bytes(pdf)
    done = subprocess.run(["pdfsig", path], capture_output=True, timeout=60, check=False)
    # A flipped byte may stand in a name, which then is no text any more.
    return done.stdout.decode("utf-8", "replace")


def test_pyhanko_s_own_validation_holds_for_each_signature(signed, seal_credentials):
    facts = validate(signed, [seal_credentials.root])
    assert [s.field for s in facts.signatures] == list(PLACES)
    assert all(s.intact and s.trusted and s.sound for s in facts.signatures)
    assert facts.sound and facts.whole
    assert {s.stamped_at for s in facts.signatures} == {None} and facts.stamps == ()


@pytest.mark.tools
def test_pdfsig_calls_each_signature_valid(signed, tmp_path):
    said = pdfsig(tmp_path, signed)
    assert said.count("Signature is Valid.") == len(PLACES)
    assert said.count("ETSI.CAdES.detached") == len(PLACES)
    assert "Total document signed" in said


def test_the_first_bytes_stay_the_document_shown(signed, shown):
    assert signed.startswith(shown) and signed.count(b"%%EOF") >= 1 + len(PLACES)
    import hashlib

    assert begins_with(signed, hashlib.sha256(shown).hexdigest())
    assert not begins_with(signed, hashlib.sha256(shown[:-1]).hexdigest())


def test_each_field_is_seen_in_the_box_that_the_layout_gave_it(signed, marks):
    with pikepdf.open(io.BytesIO(signed)) as document:
        fields = {str(f.T): f for f in document.Root.AcroForm.Fields}
        assert set(fields) == set(PLACES)
        for mark in marks:
            place, page = mark.place, document.pages[mark.place.page - 1]
            left, bottom, right, top = (float(v) for v in fields[mark.field].Rect)
            assert abs(left - place.left) <= 1 and abs(bottom - place.bottom) <= 1
            assert abs(right - left - place.width) <= 1 and abs(top - bottom - place.height) <= 1
            assert any(a.objgen == fields[mark.field].objgen for a in page.Annots)


def test_names_are_read_in_the_signed_document_and_the_drawing_is_an_image_in_it(signed, shown, words):
    assert "示例签署人" in words(shown)
    with pikepdf.open(io.BytesIO(signed)) as document:
        partner = next(f for f in document.Root.AcroForm.Fields if str(f.T) == "Partner")
        names = [str(f.V.Name) for f in document.Root.AcroForm.Fields]
        seen = partner.AP.N.Resources.XObject["/Page"]
        assert names == list(PLACES)
        assert any(x.Subtype == "/Image" for x in seen.Resources.XObject.values())
        assert any(f.BaseFont for f in seen.Resources.Font.values())


@pytest.mark.tools
def test_a_changed_byte_is_found_by_both(signed, seal_credentials, flipped, signed_places, tmp_path):
    for at in signed_places(signed, 6):
        assert detected(flipped(signed, at), seal_credentials), at
        assert pdfsig(tmp_path, flipped(signed, at)).count("Signature is Valid.") < len(PLACES), at


@pytest.mark.soak
def test_a_changed_byte_is_found_by_both_wherever_it_is(
    signed, seal_credentials, flipped, signed_places, tmp_path
):
    missed = [
        at
        for at in signed_places(signed, 1500, seed=11)
        if not detected(flipped(signed, at), seal_credentials)
        or pdfsig(tmp_path, flipped(signed, at)).count("Signature is Valid.") >= len(PLACES)
    ]
    assert missed == []


def detected(pdf: bytes, credentials) -> bool:
    from agreements.errors import BadPackage

    try:
        return not validate(pdf, [credentials.root]).sound
    except BadPackage:
        return True


def test_what_is_added_after_the_last_signature_is_found(signed, seal_credentials):
    out = io.BytesIO()
    with pikepdf.open(io.BytesIO(signed)) as document:
        document.pages[0].Rotate = 90
        document.save(out)
    assert detected(out.getvalue(), seal_credentials)
    appended = signed + b"\n1 0 obj\n<<>>\nendobj\ntrailer\n<<>>\nstartxref\n0\n%%EOF\n"
    assert detected(appended, seal_credentials)


def test_a_signature_under_another_root_is_not_trusted(signed):
    from agreements.credentials import development_ca

    facts = validate(signed, [development_ca("另一家公司", NOW).root])
    assert facts.intact and not facts.sound


def test_bytes_that_are_no_pdf_are_refused(marks, seal_credentials):
    with pytest.raises(SealError):
        seal(b"no pdf", marks, Sealer(seal_credentials, (seal_credentials.root,)), now=NOW)


def test_pyhanko_is_imported_only_where_something_is_signed():
    """It costs most of a second, which no start of the portal shall wait for."""
    code = (
        "import sys, gateway.bootstrap, gateway.signing.service, gateway.app; print('pyhanko' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True
    )
    assert done.stdout.strip() == "False"


def test_the_places_stand_inside_the_page_and_apart(marks):
    boxes = [m.place for m in marks]
    assert len({b.page for b in boxes}) == 1
    for b in boxes:
        assert b.left > 0 and b.left + b.width < 596 and b.bottom > 0 and b.bottom + b.height < 842
    for i, a in enumerate(boxes):
        for b in boxes[i + 1 :]:
            beside = a.left + a.width <= b.left or b.left + b.width <= a.left
            above = a.bottom + a.height <= b.bottom or b.bottom + b.height <= a.bottom
            assert beside or above


def test_signed_ranges_are_read_from_the_document(signed):
    assert len(re.findall(rb"/ByteRange \[", signed)) == len(PLACES)
