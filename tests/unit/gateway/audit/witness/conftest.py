"""A log that grows, a witness over a fresh folder, and that witness behind its door."""

import http.client
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.audit import note, proof, tree
from gateway.audit.signer import Signer
from gateway.audit.witness.keyfile import Cosigner
from gateway.audit.witness.records import Records
from gateway.audit.witness.rules import Witness
from gateway.audit.witness.server import Server

ORIGIN = "files.example/log"
NOW = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)


@dataclass
class Growing:
    """A log in memory: leaf hashes, and a key that signs any tree of them."""

    seed: int = 1
    name: str = ORIGIN
    leaves: list[bytes] = field(default_factory=list)

    @property
    def signer(self) -> Signer:
        return Signer(self.name, Ed25519PrivateKey.from_private_bytes(bytes([self.seed]) * 32))

    def grow(self, count: int, word: str = "entry") -> None:
        start = len(self.leaves)
        self.leaves += [tree.leaf_hash(f"{word} {i}".encode()) for i in range(start, start + count)]

    def node(self, level: int, index: int) -> bytes:
        return tree.complete_root(self.leaves[index << level : (index + 1) << level])

    def checkpoint(self, size: int | None = None) -> str:
        size = len(self.leaves) if size is None else size
        return self.signer.sign(note.TreeHead(self.name, size, tree.root(self.node, size)).text())

    def submission(self, old: int, new: int | None = None) -> bytes:
        new = len(self.leaves) if new is None else new
        path = tree.consistency(self.node, old, new) if old <= new else []
        return proof.Extension(old, path, self.checkpoint(new)).encode()


@pytest.fixture
def growing() -> Growing:
    return Growing()


@pytest.fixture
def other() -> Callable[..., Growing]:
    return Growing


@pytest.fixture
def cosigner() -> Cosigner:
    return Cosigner("witness.example/w1", Ed25519PrivateKey.from_private_bytes(b"w" * 32))


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "witness"
    folder.mkdir()
    Records.create(folder)
    return folder


@pytest.fixture
def records(home: Path) -> Iterator[Records]:
    held = Records(home)
    yield held
    held.close()


@pytest.fixture
def witness(cosigner: Cosigner, growing: Growing, records: Records) -> Witness:
    return Witness(cosigner, {ORIGIN: [growing.signer.key]}, records)


@dataclass(frozen=True)
class Answer:
    status: int
    body: bytes
    content_type: str


@dataclass(frozen=True)
class Door:
    """Where a witness listens, and a way to speak to it."""

    host: str
    port: int
    told: list[str]

    def ask(self, body: bytes, method: str = "POST", path: str = "/add-checkpoint", **headers: str) -> Answer:
        link = http.client.HTTPConnection(self.host, self.port, timeout=20)
        try:
            link.request(method, path, body, {n.replace("_", "-"): v for n, v in headers.items()})
            got = link.getresponse()
            return Answer(got.status, got.read(), got.headers.get("Content-Type", ""))
        finally:
            link.close()


@pytest.fixture
def door(witness: Witness) -> Iterator[Door]:
    told: list[str] = []
    with Server(("127.0.0.1", 0), witness, clock=lambda: NOW, tell=told.append) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield Door("127.0.0.1", server.server_address[1], told)
        finally:
            server.shutdown()
            thread.join()
