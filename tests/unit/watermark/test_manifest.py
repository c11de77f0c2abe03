"""The manifest: one spelling, one signature, frozen vectors."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from watermark.errors import BadSignature
from watermark.manifest import (
    BundleItem,
    ManifestInput,
    NamedException,
    canonical,
    key_id,
    manifest,
    sign_manifest,
    verify_manifest,
)
from watermark.report import PageReport, Report, refused

VECTORS = Path(__file__).resolve().parents[2] / "vectors" / "watermark"
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
ISSUED = datetime(2026, 11, 23, 8, 30, tzinfo=UTC)


def _given(**changes: object) -> ManifestInput:
    values: dict[str, object] = {
        "bundle_id": "B-0001",
        "share_number": "GX-2026-0001",
        "recipient": "联系人 s1",
        "organisation": "示例建材供应商（虚构）",
        "purpose": "P03",
        "agreement_number": "BM-2026-0001",
        "agreement_digest": "aa" * 32,
        "agreement_version": "2026-1",
        "decision_digest": "bb" * 32,
        "issued_at": ISSUED,
        "expires_at": ISSUED + timedelta(days=7),
    }
    return ManifestInput(**(values | changes))  # type: ignore[arg-type]


def _item() -> BundleItem:
    pages = (PageReport(1, 595.0, 842.0, 0, 1.0, True), PageReport(2, 842.0, 595.0, 90, 1.0, True))
    report = Report(
        "pdf", "marked", pages=pages, removed={"metadata": 1}, sha256_in="cc" * 32, sha256_out="dd" * 32
    )
    copy = "SG01-KH·2026·SJ-0001-003_F0001"
    return BundleItem(-1, "SG01-KH.2026.SJ-0001-003_F0001.pdf", copy, report, "cc" * 32, "3")


def test_the_manifest_and_its_signature_are_those_of_the_vectors() -> None:
    made = manifest(_given(), [_item()])
    assert made == (VECTORS / "manifest.json").read_bytes()
    assert sign_manifest(made, KEY) == (VECTORS / "manifest.sig").read_bytes()
    assert key_id(KEY.public_key()) == (VECTORS / "manifest.key-id").read_text("ascii").strip()
    verify_manifest(made, (VECTORS / "manifest.sig").read_bytes(), KEY.public_key())


def test_times_are_written_in_utc() -> None:
    shanghai = ISSUED.astimezone(timezone(timedelta(hours=8)))
    assert manifest(_given(issued_at=shanghai), [_item()]) == manifest(_given(), [_item()])
    with pytest.raises(ValueError, match="aware"):
        manifest(_given(issued_at=ISSUED.replace(tzinfo=None)), [_item()])


def test_only_marked_files_are_listed() -> None:
    item = _item()
    bad = BundleItem(-1, item.name, item.copy_number, refused("BROKEN", "x"), "cc" * 32, "3")
    for items in ([], [item, bad]):
        with pytest.raises(ValueError, match="marked"):
            manifest(_given(), items)


def test_an_exception_names_who_asked_and_two_who_approved() -> None:
    item = _item()
    leave = NamedException("图纸已签名", "设计部业务人员", ("档案管理员", "综管部经理"), "ee" * 32)
    unmarked = replace(item, report=refused("SIGNED", "x", "pdf"), exception=leave)
    said = json.loads(manifest(_given(), [item, unmarked]))["items"][1]
    assert said["coverage"]["exception"] == {
        "approved_by": ["档案管理员", "综管部经理"],
        "asked_by": "设计部业务人员",
        "reason": "图纸已签名",
    }
    assert (said["marked_sha256"], said["coverage"]["profile"]) == ("ee" * 32, None)
    for bad in (
        replace(leave, approved_by=("档案管理员",)),
        replace(leave, approved_by=("档案管理员", "设计部业务人员")),
        replace(leave, approved_by=("档案管理员", "档案管理员")),
        replace(leave, reason=" "),
    ):
        with pytest.raises(ValueError, match="exception"):
            manifest(_given(), [replace(unmarked, exception=bad)])


def test_every_flipped_bit_of_manifest_or_signature_is_found() -> None:
    made = manifest(_given(), [_item()])
    signature = sign_manifest(made, KEY)
    for index in range(0, len(made), 7):
        changed = bytearray(made)
        changed[index] ^= 1 << index % 8
        with pytest.raises(BadSignature):
            verify_manifest(bytes(changed), signature, KEY.public_key())
    for index in range(len(signature)):
        changed = bytearray(signature)
        changed[index] ^= 1
        with pytest.raises(BadSignature):
            verify_manifest(made, bytes(changed), KEY.public_key())


def test_another_key_is_named_as_such() -> None:
    made = manifest(_given(), [_item()])
    other = Ed25519PrivateKey.generate()
    with pytest.raises(BadSignature, match="another key"):
        verify_manifest(made, sign_manifest(made, KEY), other.public_key())


def test_a_bare_signature_over_the_manifest_is_not_taken() -> None:
    import base64

    made = manifest(_given(), [_item()])
    lines = sign_manifest(made, KEY).split(b"\n")
    lines[2] = base64.b64encode(KEY.sign(made))
    with pytest.raises(BadSignature):
        verify_manifest(made, b"\n".join(lines), KEY.public_key())


@given(st.binary(max_size=300))
def test_any_bytes_as_a_signature_are_refused(data: bytes) -> None:
    with pytest.raises(BadSignature):
        verify_manifest(b"{}", data, KEY.public_key())


@given(st.dictionaries(st.text(max_size=5), st.text(max_size=20) | st.integers() | st.none(), max_size=6))
def test_canonical_bytes_read_back_and_do_not_depend_on_order(value: dict[str, object]) -> None:
    try:
        made = canonical(value)
    except UnicodeEncodeError:
        return  # Lone surrogates have no UTF-8.
    assert json.loads(made) == value
    assert canonical(dict(reversed(value.items()))) == made
