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
from gateway.signing.models import Agreement, Pledge, Template, TermsAcceptance
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


def accept_terms(deps: Deps, template_id: str, *, consent: bool, actor: Actor, now: datetime) -> None:
    """Records that this contact accepted the active terms of use; accepting again changes nothing."""
    with deps.job(actor, "terms.accept", ("template", template_id), now) as session:
        contact = session.get(Contact, actor.id) if actor.kind == "contact" else None
        row = session.get(Template, template_id)
        if contact is None or row is None or (row.kind, row.state) != ("TERMS", "ACTIVE"):
            raise NotFound
        if not consent:
            raise Invalid("consent", Text("请勾选后再接受。", "Tick the box to accept."))
        if accepted_at(session, actor.id, row) is not None:
            return
        target = ("template", template_id)
        leaf = record(session, "terms.accept", actor=actor, obj=target, now=now, version=row.version)
        session.add(TermsAcceptance(id=new_id(), contact_id=actor.id, template_id=row.id, at=now, leaf=leaf))
        session.flush()


def accepted_at(session: Session, contact_id: str, terms: Template) -> datetime | None:
    """When the contact accepted this version of the terms; None when they have not."""
    query = select(TermsAcceptance).where(
        TermsAcceptance.contact_id == contact_id, TermsAcceptance.template_id == terms.id
    )
    found = session.scalars(query).first()
    return found.at if found is not None else None


def terms_accepted(session: Session, contact_id: str) -> bool:
    """Whether the contact's last acceptance still holds: none is needed without terms; a version that asks for it anew ends
    the acceptances of those before it."""
    query = select(Template).where(Template.kind == "TERMS", Template.state.in_(("ACTIVE", "RETIRED")))
    for terms in session.scalars(query.order_by(Template.created_at.desc(), Template.id)):
        if accepted_at(session, contact_id, terms) is not None:
            return True
        if terms.resign:
            return False
    return session.scalars(query).first() is None
