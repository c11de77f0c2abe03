"""Reads for the page of parameters."""

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from gateway.deps import Deps
from gateway.identity.models import Account
from gateway.oversight.parameter_words import PARAMETER_TEXT
from gateway.oversight.results import Change, ParameterLine, ParameterPage
from gateway.policy.parameters import DEFINITIONS, Definition, Parameters, ParameterVersion, checked
from gateway.principal import Actor

DECIDED = 50


def parameter_page(deps: Deps, *, actor: Actor, now: datetime) -> ParameterPage:
    """The table as it stands, what waits for confirmation, and the last changes. Raises TamperedRow."""
    with deps.database.read() as session:
        present = deps.parameters(session, now)
        rows = session.scalars(select(ParameterVersion).order_by(ParameterVersion.proposed_at.desc())).all()
        names = _names(session, rows)
    changes = [_change(row, names, actor, now) for row in rows]
    coming = sorted(
        (row for row in rows if row.state == "CONFIRMED" and row.valid_from > now),
        key=lambda row: row.number or 0,
    )
    return ParameterPage(
        version=present.version,
        lines=tuple(_line(d, present, coming) for d in DEFINITIONS.values()),
        waiting=tuple(c for c in changes if c.state == "PROPOSED"),
        decided=tuple(c for c in changes if c.state != "PROPOSED")[:DECIDED],
    )


def _names(session: Session, rows: Iterable[ParameterVersion]) -> dict[str, str]:
    ids = {person for row in rows for person in (row.proposed_by, row.confirmed_by) if person}
    return {
        row[0]: row[1] for row in session.execute(select(Account.id, Account.name).where(Account.id.in_(ids)))
    }


def _change(row: ParameterVersion, names: dict[str, str], actor: Actor, now: datetime) -> Change:
    return Change(
        id=row.id,
        number=row.number,
        changes=checked(row.changes),
        reason=row.reason,
        state=row.state,
        proposed_by=names.get(row.proposed_by, row.proposed_by),
        proposed_at=row.proposed_at,
        confirmed_by=None if row.confirmed_by is None else names.get(row.confirmed_by, row.confirmed_by),
        valid_from=row.valid_from,
        own=row.proposed_by == actor.id,
        late=row.valid_from < now,
    )


def _line(definition: Definition, present: Parameters, coming: list[ParameterVersion]) -> ParameterLine:
    key = definition.key
    later = tuple((row.valid_from, checked(row.changes)[key]) for row in coming if key in row.changes)
    return ParameterLine(definition, PARAMETER_TEXT[key], present.values[key], _bounds(definition), later)


def _bounds(definition: Definition) -> str:
    if isinstance(definition.default, bool):
        return "on / off"
    return f"{definition.minimum}–{definition.maximum}"
