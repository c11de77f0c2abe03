"""Countersigning by the company (policy.md §3.7): PROCESSING, and from there sealed."""

import hashlib
from datetime import datetime

from gateway.db import locked
from gateway.deps import Deps
from gateway.errors import NotFound
from gateway.principal import Actor
from gateway.signing.errors import DigestConflict
from gateway.signing.models import Agreement
from gateway.signing.rules import AGREEMENT
from gateway.signing.service.happenings import happened
from gateway.signing.service.sealing import at_once, begin, finish
from gateway.signing.service.stored import proved_evidence, stored_pdf
from gateway.workflow import move


def countersign(deps: Deps, agreement_id: str, *, pdf_sha256: str, actor: Actor, now: datetime) -> None:
    """The general manager countersigns the very bytes the partner signed; sealed at once where no time stamp is waited for.

    Evidence and bytes must hold: DigestConflict when either does not, and nothing is changed. In force only once it is sealed
    and its first day has come.
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
        if pdf_sha256 != stored:
            raise DigestConflict
        proved_evidence(deps, session, row, stored)
        happened(session, row, "countersigned", actor=actor, now=now)
        begin(deps, session, row, now=now)
    if at_once(deps):
        finish(deps, agreement_id, now=now)
