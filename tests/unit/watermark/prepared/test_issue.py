"""Copies of a prepared document: right under the key, closed without it, each with its own mark and keys."""

import io
import os
import shutil
import subprocess
import threading
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pikepdf
import pypdfium2
import pyrage
import pytest
import pyzipper
from PIL import Image, ImageChops, ImageStat

from tests.services import pdfjs
from watermark import layout, sanitize, stamp, verify
from watermark.errors import BadPassphrase, BadPrepared, BadRecipient, MarkNotHeld, Refusal
from watermark.mark import Mark
from watermark.prepared import ae2, build, cipher, fill
from watermark.prepared.format import Index, Kind
from watermark.prepared.issue import issue, pieces
from watermark.prepared.standard import hardened_hash, new_keys
from watermark.prepared.windows import Opened, from_descriptor
from watermark.profiles import HARDENED, VECTOR

KEY = "K7QF-M2XN-ABCD-EFGH-2345"
Issued = Callable[..., bytes]


def _pages(data: bytes, password: str | None = None) -> list[Image.Image]:
    with closing(pypdfium2.PdfDocument(data, password=password)) as document:
        return [
            document[index].render(scale=1.0).to_pil().convert("L").copy() for index in range(len(document))
        ]


def _by_the_library(document: bytes, mark: Mark) -> bytes:
    """The same mark put on the same document by pikepdf alone."""
    with sanitize.open_pdf(document) as source:
        rebuilt = sanitize.rebuild(source)
        stamp.stamp_all(rebuilt.pdf, rebuilt.geometries, mark, layout.words(mark))
        return stamp.save(rebuilt.pdf)


@pytest.mark.parametrize("kind", ["pdf", "plain"])
def test_a_copy_looks_as_if_the_library_had_made_it(
    kind: str, document: bytes, issued: Issued, recipient_mark: Mark
) -> None:
    ours = _pages(issued(kind), KEY if kind == "pdf" else None)
    theirs = _pages(_by_the_library(document, recipient_mark))
    assert [page.size for page in ours] == [page.size for page in theirs]
    for one, other in zip(ours, theirs, strict=True):
        assert ImageChops.difference(one, other).getextrema()[1] <= 2


def test_the_copy_is_revision_six_with_no_owner(issued: Issued) -> None:
    with pikepdf.open(io.BytesIO(issued("pdf")), password=KEY) as pdf:
        assert (pdf.encryption.R, pdf.encryption.V, pdf.encryption.bits) == (6, 5, 256)
        assert pdf.user_password_matched
        assert not pdf.owner_password_matched
        assert pdf.allow.print_highres
        assert pdf.allow.accessibility
        assert not any(
            (pdf.allow.extract, pdf.allow.modify_other, pdf.allow.modify_assembly, pdf.allow.modify_form)
        )
        assert pdf.Root.Metadata.read_bytes().count("SG01-KH·2026·SJ-0001-003_F0001".encode()) == 1


@pytest.mark.parametrize("wrong", ["", KEY.lower(), KEY[:-1], "owner"])
def test_nothing_else_opens_it(wrong: str, issued: Issued) -> None:
    data = issued("pdf")
    with pytest.raises(pikepdf.PasswordError):
        pikepdf.open(io.BytesIO(data), password=wrong)
    with pytest.raises(pypdfium2.PdfiumError):
        pypdfium2.PdfDocument(data, password=wrong)
    assert b"canary" not in data


def test_two_copies_share_no_key_no_vector_and_no_id(issued: Issued) -> None:
    first, second = issued("pdf"), issued("pdf")
    keys, ids = set(), set()
    for data in (first, second):
        with pikepdf.open(io.BytesIO(data), password=KEY) as pdf:
            keys.add(pdf.encryption.encryption_key)
            ids.add(bytes(pdf.trailer.ID[0]))
    assert len(keys) == len(ids) == 2
    blocks = [first[at : at + 16] for at in range(0, len(first), 16)]
    same = sum(
        second[at : at + 16] == block for at, block in zip(range(0, len(first), 16), blocks, strict=True)
    )
    assert same < 0.1 * len(blocks)


def test_every_value_of_the_keys_is_new_in_each_copy() -> None:
    made = [new_keys(KEY) for _ in range(8)]
    for what in made[0].patches:
        assert len({keys.patches[what] for keys in made}) == 8, what


def test_a_chain_under_one_key_starts_anew_each_time(prepared: dict[Kind, int]) -> None:
    opened = [Opened.of(from_descriptor(prepared[Kind.R6])) for _ in range(2)]
    plan = cipher.steps(opened[0].index, opened[0].header.image_size)
    first, second = (
        b"".join(bytes(data) for _, data in cipher.chained(bytes(32), each.windows([]), plan))
        for each in opened
    )
    start, size = opened[0].index.streams[0]
    assert first[:start] == second[:start]
    assert first[start : start + 16] != second[start : start + 16]
    assert first[start + size - 16 : start + size] != second[start + size - 16 : start + size]


def test_the_recipients_words_are_outlines_and_not_text(issued: Issued, recipient_mark: Mark) -> None:
    with closing(pypdfium2.PdfDocument(issued("plain"))) as document:
        text = "".join(document[index].get_textpage().get_text_range() for index in range(len(document)))
    assert "canary text 0" in text
    for words in ("示例", "联系人", "SG01", "2026"):
        assert words not in text


def test_a_zip_and_an_age_file_hold_the_plain_copy(issued: Issued) -> None:
    identity = pyrage.x25519.Identity.generate()
    with pyzipper.AESZipFile(io.BytesIO(issued("zip"))) as archive:
        archive.setpassword(KEY.encode())
        assert archive.namelist() == ["copy.pdf"]
        assert archive.infolist()[0].CRC == 0
        first = archive.read("copy.pdf")
    second = pyrage.decrypt(issued("age", key=str(identity.to_public())), [identity])
    assert len(_pages(first)) == len(_pages(second)) == 4
    assert first != second  # Each has its own /ID.


def _tool(name: str) -> str:
    path = shutil.which(name)
    if path is None and os.environ.get("CI") != "true":
        pytest.skip(f"{name} is not installed")
    assert path is not None, f"{name} is not installed"
    return path


OPENING = {
    "qpdf": (["qpdf", "--password={key}", "--check", "{pdf}"], "pdf"),
    "poppler": (["pdftoppm", "-upw", "{key}", "-r", "30", "-png", "{pdf}", "{out}"], "pdf"),
    "MuPDF": (["mutool", "draw", "-q", "-p", "{key}", "-r", "30", "-o", "{out}%d.png", "{pdf}"], "pdf"),
    "7-Zip": (["7zz", "t", "-p{key}", "{zip}"], "zip"),
    "bsdtar": (["bsdtar", "--passphrase", "{key}", "-xOf", "{zip}"], "zip"),
}


@pytest.mark.tools
@pytest.mark.parametrize("name", OPENING)
def test_other_programs_open_it_with_the_key_and_not_without(
    name: str, issued: Issued, tmp_path: Path
) -> None:
    command, kind = OPENING[name]
    _tool(command[0])
    file = tmp_path / f"copy.{kind}"
    file.write_bytes(issued(kind))
    ended = {}
    for key in (KEY, "WRONG-KEY"):
        places = {"key": key, "pdf": file, "zip": file, "out": tmp_path / "page"}
        done = subprocess.run(
            [part.format(**places) for part in command], check=False, capture_output=True, timeout=60
        )
        ended[key] = done.returncode
    assert ended[KEY] == 0, name
    assert ended["WRONG-KEY"] != 0, name


@pytest.mark.tools
def test_age_opens_it_with_its_identity_only(issued: Issued, tmp_path: Path) -> None:
    identity, stranger = pyrage.x25519.Identity.generate(), pyrage.x25519.Identity.generate()
    (tmp_path / "copy.age").write_bytes(issued("age", key=str(identity.to_public())))
    for each, code in ((identity, 0), (stranger, 1)):
        (tmp_path / "key").write_text(str(each))
        done = subprocess.run(
            [_tool("age"), "-d", "-i", tmp_path / "key", "-o", tmp_path / "out.pdf", tmp_path / "copy.age"],
            check=False,
            capture_output=True,
        )
        assert done.returncode == code


@pytest.mark.tools
def test_pdf_js_opens_it_with_the_key_and_not_without(issued: Issued, tmp_path: Path) -> None:
    if not pdfjs.found() and os.environ.get("CI") != "true":
        pytest.skip("node is not installed")
    (tmp_path / "copy.pdf").write_bytes(issued("pdf"))
    code, said = pdfjs.opened(tmp_path / "copy.pdf", KEY, tmp_path)
    assert code == 0, said
    assert said.startswith("4 ")
    assert pdfjs.opened(tmp_path / "copy.pdf", "WRONG", tmp_path) == (3, "PasswordException")


def test_a_copy_that_does_not_hold_its_mark_is_stopped(
    issued: Issued, recipient_mark: Mark, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if the filling went to another place than the check looks at."""
    edits = Opened.edits

    def misplaced(self: Opened, fields: dict[str, bytes], patches: dict) -> list[tuple[int, bytes]]:
        return [
            (at + 1, data[:-1]) if len(data) > 200 else (at, data)
            for at, data in edits(self, fields, patches)
        ]

    monkeypatch.setattr(Opened, "edits", misplaced)
    identity = str(pyrage.x25519.Identity.generate().to_public())
    for kind, key in (("pdf", KEY), ("zip", KEY), ("plain", ""), ("age", identity)):
        with pytest.raises(MarkNotHeld):
            issued(kind, key=key)


@pytest.mark.parametrize("kind", ["pdf", "zip"])
def test_ciphertext_that_is_wrong_is_stopped(
    kind: str, issued: Issued, monkeypatch: pytest.MonkeyPatch
) -> None:
    if kind == "pdf":
        whole = cipher.steps

        def short(index: Index, size: int) -> tuple[cipher.Step, ...]:
            *first, last = whole(index, size)
            return (*first, replace(last, spans=last.spans[:-1]))

        monkeypatch.setattr("watermark.prepared.issue.steps", short)
    else:
        applied, seen = ae2.Keystream.applied, [0]

        def shifted(self: ae2.Keystream, data: bytes | memoryview, offset: int) -> memoryview:
            seen[0] += 1
            return applied(self, data, offset + 16 if seen[0] == 1 else offset)

        monkeypatch.setattr(ae2.Keystream, "applied", shifted)
    with pytest.raises(MarkNotHeld):
        issued(kind)


def test_a_document_is_issued_only_as_it_was_prepared(
    prepared: dict[Kind, int], recipient_mark: Mark
) -> None:
    with pytest.raises(BadPrepared):
        issue(prepared[Kind.R6], recipient_mark, KEY, -1, kind="zip")
    with pytest.raises(BadPrepared):
        issue(prepared[Kind.PLAIN], recipient_mark, KEY, -1, kind="pdf")
    with pytest.raises(BadPrepared, match="opacity"):
        issue(prepared[Kind.R6], replace(recipient_mark, opacity=0.3), KEY, -1, kind="pdf")
    for bad in ("", "口令"):
        with pytest.raises(BadPassphrase):
            issue(prepared[Kind.R6], recipient_mark, bad, -1, kind="pdf")
    with pytest.raises(BadRecipient):
        issue(prepared[Kind.PLAIN], recipient_mark, KEY, -1, kind="age")


def test_words_beyond_the_room_are_refused(prepared: dict[Kind, int]) -> None:
    with pytest.raises(Refusal, match="MARK_TOO_LONG"):
        issue(prepared[Kind.R6], Mark(("长" * 400,) * 8, "C-1"), KEY, -1, kind="pdf")
    with pytest.raises(BadPrepared, match="longer than the room"):
        issue(prepared[Kind.R6], Mark(("鑫" * 300,), "C-1"), KEY, -1, kind="pdf")


def test_pieces_and_file_are_the_same_copy(prepared: dict[Kind, int], recipient_mark: Mark) -> None:
    data = b"".join(pieces(from_descriptor(prepared[Kind.R6]), recipient_mark, KEY, "pdf"))
    with pikepdf.open(io.BytesIO(data), password=KEY) as pdf:
        assert len(pdf.pages) == 4


def test_threads_issue_side_by_side(issued: Issued) -> None:
    made: list[bytes] = []
    threads = [threading.Thread(target=lambda: made.append(issued("pdf"))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [len(_pages(data, KEY)) for data in made] == [4] * 4


def test_nothing_is_prepared_when_the_mark_is_not_seen(
    document: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    blank = fill.filling
    monkeypatch.setattr(
        "watermark.prepared.issue.filling", lambda mark, names: dict.fromkeys(blank(mark, names), b"")
    )
    with pytest.raises(Refusal, match="MARK_NOT_SEEN"):
        build.prepare(document, VECTOR, Kind.R6)


def test_nothing_is_prepared_when_a_page_looks_different(
    document: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stamp, "DRAWN", b"q /Mark Do Q 0 g 300 300 60 60 re f\n")
    with pytest.raises(Refusal, match="PAGE_CHANGED.*page 1"):
        build.prepare(document, VECTOR, Kind.PLAIN)


def test_a_page_that_differs_beside_the_mark_is_seen() -> None:
    before = Image.new("L", (400, 400), 255)
    veil = verify.Veiled(Image.new("L", (400, 400), 0), Image.new("L", (400, 400), 255))
    after = before.copy()
    assert verify.same_under(veil, before, after)
    after.paste(0, (50, 50, 70, 70))
    assert not verify.same_under(veil, before, after)
    assert not verify.same_under(veil, before, Image.new("L", (399, 400), 255))


def test_the_key_names_source_profile_kind_and_code() -> None:
    keys = {
        build.key(source, profile, kind)
        for source in ("aa" * 32, "bb" * 32)
        for profile in (VECTOR, replace(VECTOR, opacity=0.2), HARDENED)
        for kind in Kind
    }
    assert len(keys) == 12


def test_the_hash_of_revision_six_is_the_one_of_the_standard(issued: Issued) -> None:
    """qpdf's own derivation opens ours (above); here ours opens qpdf's."""
    out = io.BytesIO()
    with pikepdf.Pdf.new() as pdf:
        pdf.add_blank_page()
        pdf.save(out, encryption=pikepdf.Encryption(user=KEY, owner="o", R=6))
    with pikepdf.open(io.BytesIO(out.getvalue()), password=KEY) as pdf:
        user = bytes(pdf.trailer.Encrypt.U)
    assert hardened_hash(KEY.encode(), user[32:40]) == user[:32]
    assert len({new_keys(KEY).file_key for _ in range(20)}) == 20


def test_a_mean_page_is_unchanged_under_the_mark(issued: Issued, document: bytes) -> None:
    for before, after in zip(_pages(document), _pages(issued("plain")), strict=True):
        assert ImageStat.Stat(ImageChops.difference(before, after)).mean[0] < 12
