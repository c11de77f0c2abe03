"""Who may know of an agreement, and how its words read: shared by the papers and the pages."""

from sqlalchemy.orm import Session

from agreements.text import AgreementText
from gateway.errors import NotFound
from gateway.identity.models import Contact
from gateway.principal import Actor, Role
from gateway.signing.models import Agreement, Template

READERS = (Role.GM, Role.DGM, Role.ADM, Role.AUD, Role.ARC)


def readable(session: Session, agreement_id: str, actor: Actor) -> Agreement:
    """The agreement, for people of the organisation once it was sent and the company's readers; NotFound for everyone else."""
    row = session.get(Agreement, agreement_id)
    if row is None or not (of_theirs(session, row, actor) or (actor.kind == "staff" and actor.has(*READERS))):
        raise NotFound
    return row


def of_theirs(session: Session, row: Agreement, actor: Actor) -> bool:
    """Whether this contact's organisation is the other party; drafts that were never sent are nobody's outside."""
    contact = session.get(Contact, actor.id) if actor.kind == "contact" else None
    return (
        contact is not None and contact.organisation_id == row.organisation_id and row.pdf_sha256 is not None
    )


def text_of(template: Template) -> AgreementText:
    """A template row as the cellar's value."""
    return AgreementText(template.version, template.zh, template.en)
