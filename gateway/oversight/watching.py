"""Raising alerts: a periodic look at what happened since the last one; running it twice changes nothing."""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from gateway.audit.models import Indexed
from gateway.audit.search import indexed_size
from gateway.db import locked, new_id
from gateway.deps import Deps
from gateway.errors import NotFound
from gateway.notify.service import Recipient, tell
from gateway.oversight.alerts import TECHNICAL, Finding, judged
from gateway.oversight.indexing import catch_up, state_of
from gateway.oversight.models import Alert
from gateway.oversight.observing import observed, rows_from
from gateway.oversight.rules import ALERT, may_see
from gateway.policy.parameters import Parameters
from gateway.principal import SYSTEM, Actor, Role
from gateway.workflow import move

POSITION = "alerts"


def watch(deps: Deps, *, now: datetime) -> int:
    """Looks at what is new, raises what the rules find, ends what is over, tells again of what nobody acknowledged.

    Returns how many alerts it raised.
    """
    catch_up(deps)
    # Observed outside of the writing transaction, so that nobody waits for it; what another process found meanwhile is known
    # by its rule and key.
    with deps.database.read() as session:
        position = session.scalar(select(Indexed.size).where(Indexed.name == POSITION)) or 0
        limits = deps.parameters(session, now)
        findings = judged(observed(deps, session, position, now=now), limits)
        fresh = rows_from(session, position)
        reach = min(fresh[-1].seq + 1, indexed_size(session)) if fresh else position
    with deps.job(SYSTEM, "alert.raise", ("alert", "watch"), now) as session:
        # Its lock keeps two processes from raising the same.
        place = state_of(session, POSITION)
        raised = sum(_raised(deps, session, finding, now) for finding in findings)
        _end(session, findings, now)
        _tell_again(session, limits, now)
        place.size = max(place.size, reach)
    return raised


def _raised(deps: Deps, session: Session, finding: Finding, now: datetime) -> bool:
    lasting = not finding.key
    if _known(session, finding, lasting=lasting):
        return False
    row = Alert(id=new_id(), state="", rule=finding.rule, key=finding.key or f"{now:%Y-%m-%dT%H:%M:%S.%fZ}")
    row.at = row.told_at = now
    row.entry, row.facts = finding.entry, dict(finding.facts)
    row.about_kind, row.about_id = finding.about or (None, None)
    # The entry names ids and numbers; a person is in it as in any other: by a random id alone.
    told: dict[str, Any] = {
        "rule": row.rule,
        "facts": row.facts,
        "about": list(finding.about or ()),
        "entry": row.entry,
    }
    move(deps, session, ALERT, row, "raise", actor=SYSTEM, now=now, **told)
    _tell(session, row, now)
    return True


def _known(session: Session, finding: Finding, *, lasting: bool) -> bool:
    same = select(Alert.id).where(Alert.rule == finding.rule)
    same = same.where(Alert.ended_at.is_(None)) if lasting else same.where(Alert.key == finding.key)
    return session.scalar(same.limit(1)) is not None


def _end(session: Session, findings: tuple[Finding, ...], now: datetime) -> None:
    """Conditions that last and were not found any more are over; the next time is a new occurrence."""
    holding = {f.rule for f in findings if not f.key}
    lasting = ("clock.behind", "unnumbered", "heartbeat", "witness", "anchor")
    over = [rule for rule in lasting if rule not in holding]
    for row in session.scalars(select(Alert).where(Alert.rule.in_(over), Alert.ended_at.is_(None))):
        row.ended_at = now


def _tell_again(session: Session, limits: Parameters, now: datetime) -> None:
    quiet = timedelta(hours=limits["alert.repeat_h"])
    for row in session.scalars(select(Alert).where(Alert.state == "OPEN", Alert.told_at <= now - quiet)):
        row.told_at = now
        _tell(session, row, now)


def _tell(session: Session, row: Alert, now: datetime) -> None:
    roles = (Role.AUD, Role.ADM, Role.SYS) if row.rule in TECHNICAL else (Role.AUD, Role.ADM)
    to = [Recipient("role", role.value) for role in roles]
    tell(session, "alert", to, now=now, fields={"code": row.rule.upper()})


def acknowledge(deps: Deps, alert_id: str, note: str | None, *, actor: Actor, now: datetime) -> None:
    """Puts a name and a note (10 to 500 characters) under an alert; it is logged and nobody is told of it again.

    Raises NotFound for one that the actor may not see, NotAllowed for a reader who acknowledges none (the auditor), WrongState
    for one that is acknowledged already, Invalid for the note.
    """
    with deps.job(actor, "alert.acknowledge", ("alert", alert_id), now) as session:
        row = locked(session, Alert, alert_id)
        if row is None or not may_see(actor, row.rule):
            raise NotFound
        with session.no_autoflush:
            row.acknowledged_by, row.acknowledged_at, row.note = actor.id, now, (note or "").strip()
            move(deps, session, ALERT, row, "acknowledge", actor=actor, now=now, reason=note, rule=row.rule)
