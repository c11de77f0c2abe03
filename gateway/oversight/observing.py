"""What the rules for alerts look at, read from the log by its index and from the log's own health."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import islice, pairwise
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from gateway.audit import anchors, note
from gateway.audit import queries as audit
from gateway.audit.errors import AuditError
from gateway.audit.models import Checkpoint, Leaf, Term
from gateway.audit.rows import LogEntry, entry_of
from gateway.audit.search import Search, hour_of, in_order, indexed_size
from gateway.audit.service import REFUSED_STRANGERS
from gateway.deps import Deps
from gateway.errors import TamperedRow
from gateway.oversight.alerts import HOUR, Deed, Observed, Step
from gateway.oversight.indexing import COLLECTED, Vocabulary
from gateway.release import clock_behind

LOOK_BACK = timedelta(days=1)
MOST = 5_000
_RECENT = 50


def observed(deps: Deps, session: Session, position: int, *, now: datetime) -> Observed:
    """Everything since the entry with the number `position`, and the hour before it; at most a day and MOST entries of a kind."""
    words = Vocabulary(deps.search)
    since = _since(session, position, now)
    refused = list(_found(session, Search((words.refusals(),), since=since)))
    fresh = rows_from(session, position)
    health = deps.log.health(now=now)
    return Observed(
        now=now,
        downloads=tuple(_downloads(session, since, words)),
        refusals=tuple(
            Deed(e.id, e.personal["actor.label"], e.at) for e in refused if "actor.label" in e.personal
        ),
        stranger_refusals=_strangers(refused),
        steps=tuple(_steps(fresh)),
        missing=tuple(_missing(session, fresh, position)),
        tampered=tuple(
            e.id for e in _found(session, Search((words.event("alert"), words.code(TamperedRow.code)), since))
        ),
        behind_s=clock_behind(session, now),
        unnumbered_s=health.oldest_unnumbered_s,
        heartbeat_s=health.checkpoint_age_s,
        unwitnessed_s=_unwitnessed(deps, session, now),
        anchor_failed=anchor_failure(session),
    )


def _since(session: Session, position: int, now: datetime) -> datetime:
    at = session.scalar(select(Leaf.at).where(Leaf.seq == position))
    return max(min(now, at or now) - HOUR, now - LOOK_BACK)


def _found(session: Session, wanted: Search) -> Iterator[LogEntry]:
    for row in islice(in_order(session, wanted, indexed_size(session)), MOST):
        try:
            yield entry_of(row)
        except AuditError:
            # The page of the log shows an entry that is none any more as broken; here it tells nothing.
            continue


def _downloads(session: Session, since: datetime, words: Vocabulary) -> Iterator[Deed]:
    for entry in _found(session, Search((words.event(COLLECTED),), since=since)):
        label = entry.personal.get("actor.label")
        if label is not None:
            yield Deed(entry.id, label, entry.at, _from_elsewhere(session, entry, label, words))


def _from_elsewhere(session: Session, entry: LogEntry, label: str, words: Vocabulary) -> bool:
    address = entry.personal.get("actor.ip")
    if address is None or not _before(session, words.fetched(label), entry.seq):
        return False
    return not _before(session, words.fetched(label, address), entry.seq)


def _before(session: Session, term: bytes, seq: int | None) -> bool:
    earlier = select(Term.seq).where(Term.term == term, Term.seq < (seq or 0)).limit(1)
    return session.scalar(earlier) is not None


def _strangers(refused: list[LogEntry]) -> dict[datetime, int]:
    counts: dict[datetime, int] = {}
    for entry in refused:
        count, minute = entry.data.get("count"), entry.data.get("minute")
        if entry.event == REFUSED_STRANGERS and isinstance(count, int) and isinstance(minute, str):
            hour = hour_of(datetime.fromisoformat(minute))
            counts[hour] = counts.get(hour, 0) + count
    return counts


def rows_from(session: Session, position: int) -> list[Any]:
    """Number, id and time of the entries from the one before `position` on, in order, at most MOST."""
    query = select(Leaf.seq, Leaf.id, Leaf.at).where(Leaf.seq >= max(0, position - 1))
    return list(session.execute(query.order_by(Leaf.seq).limit(MOST)).all())


def _steps(rows: list[Any]) -> Iterator[Step]:
    for before, after in pairwise(rows):
        back = int((before.at - after.at).total_seconds())
        if back > 0:
            yield Step(after.id, after.seq, back)


def _missing(session: Session, rows: list[Any], position: int) -> Iterator[int]:
    """The first number of every gap: before the first new entry, between two, or behind the last that was ever signed."""
    if rows and rows[0].seq > max(0, position - 1):
        yield max(0, position - 1)
    yield from (before.seq + 1 for before, after in pairwise(rows) if after.seq != before.seq + 1)
    signed = session.scalar(select(func.max(Checkpoint.size))) or 0
    highest = session.scalar(select(func.max(Leaf.seq)))
    beyond = 0 if highest is None else highest + 1
    if signed > beyond:
        yield beyond


def _unwitnessed(deps: Deps, session: Session, now: datetime) -> float | None:
    """Seconds since a checkpoint last had a witness's line; None where no witness is configured."""
    if not deps.settings.witnesses:
        return None
    recent = list(session.scalars(select(Checkpoint).order_by(Checkpoint.size.desc()).limit(_RECENT)))
    cosigned = [row.at for row in recent if cosigners(row.note)]
    if recent and not cosigned:
        return (now - recent[-1].at).total_seconds()
    return (now - max(cosigned)).total_seconds() if cosigned else None


def cosigners(signed: str) -> tuple[str, ...]:
    """The names on a checkpoint's signature lines besides the log's own; their keys are not checked here."""
    try:
        read = note.parse(signed)
        own = note.parse_head(read.text).origin
        return tuple(dict.fromkeys(line.name for line in read.signatures if line.name != own))
    except AuditError:
        return ()


def anchor_failure(session: Session) -> str | None:
    """The entry that says an anchor failed, while it is the newest word of the anchors; None otherwise."""
    newest = audit.page(session, audit.LogFilter(object=anchors.OBJECT), limit=1).entries
    return newest[0].id if newest and newest[0].event == anchors.FAILED else None
