"""The one language of processes (policy.md §3): states, events, guards, who may, what is recorded, who is
told, time-outs.

A process is a value; `move` is the only function that changes a row's state.
It checks, writes the log entry, changes the row,
notifies and publishes, all in the caller's one transaction.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal, Protocol

from sqlalchemy.orm import Session

from gateway.audit.service import record
from gateway.db import new_id
from gateway.deps import Deps, Event, require_reason
from gateway.errors import NotAllowed, Refused, StaleFactor, WrongState
from gateway.notify.service import Recipient, tell
from gateway.principal import Actor, Role, Text

Tone = Literal["ok", "wait", "fail", "info", ""]


class Stateful(Protocol):
    """What a process moves: a row with an id, a state and the id of its last log entry."""

    id: str
    state: str
    leaf: str


@dataclass(frozen=True)
class State:
    """A state's words and the tone of its pill; `final` states have no way out."""

    text: Text
    tone: Tone = ""
    final: bool = False


@dataclass(frozen=True)
class Step:
    """One attempt to move: what guards, tellers and targets look at."""

    deps: Deps
    session: Session
    row: Any
    actor: Actor
    now: datetime
    reason: str | None
    extras: Mapping[str, Any]


Guard = Callable[[Step], Refused | None]
Teller = Callable[[Step], Sequence[tuple[str, Sequence[Recipient], Mapping[str, str]]]]


@dataclass(frozen=True)
class Move:
    """One row of a process table. `sources` holds "" for a start. `who` None: only the system.
    `records` are extras the entry must hold.

    `system`: the gateway itself may also do it, when a subscriber follows from something else.
    `act`: binds or releases, drawn as a seal.
    `guards` say why not (a Refused) or None; `tells` give (event, recipients, fields) for the notifications.
    """

    sources: tuple[str, ...]
    event: str
    target: str
    button: Text
    who: frozenset[Role] | None = None
    guards: tuple[Guard, ...] = ()
    reason: bool = False
    fresh: bool = False
    records: tuple[str, ...] = ()
    tells: tuple[Teller, ...] = ()
    act: bool = False
    system: bool = False


@dataclass(frozen=True)
class Timeout:
    """A state that ends by itself: `due` gives the moment for a row (None: never), `event` what then happens."""

    state: str
    event: str
    due: Callable[[Any], datetime | None]


@dataclass(frozen=True)
class Process:
    """A whole table: `name` is also the kind of its objects in the log and of its events (`share.submit`)."""

    name: str
    states: Mapping[str, State]
    moves: tuple[Move, ...]
    timeouts: tuple[Timeout, ...] = field(default_factory=tuple)

    def find(self, state: str, event: str) -> Move | None:
        """The row for an event from a state; None when there is none."""
        return next((m for m in self.moves if m.event == event and state in m.sources), None)

    def offered(self, state: str, actor: Actor) -> tuple[Move, ...]:
        """The moves that this actor's roles allow from a state; guards may still refuse."""
        return tuple(m for m in self.moves if state in m.sources and m.who is not None and actor.has(*m.who))

    def events(self) -> tuple[str, ...]:
        """The names under which its moves stand in the log."""
        return tuple(dict.fromkeys(f"{self.name}.{m.event}" for m in self.moves))

    def mermaid(self) -> str:
        """The table as a Mermaid state diagram."""
        lines = ["stateDiagram-v2"]
        for move in self.moves:
            for source in move.sources:
                lines.append(f"    {source or '[*]'} --> {move.target}: {move.event}")
        lines += [f"    {name} --> [*]" for name, state in self.states.items() if state.final]
        return "\n".join(lines) + "\n"


def move(
    deps: Deps,
    session: Session,
    process: Process,
    row: Any,
    event: str,
    *,
    actor: Actor,
    now: datetime,
    reason: str | None = None,
    acting_for: str | None = None,
    **extras: Any,
) -> str:
    """Moves a locked row by one event and returns the id of its log entry.

    Raises WrongState when the table has no such row, NotAllowed when the actor's roles do not fit, StaleFactor
    when the move
    needs a fresh second factor, Invalid when the reason is missing, and whatever Refused a guard answers.
    """
    source = row.state or ""
    row.id = row.id or new_id()
    found = process.find(source, event)
    if found is None:
        raise WrongState
    reason = require_reason(reason) if found.reason else reason
    step = Step(deps, session, row, actor, now, reason, extras)
    # What the caller set on a guarded row may reach the database only together with the entry that is written here.
    with session.no_autoflush:
        _check(found, step)
        leaf = _record(process, found, step, source, acting_for)
        row.state, row.leaf = found.target, leaf
    session.add(row)
    session.flush()
    _notify(found, step)
    deps.publish(
        session, Event(f"{process.name}.{event}", (process.name, row.id), now, actor, leaf, dict(extras))
    )
    return leaf


def _check(found: Move, step: Step) -> None:
    actor = step.actor
    allowed = (
        found.system or found.who is None
        if actor.kind == "system"
        else found.who is not None and actor.has(*found.who)
    )
    if not allowed:
        raise NotAllowed
    if found.fresh:
        require_fresh(step.deps, step.session, actor, step.now)
    for guard in found.guards:
        refusal = guard(step)
        if refusal is not None:
            raise refusal


def require_fresh(deps: Deps, session: Session, actor: Actor, now: datetime) -> None:
    """Raises StaleFactor unless the actor's second factor is at most mfa.fresh_min old."""
    limit = timedelta(minutes=deps.parameters(session, now)["mfa.fresh_min"])
    if actor.mfa_at is None or not timedelta(0) <= now - actor.mfa_at <= limit:
        raise StaleFactor


def _record(process: Process, found: Move, step: Step, source: str, acting_for: str | None) -> str:
    missing = [name for name in found.records if name not in step.extras]
    if missing:
        raise KeyError(f"{process.name}.{found.event} records {missing}")
    data = {k: v for k, v in step.extras.items() if k in found.records}
    return record(
        step.session,
        f"{process.name}.{found.event}",
        actor=step.actor,
        obj=(process.name, step.row.id),
        now=step.now,
        source=source or None,
        target=found.target,
        reason=step.reason,
        acting_for=acting_for,
        **data,
    )


def _notify(found: Move, step: Step) -> None:
    for teller in found.tells:
        for event, recipients, fields in teller(step):
            tell(step.session, event, recipients, now=step.now, fields=fields)


def expire(
    deps: Deps, session: Session, process: Process, rows: Sequence[Any], *, actor: Actor, now: datetime
) -> int:
    """Fires the time-outs that are due among rows (already locked); idempotent; returns how many moved."""
    moved = 0
    for row in rows:
        for timeout in process.timeouts:
            due = timeout.due(row) if row.state == timeout.state else None
            if due is not None and due <= now:
                move(deps, session, process, row, timeout.event, actor=actor, now=now)
                moved += 1
    return moved
