"""Writing the log: entries inside the caller's transaction, refusals in their own, strangers by the minute; erasing a person.

The log itself (numbering, checkpoints, receipts) is `Log`, kept in gateway/audit/log.py and offered here to the rooms.
"""

import secrets
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Insert, Table, delete, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from gateway.audit.leaf import JSON, SALT_BYTES, Entry, commitment, storable
from gateway.audit.log import Health, Log
from gateway.audit.models import Indexed, Leaf, Personal, StrangerCount, Term
from gateway.audit.sequencer import CheckpointView
from gateway.db import Database, new_id
from gateway.principal import SYSTEM, Actor

__all__ = [
    "JSON",
    "CheckpointView",
    "Health",
    "Log",
    "columns",
    "count_stranger",
    "erase",
    "flush_strangers",
    "record",
    "record_refusal",
]

REFUSED = "refused"
REFUSED_STRANGERS = "refused.strangers"
_AGENT_CHARS = 512
_MINUTE = timedelta(minutes=1)
_KEEP_COUNTS = timedelta(days=1)


def _into(model: type[Any]) -> Insert:
    table: Table = model.__table__
    return insert(table)


# Built once: entries are written in every transaction, and statements made anew each time cost more than the writing.
_INSERT_LEAF = _into(Leaf)
_INSERT_PERSONAL = _into(Personal)
# On PostgreSQL one statement and so one round trip writes both.
_INSERT_BOTH = """WITH entry AS (
INSERT INTO audit_leaf (id, body, event, object_kind, object_id, share, actor, at)
VALUES (%(id)s, %(body)s, %(event)s, %(object_kind)s, %(object_id)s, %(share)s, %(actor)s, %(at)s))
INSERT INTO audit_personal (leaf_id, field, subject, salt, value)
SELECT %(id)s, * FROM unnest(%(field)s::text[], %(subject)s::text[], %(salt)s::bytea[], %(value)s::text[])"""


def record(
    session: Session,
    event: str,
    *,
    actor: Actor,
    obj: tuple[str, str],
    now: datetime,
    source: str | None = None,
    target: str | None = None,
    reason: str | None = None,
    acting_for: str | None = None,
    personal: Mapping[str, str] | None = None,
    subject: str | None = None,
    **data: JSON,
) -> str:
    """Inserts one unnumbered entry into the caller's transaction and returns its random id (32 hex digits).

    `obj` is (kind, id). Who acted (label, name, address, user agent), for whom, the reason and every `personal` field stand in
    the entry as salted commitments only; their values belong to the actor, or to `subject` (a label) where given for `personal`,
    and go when that person is erased. `data` is kept in clear for ever: no personal data there.
    Raises MalformedEntry when data cannot be written as canonical JSON or the entry would reach 64 KiB.
    """
    leaf_id = new_id()
    rows = [
        _committed(leaf_id, *f)
        for f in _personal(actor, reason, acting_for, personal or {}, subject or actor.label)
    ]
    entry = Entry(
        id=leaf_id,
        at=now,
        event=storable(event),
        object=(storable(obj[0]), storable(obj[1])),
        actor=actor.kind,
        source=source,
        target=target,
        data=data,
        personal={row["field"]: commitment(row["salt"], row["field"], row["value"]) for row in rows},
    )
    body = entry.encode()
    _insert(session, {"body": body, "actor": _cut(actor.label), **columns(entry)}, rows)
    return leaf_id


def _insert(session: Session, entry: dict[str, Any], rows: list[dict[str, Any]]) -> None:
    if session.get_bind().dialect.name == "sqlite":
        session.execute(_INSERT_LEAF, entry)
        session.execute(_INSERT_PERSONAL, rows)
        return
    fields = {name: [row[name] for row in rows] for name in ("field", "subject", "salt", "value")}
    session.connection().exec_driver_sql(_INSERT_BOTH, {**entry, **fields})


def _personal(
    actor: Actor, reason: str | None, acting_for: str | None, given: Mapping[str, str], subject: str
) -> list[tuple[str, str, str]]:
    own = {
        "actor.label": actor.label,
        "actor.name": actor.name,
        "actor.ip": actor.ip,
        "actor.agent": actor.agent[:_AGENT_CHARS],
        "reason": reason or "",
    }
    fields = [(name, value, actor.label) for name, value in own.items() if value]
    if acting_for:
        fields.append(("acting_for", acting_for, acting_for if ":" in acting_for else f"staff:{acting_for}"))
    return fields + [(f"personal.{name}", value, subject) for name, value in given.items()]


def _committed(leaf_id: str, name: str, value: str, subject: str) -> dict[str, Any]:
    return {
        "leaf_id": leaf_id,
        "field": _cut(name, 80),
        "subject": _cut(subject),
        "salt": secrets.token_bytes(SALT_BYTES),
        "value": storable(value),
    }


def _cut(text: str, chars: int = 200) -> str:
    return storable(text)[:chars]


def columns(entry: Entry) -> dict[str, Any]:
    """The filter columns that repeat an entry; long texts are cut to the column."""
    kind, identifier = entry.object
    share = identifier if kind == "share" else entry.data.get("share")
    return {
        "id": entry.id,
        "event": _cut(entry.event, 80),
        "object_kind": _cut(kind, 80),
        "object_id": _cut(identifier),
        "share": _cut(share) if isinstance(share, str) else None,
        "at": entry.at,
    }


def record_refusal(
    database: Database,
    code: str,
    *,
    actor: Actor,
    obj: tuple[str, str],
    now: datetime,
    reason: str | None = None,
    personal: Mapping[str, str] | None = None,
    subject: str | None = None,
    **data: JSON,
) -> str:
    """Records a refusal in a transaction of its own and returns the entry's id; a stranger's is only counted ("" then)."""
    if actor.kind == "stranger":
        count_stranger(database, code, now=now)
        return ""
    with database.write() as session:
        return record(
            session,
            REFUSED,
            actor=actor,
            obj=obj,
            now=now,
            source=None,
            target=None,
            reason=reason,
            acting_for=None,
            personal=personal,
            subject=subject,
            code=code,
            **data,
        )


def count_stranger(database: Database, code: str, *, now: datetime) -> None:
    """Counts one refusal of somebody unknown in its minute, so that nobody can flood the log."""
    minute = now.astimezone(UTC).replace(second=0, microsecond=0)
    with database.write() as session:
        session.execute(_count_one(database, minute, _cut(code, 80)))


def _count_one(database: Database, minute: datetime, code: str) -> Insert:
    values = {"minute": minute, "code": code, "count": 1, "flushed": 0}
    more = {"count": StrangerCount.count + 1}
    keys = ["minute", "code"]
    if database.is_sqlite:
        return sqlite.insert(StrangerCount).values(values).on_conflict_do_update(keys, set_=more)
    return (
        postgresql.insert(StrangerCount).values(values).on_conflict_do_update(index_elements=keys, set_=more)
    )


def flush_strangers(database: Database, *, now: datetime) -> list[str]:
    """Writes one entry for each elapsed minute and code with what was counted since the last time; returns their ids."""
    elapsed = now.astimezone(UTC).replace(second=0, microsecond=0)
    with database.write() as session:
        waiting = session.scalars(
            select(StrangerCount)
            .where(StrangerCount.minute < elapsed, StrangerCount.count > StrangerCount.flushed)
            .order_by(StrangerCount.minute, StrangerCount.code)
            .with_for_update()
            .execution_options(populate_existing=True)
        ).all()
        leaves = [_flush(session, row, now) for row in waiting]
        session.flush()
        session.execute(
            delete(StrangerCount).where(
                StrangerCount.minute < elapsed - _KEEP_COUNTS, StrangerCount.count == StrangerCount.flushed
            )
        )
    return leaves


def _flush(session: Session, row: StrangerCount, now: datetime) -> str:
    fresh = row.count - row.flushed
    row.flushed = row.count
    return record(
        session,
        REFUSED_STRANGERS,
        actor=SYSTEM,
        obj=("stranger", row.code),
        now=now,
        code=row.code,
        minute=row.minute.isoformat(),
        count=fresh,
    )


def erase(session: Session, subject: str) -> int:
    """Removes every salt, value and search term of a person (a label such as `contact:…`); returns how many fields went.

    The entries and their commitments stay, so every proof still holds; nobody can tell any more whom they speak of.
    """
    subject = _cut(subject)
    gone = session.execute(delete(Personal).where(Personal.subject == subject)).rowcount  # type: ignore[attr-defined]
    session.execute(update(Leaf).where(Leaf.actor == subject).values(actor=None))
    # Whoever adds terms holds this lock, so that none of them is made of values read before they went.
    session.execute(select(Indexed.name).with_for_update()).all()
    session.execute(delete(Term).where(Term.subject == subject))
    return int(gone)
