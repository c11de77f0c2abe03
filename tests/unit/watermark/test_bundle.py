"""Bundles: what is in them, and what can be read without the key."""

import io
import os
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pikepdf
import pypdfium2
import pyrage
import pytest
import pyzipper
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from watermark import bundle, memory, worker
from watermark.bundle import BundleItem, ManifestInput
from watermark.errors import BadEntry, BadPassphrase, BadRecipient
from watermark.mark import Mark

KEY = "K7QF-M2XN-ABCD-EFGH-2345"
NOW = datetime(2026, 11, 23, 8, 30, tzinfo=UTC)


@pytest.fixture
def item(a4: bytes, mark: Mark) -> Iterator[BundleItem]:
    """The marked A4 page."""
    source = memory.create("source", a4)
    out, report = worker.mark(source, mark)
    assert out is not None
    yield BundleItem(
        out, bundle.file_name(mark.copy_number, "pdf"), mark.copy_number, report, report.sha256_in, "1"
    )
    os.close(out)
    os.close(source)


@pytest.fixture
def facts() -> ManifestInput:
    """What the manifest and the cover say."""
    return ManifestInput(
        "B-1",
        "GX-1",
        '联系人 𠮷 #eval("1") *s1*',
        "示例建材供应商（虚构）",
        "P03",
        "BM-1",
        "aa" * 32,
        "bb" * 32,
        NOW,
        NOW + timedelta(days=7),
    )


@pytest.fixture
def parts(item: BundleItem, facts: ManifestInput) -> tuple[bytes, bytes, bytes, bytes]:
    """Manifest, signature, cover and receipt."""
    made = bundle.manifest(facts, [item])
    return (
        made,
        bundle.sign_manifest(made, Ed25519PrivateKey.generate()),
        bundle.cover(facts, [item]),
        b"receipt",
    )


def test_a_zip_holds_files_cover_manifest_signature_and_receipt(
    item: BundleItem, parts: tuple[bytes, bytes, bytes, bytes]
) -> None:
    sealed = b"".join(bundle.build("zip", [item], *parts, KEY))
    with pyzipper.AESZipFile(io.BytesIO(sealed)) as archive:
        archive.setpassword(KEY.encode())
        held = {name: archive.read(name) for name in archive.namelist()}
    made, signature, cover, receipt = parts
    assert held == {
        "SG01-KH.2026.SJ-0001-003_F0001.pdf": memory.read(item.source_fd),
        "cover.pdf": cover,
        "manifest.json": made,
        "manifest.sig": signature,
        "issue.tlog-proof": receipt,
    }


@pytest.mark.parametrize("kind", ["pdf", "zip"])
def test_without_the_key_no_name_and_no_text_is_found(
    kind: bundle.Format, item: BundleItem, parts: tuple[bytes, bytes, bytes, bytes]
) -> None:
    sealed = b"".join(bundle.build(kind, [item], *parts, KEY))
    for word in ("联系人", "示例建材供应商", "Recipient", "Drawing", "P03"):
        assert word.encode() not in sealed
        assert word.encode("utf-16-be") not in sealed


def test_a_lone_pdf_is_one_encrypted_pdf(item: BundleItem, parts: tuple[bytes, bytes, bytes, bytes]) -> None:
    sealed = b"".join(bundle.build("pdf", [item], *parts, KEY))
    with pikepdf.open(io.BytesIO(sealed), password=KEY) as pdf:
        assert len(pdf.pages) == 1
    for items in ([], [item, item]):
        with pytest.raises(BadEntry):
            bundle.build("pdf", items, *parts, KEY)


def test_an_age_bundle_opens_with_the_registered_key(
    item: BundleItem, parts: tuple[bytes, bytes, bytes, bytes]
) -> None:
    identity = pyrage.x25519.Identity.generate()
    sealed = b"".join(bundle.build("age", [item], *parts, str(identity.to_public())))
    with pyzipper.ZipFile(io.BytesIO(pyrage.decrypt(sealed, [identity]))) as archive:
        assert archive.read("manifest.json") == parts[0]
        assert len(archive.namelist()) == 5


def test_wrong_keys_are_refused_before_the_first_byte(
    item: BundleItem, parts: tuple[bytes, bytes, bytes, bytes]
) -> None:
    with pytest.raises(BadPassphrase):
        bundle.build("zip", [item], *parts, "")
    with pytest.raises(BadPassphrase):
        bundle.build("pdf", [item], *parts, "")
    with pytest.raises(BadRecipient):
        bundle.build("age", [item], *parts, KEY)


def test_the_cover_tells_all_in_both_languages_and_takes_names_as_words(
    item: BundleItem, parts: tuple[bytes, bytes, bytes, bytes]
) -> None:
    with closing(pypdfium2.PdfDocument(parts[2])) as document:
        text = "".join(document[index].get_textpage().get_text_range() for index in range(len(document)))
    flat = "".join(text.split())
    for word in (
        "领取人",
        "Recipient",
        "𠮷",
        '#eval("1")*s1*',
        "示例建材供应商",
        "manifest.json",
        "7-Zip",
        "核验",
        "含连字符",
    ):
        assert word in flat, word
    assert item.copy_number.replace("·", "") in flat.replace("·", "").replace("・", "")


@pytest.mark.parametrize(
    ("copy", "kind", "name"),
    [
        ("SG01-KH·2026·SJ-0001-003_F0001", "pdf", "SG01-KH.2026.SJ-0001-003_F0001.pdf"),
        ("SG01-KH·2026·SJ-0001-003_F0001", "jpeg", "SG01-KH.2026.SJ-0001-003_F0001.jpg"),
        ("../客户 甲", "tiff", "copy.tif"),
        ("·", "odd", "copy.bin"),
    ],
)
def test_file_names_are_neutral(copy: str, kind: str, name: str) -> None:
    assert bundle.file_name(copy, kind) == name


def test_the_sidecars_are_those_of_the_zip(parts: tuple[bytes, bytes, bytes, bytes]) -> None:
    made, signature, cover, receipt = parts
    assert list(bundle.sidecars(made, signature, cover, receipt)) == [
        "cover.pdf",
        "manifest.json",
        "manifest.sig",
        "issue.tlog-proof",
    ]
