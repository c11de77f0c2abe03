"""What signing's pages read; foreign agreements are NotFound."""

import hashlib
import json
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from agreements import evidence as ev
from agreements.errors import AgreementError
from agreements.render import page_count
from agreements.text import Paragraph, fill
from gateway.archive.models import Client
from gateway.deps import Deps
from gateway.errors import NotAllowed, NotFound
from gateway.identity.models import Contact, Organisation
from gateway.principal import Actor, Role, Text
from gateway.signing.models import Agreement, Pledge, SignedEvidence, Template, TermsAcceptance
from gateway.signing.results import (
    AgreementPage,
    Choice,
    DraftChoices,
    Ledger,
    LedgerFilter,
    OwnAgreements,
    PledgeRow,
    SignerChoice,
    TermsRow,
    Unsigned,
    Words,
)
from gateway.signing.rows import account_name, agreement_row, entrustment, history
from gateway.signing.rules import (
    AGREED,
    AGREEMENT,
    COMPANY_ZONE,
    GOVERNING,
    OPEN,
    RELATION_TEXT,
    first_day,
    in_force,
    last_day,
)
from gateway.signing.visibility import READERS, readable, text_of
from storage.errors import StorageError

PENDING = ("DRAFT", *OPEN, "PARTNER_SIGNED", "PROCESSING", *AGREED, "PAPER_INTAKE", "CHECK1")
_MOST = 500


def ledger(deps: Deps, asked: LedgerFilter, *, actor: Actor, now: datetime) -> Ledger:
    """The agreements that fit, newest first, and the organisations in use that have none in force; for the company's readers."""
    if not actor.has(*READERS):
        raise NotAllowed
    query = select(Agreement).order_by(Agreement.created_at.desc(), Agreement.number.desc()).limit(_MOST)
    if asked.state:
        query = query.where(Agreement.state == asked.state)
    if asked.organisation:
        query = query.where(Agreement.organisation_id == asked.organisation)
    if asked.ending is not None:
        until = now + timedelta(days=asked.ending + 1)
        query = query.where(
            Agreement.state.in_(GOVERNING), Agreement.valid_to > now, Agreement.valid_to <= until
        )
    with deps.database.read() as session:
        organisations = session.scalars(select(Organisation).order_by(Organisation.name)).all()
        return Ledger(
            rows=tuple(agreement_row(session, row, now) for row in session.scalars(query)),
            unsigned=tuple(_unsigned(session, organisations, now)),
            organisations=tuple(Choice(o.id, o.name) for o in organisations),
        )


def _unsigned(session: Session, organisations: Iterable[Organisation], now: datetime) -> Iterable[Unsigned]:
    for organisation in organisations:
        if organisation.state != "ACTIVE":
            continue
        query = select(Agreement).where(Agreement.organisation_id == organisation.id)
        rows = session.scalars(query.order_by(Agreement.created_at.desc())).all()
        if not any(in_force(row, now) for row in rows):
            pending = next((row for row in rows if row.state in PENDING), None)
            shown = agreement_row(session, pending, now) if pending is not None else None
            yield Unsigned(organisation.id, organisation.name, shown)


def waiting_countersignature(deps: Deps) -> int:
    """How many agreements wait for the company's signature."""
    with deps.database.read() as session:
        query = select(func.count()).select_from(Agreement).where(Agreement.state == "PARTNER_SIGNED")
        return session.scalar(query) or 0


def agreement_page(deps: Deps, agreement_id: str, *, actor: Actor, now: datetime) -> AgreementPage:
    """One agreement, for its organisation's contacts once it was sent and for the company's readers."""
    with deps.database.read() as session:
        row = readable(session, agreement_id, actor)
        kept = session.scalars(select(SignedEvidence).where(SignedEvidence.agreement_id == row.id)).first()
        zh, en = _words(session, row)
        pages = _pages(deps, row)
        return AgreementPage(
            row=agreement_row(session, row, now),
            relation=RELATION_TEXT[row.relation],
            survival_years=row.survival_years,
            zh=zh,
            en=en,
            pages=pages or 0,
            readable=row.pdf_sha256 is None or pages is not None,
            consent=Text(ev.CONSENT_ZH, ev.CONSENT_EN),
            signed_name=str(json.loads(kept.body)["signer"]["name"]) if kept is not None else "",
            history=history(session, AGREEMENT, row.id) if actor.kind == "staff" else (),
            events=_events(session, row, actor, now),
            drafter=account_name(session, row.drafted_by) if actor.kind == "staff" else "",
            named_signer=row.signer_id == actor.id,
            signed=kept is not None,
            complete=kept is not None and row.countersigned_at is not None,
            entrustment=entrustment(row),
        )


def _words(session: Session, row: Agreement) -> tuple[tuple[Words, ...], tuple[Words, ...]]:
    if row.form == "PAPER":
        return (), ()
    filled = fill(text_of(session.get_one(Template, row.template_id)), row.values)
    return _lines(filled.zh_paragraphs), _lines(filled.en_paragraphs)


def _lines(paragraphs: Iterable[Paragraph]) -> tuple[Words, ...]:
    return tuple(Words(p.kind, p.number, p.text) for p in paragraphs)


def _pages(deps: Deps, row: Agreement) -> int | None:
    """How many pages the stored document has; None when it cannot be read."""
    if row.pdf_sha256 is None:
        return None
    try:
        pdf = b"".join(deps.evidence.open(f"agreement-{row.id}", 1))
        # The sandboxed parser counted a scan's pages at intake; it came from outside and is never opened in this process.
        return _counted(row, pdf) if row.form == "PAPER" else page_count(pdf)
    except (StorageError, AgreementError):
        return None


def _counted(row: Agreement, pdf: bytes) -> int | None:
    return int(row.values["pages"]) if hashlib.sha256(pdf).hexdigest() == row.pdf_sha256 else None


def _events(session: Session, row: Agreement, actor: Actor, now: datetime) -> frozenset[str]:
    events = {m.event for m in AGREEMENT.offered(row.state, actor)}
    if actor.kind == "contact":
        contact = session.get(Contact, actor.id)
        may = contact is not None and contact.signer and row.signer_id == actor.id
        over = row.sign_by is not None and now >= row.sign_by
        if row.state == "SENT":
            events.add("sign")
        return frozenset(events - ({"sign", "view"} if over else set())) if may else frozenset()
    if actor.id == row.drafted_by:
        events -= {"countersign"}
    return frozenset(events - {"check2"} if actor.id in (row.drafted_by, row.checked_by) else events)


def own_agreements(deps: Deps, *, actor: Actor, now: datetime) -> OwnAgreements:
    """The agreements of the contact's organisation, what waits for its signer first."""
    with deps.database.read() as session:
        contact = session.get(Contact, actor.id) if actor.kind == "contact" else None
        if contact is None:
            raise NotFound
        query = select(Agreement).where(
            Agreement.organisation_id == contact.organisation_id, Agreement.pdf_sha256.is_not(None)
        )
        found = session.scalars(query.order_by(Agreement.created_at.desc())).all()
        rows = [agreement_row(session, row, now) for row in found]
        waiting = [r for r in rows if r.state_name in OPEN]
        ended = [r for r in rows if r.state.final]
        current = [r for r in rows if r not in waiting and r not in ended]
        undone = [p for p in _pledges(session, contact, now) if p.accepted_at is None]
        return OwnAgreements(tuple(waiting), tuple(current), tuple(ended), actor.id, len(undone))


def own_pledges(deps: Deps, *, actor: Actor, now: datetime) -> tuple[PledgeRow, ...]:
    """The undertaking under each agreement in force of the contact's organisation."""
    with deps.database.read() as session:
        contact = session.get(Contact, actor.id) if actor.kind == "contact" else None
        if contact is None:
            raise NotFound
        return tuple(_pledges(session, contact, now))


def own_terms(deps: Deps, *, actor: Actor) -> TermsRow | None:
    """The active terms of use and whether this contact has accepted them; None when there are none."""
    with deps.database.read() as session:
        query = select(Template).where(Template.kind == "TERMS", Template.state == "ACTIVE")
        terms = session.scalars(query).first()
        if terms is None or actor.kind != "contact":
            return None
        filled = fill(text_of(terms), {"company_name": deps.settings.company_name})
        seen = session.scalars(
            select(TermsAcceptance.at).where(
                TermsAcceptance.contact_id == actor.id, TermsAcceptance.template_id == terms.id
            )
        ).first()
        zh, en = _lines(filled.zh_paragraphs), _lines(filled.en_paragraphs)
        return TermsRow(terms.id, terms.version, zh, en, seen)


def _pledges(session: Session, contact: Contact, now: datetime) -> Iterable[PledgeRow]:
    query = select(Agreement).where(
        Agreement.organisation_id == contact.organisation_id, Agreement.state.in_(GOVERNING)
    )
    for row in session.scalars(query.order_by(Agreement.valid_from)).all():
        if not in_force(row, now):
            continue
        accepted = session.scalars(
            select(Pledge).where(
                Pledge.contact_id == contact.id,
                Pledge.agreement_id == row.id,
                Pledge.text_version == ev.PLEDGE_VERSION,
            )
        ).first()
        text = Text(*ev.pledge(row.number, row.values["purpose"]))
        yield PledgeRow(agreement_row(session, row, now), text, accepted.at if accepted is not None else None)


def draft_choices(deps: Deps, *, actor: Actor, now: datetime) -> DraftChoices:
    """What a new agreement may name, for 行政部: organisations in use, their signers and contacts, clients by number."""
    if not actor.has(Role.ADM):
        raise NotAllowed
    with deps.database.read() as session:
        organisations = _usable(session)
        contacts = {o.id: _contacts(session, o.id) for o in organisations}
        signers = [
            SignerChoice(c.id, c.name, o.id, o.name)
            for o in organisations
            for c in contacts[o.id]
            if c.signer
        ]
        days = deps.parameters(session, now)["nda.term_days"]
        today = now.astimezone(COMPANY_ZONE).date()
        template = session.scalars(
            select(Template).where(Template.state == "ACTIVE", Template.kind == "NDA")
        ).first()
        return DraftChoices(
            organisations=tuple(Choice(o.id, o.name) for o in organisations),
            signers=tuple(signers),
            clients=tuple(
                Choice(c.id, c.client_no) for c in session.scalars(select(Client).order_by(Client.client_no))
            ),
            contacts={key: "、".join(c.name for c in people) for key, people in contacts.items()},
            first=today,
            last=today + timedelta(days=days - 1),
            template=template.version if template is not None else "",
            printed=_printed(session),
            parents=_parents(session, now),
        )


def _printed(session: Session) -> tuple[Choice, ...]:
    query = (
        select(Template).where(Template.state.in_(("ACTIVE", "RETIRED"))).order_by(Template.created_at.desc())
    )
    return tuple(Choice(row.id, row.version) for row in session.scalars(query))


def _parents(session: Session, now: datetime) -> tuple[Choice, ...]:
    query = select(Agreement).where(Agreement.state.in_(GOVERNING), Agreement.kind == "NDA")
    return tuple(
        Choice(row.id, f"{row.number} {session.get_one(Organisation, row.organisation_id).name}")
        for row in session.scalars(query.order_by(Agreement.number))
        if in_force(row, now)
    )


def waiting_checks(deps: Deps, *, actor: Actor) -> int:
    """How many papers wait for the reader's check."""
    with deps.database.read() as session:
        query = select(Agreement).where(Agreement.state == "CHECK1")
        rows = session.scalars(query).all()
        return sum(actor.id not in (row.drafted_by, row.checked_by) for row in rows)


def _usable(session: Session) -> list[Organisation]:
    query = (
        select(Organisation).where(Organisation.state.in_(("PENDING", "ACTIVE"))).order_by(Organisation.name)
    )
    return list(session.scalars(query))


def _contacts(session: Session, organisation_id: str) -> list[Contact]:
    query = select(Contact).where(
        Contact.organisation_id == organisation_id, Contact.state.not_in(("SUSPENDED", "DISABLED"))
    )
    return list(session.scalars(query.order_by(Contact.created_at, Contact.name, Contact.id)))


def start_from(deps: Deps, agreement_id: str, *, actor: Actor, now: datetime) -> dict[str, Any]:
    """An earlier agreement's values for the form of its successor: from today, for the same term after the earlier ends."""
    if not actor.has(Role.ADM):
        raise NotAllowed
    with deps.database.read() as session:
        row = readable(session, agreement_id, actor)
        days = (last_day(row.valid_to) - first_day(row.valid_from)).days
        first = now.astimezone(COMPANY_ZONE).date()
        return {
            "organisation": row.organisation_id,
            "signer": row.signer_id,
            "all_clients": row.clients is None,
            "clients": list(row.clients or ()),
            "classes": list(row.classes),
            "purposes": list(row.purposes),
            "relation": row.relation,
            "kind": row.kind,
            "parent": row.parent_id or "",
            "method": row.values.get("pi_method", ""),
            "safeguards": row.values.get("pi_safeguards", ""),
            "disposal": row.values.get("pi_return", ""),
            "valid_from": first,
            "last": last_day(row.valid_to),
            "valid_to": max(last_day(row.valid_to) + timedelta(days=1), first) + timedelta(days=days),
            "contact_list": row.values["contact_list"],
            "incident_contact": row.values["incident_contact"],
            "liability": row.values["liability_clause"],
            "forum": row.values["dispute_forum"],
        }
