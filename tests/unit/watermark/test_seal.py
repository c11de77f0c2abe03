"""Sealed files open with other people's tools and the right key, and with nothing else."""

import io
import os
import re
import shutil
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path

import pikepdf
import pypdfium2
import pyrage
import pytest
import pyzipper
from hypothesis import given, settings
from hypothesis import strategies as st

from watermark import memory, seal
from watermark.errors import BadEntry, BadPassphrase, BadRecipient, SealError
from watermark.seal import Entry

KEY = "K7QF-M2XN-ABCD-EFGH-2345"


@pytest.fixture
def tool() -> Callable[[str], str]:
    """The path of a command-line tool; on the build machine a missing one fails the test."""

    def find(name: str) -> str:
        path = shutil.which(name)
        if path is None and os.environ.get("CI") != "true":
            pytest.skip(f"{name} is not installed")
        assert path is not None, f"{name} is not installed"
        return path

    return find


def _run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(part) for part in command], check=False, capture_output=True, text=True, timeout=60
    )


@pytest.fixture
def sealed_pdf(a4: bytes, tmp_path: Path) -> Path:
    """The A4 page, encrypted under KEY."""
    fd = memory.create("marked", a4)
    out = seal.seal_pdf(fd, KEY)
    path = tmp_path / "sealed.pdf"
    path.write_bytes(memory.read(out))
    os.close(fd)
    os.close(out)
    return path


@pytest.fixture
def sealed_zip(tmp_path: Path) -> Path:
    """Two files in a ZIP under KEY."""
    path = tmp_path / "sealed.zip"
    entries = [Entry.of_bytes("a.txt", b"canary " * 1000), Entry.of_bytes("b.bin", bytes(range(256)))]
    path.write_bytes(b"".join(seal.seal_zip(entries, KEY)))
    return path


def test_a_passphrase_has_a_hundred_fresh_bits() -> None:
    many = {seal.new_passphrase() for _ in range(200)}
    assert len(many) == 200
    assert all(re.fullmatch(r"([A-Z2-7]{4}-){4}[A-Z2-7]{4}", one) for one in many)
    assert set("".join(many)) == set("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567-")


def test_the_pdf_is_revision_six_with_aes_256_and_no_owner_rights(sealed_pdf: Path) -> None:
    with pikepdf.open(sealed_pdf, password=KEY) as pdf:
        assert (pdf.encryption.R, pdf.encryption.V, pdf.encryption.bits) == (6, 5, 256)
        assert pdf.user_password_matched
        assert not pdf.owner_password_matched
        assert not pdf.allow.extract
        assert pdf.allow.print_highres


@pytest.mark.parametrize("wrong", ["", "K7QFM2XNABCDEFGH2345", KEY.lower(), KEY + " "])
def test_the_pdf_opens_with_nothing_else(wrong: str, sealed_pdf: Path) -> None:
    with pytest.raises(pikepdf.PasswordError):
        pikepdf.open(sealed_pdf, password=wrong)
    with pytest.raises(pypdfium2.PdfiumError):
        pypdfium2.PdfDocument(sealed_pdf, password=wrong or None)


def test_the_pdf_opens_in_pdfium_qpdf_and_poppler(sealed_pdf: Path, tool: Callable[[str], str]) -> None:
    document = pypdfium2.PdfDocument(sealed_pdf, password=KEY)
    assert "Drawing" in document[0].get_textpage().get_text_range()
    document.close()
    assert _run(tool("qpdf"), f"--password={KEY}", "--check", sealed_pdf).returncode == 0
    assert _run(tool("qpdf"), "--password=wrong", "--check", sealed_pdf).returncode == 2
    assert "Drawing" in _run(tool("pdftotext"), "-upw", KEY, sealed_pdf, "-").stdout
    refused = _run(tool("pdftotext"), sealed_pdf, "-")
    assert refused.returncode != 0
    assert "Drawing" not in refused.stdout


def test_no_clear_text_lies_in_a_sealed_file(sealed_pdf: Path, sealed_zip: Path) -> None:
    assert b"Drawing" not in sealed_pdf.read_bytes()
    assert (
        b"Helvetica" in sealed_pdf.read_bytes()
    )  # Names are structure and stay clear; strings and streams do not.
    assert b"canary" not in sealed_zip.read_bytes()


def test_two_seals_of_one_file_share_no_key(a4: bytes) -> None:
    fd = memory.create("marked", a4)
    outs = [seal.seal_pdf(fd, KEY) for _ in range(2)]
    keys = []
    for out in outs:
        with pikepdf.open(io.BytesIO(memory.read(out)), password=KEY) as pdf:
            keys.append(pdf.encryption.encryption_key)
        os.close(out)
    os.close(fd)
    assert keys[0] != keys[1]


@pytest.mark.parametrize("bad", ["", " ", "口令", "a b", "x" * 128, "a\n"])
def test_passphrases_that_readers_take_differently_are_refused(bad: str) -> None:
    with pytest.raises(BadPassphrase):
        seal.seal_zip([Entry.of_bytes("a", b"x")], bad)
    with pytest.raises(BadPassphrase):
        seal.seal_pdf(0, bad)


def test_bytes_that_are_no_pdf_are_not_sealed() -> None:
    fd = memory.create("marked", b"nothing")
    with pytest.raises(SealError):
        seal.seal_pdf(fd, KEY)
    os.close(fd)


def test_the_zip_is_ae_2_and_opens_in_7_zip(
    sealed_zip: Path, tmp_path: Path, tool: Callable[[str], str]
) -> None:
    with zipfile.ZipFile(sealed_zip) as archive:
        for info in archive.infolist():
            assert (info.compress_type, info.CRC) == (99, 0)
            assert info.flag_bits & 1
            at = info.extra.index(b"\x01\x99\x07\x00")
            assert info.extra[at + 4 : at + 9] == b"\x02\x00AE\x03"
    seven = tool("7zz") if shutil.which("7zz") else tool("7z")
    assert _run(seven, "x", f"-p{KEY}", f"-o{tmp_path / 'out'}", sealed_zip).returncode == 0
    assert (tmp_path / "out" / "a.txt").read_bytes() == b"canary " * 1000
    assert _run(seven, "t", "-pwrong", sealed_zip).returncode == 2
    assert _run(seven, "t", "-p", sealed_zip).returncode == 2


def test_a_changed_byte_in_the_zip_is_found(sealed_zip: Path) -> None:
    data = bytearray(sealed_zip.read_bytes())
    data[120] ^= 1
    with pyzipper.AESZipFile(io.BytesIO(bytes(data))) as archive:
        archive.setpassword(KEY.encode())
        with pytest.raises((pyzipper.BadZipFile, pyzipper.zipfile.error)):
            archive.read("a.txt")


@given(st.lists(st.binary(max_size=5000), min_size=1, max_size=5))
@settings(deadline=None, max_examples=25)
def test_whatever_goes_into_a_zip_comes_out(files: list[bytes]) -> None:
    entries = [Entry.of_bytes(f"{index}.bin", data) for index, data in enumerate(files)]
    with pyzipper.AESZipFile(io.BytesIO(b"".join(seal.seal_zip(entries, KEY)))) as archive:
        archive.setpassword(KEY.encode())
        assert [archive.read(name) for name in archive.namelist()] == files


@pytest.mark.parametrize(
    "name", ["", "甲.pdf", "../a", "a/b", "a\\b", ".a", "a b", "a\n", "-a", "a" * 121, "·"]
)
def test_names_that_say_something_or_climb_are_refused(name: str) -> None:
    with pytest.raises(BadEntry):
        seal.seal_zip([Entry.of_bytes(name, b"x")], KEY)


def test_a_name_twice_is_refused() -> None:
    with pytest.raises(BadEntry):
        seal.seal_zip([Entry.of_bytes("a", b"x"), Entry.of_bytes("A", b"y")], KEY)
    with pytest.raises(BadEntry):
        seal.seal_zip([], KEY)


def test_age_opens_with_its_key_only(tmp_path: Path, tool: Callable[[str], str]) -> None:
    identity, stranger = pyrage.x25519.Identity.generate(), pyrage.x25519.Identity.generate()
    entries = [Entry.of_bytes("a.txt", b"canary " * 40_000)]
    sealed = b"".join(seal.seal_age(entries, f" {identity.to_public()}\n"))
    assert sealed.startswith(b"age-encryption.org/v1\n")
    assert b"a.txt" not in sealed
    with pytest.raises(pyrage.DecryptError):
        pyrage.decrypt(sealed, [stranger])
    (tmp_path / "key").write_text(str(identity))
    (tmp_path / "sealed.age").write_bytes(sealed)
    opened = tmp_path / "opened.zip"
    assert (
        _run(tool("age"), "-d", "-i", tmp_path / "key", "-o", opened, tmp_path / "sealed.age").returncode == 0
    )
    with zipfile.ZipFile(opened) as archive:
        assert archive.read("a.txt") == b"canary " * 40_000


@pytest.mark.parametrize("text", ["", "age1", "ssh-ed25519 AAAA", "AGE-SECRET-KEY-1QQQQ", "age1" + "q" * 58])
def test_what_is_no_age_recipient_is_refused(text: str) -> None:
    with pytest.raises(BadRecipient):
        seal.parse_recipient(text)


def test_an_entry_from_a_memory_file_is_read_from_its_start() -> None:
    fd = memory.create("x", b"whole")
    entry = Entry.of_fd("a", fd)
    assert (entry.size, b"".join(entry.chunks)) == (5, b"whole")
    os.close(fd)
