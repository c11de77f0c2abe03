"""Eighteen kinds of tampering with the stored log: nine changes, each without and with the log's own key.

Without the key every change is found by whoever has the checkpoint key and one checkpoint that was published. With the key the
log is rebuilt and signed anew, and looks whole by itself; it is found by what others hold: the witness's last tree, or a receipt.
What neither covers is not found, and that is asserted too, so that nobody believes more than holds.
"""

import random
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import delete, insert, select, text

from gateway.audit import folder, layout, leaf, note, publish, tree, verify
from gateway.audit.errors import AuditError
from gateway.audit.models import Checkpoint, Leaf, Personal, Tile
from gateway.audit.rebuild import audit_rebuild
from gateway.audit.service import Log, columns, record
from gateway.audit.signer import Signer
from gateway.db import Base, Database, new_id
from gateway.principal import Actor

ORIGIN = "files.example/log"
NOW = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
SIGNER = Signer(ORIGIN, Ed25519PrivateKey.from_private_bytes(b"t" * 32))
FOREIGN = Signer(ORIGIN, Ed25519PrivateKey.from_private_bytes(b"f" * 32))
BATCHES = (1, 200, 60, 3, 4, 4, 4)
WITNESSED = sum(BATCHES[:4])
# The tail is not cosigned; of it the first four entries were handed out with a receipt, so the last eight rest on nothing.
RECEIPTED = sum(BATCHES[:5])
ENTRIES = sum(BATCHES)
Bodies = list[bytes]


def fresh(chance: random.Random, body: bytes, **changed: object) -> bytes:
    entry = leaf.parse(body)
    return replace(entry, **changed).encode()


def edited(bodies: Bodies, at: int, chance: random.Random) -> Bodies:
    entry = leaf.parse(bodies[at])
    change = chance.choice(
        [{"target": "X"}, {"object": ("copy", "F9999")}, {"data": {**entry.data, "n": -1}}]
    )
    return [*bodies[:at], fresh(chance, bodies[at], **change), *bodies[at + 1 :]]


def redated(bodies: Bodies, at: int, chance: random.Random) -> Bodies:
    later = leaf.parse(bodies[at]).at + timedelta(microseconds=chance.randint(1, 10**9))
    return [*bodies[:at], fresh(chance, bodies[at], at=later), *bodies[at + 1 :]]


def deleted(bodies: Bodies, at: int, chance: random.Random) -> Bodies:
    return bodies[:at] + bodies[at + 1 :]


def inserted(bodies: Bodies, at: int, chance: random.Random) -> Bodies:
    made = fresh(chance, bodies[at], id=new_id(), event="bundle.collect", personal={})
    return [*bodies[:at], made, *bodies[at:]]


def replayed(bodies: Bodies, at: int, chance: random.Random) -> Bodies:
    made = fresh(chance, chance.choice(bodies), id=new_id())
    return [*bodies[:at], made, *bodies[at + 1 :]]


def swapped(bodies: Bodies, at: int, chance: random.Random) -> Bodies:
    other = (at + 1) % len(bodies)
    changed = list(bodies)
    changed[at], changed[other] = bodies[other], bodies[at]
    return changed


def moved(bodies: Bodies, at: int, chance: random.Random) -> Bodies:
    rest = bodies[:at] + bodies[at + 1 :]
    to = chance.choice([n for n in range(len(bodies)) if n != at])
    return [*rest[:to], bodies[at], *rest[to:]]


def truncated(bodies: Bodies, at: int, chance: random.Random) -> Bodies:
    return bodies[: max(1, at)]


def forked(bodies: Bodies, at: int, chance: random.Random) -> Bodies:
    return bodies[:at] + [fresh(chance, body, id=new_id(), personal={}) for body in bodies[at:]]


CHANGES: tuple[Callable[[Bodies, int, random.Random], Bodies], ...] = (
    edited,
    redated,
    deleted,
    inserted,
    replayed,
    swapped,
    moved,
    truncated,
    forked,
)


@dataclass
class Original:
    """The log as it was, and what others hold of it."""

    file: Path
    bodies: Bodies
    sizes: list[int]
    held: note.TreeHead
    witness: note.TreeHead
    receipt: Path


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Original:
    home = tmp_path_factory.mktemp("log")
    database = Database(f"sqlite:///{home / 'log.db'}", b"m" * 32)
    Base.metadata.create_all(database.engine)
    log = Log(database, SIGNER, origin=ORIGIN)
    leaves: list[str] = []
    for size in BATCHES:
        with database.write() as session:
            leaves += [_entry(session, i) for i in range(len(leaves), len(leaves) + size)]
        log.sequence(now=NOW)
    receipt = home / "receipt"
    receipt.write_bytes(log.receipt(leaves[RECEIPTED - 1]))
    with database.read() as session:
        bodies = list(session.scalars(select(Leaf.body).order_by(Leaf.seq)))
        sizes = list(session.scalars(select(Checkpoint.size).order_by(Checkpoint.size)))
    database.close()
    heads = [note.TreeHead(ORIGIN, size, _root(bodies[:size])) for size in (ENTRIES, WITNESSED)]
    return Original(home / "log.db", bodies, sizes, *heads, receipt)


def _entry(session: object, i: int) -> str:
    actor = Actor(kind="contact", id=f"c{i % 7}", name="合作单位联系人", ip="192.0.2.7")
    return record(session, "bundle.collect", actor=actor, obj=("bundle", str(i)), now=NOW, n=i)


def _root(bodies: Sequence[bytes]) -> bytes:
    return tree.root_of([tree.leaf_hash(body) for body in bodies])


def store(database: Database, made: Bodies, original: Original, depth: int, signer: Signer | None) -> None:
    """Writes the changed log as thoroughly as `depth` says: rows, hashes, tiles, roots, notes."""
    with database.write() as session:
        session.execute(text("PRAGMA defer_foreign_keys = ON"))
        before = list(session.scalars(select(Leaf.leaf_hash).order_by(Leaf.seq)))
        labels = dict(session.execute(select(Leaf.id, Leaf.actor)).all())
        session.execute(delete(Leaf))
        entries = [leaf.parse(body) for body in made]
        kept = {e.id for e in entries if e.personal}
        session.execute(delete(Personal).where(Personal.leaf_id.not_in(kept)))
        hashes = [tree.leaf_hash(body) for body in made]
        if depth < 1:
            hashes = [*before, *hashes[len(before) :]][: len(made)]
        rows = [
            {
                **columns(entry),
                "body": body,
                "arrival": i + 1,
                "seq": i,
                "leaf_hash": hashes[i],
                "actor": labels.get(entry.id) if entry.personal else None,
            }
            for i, (entry, body) in enumerate(zip(entries, made, strict=True))
        ]
        session.execute(insert(Leaf), rows)
        if depth >= 2:
            session.execute(delete(Tile))
            session.execute(insert(Tile), _tiles(hashes))
        if depth >= 3:
            notes = dict(session.execute(select(Checkpoint.size, Checkpoint.note)).all())
            session.execute(delete(Checkpoint))
            sizes = sorted({size for size in original.sizes if size <= len(made)} | {len(made)})
            last = notes[max(notes)]
            session.execute(insert(Checkpoint), [_head(made, s, notes.get(s, last), signer) for s in sizes])


def _tiles(hashes: Sequence[bytes]) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    level, row = 0, list(hashes)
    while row:
        for index, width in layout.parts(0, len(row)):
            part = row[index * layout.WIDTH : index * layout.WIDTH + width]
            rows.append({"level": level, "index": index, "hashes": b"".join(part)})
        full = len(row) // layout.WIDTH
        row = [tree.complete_root(row[i * layout.WIDTH : (i + 1) * layout.WIDTH]) for i in range(full)]
        level += 1
    return rows


def _head(made: Bodies, size: int, before: str, signer: Signer | None) -> dict[str, object]:
    root = _root(made[:size])
    signed = before if signer is None else signer.sign(note.TreeHead(ORIGIN, size, root).text())
    return {"size": size, "root": root, "note": signed, "at": NOW, "usable_at": NOW}


def whole(database: Database) -> bool:
    """Whether the portal's own check finds nothing."""
    with database.read() as session:
        try:
            audit_rebuild(session, [SIGNER.key])
        except AuditError:
            return False
    return True


def publish_to(database: Database, out: Path) -> bool:
    log = Log(database, SIGNER, origin=ORIGIN)
    with database.read() as session:
        try:
            for name, content in publish.files(session, log.latest()):
                (out / name).parent.mkdir(parents=True, exist_ok=True)
                (out / name).write_bytes(content)
        except AuditError:
            return False
    return True


def begins_with(out: Path, held: note.TreeHead) -> bool:
    try:
        folder.verify(out, [SIGNER.key], earlier=[held])
    except AuditError:
        return False
    return True


def agrees(out: Path, receipt: Path) -> bool:
    try:
        verify.verify_consistency(receipt, out, [SIGNER.key])
    except AuditError:
        return False
    return True


@pytest.fixture
def copies(original: Original, tmp_path: Path) -> Callable[[], tuple[Database, Path]]:
    """A fresh copy of the stored log and an empty folder for each trial."""

    def make() -> tuple[Database, Path]:
        out = tmp_path / "out"
        shutil.rmtree(out, ignore_errors=True)
        for path in tmp_path.glob("log.db*"):
            path.unlink()
        shutil.copy(original.file, tmp_path / "log.db")
        return Database(f"sqlite:///{tmp_path / 'log.db'}", b"m" * 32), out

    return make


def trial(
    original: Original, copies: Callable, number: int, change: Callable, *, key: bool
) -> tuple[int, dict]:
    """One change at a random place: the first entry that is another now, and which checks found it."""
    chance = random.Random(f"{change.__name__} {key} {number}")
    database, out = copies()
    try:
        made = change(list(original.bodies), chance.randrange(ENTRIES), chance)
        depth = 4 if key else chance.randrange(5)
        signer = SIGNER if key else FOREIGN if depth == 4 else None
        store(database, made, original, depth, signer)
        first = next(
            (i for i, pair in enumerate(zip(made, original.bodies, strict=False)) if pair[0] != pair[1]),
            min(len(made), ENTRIES),
        )
        return first, checks(database, out, original)
    finally:
        database.close()


def checks(database: Database, out: Path, original: Original) -> dict[str, bool]:
    readable = publish_to(database, out)
    return {
        "itself": not whole(database),
        "published": not (readable and begins_with(out, original.held)),
        "witness": not (readable and begins_with(out, original.witness)),
        "receipt": not (readable and agrees(out, original.receipt)),
    }


def run(original: Original, copies: Callable, trials: int) -> dict[str, int]:
    counted = {"without the key": 0, "with the key": 0, "covered": 0, "uncovered": 0}
    for change in CHANGES:
        for number in range(trials):
            _, found = trial(original, copies, number, change, key=False)
            assert found["itself"] or found["published"], (change.__name__, number, found)
            counted["without the key"] += 1
            first, found = trial(original, copies, number, change, key=True)
            # A forger with the key leaves a log that contradicts itself nowhere: only what others hold speaks.
            assert not found["itself"], (change.__name__, number, found)
            assert found["witness"] == (first < WITNESSED), (change.__name__, number, first, found)
            assert found["receipt"] == (first < RECEIPTED), (change.__name__, number, first, found)
            counted["with the key"] += 1
            counted["covered" if first < RECEIPTED else "uncovered"] += 1
    return counted


def test_the_untouched_log_passes_every_check(original: Original, copies: Callable) -> None:
    database, out = copies()
    assert checks(database, out, original) == dict.fromkeys(
        ("itself", "published", "witness", "receipt"), False
    )
    database.close()


def test_tampering_is_found(original: Original, copies: Callable) -> None:
    counted = run(original, copies, 1)
    assert counted["without the key"] == counted["with the key"] == 9


@pytest.mark.soak
def test_tampering_is_found_in_3600_trials(original: Original, copies: Callable) -> None:
    counted = run(original, copies, 200)
    print(counted)
    assert counted["without the key"] + counted["with the key"] == 3_600 and counted["uncovered"] > 0
