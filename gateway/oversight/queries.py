"""Reads for the pages of the log: entries with words and proofs, the head, counts, health."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from gateway.audit import note, tiles, tree
from gateway.audit import queries as audit
from gateway.audit.errors import AuditError
from gateway.audit.models import Checkpoint, Leaf, StrangerCount
from gateway.audit.queries import LogFilter
from gateway.audit.rows import LogEntry
from gateway.audit.search import Search, search
from gateway.audit.service import REFUSED, REFUSED_STRANGERS
from gateway.deps import Deps
from gateway.errors import NotFound
from gateway.oversight import names, subjects, words
from gateway.oversight.filters import Wanted, of_object
from gateway.oversight.finding import searched
from gateway.oversight.indexing import waiting
from gateway.oversight.observing import anchor_failure, cosigners
from gateway.oversight.results import Counts, Head, Line, LogHealth, LogPage
from gateway.principal import Actor, Role, Text

PAGE = 50
COUNT_DAYS = 30
# What 行政部 handles, and whose entries it may therefore read one object at a time (policy.md §1).
CASEWORK = frozenset(
    {"account", "agreement", "bundle", "contact", "copy", "organisation", "parameter", "share", "template"}
)
_SHOWN_TO_CASEWORK = frozenset({"actor.label", "actor.name", "acting_for", "reason"})


def log_page(deps: Deps, wanted: Wanted, before: int | None = None) -> LogPage:
    """At most PAGE entries older than the cursor, newest first.

    Without a wish, by arrival and with those that wait for their number; otherwise those that have a number and their terms.
    """
    with deps.database.read() as session:
        if wanted == Wanted():
            page = audit.page(session, LogFilter(), before, PAGE)
            return LogPage(_lines(session, page.entries), page.before)
        found = search(session, searched(session, wanted, deps.search), before, PAGE)
        hidden = waiting(session) if before is None else 0
        return LogPage(_lines(session, found.entries), found.before, found.reached, hidden)


def matching(deps: Deps, session: Session, wanted: Wanted) -> LogFilter | Search:
    """What an export of these wishes holds."""
    return LogFilter() if wanted == Wanted() else searched(session, wanted, deps.search)


def object_page(
    deps: Deps, kind: str, identifier: str, before: int | None = None, *, actor: Actor
) -> LogPage:
    """The entries of one object; 行政部 sees those of its casework, without addresses. Raises NotFound for anything else."""
    full = actor.has(Role.AUD)
    if not full and kind not in CASEWORK:
        raise NotFound
    with deps.database.read() as session:
        found = audit.page(session, of_object(kind, identifier), before, PAGE)
        shown = LogPage(_lines(session, found.entries), found.before)
    if not shown.lines:
        raise NotFound
    return shown if full else replace(shown, lines=tuple(_narrowed(line) for line in shown.lines))


def one_entry(deps: Deps, leaf_id: str) -> Line:
    """One entry by its id; raises NotFound."""
    with deps.database.read() as session:
        found = audit.find(session, leaf_id)
        if found is None:
            raise NotFound
        return _lines(session, (found,))[0]


def _narrowed(line: Line) -> Line:
    known = {n: v for n, v in line.entry.personal.items() if n in _SHOWN_TO_CASEWORK}
    return replace(line, entry=replace(line.entry, personal=known))


def _lines(session: Session, entries: tuple[LogEntry, ...]) -> tuple[Line, ...]:
    numbers = names.numbers(session, [e.object for e in entries])
    bodies = {
        r.id: r.body
        for r in session.execute(select(Leaf.id, Leaf.body).where(Leaf.id.in_([e.id for e in entries])))
    }
    prover = _Prover(session)
    return tuple(
        _line(entry, numbers.get(entry.object), tree.leaf_hash(bodies[entry.id]), prover) for entry in entries
    )


class _Prover:
    """Inclusion proofs under the last checkpoint, each checked against its root before it is shown."""

    def __init__(self, session: Session) -> None:
        head = _last_checkpoints(session, 1)
        self._size, self._root = (head[0].size, head[0].root) if head else (0, tree.EMPTY_ROOT)
        self._node = tiles.Tiles(session).node
        self._session, self._lines = session, dict[int, tuple[str, ...]]()

    def cosigners(self, size: int | None) -> tuple[str, ...]:
        """Whose lines stand on the checkpoint of this size besides the log's own; their keys are not checked here."""
        if size is None:
            return ()
        if size not in self._lines:
            signed = self._session.scalar(select(Checkpoint.note).where(Checkpoint.size == size))
            self._lines[size] = () if signed is None else cosigners(signed)
        return self._lines[size]

    def path(self, leaf_hash: bytes, seq: int | None) -> list[bytes] | None:
        """The proof; None while the entry waits. Raises AuditError when the stored tree does not hold the entry."""
        if seq is None or seq >= self._size:
            return None
        path = tree.inclusion(self._node, seq, self._size)
        tree.verify_inclusion(leaf_hash, seq, self._size, path, self._root)
        return path


def _line(entry: LogEntry, number: str | None, leaf_hash: bytes, prover: _Prover) -> Line:
    try:
        path, broken = prover.path(leaf_hash, entry.seq), bool(entry.tampered)
    except AuditError:
        path, broken = None, True
    kind = entry.object[0]
    return Line(
        entry=entry,
        event=words.event_text(entry.event),
        kind=words.kind_text(kind),
        number=number,
        source=None if entry.source is None else words.state_text(kind, entry.source),
        target=None if entry.target is None else words.state_text(kind, entry.target),
        name=entry.personal.get("actor.name", ""),
        label=entry.personal.get("actor.label"),
        data=_pairs(entry.data),
        leaf_hash=leaf_hash.hex(),
        path=tuple(h.hex() for h in path or ()),
        proof="broken" if broken else "waiting" if path is None else "proved",
        cosigners=prover.cosigners(entry.checkpoint),
    )


def _pairs(data: Mapping[str, object]) -> tuple[tuple[str, str], ...]:
    return tuple(
        (n, v if isinstance(v, str) else json.dumps(v, ensure_ascii=False)) for n, v in sorted(data.items())
    )


def head(deps: Deps) -> Head | None:
    """The last checkpoint, checked against its signature, the stored tree and the checkpoint before; None before the first."""
    with deps.database.read() as session:
        found = _last_checkpoints(session, 2)
        if not found:
            return None
        waiting = session.scalar(select(func.count()).select_from(Leaf).where(Leaf.seq.is_(None))) or 0
        last = found[0]
        key = note.parse_key(deps.log.vkey)
        return Head(
            size=last.size,
            at=last.at,
            root=last.root.hex(),
            origin=key.name,
            vkey=deps.log.vkey,
            sound=_sound(session, last, key),
            extends=_extends(session, found[1], last) if len(found) > 1 else None,
            waiting=waiting,
            cosigners=cosigners(last.note),
            anchor_failed=anchor_failure(session) is not None,
        )


def _last_checkpoints(session: Session, count: int) -> list[Checkpoint]:
    usable = select(Checkpoint).where(Checkpoint.usable_at.is_not(None))
    return list(session.scalars(usable.order_by(Checkpoint.size.desc()).limit(count)))


def _sound(session: Session, row: Checkpoint, key: note.Key) -> bool:
    try:
        signed = note.open_checkpoint(row.note, [key])
        stored = tree.root(tiles.Tiles(session).node, row.size)
    except AuditError:
        return False
    return (signed.size, signed.root) == (row.size, row.root) and stored == row.root


def _extends(session: Session, old: Checkpoint, new: Checkpoint) -> bool:
    try:
        path = tree.consistency(tiles.Tiles(session).node, old.size, new.size)
        tree.verify_consistency(old.size, old.root, new.size, new.root, path)
    except AuditError:
        return False
    return True


def has_entry(deps: Deps, leaf_id: str) -> bool:
    """Whether there is such an entry."""
    with deps.database.read() as session:
        return session.scalar(select(Leaf.id).where(Leaf.id == leaf_id)) is not None


def counts(deps: Deps, *, now: datetime) -> Counts:
    """How much happened in the last 30 days, most frequent first."""
    since = now - timedelta(days=COUNT_DAYS)
    with deps.database.read() as session:
        many = func.count().label("many")
        query = (
            select(Leaf.event, many)
            .where(Leaf.at >= since)
            .group_by(Leaf.event)
            .order_by(many.desc(), Leaf.event)
        )
        rows = [(row.event, int(row.many)) for row in session.execute(query)]
    refused = sum(n for event, n in rows if event in (REFUSED, REFUSED_STRANGERS))
    shown = tuple((words.event_text(event), n) for event, n in rows)
    return Counts(since, shown, sum(n for _, n in rows), refused)


def health(deps: Deps, *, now: datetime) -> LogHealth:
    """Numbers about the log itself, nothing of what stands in it."""
    state = deps.log.health(now=now)
    with deps.database.read() as session:
        last = _last_checkpoints(session, 1)
        unnumbered = session.scalar(select(func.count()).select_from(Leaf).where(Leaf.seq.is_(None))) or 0
        # Numbers have no gaps, or an alert tells of them: the last one counts the entries without reading them.
        highest = session.scalar(select(func.max(Leaf.seq)))
        return LogHealth(
            writable=state.writable,
            ok=state.ok,
            entries=unnumbered + (0 if highest is None else highest + 1),
            waiting=unnumbered,
            oldest_s=int(state.oldest_unnumbered_s),
            checkpoint_size=last[0].size if last else None,
            checkpoint_at=last[0].at if last else None,
            checkpoint_age_s=None if state.checkpoint_age_s is None else int(state.checkpoint_age_s),
            checkpoints=session.scalar(select(func.count()).select_from(Checkpoint)) or 0,
            strangers_waiting=session.scalar(select(func.sum(StrangerCount.count - StrangerCount.flushed)))
            or 0,
        )


def export(deps: Deps, wanted: Wanted, form: str) -> Iterator[bytes]:
    """The matching entries as a file, piece by piece: `jsonl` can be verified offline, `csv` opens in a spreadsheet."""
    written = {"jsonl": audit.export_jsonl, "csv": audit.export_csv}[form]
    with deps.database.read() as session:
        yield from written(session, matching(deps, session, wanted))


def reports(deps: Deps, wanted: Wanted) -> tuple[tuple[tuple[str, str], Text, str], ...]:
    """What an evidence report can be made about, of what was looked for: its id, its kind and its number."""
    with deps.database.read() as session:
        found = subjects.subjects(session, wanted)
        return tuple((pair, words.kind_text(pair[0]), subjects.facts(session, pair)[0]) for pair in found)


def require_subject(deps: Deps, about: tuple[str, str]) -> None:
    """Raises NotFound for what no evidence report is made about."""
    with deps.database.read() as session:
        subjects.facts(session, about)
