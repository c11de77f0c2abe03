"""Destroying an object for ever: its key goes first, then every version of its ciphertext.

The intention is in the log before anything happens, and the end after; what a crash leaves in between is taken up again by
`finish`. Old copies of the keyring still hold the key's wrap until its KEK has been rotated away, and old copies of the KEK
until they expire; `standing` says where that stands.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Literal, get_args

from sqlalchemy import func, select

from gateway.audit.models import Leaf
from gateway.audit.service import record
from gateway.custody import ledger
from gateway.custody.ledger import DESTROYED, DESTROYING, Destruction, Standing
from gateway.deps import Deps
from gateway.errors import Invalid
from gateway.principal import SYSTEM, Actor, Text
from storage.errors import StorageError
from storage.kek import KekFolder
from storage.sealed import SealedStore

# `field` is a key of personal fields in rows (storage/fields.py): it has no object in any store.
LOCKED = ("evidence",)
Store = Literal["objects", "bundles", "evidence", "field"]


def destroy(
    deps: Deps, store: Store, object_id: str, *, versions: int, reason: str, actor: Actor, now: datetime
) -> Standing:
    """Destroys an object with all its versions; safe to repeat. Call it outside of transactions.

    `versions` is the highest version number known, so that one that only a delete marker hides is removed too. For `field` the
    object id is the owner's. Raises Unavailable of the storage errors when the key could not be deleted: nothing else was then.
    Versions that a lock holds stay as ciphertext without a key.
    """
    if store not in get_args(Store):
        raise Invalid("store", Text("没有这个存储。", "There is no such store."))
    name = f"field:{object_id}" if store == "field" else object_id
    with deps.job(actor, DESTROYING, ("object", name), now) as session:
        epoch = max(kek_epochs(deps))
        record(
            session, DESTROYING, actor=actor, obj=("object", name), now=now, reason=reason,
            store=store, epoch=epoch, versions=versions,
        )  # fmt: skip
    _carry_out(deps, Destruction(name, store, now, epoch, versions, done=False), actor, now)
    return standings(deps, [name], now=now)[0]


def finish(deps: Deps, *, now: datetime) -> int:
    """Carries out every destruction that was begun and not ended; returns how many."""
    with deps.database.read() as session:
        open_ones = [one for one in ledger.destructions(session) if not one.done]
    for one in open_ones:
        _carry_out(deps, one, SYSTEM, now)
    return len(open_ones)


def standings(deps: Deps, names: Sequence[str] | None = None, *, now: datetime) -> list[Standing]:
    """Where the destructions of these objects (of all, without names) stand, in the order in which they were begun."""
    with deps.database.read() as session:
        found = ledger.destructions(session, names)
        copies = ledger.key_copies(session)
        _, ended = ledger.rotations(session)
        due = rotation_due(deps, now=now)
    live, over = kek_epochs(deps), ended.at if ended is not None else None
    return [ledger.standing(o, live=live, copies=copies, ended=over, due=due, now=now) for o in found]


def kek_epochs(deps: Deps) -> tuple[int, ...]:
    """The epochs whose KEKs exist on this installation."""
    return KekFolder(deps.settings.keys / "kek").epochs


def rotation_due(deps: Deps, *, now: datetime) -> datetime:
    """When the next rotation has to be: key.rotation_days after the last, and never in the past."""
    with deps.database.read() as session:
        days = deps.parameters(session, now)["key.rotation_days"]
        _, ended = ledger.rotations(session)
        first = session.scalar(select(func.min(Leaf.at)))
    last = ended.at if ended is not None else first or now
    return max(now, last + timedelta(days=days))


def _carry_out(deps: Deps, one: Destruction, actor: Actor, now: datetime) -> None:
    deps.keyring.destroy(one.name)
    left = 0
    if one.store != "field":
        sealed: SealedStore = getattr(deps, one.store)
        left = _delete(sealed, one)
    with deps.database.write() as session:
        record(session, DESTROYED, actor=actor, obj=("object", one.name), now=now, store=one.store, left=left)


def _delete(sealed: SealedStore, one: Destruction) -> int:
    """Deletes what is not locked; returns how many versions stay. Raises Unavailable when the store is away, to be repeated."""
    left = 0
    for version in (None, *range(1, one.versions + 1)):
        try:
            if version is None:
                sealed.destroy(one.name)
            else:
                sealed.delete(one.name, version)
        except StorageError:
            if one.store not in LOCKED:
                raise
            left += 1
    return left
