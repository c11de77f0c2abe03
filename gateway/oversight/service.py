"""The jobs of oversight: reading the log leaves an entry, parameters change by two people, messages are marked as read."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from gateway.audit.service import JSON, record
from gateway.db import locked, new_id
from gateway.deps import Deps
from gateway.errors import Invalid, NotFound, WrongState
from gateway.notify.models import Message
from gateway.oversight.filters import Wanted
from gateway.oversight.finding import understood
from gateway.oversight.indexing import catch_up
from gateway.oversight.rules import PARAMETER, own_addresses, typed
from gateway.policy.parameters import ParameterVersion, Value
from gateway.principal import Actor, Text
from gateway.workflow import move

EXPORTS = frozenset({"jsonl", "csv", "pdf", "zip", "evidence"})
_CLEAR = ("event", "kind", "object", "file", "copy")
_TURNS = 4


def note_reading(
    deps: Deps,
    what: str,
    wanted: Wanted | None,
    *,
    actor: Actor,
    now: datetime,
    about: tuple[str, str] | None = None,
) -> str:
    """Records that somebody is about to read the log or take it away, once a read; returns the entry's id.

    `what` is page, object, receipt, counts or a form of export; `about` the object read of. What has a number by then gets its
    search terms, so that the read finds it.
    """
    with deps.job(actor, "log.read", ("log", what), now) as session:
        event = "log.exported" if what in EXPORTS else "log.read"
        clear = _asked(wanted or Wanted())
        if about is not None:
            clear["about"] = list(about)
        asked = understood(session, wanted or Wanted(), deps.search)
        leaf = record(
            session,
            event,
            actor=actor,
            obj=("log", what),
            now=now,
            personal=asked.named,
            subject=asked.subject,
            **clear,
            **asked.clear,
        )
    catch_up(deps, _TURNS)
    return leaf


def _asked(wanted: Wanted) -> dict[str, Any]:
    given: dict[str, Any] = {f"wanted_{name}": getattr(wanted, name) for name in _CLEAR}
    given |= {
        "since": _stamp(wanted.since),
        "until": _stamp(wanted.until),
        "refusals": wanted.refusals or None,
    }
    return {name: value for name, value in given.items() if value is not None}


def _stamp(moment: datetime | None) -> str | None:
    return None if moment is None else moment.astimezone(UTC).isoformat()


def propose(
    deps: Deps,
    key: str,
    value: str,
    valid_from: datetime | None,
    reason: str | None,
    *,
    actor: Actor,
    now: datetime,
) -> str:
    """Proposes one parameter's new value from a moment on (ADM, R+, fresh factor); returns the proposal's id.

    Raises Invalid for an unknown key, a value outside its bounds or equal to the present one, and a time before now;
    WrongState when a change that starts later is confirmed already.
    """
    made = new_id()
    with deps.job(actor, "parameter.propose", ("parameter", made), now) as session:
        changes = _changes(deps, session, key, value, now)
        if valid_from is None or valid_from < now:
            raise Invalid("valid_from", Text("生效时间不能早于现在。", "It cannot start before now."))
        row = ParameterVersion(id=made, changes=changes, reason=(reason or "").strip(), proposed_by=actor.id)
        row.proposed_at, row.valid_from = now, valid_from
        extras: dict[str, Any] = {
            "changes": changes,
            "valid_from": _stamp(valid_from),
            "last_start": _last_start(session),
        }
        move(deps, session, PARAMETER, row, "propose", actor=actor, now=now, reason=reason, **extras)
    return made


def _changes(deps: Deps, session: Session, key: str, text: str, now: datetime) -> dict[str, JSON]:
    value = typed(key, text)
    if deps.parameters(session, now).values[key] == value:
        raise Invalid("value", Text("与现行值相同。", "This is the present value."))
    return {key: _plain(value)}


def _plain(value: Value) -> JSON:
    return list(value) if isinstance(value, tuple) else value


def _last_start(session: Session) -> datetime | None:
    query = select(func.max(ParameterVersion.valid_from)).where(ParameterVersion.state == "CONFIRMED")
    found: datetime | None = session.scalar(query)
    return found


def confirm(deps: Deps, version_id: str, *, actor: Actor, now: datetime) -> int:
    """Puts a proposal into the table under the next number (GM, another person, fresh factor); returns the number."""
    with deps.job(actor, "parameter.confirm", ("parameter", version_id), now) as session:
        row = _proposal(session, version_id)
        number = 1 + (session.scalar(select(func.max(ParameterVersion.number))) or 0)
        extras: dict[str, Any] = {
            "number": number,
            "changes": row.changes,
            "valid_from": _stamp(row.valid_from),
        }
        last = _last_start(session)
        with session.no_autoflush:
            row.number, row.confirmed_by = number, actor.id
            move(deps, session, PARAMETER, row, "confirm", actor=actor, now=now, last_start=last, **extras)
    return number


def decline(deps: Deps, version_id: str, reason: str | None, *, actor: Actor, now: datetime) -> None:
    """Refuses a proposal (GM, R+)."""
    _end(deps, version_id, "decline", reason, actor, now)


def withdraw(deps: Deps, version_id: str, reason: str | None, *, actor: Actor, now: datetime) -> None:
    """Takes a proposal back (ADM, R+)."""
    _end(deps, version_id, "withdraw", reason, actor, now)


def _end(deps: Deps, version_id: str, event: str, reason: str | None, actor: Actor, now: datetime) -> None:
    with deps.job(actor, f"parameter.{event}", ("parameter", version_id), now) as session:
        row = _proposal(session, version_id)
        move(deps, session, PARAMETER, row, event, actor=actor, now=now, reason=reason)


def _proposal(session: Session, version_id: str) -> ParameterVersion:
    # Every version is locked, in one order, so that two confirmations cannot take the same number.
    query = select(ParameterVersion.id).order_by(ParameterVersion.id).with_for_update()
    session.execute(query).all()
    row = locked(session, ParameterVersion, version_id)
    if row is None:
        raise NotFound
    if row.state != "PROPOSED":
        raise WrongState
    return row


def mark_read(deps: Deps, message_id: str, *, actor: Actor, now: datetime) -> None:
    """Marks one of the reader's messages as read; one to a role is thereby read for all who hold it. Raises NotFound."""
    with deps.job(actor, "message.read", ("message", message_id), now) as session:
        row = locked(session, Message, message_id)
        if row is None or (row.recipient_kind, row.recipient) not in own_addresses(actor):
            raise NotFound
        if row.read_at is None:
            row.read_at = now


def mark_all_read(deps: Deps, *, actor: Actor, now: datetime) -> int:
    """Marks the reader's own messages as read (those to a role stay for their other holders); returns how many."""
    kind = "contact" if actor.kind == "contact" else "account"
    mine = (Message.recipient_kind == kind) & (Message.recipient == actor.id)
    with deps.job(actor, "message.read", ("message", "all"), now) as session:
        rows = session.scalars(select(Message).where(mine, Message.read_at.is_(None))).all()
        for row in rows:
            row.read_at = now
    return len(rows)
