"""What an entry concerns besides its own object: its share, client, partner, case, items and copies, read from the rooms' rows.

Columns only, never whole rows: a guarded row that was tampered with must not keep an entry from being found.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from gateway.archive.models import Case, Item, LegalBasis
from gateway.identity.models import Contact
from gateway.sharing.models import Bundle, Copy, Share, ShareContact, ShareItem
from gateway.signing.models import Agreement

Pair = tuple[str, str]
_BATCH = 200
_ROUNDS = 4

# kind → (column of its id, the other kind, column of the other's id)
_UP: Mapping[str, tuple[tuple[Any, str, Any], ...]] = {
    "agreement": ((Agreement.id, "organisation", Agreement.organisation_id),),
    "basis": ((LegalBasis.id, "client", LegalBasis.client_id),),
    "bundle": (
        (Bundle.id, "share", Bundle.share_id),
        (Bundle.id, "contact", Bundle.contact_id),
        (Copy.bundle_id, "copy", Copy.id),
        (Copy.bundle_id, "item", Copy.item_id),
    ),
    "case": ((Case.id, "client", Case.client_id),),
    "contact": ((Contact.id, "organisation", Contact.organisation_id),),
    "copy": (
        (Copy.id, "bundle", Copy.bundle_id),
        (Copy.id, "share", Copy.share_id),
        (Copy.id, "contact", Copy.contact_id),
        (Copy.id, "item", Copy.item_id),
    ),
    "item": ((Item.id, "case", Item.case_id),),
    "share": ((Share.id, "client", Share.client_id),),
}
# A share's own entries concern all that is in it; those of one of its copies do not.
_IN_SHARE: tuple[tuple[Any, str, Any], ...] = (
    (ShareItem.share_id, "item", ShareItem.item_id),
    (ShareContact.share_id, "contact", ShareContact.contact_id),
)


def related(session: Session, own: Iterable[Pair]) -> dict[Pair, frozenset[Pair]]:
    """For each object, everything that an entry about it concerns, itself included."""
    start = set(own)
    found: dict[Pair, set[Pair]] = {pair: {pair} for pair in start}
    edges = _edges(session, start, shares=True)
    known = set(start)
    for _ in range(_ROUNDS):
        fresh = {other for others in edges.values() for other in others} - known
        if not fresh:
            break
        known |= fresh
        for pair, others in _edges(session, fresh, shares=False).items():
            edges.setdefault(pair, set()).update(others)
    for pair, reached in found.items():
        _spread(pair, reached, edges)
    return {pair: frozenset(reached) for pair, reached in found.items()}


def _spread(pair: Pair, reached: set[Pair], edges: Mapping[Pair, set[Pair]]) -> None:
    waiting = [pair]
    while waiting:
        at = waiting.pop()
        for other in edges.get(at, ()):
            # What lies in a share or a bundle is reached from its own entries only, not from those of one copy.
            if other not in reached and (at == pair or not _inward(at, other)):
                reached.add(other)
                waiting.append(other)


def _inward(at: Pair, other: Pair) -> bool:
    return at[0] in ("share", "bundle") and other[0] in ("item", "contact", "copy")


def _edges(session: Session, pairs: Iterable[Pair], *, shares: bool) -> dict[Pair, set[Pair]]:
    ids: dict[str, list[str]] = {}
    for kind, identifier in sorted(set(pairs)):
        ids.setdefault(kind, []).append(identifier)
    edges: dict[Pair, set[Pair]] = {}
    for kind, wanted in ids.items():
        columns = (*_UP.get(kind, ()), *(_IN_SHARE if shares and kind == "share" else ()))
        for key, other, value in columns:
            for start in range(0, len(wanted), _BATCH):
                query = select(key, value).where(key.in_(wanted[start : start + _BATCH]))
                for row in session.execute(query):
                    edges.setdefault((kind, row[0]), set()).add((other, row[1]))
    return edges
