"""Need-to-know grants 知悉授权: given by the head, at level 3 with an archivist, ended early by either (policy.md §1)."""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from gateway.archive.models import Case, Client, KnowGrant
from gateway.archive.rules import SOD_1, known_classes, level_of
from gateway.archive.visibility import seen
from gateway.archive.vocabulary import PURPOSES
from gateway.audit.service import record
from gateway.db import locked, new_id
from gateway.deps import Deps, require_reason
from gateway.errors import Invalid, NotAllowed, NotFound, WrongState
from gateway.identity.models import Account, RoleGrant
from gateway.principal import Actor, Role, Text
from gateway.workflow import require_fresh


def give_grant(
    deps: Deps,
    *,
    grantee: str,
    client_id: str | None,
    case_id: str | None,
    classes: list[str],
    purpose: str,
    valid_from: datetime,
    valid_to: datetime,
    reason: str,
    actor: Actor,
    now: datetime,
) -> str:
    """A grant on one client or one case of the head's own department; returns its id. At most grant.days long.

    A grant that holds a level 3 class does nothing until an archivist confirms it.
    """
    target = ("case", case_id) if case_id else ("client", client_id or "")
    with deps.job(actor, "grant.give", target, now) as session:
        department = _target_department(session, client_id, case_id, actor, now)
        if not actor.has(Role.HOD) or department != actor.department:
            raise NotAllowed
        if grantee == actor.id:
            raise NotAllowed("SOD-1", SOD_1)
        require_fresh(deps, session, actor, now)
        _check_grantee(session, grantee)
        chosen, why = known_classes(classes), require_reason(reason)
        if purpose not in PURPOSES:
            raise Invalid("purpose", Text("请选择用途。", "Choose a purpose."))
        _check_term(valid_from, valid_to, deps.parameters(session, now)["grant.days"], now)
        row = KnowGrant(id=new_id(), grantee=grantee, client_id=client_id, case_id=case_id, classes=chosen)
        row.purpose, row.reason = purpose, why
        row.granted_by, row.valid_from, row.valid_to = actor.id, valid_from, valid_to
        told = _told(row)
        row.leaf = record(
            session, "grant.given", actor=actor, obj=("grant", row.id), now=now, reason=why, **told
        )
        session.add(row)
        return row.id


def _told(row: KnowGrant) -> dict[str, Any]:
    return {
        "grantee": row.grantee,
        "client": row.client_id,
        "case": row.case_id,
        "classes": row.classes,
        "purpose": row.purpose,
        "valid_from": row.valid_from.isoformat(),
        "valid_to": row.valid_to.isoformat(),
        "level": level_of(row.classes),
    }


def _target_department(
    session: Session, client_id: str | None, case_id: str | None, actor: Actor, now: datetime
) -> str:
    if (client_id is None) == (case_id is None):
        raise Invalid("case_id", Text("请选择一个客户或一个案卷。", "Choose one client or one case."))
    if case_id is not None:
        case, _ = seen(session, actor, session.get(Case, case_id), now)
        return case.department_id
    client, _ = seen(session, actor, session.get(Client, client_id or ""), now)
    return client.department_id


def _check_grantee(session: Session, grantee: str) -> None:
    account = session.get(Account, grantee)
    held = session.scalars(
        select(RoleGrant).where(RoleGrant.account_id == grantee, RoleGrant.state == "ACTIVE")
    )
    if (
        account is None
        or account.state != "ACTIVE"
        or not {r.role for r in held} & {Role.BIZ.value, Role.DGM.value}
    ):
        raise Invalid(
            "grantee",
            Text("只能授权给在用业务人员或副总经理。", "Choose active business staff or a deputy manager."),
        )


def _check_term(start: datetime, end: datetime, most_days: int, now: datetime) -> None:
    if start < now - timedelta(days=1) or end <= max(start, now) or end - start > timedelta(days=most_days):
        words = Text(
            f"期限从今天起，不超过 {most_days} 天。", f"From today on, for at most {most_days} days."
        )
        raise Invalid("days", words)


def confirm_grant(deps: Deps, grant_id: str, *, actor: Actor, now: datetime) -> None:
    """The archivist's half of a level 3 grant; nobody confirms what they gave or receive."""
    with deps.job(actor, "grant.confirm", ("grant", grant_id), now) as session:
        row = locked(session, KnowGrant, grant_id)
        if row is None or not actor.has(Role.ARC):
            raise NotFound
        if actor.id in (row.granted_by, row.grantee):
            raise NotAllowed("SOD-1", SOD_1)
        require_fresh(deps, session, actor, now)
        if (
            row.confirmed_by is not None
            or row.ended_at is not None
            or level_of(row.classes) < 3
            or row.valid_to <= now
        ):
            raise WrongState
        row.leaf = record(session, "grant.confirmed", actor=actor, obj=("grant", row.id), now=now)
        row.confirmed_by = actor.id


def end_grant(deps: Deps, grant_id: str, *, reason: str, actor: Actor, now: datetime) -> None:
    """Ends a grant early: the head of its department, an archivist, or whoever holds it."""
    with deps.job(actor, "grant.end", ("grant", grant_id), now) as session:
        row = locked(session, KnowGrant, grant_id)
        if row is None or not _may_end(session, row, actor):
            raise NotFound
        why = require_reason(reason)
        if row.ended_at is not None:
            raise WrongState
        row.leaf = record(session, "grant.ended", actor=actor, obj=("grant", row.id), now=now, reason=why)
        row.ended_at = now


def _may_end(session: Session, row: KnowGrant, actor: Actor) -> bool:
    if actor.kind != "staff" or actor.has(Role.SYS):
        return False
    if actor.has(Role.ARC) or row.grantee == actor.id:
        return True
    return (
        actor.has(Role.HOD)
        and actor.department is not None
        and actor.department == grant_department(session, row)
    )


def grant_department(session: Session, row: KnowGrant) -> str | None:
    """The department that a grant's client or case belongs to."""
    case = session.get(Case, row.case_id) if row.case_id else None
    client = session.get(Client, row.client_id) if row.client_id else None
    return case.department_id if case else client.department_id if client else None
