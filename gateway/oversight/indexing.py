"""The index that the log is searched by: terms of numbered entries as keyed digests, made behind the writers' backs.

Writers pay nothing for it: an entry gets its terms once it has its number, in batches, by whoever holds the row of the index's
state. What an entry says of a person (who acted, under which name, from which address) becomes a digest too, marked with the
person's label, so that `gateway.audit.service.erase` takes it away with the values.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from gateway.audit import leaf
from gateway.audit.errors import AuditError
from gateway.audit.models import Hour, Indexed, Leaf, Personal, Term
from gateway.audit.search import INDEX, hour_of
from gateway.audit.service import REFUSED, REFUSED_STRANGERS
from gateway.db import locked
from gateway.deps import Deps
from gateway.oversight.relations import Pair, related
from storage.fields import SearchKey

BATCH = 500
TURNS = 40
TERM_BYTES = 16
COLUMN = "audit.term"
COLLECTED = "bundle.collect"
# Members of an entry's data that name objects by their ids, alone or in lists.
_NAMED = frozenset(
    {"agreement", "bundle", "case", "client", "contact", "copy", "item", "organisation", "share", "template"}
)
_PEOPLE = {"account": "staff", "contact": "contact"}
_VALUES = ("actor.name", "actor.ip")


class Vocabulary:
    """The terms of one portal: digests under its search key, of which nobody without the key can guess a single one."""

    def __init__(self, key: SearchKey) -> None:
        self._key = key

    def _digest(self, kind: str, *parts: str) -> bytes:
        return bytes.fromhex(self._key.digest(f"{COLUMN}.{kind}", "\x1f".join(parts)))[:TERM_BYTES]

    def event(self, name: str) -> bytes:
        """Entries of one event."""
        return self._digest("event", name)

    def process(self, name: str) -> bytes:
        """Entries whose event begins with this and a point."""
        return self._digest("process", name)

    def kind(self, kind: str) -> bytes:
        """Entries whose own object is of a kind."""
        return self._digest("kind", kind)

    def about(self, pair: Pair) -> bytes:
        """Entries that concern an object."""
        return self._digest("about", *pair)

    def person(self, label: str) -> bytes:
        """Entries of or about a person."""
        return self._digest("person", label)

    def value(self, text: str) -> bytes:
        """Entries that hold this name or address, whole."""
        return self._digest("value", text)

    def fetched(self, label: str, address: str = "") -> bytes:
        """Downloads of a person, from one address or from any."""
        return self._digest("fetched", label, address)

    def refusals(self) -> bytes:
        """Every refusal."""
        return self._digest("refusals")

    def code(self, code: str) -> bytes:
        """Refusals and alerts with a code."""
        return self._digest("code", code)


def catch_up(deps: Deps, turns: int = TURNS) -> int:
    """Gives terms to entries that have a number and none yet, in turns of BATCH; returns to how many."""
    words, done = Vocabulary(deps.search), 0
    for _ in range(turns):
        with deps.database.write() as session:
            made = index_batch(session, words)
        done += made
        if made < BATCH:
            break
    return done


def index_batch(session: Session, words: Vocabulary) -> int:
    """One turn in the caller's transaction, under the lock of the index's state; returns how many entries it took."""
    state = state_of(session)
    rows = session.execute(
        select(
            Leaf.id, Leaf.seq, Leaf.at, Leaf.event, Leaf.object_kind, Leaf.object_id, Leaf.actor, Leaf.body
        )
        .where(Leaf.seq >= state.size)
        .order_by(Leaf.seq)
        .limit(BATCH)
    ).all()
    if not rows:
        return 0
    _insert(session, Term, list(_terms(session, rows, words)))
    _note_hours(session, rows)
    state.size = rows[-1].seq + 1
    return len(rows)


def state_of(session: Session, name: str = INDEX) -> Indexed:
    """The row that says how far the index, or whoever else follows the log, has come; locked to the end of the transaction."""
    found = locked(session, Indexed, name)
    if found is None:
        _insert(session, Indexed, [{"name": name, "size": 0}])
        found = locked(session, Indexed, name)
    if found is None:
        raise LookupError(name)
    return found


def _terms(session: Session, rows: Sequence[Any], words: Vocabulary) -> Iterator[dict[str, Any]]:
    own = {row.id: _objects(row) for row in rows}
    reach = related(session, {pair for pairs in own.values() for pair in pairs})
    people = _people(session, [row.id for row in rows])
    for row in rows:
        concerned = {pair for one in own[row.id] for pair in reach[one]}
        made = dict.fromkeys(_plain(row, concerned, words))
        made |= dict(_personal(row, concerned, people.get(row.id, ()), words))
        yield from ({"term": term, "seq": row.seq, "subject": subject} for term, subject in made.items())


def _objects(row: Any) -> frozenset[Pair]:
    """What the entry itself names. A body that is no entry any more is still found by the columns beside it."""
    named = {(row.object_kind, row.object_id)}
    for kind, value in _data(row.body).items():
        if kind.rstrip("s") in _NAMED:
            values = value if isinstance(value, list) else [value]
            named |= {(kind.rstrip("s"), v) for v in values if isinstance(v, str) and len(v) == 32}
    return frozenset(named)


def _data(body: bytes) -> dict[str, leaf.JSON]:
    try:
        return dict(leaf.parse(body).data)
    except AuditError:
        return {}


def _plain(row: Any, concerned: Iterable[Pair], words: Vocabulary) -> Iterator[bytes]:
    yield words.event(row.event)
    yield words.process(row.event.partition(".")[0])
    yield words.kind(row.object_kind)
    yield from (words.about(pair) for pair in concerned)
    if row.event in (REFUSED, REFUSED_STRANGERS):
        yield words.refusals()
    code = _data(row.body).get("code")
    if isinstance(code, str):
        yield words.code(code)


def _people(session: Session, ids: list[str]) -> dict[str, list[tuple[str, str, str]]]:
    found: dict[str, list[tuple[str, str, str]]] = {}
    columns = select(Personal.leaf_id, Personal.field, Personal.subject, Personal.value)
    for row in session.execute(columns.where(Personal.leaf_id.in_(ids))):
        found.setdefault(row.leaf_id, []).append((row.field, row.subject, row.value))
    return found


def _personal(
    row: Any, concerned: Iterable[Pair], values: Iterable[tuple[str, str, str]], words: Vocabulary
) -> Iterator[tuple[bytes, str]]:
    labels = {f"{_PEOPLE[kind]}:{identifier}" for kind, identifier in concerned if kind in _PEOPLE}
    labels |= {subject for _, subject, _ in values} | ({row.actor} if row.actor else set())
    yield from ((words.person(label), label) for label in labels)
    yield from ((words.value(value), subject) for name, subject, value in values if name in _VALUES)
    if row.event == COLLECTED and row.actor:
        yield words.fetched(row.actor), row.actor
        addresses = [value for name, _, value in values if name == "actor.ip"]
        yield from ((words.fetched(row.actor, value), row.actor) for value in addresses)


def _note_hours(session: Session, rows: Sequence[Any]) -> None:
    spans: dict[datetime, tuple[int, int]] = {}
    for row in rows:
        low, high = spans.get(hour_of(row.at), (row.seq, row.seq))
        spans[hour_of(row.at)] = min(low, row.seq), max(high, row.seq)
    for hour, (first, last) in spans.items():
        found = session.get(Hour, hour, populate_existing=True)
        if found is None:
            session.add(Hour(hour=hour, first=first, last=last))
        else:
            found.first, found.last = min(found.first, first), max(found.last, last)
    session.flush()


def _insert(session: Session, model: Any, values: list[dict[str, Any]]) -> None:
    dialect: Any = sqlite if session.get_bind().dialect.name == "sqlite" else postgresql
    session.execute(dialect.insert(model.__table__).on_conflict_do_nothing(), values)


def waiting(session: Session) -> int:
    """How many entries cannot be found by terms yet: those without a number and those the index has not reached."""
    reach = session.scalar(select(Indexed.size).where(Indexed.name == INDEX)) or 0
    numbered = session.scalar(select(func.max(Leaf.seq)))
    unnumbered = session.scalar(select(func.count()).select_from(Leaf).where(Leaf.seq.is_(None))) or 0
    return max(0, (-1 if numbered is None else numbered) + 1 - reach) + int(unnumbered)
