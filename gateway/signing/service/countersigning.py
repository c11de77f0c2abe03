"""Countersigning by the company, and what brings an agreement into force (policy.md §3.7)."""

import hashlib
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from agreements import evidence as ev
from agreements.errors import EvidenceError
from gateway.db import locked
from gateway.deps import Deps
from gateway.errors import NotFound
from gateway.principal import SYSTEM, Actor
from gateway.signing.errors import DigestConflict
from gateway.signing.models import Agreement, SignedEvidence
from gateway.signing.rules import AGREEMENT, GOVERNING
from gateway.signing.service.papers import stored_pdf
from gateway.workflow import move


def countersign(deps: Deps, agreement_id: str, *, pdf_sha256: str, actor: Actor, now: datetime) -> None:
    """The general manager countersigns the very bytes the partner signed; in force from its first day, at once if that is past.

    Evidence and bytes must hold: DigestConflict when either does not, and nothing is changed.
    """
    with deps.database.read() as session:
        if session.get(Agreement, agreement_id) is None:
            raise NotFound
    stored = hashlib.sha256(stored_pdf(deps, agreement_id)).hexdigest()
    with deps.job(actor, "agreement.countersign", ("agreement", agreement_id), now) as session:
        row = locked(session, Agreement, agreement_id)
        if row is None:
            raise NotFound
        row.countersigned_by, row.countersigned_at = actor.id, now
        move(deps, session, AGREEMENT, row, "countersign", actor=actor, now=now, pdf_sha256=row.pdf_sha256)
        # Asked after the move, so that whoever may not countersign learns nothing of the bytes; a conflict undoes the move.
        _verify(deps, session, row, stored, pdf_sha256)
        # The embedded default needs no time-stamp authority, so nothing has to be waited for; the log's checkpoint is the
        # only evidence of time.
        move(
            deps, session, AGREEMENT, row, "complete", actor=SYSTEM, now=now, signed_sha256=row.signed_sha256
        )
        if row.valid_from <= now:
            enter_force(deps, session, row, now)


def _verify(deps: Deps, session: Session, row: Agreement, stored: str, confirmed: str) -> None:
    kept = session.scalars(select(SignedEvidence).where(SignedEvidence.agreement_id == row.id)).first()
    if kept is None or not stored == confirmed == row.pdf_sha256 == row.signed_sha256:
        raise DigestConflict
    try:
        proved = ev.verify(kept.body.encode(), bytes.fromhex(kept.signature), deps.evidence_key.public_key())
    except EvidenceError as error:
        raise DigestConflict from error
    if proved.pdf_sha256 != stored or proved.agreement_no != row.number:
        raise DigestConflict


def enter_force(deps: Deps, session: Session, row: Agreement, now: datetime) -> None:
    """COUNTERSIGNED → IN_FORCE; an older agreement of the same scope that still governs becomes RENEWED."""
    move(deps, session, AGREEMENT, row, "enter_force", actor=SYSTEM, now=now, signed_sha256=row.signed_sha256)
    query = select(Agreement).where(
        Agreement.organisation_id == row.organisation_id,
        Agreement.id != row.id,
        Agreement.state.in_(GOVERNING),
    )
    for other in session.scalars(query.with_for_update()).all():
        if _succeeds(row, other):
            move(deps, session, AGREEMENT, other, "renew", actor=SYSTEM, now=now, successor=row.number)


def _succeeds(row: Agreement, other: Agreement) -> bool:
    clients = row.clients is None or (other.clients is not None and set(other.clients) <= set(row.clients))
    return (
        clients
        and set(other.classes) <= set(row.classes)
        and set(other.purposes) <= set(row.purposes)
        and row.valid_to >= other.valid_to
    )
