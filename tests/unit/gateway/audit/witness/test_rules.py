"""What the witness cosigns, and each refusal of C2SP tlog-witness."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.audit import note, proof, tree
from gateway.audit.witness.errors import Rejected
from gateway.audit.witness.records import Records
from gateway.audit.witness.rules import Witness

NOW = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)


def status(witness: Witness, body: bytes) -> tuple[int, str]:
    with pytest.raises(Rejected) as caught:
        witness.add_checkpoint(body, now=NOW)
    return caught.value.status, caught.value.body


def test_cosigns_a_log_as_it_grows(witness: Witness, growing: Any, cosigner: Any) -> None:
    old = 0
    for count in (1, 1, 5, 300):
        growing.grow(count)
        line = witness.add_checkpoint(growing.submission(old), now=NOW)
        held = note.parse(growing.checkpoint() + line)
        assert cosigner.key.verify(held.text, held.signatures[-1]) == NOW
        old = len(growing.leaves)
    again = witness.add_checkpoint(growing.submission(old), now=NOW + timedelta(minutes=1))
    held = note.parse(growing.checkpoint() + again)
    assert cosigner.key.verify(held.text, held.signatures[-1]) == NOW + timedelta(minutes=1)


def test_an_unknown_log_is_not_found(witness: Witness, other: Callable[..., Any]) -> None:
    foreign = other(name="elsewhere.example/log")
    foreign.grow(3)
    assert status(witness, foreign.submission(0))[0] == 404


def test_a_foreign_key_is_forbidden(witness: Witness, other: Callable[..., Any], records: Records) -> None:
    forged = other(seed=2)
    forged.grow(3)
    assert status(witness, forged.submission(0))[0] == 403
    assert records.latest(forged.name) == (0, tree.EMPTY_ROOT)


def test_a_spoilt_signature_is_forbidden(witness: Witness, growing: Any) -> None:
    growing.grow(3)
    text, _, line = growing.checkpoint().rpartition("\n\n")
    spoilt = note.parse(text + "\n\n" + line).signatures[0]
    wrong = note.Signature(spoilt.name, spoilt.key_id, spoilt.value[:-1] + bytes([spoilt.value[-1] ^ 1]))
    body = proof.Extension(0, [], note.Note(text + "\n", (wrong,)).encode()).encode()
    assert status(witness, body)[0] == 403


def test_signatures_of_unknown_keys_are_ignored(witness: Witness, growing: Any, other: Any) -> None:
    growing.grow(3)
    more = note.parse(other(seed=9, name="else.example/x").signer.sign(note.parse(growing.checkpoint()).text))
    checkpoint = growing.checkpoint() + more.signatures[0].line()
    assert witness.add_checkpoint(proof.Extension(0, [], checkpoint).encode(), now=NOW)


def test_an_old_size_above_the_new_is_bad(witness: Witness, growing: Any) -> None:
    growing.grow(3)
    assert status(witness, proof.Extension(4, [], growing.checkpoint()).encode())[0] == 400


def test_a_stale_old_size_is_told_the_right_one(witness: Witness, growing: Any) -> None:
    growing.grow(5)
    witness.add_checkpoint(growing.submission(0), now=NOW)
    growing.grow(2)
    for old in (0, 3, 6):
        assert status(witness, growing.submission(old)) == (409, "5\n")


def test_a_rollback_is_a_conflict(witness: Witness, growing: Any, records: Records) -> None:
    growing.grow(5)
    witness.add_checkpoint(growing.submission(0), now=NOW)
    assert status(witness, growing.submission(0, 3)) == (409, "5\n")
    assert status(witness, growing.submission(3, 3)) == (409, "5\n")
    assert records.latest(growing.name)[0] == 5


@pytest.mark.parametrize("spoil", ["flip", "truncate", "lengthen", "drop"])
def test_a_proof_that_does_not_lead_there_is_unprocessable(
    witness: Witness, growing: Any, records: Records, spoil: str
) -> None:
    growing.grow(5)
    witness.add_checkpoint(growing.submission(0), now=NOW)
    growing.grow(8)
    path = tree.consistency(growing.node, 5, 13)
    lies = {
        "flip": [bytes(32), *path[1:]],
        "truncate": path[:-1],
        "lengthen": [*path, bytes(32)],
        "drop": [],
    }
    body = proof.Extension(5, lies[spoil], growing.checkpoint()).encode()
    assert status(witness, body)[0] == 422
    assert records.latest(growing.name)[0] == 5
    assert witness.add_checkpoint(growing.submission(5), now=NOW)


def test_a_first_submission_brings_no_proof(witness: Witness, growing: Any) -> None:
    growing.grow(3)
    assert status(witness, proof.Extension(0, [bytes(32)], growing.checkpoint()).encode())[0] == 422


def test_a_split_view_is_refused_and_kept(
    witness: Witness, growing: Any, other: Callable[..., Any], home: Path
) -> None:
    growing.grow(5)
    witness.add_checkpoint(growing.submission(0), now=NOW)
    fork = other()
    fork.grow(5, "other history")
    assert status(witness, fork.submission(5)) == (409, "5\n")
    fork.grow(4, "other history")
    split = fork.submission(5)
    assert status(witness, split)[0] == 422
    assert status(witness, fork.submission(0))[0] == 409
    kept = [path.read_bytes() for path in (home / "evidence").iterdir()]
    assert split in kept
    assert len(kept) == 2


def test_evidence_is_bounded(home: Path, records: Records, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.audit.witness.records.MAX_EVIDENCE", 2)
    for i in range(4):
        records.keep_evidence(f"{i:064x}.txt", b"x")
    assert len(list((home / "evidence").iterdir())) == 2


def test_an_empty_log_is_cosigned_and_cannot_have_another_root(witness: Witness, growing: Any) -> None:
    assert witness.add_checkpoint(growing.submission(0), now=NOW)
    lie = growing.signer.sign(note.TreeHead(growing.name, 0, bytes(32)).text())
    assert status(witness, proof.Extension(0, [], lie).encode()) == (409, "0\n")


def test_extension_lines_are_cosigned_too(witness: Witness, growing: Any, cosigner: Any) -> None:
    growing.grow(3)
    text = note.parse(growing.checkpoint()).text + "an extension\n"
    body = proof.Extension(0, [], growing.signer.sign(text)).encode()
    line = witness.add_checkpoint(body, now=NOW)
    cosigner.key.verify(text, note.parse(text + "\n" + line).signatures[0])


def test_an_empty_extension_line_is_bad(witness: Witness, growing: Any) -> None:
    growing.grow(3)
    text = note.parse(growing.checkpoint()).text + "\nan extension\n"
    assert status(witness, proof.Extension(0, [], growing.signer.sign(text)).encode())[0] == 400


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"old 0\n",
        b"old 00\n\nx",
        b"old -1\n\nx\n",
        b"old 0\nAAAA\n\n",
        b"new 0\n\n",
        b"\xff\n\n",
        b"old 0\n\nfiles.example/log\n1\n\n",
    ],
)
def test_what_is_no_submission_is_bad(witness: Witness, body: bytes) -> None:
    assert status(witness, body)[0] == 400


def test_more_than_63_hashes_are_bad(witness: Witness, growing: Any) -> None:
    growing.grow(3)
    assert status(witness, proof.Extension(0, [bytes(32)] * 64, growing.checkpoint()).encode())[0] == 400


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=400), st.integers(0, 400), st.integers(0, 400))
def test_no_bytes_break_the_witness(
    witness: Witness, growing: Any, noise: bytes, start: int, end: int
) -> None:
    if not growing.leaves:
        growing.grow(7)
    good = growing.submission(0)
    body = good[:start] + noise + good[end:]
    answer = 200
    try:
        witness.add_checkpoint(body, now=NOW)
    except Rejected as refusal:
        answer = refusal.status
    assert answer in (200, 400, 403, 404, 409, 422)


def test_submissions_at_once_never_roll_back(witness: Witness, growing: Any, records: Records) -> None:
    """Many threads race with checkpoints of many sizes; the cosigned sizes form one growing line."""
    growing.grow(200)
    cosigned: list[int] = []
    refused: list[int] = []
    start = threading.Barrier(8)

    def race(first: int) -> None:
        start.wait(10)
        for new in range(first, 201, 8):
            for _ in range(40):
                old = records.latest(growing.name)[0]
                if old > new:
                    break
                try:
                    witness.add_checkpoint(growing.submission(old, new), now=NOW)
                except Rejected as refusal:
                    refused.append(refusal.status)
                else:
                    cosigned.append(new)
                    break

    threads = [threading.Thread(target=race, args=(first,)) for first in range(1, 9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(refused) <= {409}
    assert records.latest(growing.name)[0] == max(cosigned)
    assert len(set(cosigned)) > 8


def test_what_cannot_be_kept_is_not_cosigned(
    witness: Witness, growing: Any, records: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    growing.grow(3)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("gateway.audit.witness.records._replace", full)
        with pytest.raises(OSError):
            witness.add_checkpoint(growing.submission(0), now=NOW)
    assert records.latest(growing.name) == (0, tree.EMPTY_ROOT)
    assert witness.add_checkpoint(growing.submission(0), now=NOW)
