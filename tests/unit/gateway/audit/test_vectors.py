"""The frozen formats: what was accepted once is accepted for ever, what was refused stays refused."""

import json
from pathlib import Path

import pytest

from gateway.audit import leaf, note, proof, tree, verify
from gateway.audit.__main__ import main
from gateway.audit.errors import AuditError, MalformedEntry

FOLDER = Path(__file__).parents[3] / "vectors" / "audit"
FROZEN = json.loads((FOLDER / "log-1.json").read_text("utf-8"))
REFUSED = FROZEN["refused"]
KEYS = [note.parse_key(FROZEN["key"])]


def lines(export: list[str]) -> list[bytes]:
    return [line.encode() + b"\n" for line in export]


def test_entries_hashes_and_roots():
    for body, expected in zip(FROZEN["entries"], FROZEN["leaf_hashes"], strict=True):
        assert leaf.parse(body.encode()).encode().decode() == body
        assert tree.leaf_hash(body.encode()).hex() == expected
    hashes = [bytes.fromhex(h) for h in FROZEN["leaf_hashes"]]
    assert [tree.root_of(hashes[:n]).hex() for n in range(len(hashes) + 1)] == FROZEN["roots"]


def test_commitments():
    for one in FROZEN["commitments"]:
        assert leaf.commitment(bytes.fromhex(one["salt"]), one["field"], one["value"]) == one["commitment"]
        assert (
            leaf.parse(FROZEN["entries"][one["entry"]].encode()).personal[one["field"]] == one["commitment"]
        )


def test_checkpoints():
    for size, text in enumerate(FROZEN["checkpoints"]):
        head = note.open_checkpoint(text, KEYS)
        assert (head.origin, head.size, head.root.hex()) == (FROZEN["origin"], size, FROZEN["roots"][size])


def test_receipts():
    for text in FROZEN["receipts"]:
        assert proof.parse_receipt(text.encode()).encode().decode() == text
        assert verify.verify_receipt(text.encode(), KEYS).proved
    assert (
        main(["verify", str(FOLDER / "collect-1.tlog-proof"), "--key", str(FOLDER / "checkpoint-1.key")]) == 0
    )


def test_extensions(tmp_path):
    old, new = tmp_path / "old", tmp_path / "new"
    for text in FROZEN["extensions"]:
        size = proof.parse_extension(text.encode()).old
        assert proof.parse_extension(text.encode()).encode().decode() == text
        old.write_text(FROZEN["checkpoints"][size], "utf-8")
        new.write_text(text, "utf-8")
        assert verify.verify_consistency(old, new, KEYS).proved


def test_exports():
    for export in FROZEN["exports"].values():
        assert verify.verify_export(lines(export), KEYS).proved


@pytest.mark.parametrize("name", REFUSED["entries"])
def test_refused_entries(name):
    body = REFUSED["entries"][name]
    assert body not in FROZEN["entries"]
    with pytest.raises(MalformedEntry):
        leaf.parse(body.encode())


@pytest.mark.parametrize("name", REFUSED["receipts"])
def test_refused_receipts(name):
    assert REFUSED["receipts"][name] not in FROZEN["receipts"]
    with pytest.raises(AuditError):
        verify.verify_receipt(REFUSED["receipts"][name].encode(), KEYS)


@pytest.mark.parametrize("name", REFUSED["consistency"])
def test_refused_consistency(tmp_path, name):
    old, new = tmp_path / "old", tmp_path / "new"
    for path, text in zip((old, new), REFUSED["consistency"][name], strict=True):
        path.write_text(text, "utf-8")
    with pytest.raises(AuditError):
        verify.verify_consistency(old, new, KEYS)


@pytest.mark.parametrize("name", REFUSED["exports"])
def test_refused_exports(name):
    with pytest.raises(AuditError):
        verify.verify_export(lines(REFUSED["exports"][name]), KEYS)
