"""What the log tells of copies, rotations and destructions: until when a destroyed object might still be read from backups.

There is no table for it. The log outlives a restore (what a backup had not seen is fetched back), so it is the one place
that knows of every copy of the keys that was ever made.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import select
from sqlalchemy.orm import Session

from gateway.audit import leaf
from gateway.audit.models import Leaf

ROTATE_BEGUN = "keys.rotate_begun"
ROTATED = "keys.rotated"
EXPORTED = "keys.exported"
DESTROYING = "object.destroying"
DESTROYED = "object.destroyed"
BACKED_UP = "backup.made"
EXPIRED = "backup.expired"


@dataclass(frozen=True)
class KeyCopy:
    """One export of key files: the epochs whose KEKs it holds, when it was made, by when it has to be destroyed."""

    id: str
    epochs: tuple[int, ...]
    made_at: datetime
    expires_at: datetime


@dataclass(frozen=True)
class Destruction:
    """An object whose key was destroyed: `epoch` is the newest that existed then; `done` once its versions were deleted."""

    name: str
    store: str
    at: datetime
    epoch: int
    versions: int
    done: bool


@dataclass(frozen=True)
class Standing:
    """PENDING while the object could still be read with what a backup may hold, else FINAL.

    `until` is the date by which that ends; where the old KEK has not been rotated away yet, `rotation` is true and the date
    is an outlook. FINAL carries the time from which it was so.
    """

    name: str
    state: Literal["PENDING", "FINAL"]
    destroyed_at: datetime
    until: datetime
    rotation: bool = False


def entries(session: Session, *events: str, about: Sequence[str] | None = None) -> Iterator[leaf.Entry]:
    """Every entry of these events in order of arrival; only those about these objects, where some are given."""
    query = select(Leaf.body).where(Leaf.event.in_(events)).order_by(Leaf.arrival)
    if about is not None:
        query = query.where(Leaf.object_id.in_([name[:200] for name in about]))
    return (leaf.parse(body) for body in session.scalars(query).all())


def key_copies(session: Session) -> list[KeyCopy]:
    """Every export of key files, the oldest first."""
    return [_key_copy(entry) for entry in entries(session, EXPORTED)]


def _key_copy(entry: leaf.Entry) -> KeyCopy:
    data: Any = entry.data
    return KeyCopy(
        entry.object[1], tuple(data["epochs"]), entry.at, datetime.fromisoformat(data["expires_at"])
    )


def destructions(session: Session, names: Sequence[str] | None = None) -> list[Destruction]:
    """Every destruction that was begun (of these objects), in order; a repeated one counts once, by its first entry."""
    done = {entry.object[1] for entry in entries(session, DESTROYED, about=names)}
    found: dict[str, Destruction] = {}
    for entry in entries(session, DESTROYING, about=names):
        data: Any = entry.data
        name = entry.object[1]
        found.setdefault(
            name,
            Destruction(name, data["store"], entry.at, data["epoch"], data["versions"], name in done),
        )
    return list(found.values())


def rotations(session: Session) -> tuple[leaf.Entry | None, leaf.Entry | None]:
    """The last entries of a rotation's beginning and of a rotation's end."""
    begun, ended = None, None
    for entry in entries(session, ROTATE_BEGUN, ROTATED):
        if entry.event == ROTATED:
            ended = entry
        else:
            begun = entry
    return begun, ended


def standing(
    one: Destruction,
    *,
    live: tuple[int, ...],
    copies: list[KeyCopy],
    ended: datetime | None,
    due: datetime,
    now: datetime,
) -> Standing:
    """Where one destruction stands.

    `live` are the epochs whose KEKs exist here, `ended` is when the last rotation was over, `due` when the next one has to be.
    Any older epoch counts too: the object may have been wrapped under it before, in an older copy of the keyring.
    """
    expiries = [copy.expires_at for copy in copies if any(epoch <= one.epoch for epoch in copy.epochs)]
    rotation = any(epoch <= one.epoch for epoch in live)
    until = max([*expiries, *([due] if rotation else [ended or one.at]), one.at])
    if rotation or not one.done or until > now:
        return Standing(one.name, "PENDING", one.at, until, rotation)
    return Standing(one.name, "FINAL", one.at, until)
