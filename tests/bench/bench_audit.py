"""How the cost of the log grows with the number of its entries, and what verifying a million of them costs."""

import hashlib
import secrets
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import delete, insert, select

from gateway.audit import folder, layout, leaf, note, tree, verify
from gateway.audit.models import Checkpoint, Leaf, Tile
from gateway.audit.queries import LogFilter, page
from gateway.audit.service import Log, columns, record
from gateway.audit.signer import Signer
from gateway.db import Base, Database
from gateway.principal import Actor

ORIGIN = "bench.example/log"
SIGNER = Signer(ORIGIN, Ed25519PrivateKey.from_private_bytes(b"b" * 32))
NOW = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
ACTOR = Actor(kind="contact", id="c1", name="合作单位联系人", ip="192.0.2.7", agent="Browser/1.0")
SIZES = (10_000, 100_000, 1_000_000)
VERIFIED = 1_000_000
REPEATS = 60
PERSONAL = dict.fromkeys(("actor.label", "actor.name", "actor.ip", "actor.agent"), "a" * 64)


def body(number: int) -> leaf.Entry:
    """An entry like that of a download."""
    data: dict[str, leaf.JSON] = {
        "share": f"s{number % 5000}",
        "sha256": "0" * 64,
        "manifest": "1" * 64,
        "copies": ["SG01-KH·2026·SJ-0001-003_F0001"],
    }
    return leaf.Entry(
        secrets.token_hex(16),
        NOW,
        "bundle.collect",
        ("bundle", f"{number:032x}"),
        "contact",
        None,
        None,
        data,
        PERSONAL,
    )


class Growing:
    """A log that is filled straight into its tables, which is the same log as one entry at a time makes, only sooner."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.hashes: list[bytes] = []

    def grow(self, size: int) -> None:
        """To so many entries under one new checkpoint."""
        with self.database.write() as session:
            for start in range(len(self.hashes), size, 10_000):
                entries = [body(number) for number in range(start, min(size, start + 10_000))]
                rows = [_row(entry, start + i) for i, entry in enumerate(entries)]
                self.hashes += [row["leaf_hash"] for row in rows]
                session.execute(insert(Leaf), rows)
            session.execute(delete(Tile))
            session.execute(insert(Tile), list(tiles(self.hashes)))
            root = tree.root_of(self.hashes)
            signed = SIGNER.sign(note.TreeHead(ORIGIN, size, root).text())
            session.add(Checkpoint(size=size, root=root, note=signed, at=NOW, usable_at=NOW))


def _row(entry: leaf.Entry, seq: int) -> dict[str, Any]:
    encoded = entry.encode()
    made = {
        **columns(entry),
        "body": encoded,
        "arrival": seq + 1,
        "seq": seq,
        "actor": f"contact:c{seq % 300}",
    }
    return {**made, "leaf_hash": tree.leaf_hash(encoded)}


def tiles(hashes: Sequence[bytes]) -> Iterator[dict[str, Any]]:
    """The rows of all tiles of a tree."""
    level, row = 0, list(hashes)
    while row:
        for index, width in layout.parts(0, len(row)):
            part = row[index * layout.WIDTH : index * layout.WIDTH + width]
            yield {"level": level, "index": index, "hashes": b"".join(part)}
        row = [
            tree.complete_root(row[i : i + layout.WIDTH])
            for i in range(0, len(row) - layout.WIDTH + 1, layout.WIDTH)
        ]
        level += 1


def typical(call: Callable[[], object]) -> float:
    """The median of the seconds that a call takes."""
    taken = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        call()
        taken.append(time.perf_counter() - start)
    return statistics.median(taken)


def costs(database: Database) -> dict[str, float]:
    """Seconds for one receipt, one consistency proof, one page, and one entry with its own checkpoint."""
    log = Log(database, SIGNER, origin=ORIGIN)
    with database.read() as session:
        middle = session.scalar(select(Leaf.id).where(Leaf.seq == 1_000))

    def one_page() -> None:
        with database.read() as session:
            page(session, LogFilter(share="s17"), limit=20)

    def one_entry() -> None:
        with database.write() as session:
            one = record(session, "bundle.collect", actor=ACTOR, obj=("bundle", "x"), now=NOW)
        log.await_checkpoint(one, now=NOW)

    return {
        "a receipt": typical(lambda: log.receipt(middle)),
        "a consistency proof": typical(lambda: log.consistency(1_000)),
        "a page": typical(one_page),
        "an entry with its checkpoint": typical(one_entry),
    }


def at_most(name: str, ratio: float, limit: float) -> dict[str, Any]:
    """One row whose goal is an upper limit."""
    return {"name": name, "ratio": round(ratio, 3), "goal": f"<= {limit:g}", "met": ratio <= limit}


@contextmanager
def fresh() -> Iterator[Database]:
    """An empty log in a file."""
    with tempfile.TemporaryDirectory() as place:
        database = Database(f"sqlite:///{place}/log.db", b"m" * 32)
        Base.metadata.create_all(database.engine)
        yield database
        database.close()


def growth() -> Iterator[dict[str, Any]]:
    """Each cost at 10^5 and 10^6 entries against the same at 10^4: growth by the logarithm would be 1.25 and 1.5."""
    first: dict[str, float] = {}
    for size in SIZES:
        with fresh() as database:
            Growing(database).grow(size)
            measured = costs(database)
        first = first or measured
        for name, cost in measured.items():
            if size != SIZES[0]:
                yield at_most(f"log: {name}, {size} entries to {SIZES[0]}", cost / first[name], 2.5)


def write_folder(place: Path, size: int) -> None:
    """A published folder without tiles: what the verifier reads is the entries and the checkpoint."""
    total = tree.Accumulator()
    sample = body(0).encode()
    for index, width in layout.parts(0, size):
        bodies = [sample.replace(b"0" * 32, b"%032x" % (index * layout.WIDTH + i), 1) for i in range(width)]
        path = place / layout.entries_path(index, width)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(layout.bundle(bodies))
        for each in bodies:
            total.add(tree.leaf_hash(each))
    (place / "checkpoint").write_text(SIGNER.sign(note.TreeHead(ORIGIN, size, total.root).text()))


def hash_pieces(place: Path, size: int) -> None:
    """The bytes of every bundle through hashlib, and nothing else."""
    for content in folder.bundles(place, size):
        hashlib.sha256(content).digest()


def hash_each(place: Path, size: int) -> None:
    """Every entry through hashlib by itself, and nothing else."""
    for content in folder.bundles(place, size):
        for start, end in layout.places(content):
            hashlib.sha256(content[start:end]).digest()


def verification() -> Iterator[dict[str, Any]]:
    """The whole verification of a folder of a million entries against hashing the same files; one process, one thread."""
    with tempfile.TemporaryDirectory() as named:
        place = Path(named)
        write_folder(place, VERIFIED)
        taken: dict[str, list[float]] = {"verify": [], "pieces": [], "each": []}
        calls: dict[str, Callable[[], object]] = {
            "pieces": lambda: hash_pieces(place, VERIFIED),
            "each": lambda: hash_each(place, VERIFIED),
            "verify": lambda: verify.verify_folder(place, [SIGNER.key]),
        }
        for _ in range(3):
            for name, call in calls.items():
                start = time.perf_counter()
                call()
                taken[name].append(time.perf_counter() - start)
    best = {name: min(times) for name, times in taken.items()}
    yield at_most("log: verify 10^6 entries to hashing their files", best["verify"] / best["pieces"], 4)
    yield at_most("log: verify 10^6 entries to hashing each entry", best["verify"] / best["each"], 4)


def rows() -> list[dict[str, Any]]:
    """Rows of the bench."""
    return [*growth(), *verification()]
