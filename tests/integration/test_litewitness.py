"""A witness that is not ours: litewitness cosigns our log as it grows, and each side refuses what it must."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.audit import note, proof, tree
from gateway.audit.errors import WitnessUnavailable
from gateway.audit.service import Log, record
from gateway.audit.signer import Signer
from gateway.audit.verify import verify_receipt
from gateway.audit.witness import cosignature
from gateway.audit.witnesses import Witnesses, parse_witness
from gateway.db import Base, Database
from gateway.errors import Unavailable
from gateway.principal import SYSTEM
from tests.services.litewitness import LiteWitness, running_litewitness

pytestmark = pytest.mark.services

ORIGIN = "files.example/log"
SIGNER = Signer(ORIGIN, Ed25519PrivateKey.from_private_bytes(b"l" * 32))


def clock() -> datetime:
    """The wall clock: litewitness has its own."""
    return datetime.now(UTC)


@pytest.fixture
def lite() -> Iterator[LiteWitness]:
    with running_litewitness(SIGNER.vkey) as running:
        yield running


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    made = Database(f"sqlite:///{tmp_path / 'log.db'}", b"m" * 32)
    Base.metadata.create_all(made.engine)
    yield made
    made.close()


def witnessed(database: Database, lite: LiteWitness) -> Log:
    asked = Witnesses([parse_witness(f"{lite.url} {lite.vkey}")], need=1, deadline_s=8, clock=clock)
    return Log(database, SIGNER, origin=ORIGIN, cosign=asked)


def writer(database: Database) -> Callable[[int], str]:
    def write(count: int) -> str:
        leaf = ""
        with database.write() as session:
            for _ in range(count):
                leaf = record(session, "share.submit", actor=SYSTEM, obj=("share", "s1"), now=clock())
        return leaf

    return write


def test_it_cosigns_our_log(database: Database, lite: LiteWitness) -> None:
    log, write = witnessed(database, lite), writer(database)
    log.heartbeat(now=clock())
    key = cosignature.parse_key(lite.vkey)
    for count in (1, 2, 300, 77):
        leaf = write(count)
        view = log.await_checkpoint(leaf, now=clock())
        assert key in cosignature.cosigned(note.parse(view.note), [key])
    receipt = log.receipt(leaf)
    assert verify_receipt(receipt, [SIGNER.key]).proved
    assert lite.vkey.partition("+")[0] in receipt.decode()
    # A new process starts without knowing what the witness holds.
    assert witnessed(database, lite).heartbeat(now=clock()) is not None


def test_it_does_not_cosign_another_history(database: Database, lite: LiteWitness, tmp_path: Path) -> None:
    log, write = witnessed(database, lite), writer(database)
    log.await_checkpoint(write(5), now=clock())
    fork = Database(f"sqlite:///{tmp_path / 'fork.db'}", b"m" * 32)
    Base.metadata.create_all(fork.engine)
    try:
        forked = witnessed(fork, lite)
        for _ in range(2):
            leaf = writer(fork)(4)
            with pytest.raises((Unavailable, WitnessUnavailable)):
                forked.await_checkpoint(leaf, now=clock())
    finally:
        fork.close()


def test_our_client_reads_its_refusals(lite: LiteWitness) -> None:
    """An unknown log, and a log whose key is not the one that litewitness was given."""
    asked = Witnesses([parse_witness(f"{lite.url} {lite.vkey}")], need=1, deadline_s=8, clock=clock)
    strangers = [
        Signer("else.example/log", Ed25519PrivateKey.generate()),
        Signer(ORIGIN, Ed25519PrivateKey.generate()),
    ]
    for signer in strangers:
        made = signer.sign(note.TreeHead(signer.name, 0, tree.EMPTY_ROOT).text())
        with pytest.raises(WitnessUnavailable):
            asked(0, [], made, extend=lambda size: [])
    body = proof.Extension(0, [], SIGNER.sign(note.TreeHead(ORIGIN, 0, tree.EMPTY_ROOT).text()))
    assert asked(0, [], body.checkpoint, extend=lambda size: []) != body.checkpoint
