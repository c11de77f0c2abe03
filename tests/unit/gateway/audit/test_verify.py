"""The verifier tested with lies: every change to what it is given is refused, and it says what it could not prove."""

import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.audit import leaf, note, proof, tree, verify
from gateway.audit.errors import AuditError, BadProof, BadSignature, MalformedProof
from gateway.audit.queries import LogFilter, export_jsonl
from gateway.audit.service import erase
from gateway.audit.signer import Signer

ORIGIN = "files.example/log"
FORGER = Signer(ORIGIN, Ed25519PrivateKey.from_private_bytes(b"f" * 32))
SIGNER = Signer(ORIGIN, Ed25519PrivateKey.from_private_bytes(b"s" * 32))
BODIES = [
    leaf.Entry(
        f"{i:032x}", leaf.parse_time("2026-11-23T08:00:00.000000Z"), "a.b", ("x", str(i)), "staff"
    ).encode()
    for i in range(11)
]
HASHES = [tree.leaf_hash(body) for body in BODIES]


def reader(level: int, index: int) -> bytes:
    return tree.complete_root(HASHES[index << level : (index + 1) << level])


def checkpoint(size: int, signer: Signer = SIGNER, root: bytes | None = None) -> str:
    return signer.sign(note.TreeHead(ORIGIN, size, root or tree.root_of(HASHES[:size])).text())


def receipt(index: int = 5, size: int = 11, **changed: object) -> bytes:
    fields = {
        "index": index,
        "proof": tree.inclusion(reader, index, size),
        "checkpoint": checkpoint(size),
        "entry": BODIES[index],
    }
    return proof.Receipt(**{**fields, **changed}).encode()


GOOD = receipt()


def refused(content: bytes) -> None:
    with pytest.raises(AuditError):
        verify.verify_receipt(content, [SIGNER.key])


def test_a_receipt_is_accepted_and_says_what_it_leaves_open():
    report = verify.verify_receipt(GOOD, [SIGNER.key])
    assert any("entry 5 is in it" in line for line in report.proved)
    assert any("times" in line for line in report.unproved) and any(
        "after" in line for line in report.unproved
    )


@pytest.mark.parametrize("index", range(11))
def test_every_entry_has_its_receipt(index: int):
    for size in range(index + 1, 12):
        verify.verify_receipt(receipt(index, size), [SIGNER.key])


def test_no_byte_of_a_receipt_can_be_changed():
    for at in range(len(GOOD)):
        for bit in range(8):
            refused(GOOD[:at] + bytes([GOOD[at] ^ 1 << bit]) + GOOD[at + 1 :])
        refused(GOOD[:at])
        refused(GOOD[:at] + GOOD[at + 1 :])


def test_lies_of_whoever_lacks_the_key():
    path = tree.inclusion(reader, 5, 11)
    refused(receipt(checkpoint=checkpoint(11, FORGER)))
    refused(receipt(checkpoint=checkpoint(11, FORGER, b"\1" * 32)))
    refused(receipt(checkpoint=checkpoint(7)))
    refused(receipt(checkpoint=checkpoint(10)))
    refused(receipt(entry=BODIES[6]))
    refused(receipt(index=6, proof=path))
    refused(receipt(proof=path[:-1]))
    refused(receipt(proof=path[1:]))
    refused(receipt(proof=[*path, path[0]]))
    refused(receipt(proof=path[::-1]))
    refused(receipt(proof=path * 20))
    refused(GOOD + b"\n")
    refused(GOOD + b"x")
    refused(GOOD.replace(b"\n", b"\r\n"))
    refused(b"")


def test_an_inner_node_cannot_pose_as_an_entry():
    joined = reader(0, 4) + reader(0, 5)
    refused(receipt(entry=joined, index=2, proof=tree.inclusion(reader, 4, 11)[1:]))


def test_a_signed_root_over_what_is_no_entry_is_refused():
    """Even the key's holder cannot have bytes accepted that are not an entry."""
    body = b'{"v":1}'
    head = SIGNER.sign(note.TreeHead(ORIGIN, 1, tree.leaf_hash(body)).text())
    refused(proof.Receipt(0, [], head, body).encode())


@given(st.binary(max_size=300))
def test_no_bytes_raise_anything_else(content: bytes):
    refused(content)
    refused(proof.HEADER.encode() + b"\n" + content)


@given(st.text("abcxyz019+/=\n \u2014-", max_size=300))
def test_no_text_in_a_receipts_dress_raises_anything_else(text: str):
    refused(f"{proof.HEADER}\nextra \nindex 0\n{text}".encode())
    with pytest.raises(AuditError):
        note.open_checkpoint(proof.parse_extension(f"old 1\n{text}\n".encode()).checkpoint, [SIGNER.key])


def test_formats_come_back():
    read = proof.parse_receipt(GOOD)
    assert read.encode() == GOOD
    extension = proof.Extension(3, tree.consistency(reader, 3, 11), checkpoint(11)).encode()
    assert proof.parse_extension(extension).encode() == extension


@pytest.fixture
def files(tmp_path: Path):
    def put(name: str, content: bytes | str) -> Path:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return put


def test_consistency_of_two_checkpoints(files):
    old = files("old", checkpoint(3))
    new = files("new", proof.Extension(3, tree.consistency(reader, 3, 11), checkpoint(11)).encode())
    report = verify.verify_consistency(old, new, [SIGNER.key])
    assert any("3 entries are its beginning" in line for line in report.proved)
    verify.verify_consistency(files("r", receipt(2, 3)), new, [SIGNER.key])
    verify.verify_consistency(new, files("same", checkpoint(11)), [SIGNER.key])


def test_lies_about_consistency(files):
    old, path = files("old", checkpoint(3)), tree.consistency(reader, 3, 11)
    forked = checkpoint(11, root=tree.root_of([b"\0" * 32, *HASHES[1:]]))
    lies = {
        "split view": proof.Extension(3, path, forked).encode(),
        "truncated": proof.Extension(3, path[:-1], checkpoint(11)).encode(),
        "other size": proof.Extension(4, tree.consistency(reader, 4, 11), checkpoint(11)).encode(),
        "foreign key": proof.Extension(3, path, checkpoint(11, FORGER)).encode(),
        "rollback": proof.Extension(3, [], checkpoint(2)).encode(),
        "no proof": checkpoint(11).encode(),
        "two roots": checkpoint(3, root=b"\7" * 32).encode(),
    }
    for name, content in lies.items():
        with pytest.raises((BadProof, BadSignature)):
            verify.verify_consistency(old, files(name, content), [SIGNER.key])
    with pytest.raises(BadSignature):
        verify.verify_consistency(files("f", checkpoint(3, FORGER)), files("n", checkpoint(3)), [SIGNER.key])


def test_logs_of_two_origins_are_not_confused(files):
    other = Signer("other.example/log", Ed25519PrivateKey.from_private_bytes(b"o" * 32))
    theirs = other.sign(note.TreeHead("other.example/log", 3, tree.root_of(HASHES[:3])).text())
    with pytest.raises(BadProof, match="two logs"):
        verify.verify_consistency(files("a", checkpoint(3)), files("b", theirs), [SIGNER.key, other.key])


@pytest.fixture
def exported(database, write, log, now):
    def make(filters: LogFilter | None = None) -> list[bytes]:
        with database.read() as session:
            return list(export_jsonl(session, filters or LogFilter()))

    for i in range(4):
        write("share.submit", n=i, reason="因项目需要对外提供")
    log.sequence(now=now)
    write("share.revoke", obj=("share", "s2"))
    log.sequence(now=now)
    write()
    return make


@pytest.fixture
def keys(log):
    return [note.parse_key(log.vkey)]


def test_a_whole_export_is_proved_from_its_entries(exported, keys):
    report = verify.verify_export(exported(), keys)
    assert any("all its 5 entries are here" in line for line in report.proved)
    assert any("personal values" in line for line in report.proved)
    assert any("1 entries that still waited" in line for line in report.unproved)


def test_a_part_of_the_log_is_proved_entry_by_entry(exported, keys):
    report = verify.verify_export(exported(LogFilter(event="share.revoke")), keys)
    assert any("1 entries are in it" in line for line in report.proved)
    assert any("no other entry fits" in line for line in report.unproved)


def test_it_verifies_after_a_person_is_erased(database, exported, keys):
    with database.write() as session:
        erase(session, "staff:arc1")
    report = verify.verify_export(exported(), keys)
    assert any("personal fields said" in line for line in report.unproved)


def changed(line: bytes, **fields: object) -> bytes:
    return leaf.canonical({**json.loads(line), **fields}) + b"\n"


def test_lies_in_a_whole_export(exported, keys, log):
    lines = exported()
    entry = json.loads(lines[2])["entry"]
    opened = json.loads(lines[2])["personal"]
    lies = {
        "left out": [*lines[:2], *lines[3:]],
        "cut off": lines[:4],
        "swapped": [lines[0], lines[2], lines[1], *lines[3:]],
        "renumbered": [lines[0], changed(lines[2], seq=0), changed(lines[1], seq=1), *lines[3:]],
        "twice": [*lines[:3], lines[2], *lines[3:]],
        "edited": [*lines[:2], changed(lines[2], entry={**entry, "event": "share.revoke"}), *lines[3:]],
        "another name": [
            *lines[:2],
            changed(lines[2], personal={**opened, "reason": {**opened["reason"], "value": "x"}}),
            *lines[3:],
        ],
        "an uncommitted value": [
            *lines[:2],
            changed(lines[2], personal={"new": {"salt": "00", "value": "x"}}),
            *lines[3:],
        ],
        "called partial": [changed(lines[0], complete=False), *lines[1:]],
        "old checkpoint": [changed(lines[0], checkpoint=checkpoint(4)), *lines[1:]],
        "no checkpoint": [changed(lines[0], checkpoint=None), *lines[1:]],
        "foreign key": [
            changed(lines[0], checkpoint=FORGER.sign(note.parse(log.latest().note).text)),
            *lines[1:],
        ],
        "half a line": [*lines[:-1], lines[-1][:-5]],
        "not an object": [*lines, b"[]\n"],
        "other header": [changed(lines[0], format="x"), *lines[1:]],
        "other version": [changed(lines[0], v=2), *lines[1:]],
        "bad seq": [*lines[:2], changed(lines[2], seq="1"), *lines[3:]],
        "negative seq": [*lines[:2], changed(lines[2], seq=-1), *lines[3:]],
        "hidden": [*lines[:5], changed(lines[5], seq=None), *lines[6:]],
        "nothing": [],
    }
    assert [name for name, lie in lies.items() if not is_refused(lie, keys)] == []


def is_refused(lie: list[bytes], keys: list[note.Key]) -> bool:
    try:
        verify.verify_export(lie, keys)
    except AuditError:
        return True
    return False


def test_lies_in_a_partial_export(exported, keys):
    lines = exported(LogFilter(event="share.submit"))
    given_proof = json.loads(lines[1])["proof"]
    lies = [
        [changed(lines[0], complete=True), *lines[1:]],
        [lines[0], changed(lines[1], proof=given_proof[:-1]), *lines[2:]],
        [lines[0], changed(lines[1], proof=[]), *lines[2:]],
        [lines[0], changed(lines[1], proof="x"), *lines[2:]],
        [lines[0], changed(lines[1], proof=["!"]), *lines[2:]],
        [lines[0], changed(lines[1], proof=None), *lines[2:]],
        [lines[0], lines[1], lines[1]],
        [lines[0], changed(lines[1], seq=1)],
    ]
    for lie in lies:
        with pytest.raises(AuditError):
            verify.verify_export(lie, keys)


def test_an_export_proves_an_older_checkpoint(exported, keys, files, database, log):
    from sqlalchemy import select

    from gateway.audit.models import Checkpoint

    with database.read() as session:
        older = session.scalar(select(Checkpoint.note).where(Checkpoint.size == 4))
    old, new = files("old", older), files("new.jsonl", b"".join(exported()))
    report = verify.verify_consistency(old, new, keys)
    assert any("first 4 entries" in line for line in report.proved)
    assert any("first 5 entries" in line for line in verify.verify_consistency(new, new, keys).proved)
    part = files("part.jsonl", b"".join(exported(LogFilter(event="share."))))
    with pytest.raises(BadProof, match="reach back"):
        verify.verify_consistency(old, part, keys)


def test_an_export_of_a_rewritten_log_does_not_begin_with_the_old_one(exported, files, signer):
    lines = exported()
    rewritten = [leaf.canonical({**json.loads(x)["entry"], "event": "x"}) for x in lines[1:6]]
    forged = SIGNER.sign(
        note.TreeHead(ORIGIN, 5, tree.root_of([tree.leaf_hash(b) for b in rewritten])).text()
    )
    rows = [changed(x, entry=json.loads(b), personal={}) for x, b in zip(lines[1:6], rewritten, strict=True)]
    new = files("new", b"".join([changed(lines[0], checkpoint=forged), *rows]))
    verify.verify_file(new, [SIGNER.key])
    with pytest.raises(BadProof, match="begin"):
        verify.verify_consistency(files("old", checkpoint(4)), new, [SIGNER.key])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_no_bit_of_an_export_can_be_flipped(exported, keys, data: st.DataObject):
    whole = b"".join(exported()[:-1])
    at, bit = data.draw(st.integers(0, len(whole) - 1)), data.draw(st.integers(0, 7))
    raw = bytearray(whole)
    raw[at] ^= 1 << bit
    with pytest.raises(AuditError):
        verify.verify_export(bytes(raw).splitlines(keepends=True), keys)


def test_an_export_line_without_a_checkpoint_is_no_proof():
    with pytest.raises(MalformedProof):
        verify.verify_export([leaf.canonical({"format": "x"}) + b"\n"], [SIGNER.key])
