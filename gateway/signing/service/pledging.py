"""The personal undertaking 个人承诺 that each contact accepts before the first copy (policy.md §8)."""

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from agreements.evidence import PLEDGE_VERSION
from gateway.audit.service import record
from gateway.db import locked, new_id
from gateway.deps import Deps
from gateway.errors import Invalid, NotFound
from gateway.identity.models import Contact
from gateway.principal import Actor, Text
from gateway.signing.models import Agreement, Pledge
from gateway.signing.rules import in_force


def accept_pledge(deps: Deps, agreement_id: str, *, consent: bool, actor: Actor, now: datetime) -> None:
    """Records that this contact accepted the undertaking under an agreement in force; accepting again changes nothing."""
    with deps.job(actor, "pledge.accept", ("agreement", agreement_id), now) as session:
        contact = session.get(Contact, actor.id) if actor.kind == "contact" else None
        row = locked(session, Agreement, agreement_id)
        if (
            contact is None
            or row is None
            or row.organisation_id != contact.organisation_id
            or not in_force(row, now)
        ):
            raise NotFound
        if not consent:
            raise Invalid("consent", Text("请勾选后再接受。", "Tick the box to accept."))
        if pledged(session, actor.id, agreement_id):
            return
        leaf = record(
            session,
            "pledge.accept",
            actor=actor,
            obj=("agreement", agreement_id),
            now=now,
            version=PLEDGE_VERSION,
        )
        session.add(
            Pledge(
                id=new_id(),
                contact_id=actor.id,
                agreement_id=agreement_id,
                text_version=PLEDGE_VERSION,
                at=now,
                leaf=leaf,
            )
        )
        session.flush()


def pledged(session: Session, contact_id: str, agreement_id: str) -> bool:
    """Whether the contact accepted the present text under this agreement."""
    query = select(Pledge).where(
        Pledge.contact_id == contact_id,
        Pledge.agreement_id == agreement_id,
        Pledge.text_version == PLEDGE_VERSION,
    )
    return session.scalars(query).first() is not None
