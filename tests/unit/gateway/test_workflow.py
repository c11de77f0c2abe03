"""The one language of processes: every state, event and role of every table is walked; what `move` refuses and does."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import String, create_engine, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from gateway.audit.leaf import parse
from gateway.audit.models import Leaf
from gateway.db import Base
from gateway.deps import Event
from gateway.errors import Invalid, NotAllowed, Refused, StaleFactor, WrongState
from gateway.notify.models import Message
from gateway.notify.service import Recipient
from gateway.policy.parameters import Parameters, defaults
from gateway.principal import SYSTEM, Actor, Role, Text
from gateway.workflow import Move, Process, State, Step, Timeout, expire, move, require_fresh

GATEWAY = Path(__file__).parents[3] / "gateway"
NOW = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
WHY = "理由写满十个字以上才可以"
EVERY_ROLE = frozenset(Role)


def tables() -> list[Process]:
    """Every process of every room, once."""
    found = {}
    for path in sorted(GATEWAY.glob("*/rules.py")):
        module = import_module(f"gateway.{path.parent.name}.rules")
        found.update({v.name: v for v in vars(module).values() if isinstance(v, Process)})
    return list(found.values())


class Apart(DeclarativeBase):
    """Rows of this test only."""


class Thing(Apart):
    """What a process moves."""

    __tablename__ = "thing"
    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    state: Mapped[str]
    leaf: Mapped[str]


@dataclass
class Parts:
    """As much of Deps as `move` uses."""

    told: list[Event] = field(default_factory=list)

    def parameters(self, session: Session, now: datetime) -> Parameters:
        """The defaults."""
        return defaults()

    def publish(self, session: Session, event: Event) -> None:
        """Keeps what was published."""
        self.told.append(event)


@pytest.fixture
def session() -> Iterator[Session]:
    """An empty database in memory."""
    engine = create_engine("sqlite://")
    Base.metadata.create_all(engine)
    Apart.metadata.create_all(engine)
    with Session(engine, expire_on_commit=False) as made:
        yield made
    engine.dispose()


def actor(*roles: Role, mfa: datetime | None = NOW) -> Actor:
    """Somebody with these roles."""
    kind = "contact" if roles == (Role.PTN,) else "staff"
    return Actor(kind, "a" * 32, "somebody", frozenset(roles), mfa_at=mfa)  # type: ignore[arg-type]


def thing(state: str) -> Any:
    """A row in a state."""
    return Thing(id="b" * 32, state=state, leaf="0" * 32)


def bare(process: Process) -> Process:
    """The table without the guards, tellers and extras, which look at a room's own rows."""
    return replace(process, moves=tuple(replace(m, guards=(), tells=(), records=()) for m in process.moves))


def attempt(session: Session, process: Process, state: str, event: str, who: Actor, **more: Any) -> Any:
    """One attempt, rolled back: the row's new state and its entry, or the refusal."""
    row, parts = thing(state), Parts()
    try:
        leaf = move(parts, session, process, row, event, actor=who, now=NOW, reason=WHY, **more)  # type: ignore[arg-type]
        entry = parse(session.scalars(select(Leaf.body).where(Leaf.id == leaf)).one())
        assert (row.leaf, entry.event, entry.object) == (
            leaf,
            f"{process.name}.{event}",
            (process.name, row.id),
        )
        assert [e.name for e in parts.told] == [f"{process.name}.{event}"]
        return (entry.source, entry.target, row.state)
    except Refused as refusal:
        assert (row.state, row.leaf) == (state, "0" * 32)
        assert not parts.told
        return type(refusal)
    finally:
        session.rollback()
        session.expunge_all()


def expected(process: Process, state: str, event: str, who: Actor) -> Any:
    """What the table says of it."""
    rows = [m for m in process.moves if m.event == event and state in m.sources]
    if not rows:
        return WrongState
    (row,) = rows
    allowed = row.who is None or row.system if who is SYSTEM else row.who is not None and who.has(*row.who)
    return (state or None, row.target, row.target) if allowed else NotAllowed


@pytest.mark.parametrize("process", tables(), ids=lambda p: p.name)
def test_every_state_event_and_role_does_what_the_table_says(session: Session, process: Process) -> None:
    walked = bare(process)
    people = [SYSTEM, actor(), *(actor(role) for role in Role), Actor("stranger", "")]
    outcomes = set()
    for state in ("", *process.states):
        for event in sorted({m.event for m in process.moves}):
            for who in people:
                found = attempt(session, walked, state, event, who)
                assert found == expected(process, state, event, who), (state, event, who.roles)
                outcomes.add(found if isinstance(found, type) else tuple)
    assert outcomes == {tuple, NotAllowed, WrongState}


@pytest.mark.parametrize("process", tables(), ids=lambda p: p.name)
def test_every_table_is_sound(process: Process) -> None:
    pairs = [(source, m.event) for m in process.moves for source in m.sources]
    assert len(pairs) == len(set(pairs))
    reached = {""}
    while True:
        more = {m.target for m in process.moves if reached & set(m.sources)} - reached
        if not more:
            break
        reached |= more
    assert reached - {""} == set(process.states)
    for row in process.moves:
        assert set(row.sources) <= {"", *process.states}
        assert row.target in process.states
        assert row.button.zh
        assert row.button.en
        assert row.who != frozenset()
        # An auditor writes nothing (policy.md §1, separation of duties 3).
        assert row.who is None or Role.AUD not in row.who
        assert not [s for s in row.sources if s and process.states[s].final]
    for timeout in process.timeouts:
        found = process.find(timeout.state, timeout.event)
        assert found is not None
        assert found.who is None or found.system


@pytest.mark.parametrize("process", tables(), ids=lambda p: p.name)
def test_what_wants_a_reason_or_a_fresh_factor_gets_it(session: Session, process: Process) -> None:
    walked = bare(process)
    for row in walked.moves:
        if row.who is None:
            continue
        role = next(iter(row.who))
        if row.reason:
            parts: Any = Parts()
            with pytest.raises(Invalid):
                move(
                    parts,
                    session,
                    walked,
                    thing(row.sources[0]),
                    row.event,
                    actor=actor(role),
                    now=NOW,
                    reason="  kurz  ",
                )
            session.rollback()
            session.expunge_all()
        old = actor(role, mfa=NOW - timedelta(minutes=10, seconds=1))
        found = attempt(session, walked, row.sources[0], row.event, old)
        assert (found is StaleFactor) == row.fresh


ANY = frozenset({Role.BIZ})
HELD: list[Step] = []


def _hold(step: Step) -> Refused | None:
    HELD.append(step)
    return Refused("HELD") if step.extras.get("held") else None


def _tell(step: Step) -> Sequence[tuple[str, Sequence[Recipient], dict[str, str]]]:
    return [("copy.downloaded", [Recipient("account", "c" * 32)], {"copy": str(step.extras["copy"])})]


TOY = Process(
    "toy",
    {"OPEN": State(Text("开", "Open")), "DONE": State(Text("完", "Done"), final=True)},
    (
        Move(
            ("",),
            "open",
            "OPEN",
            Text("开", "Open"),
            who=ANY,
            guards=(_hold,),
            records=("copy",),
            tells=(_tell,),
        ),
        Move(("OPEN",), "end", "DONE", Text("完", "End"), reason=False),
    ),
    (Timeout("OPEN", "end", lambda row: NOW if row.leaf != "never" else None),),
)


def test_a_move_records_notifies_and_publishes_in_one_transaction(session: Session) -> None:
    row, parts = Thing(), Parts()
    row.state = ""
    deps: Any = parts
    leaf = move(
        deps,
        session,
        TOY,
        row,
        "open",
        actor=actor(Role.BIZ),
        now=NOW,
        acting_for="d" * 32,
        copy="F1",
        other="x",
    )
    entry = parse(session.scalars(select(Leaf.body).where(Leaf.id == leaf)).one())
    # Only what the table names is kept in clear.
    assert entry.data == {"copy": "F1"}
    assert "acting_for" in entry.personal
    assert len(row.id) == 32
    assert session.scalars(select(Message)).one().fields == {"copy": "F1"}
    assert parts.told[0].data == {"copy": "F1", "other": "x"}
    session.rollback()
    assert not session.scalars(select(Leaf)).all()
    assert not session.scalars(select(Message)).all()


def test_a_guard_stops_the_move_before_anything_is_written(session: Session) -> None:
    HELD.clear()
    deps: Any = Parts()
    with pytest.raises(Refused) as refusal:
        move(deps, session, TOY, thing(""), "open", actor=actor(Role.BIZ), now=NOW, copy="F1", held=True)
    assert refusal.value.code == "HELD"
    assert not session.scalars(select(Leaf)).all()
    # Whoever may not move at all is told nothing of the guards.
    with pytest.raises(NotAllowed):
        move(deps, session, TOY, thing(""), "open", actor=actor(Role.AUD), now=NOW, copy="F1", held=True)
    assert len(HELD) == 1


def test_a_move_without_what_it_records_is_a_fault_of_the_program(session: Session) -> None:
    deps: Any = Parts()
    with pytest.raises(KeyError, match="copy"):
        move(deps, session, TOY, thing(""), "open", actor=actor(Role.BIZ), now=NOW)


def test_timeouts_fire_once_and_only_when_due(session: Session) -> None:
    deps: Any = Parts()
    due, ended, never = (
        thing("OPEN"),
        Thing(id="c" * 32, state="DONE", leaf="0"),
        Thing(id="d" * 32, state="OPEN", leaf="never"),
    )
    session.add_all([due, ended, never])
    session.flush()
    rows = [due, ended, never]
    assert expire(deps, session, TOY, rows, actor=SYSTEM, now=NOW - timedelta(seconds=1)) == 0
    assert expire(deps, session, TOY, rows, actor=SYSTEM, now=NOW) == 1
    assert expire(deps, session, TOY, rows, actor=SYSTEM, now=NOW) == 0
    assert [r.state for r in rows] == ["DONE", "DONE", "OPEN"]


def test_offered_are_the_moves_of_ones_roles() -> None:
    assert [m.event for m in TOY.offered("", actor(Role.BIZ))] == ["open"]
    assert TOY.offered("", actor(Role.AUD)) == ()
    assert TOY.offered("OPEN", actor(*EVERY_ROLE)) == ()


@pytest.mark.parametrize(
    ("mfa", "fresh"),
    [
        (NOW, True),
        (NOW - timedelta(minutes=10), True),
        (NOW - timedelta(minutes=10, microseconds=1), False),
        (NOW + timedelta(microseconds=1), False),
        (None, False),
    ],
)
def test_a_second_factor_is_fresh_for_ten_minutes(
    session: Session, mfa: datetime | None, fresh: bool
) -> None:
    deps: Any = Parts()
    if fresh:
        require_fresh(deps, session, actor(mfa=mfa), NOW)
    else:
        with pytest.raises(StaleFactor):
            require_fresh(deps, session, actor(mfa=mfa), NOW)


def test_the_diagram_shows_every_way() -> None:
    assert (
        TOY.mermaid() == "stateDiagram-v2\n    [*] --> OPEN: open\n    OPEN --> DONE: end\n    DONE --> [*]\n"
    )
