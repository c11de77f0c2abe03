"""Sealing: PROCESSING until every signature, time stamp and revocation datum is in the PDF, then COUNTERSIGNED (policy.md §3.7).

Where no time-stamp authority is configured this follows the countersignature at once; where one is, a job asks it, and asks
again with growing pauses while it is silent or lies. Until then the gate stays shut.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import structlog
from sqlalchemy import select
from sqlalchemy.orm import Session

from agreements import evidence as ev
from agreements.appearance import appearance
from agreements.credentials import DEVELOPMENT_NOTICE
from agreements.drawing import Drawing, normalise
from agreements.errors import AgreementError, AuthorityLied, AuthorityUnavailable, SealError
from agreements.render import PLACES, Place, shows_on_every_page
from agreements.signature import Mark, Sealer, seal
from agreements.validation import validate
from gateway.audit.service import record
from gateway.db import locked
from gateway.deps import Deps
from gateway.errors import NotFound, Unavailable
from gateway.identity.models import Account
from gateway.jobs.service import JobView, Progress, enqueue
from gateway.principal import SYSTEM
from gateway.signing.errors import DigestConflict
from gateway.signing.models import Agreement, Sealing
from gateway.signing.rules import AGREEMENT, COMPANY_ZONE
from gateway.signing.service.drafting import object_id
from gateway.signing.service.forcing import enter_force
from gateway.signing.service.stored import SEALED, proved_evidence, sealed_pdf, stored_drawing, stored_pdf
from gateway.workflow import move
from storage.errors import Conflict, StorageError

SEAL_JOB = "signing.seal"
FIRST_PAUSE = timedelta(minutes=1)
LONGEST_PAUSE = timedelta(hours=1)
# A job that was handed out is given this long before it counts as lost.
AT_WORK = timedelta(minutes=5)
# Words under which a hold is kept in the log and shown; none of them says more than the kind of fault.
CODES = {
    AuthorityUnavailable: "TSA",
    AuthorityLied: "TSA_LIED",
    Unavailable: "STORE",
    DigestConflict: "NDAHASH",
}

_log = structlog.get_logger("gateway.signing")


@dataclass(frozen=True)
class _Order:
    """All that the seal of one agreement is made from."""

    number: str
    pdf_sha256: str
    places: dict[str, Place]
    facts: ev.Evidence
    evidence_sha256: str
    drawing: Drawing | None
    company: str
    countersigner: str
    countersigned_at: datetime


def begin(deps: Deps, session: Session, row: Agreement, *, now: datetime) -> None:
    """Opens the seal of an agreement that has just become PROCESSING; asks for the job where an authority must be waited for."""
    session.add(Sealing(agreement_id=row.id, next_at=now + AT_WORK))
    session.flush()
    if not at_once(deps):
        enqueue(session, SEAL_JOB, now=now, payload={"agreement": row.id})


def at_once(deps: Deps) -> bool:
    """Whether sealing waits for nobody outside."""
    return deps.sealer is not None and deps.sealer.authority is None


def seal_job(deps: Deps, job: JobView, progress: Progress) -> None:
    """The job: one try. What keeps it from being sealed is noted, never raised: the sweep asks again when it is due."""
    finish(deps, str(job.payload["agreement"]), now=deps.clock())


def finish(deps: Deps, agreement_id: str, *, now: datetime) -> bool:
    """Seals a PROCESSING agreement, stores it and moves it on; returns whether it is sealed now. Idempotent."""
    with deps.database.read() as session:
        row = session.get(Agreement, agreement_id)
        if row is None or row.state != "PROCESSING":
            return False
    try:
        signed, level = _sealed(deps, agreement_id, now)
    except (AgreementError, Unavailable, DigestConflict) as error:
        _hold(deps, agreement_id, error, now)
        return False
    _complete(deps, agreement_id, hashlib.sha256(signed).hexdigest(), level, now)
    return True


def _sealed(deps: Deps, agreement_id: str, now: datetime) -> tuple[bytes, str]:
    """The signed PDF, stored for good and judged by its own signatures alone before anything rests on it."""
    if deps.sealer is None:
        raise Unavailable
    pdf = stored_pdf(deps, agreement_id)
    order = _order(deps, agreement_id, pdf)
    earlier = sealed_pdf(deps, agreement_id)
    signed, used = (earlier, deps.sealer) if earlier is not None else _signed(pdf, order, deps.sealer, now)
    level = _level(signed, pdf, used)
    if not level:
        raise SealError("the signed document does not hold")
    if earlier is not None:
        return earlier, level
    try:
        deps.evidence.put(object_id(agreement_id), SEALED, iter([signed]))
    except Conflict as error:
        # Somebody sealed it meanwhile: the next look finds theirs.
        raise Unavailable from error
    except StorageError as error:
        raise Unavailable from error
    return signed, level


def _signed(pdf: bytes, order: _Order, sealer: Sealer, now: datetime) -> tuple[bytes, Sealer]:
    if sealer.credentials.development and not shows_on_every_page(pdf, DEVELOPMENT_NOTICE):
        raise SealError("a development certificate seals only pages that say so")
    try:
        return seal(pdf, _marks(order, sealer), sealer, now=now), sealer
    except AuthorityUnavailable:
        if sealer.authority is None or sealer.authority.required:
            raise
        alone = replace(sealer, authority=None)
        return seal(pdf, _marks(order, alone), alone, now=now), alone


def _level(signed: bytes, pdf: bytes, sealer: Sealer) -> str:
    """The PAdES level that a signed document proves to have; empty when it does not hold, or is not of this document."""
    facts = validate(signed, sealer.roots)
    if not signed.startswith(pdf) or not facts.sound or tuple(s.field for s in facts.signatures) != PLACES:
        return ""
    lasting = facts.signatures[-1].stamped_at is not None and bool(facts.stamps and facts.revocation_data)
    if sealer.authority is not None and sealer.authority.required and not lasting:
        return ""
    return "B-LTA" if lasting else "B-B"


def _order(deps: Deps, agreement_id: str, pdf: bytes) -> _Order:
    with deps.database.read() as session:
        row = session.get_one(Agreement, agreement_id)
        kept, facts = proved_evidence(deps, session, row, hashlib.sha256(pdf).hexdigest())
        drawing = normalise(stored_drawing(deps, kept)) if kept.drawing_sha256 is not None else None
        if row.places is None or row.countersigned_at is None or row.countersigned_by is None:
            raise DigestConflict
        return _Order(
            number=row.number,
            pdf_sha256=facts.pdf_sha256,
            places={name: Place(int(at[0]), *at[1:]) for name, at in row.places.items()},
            facts=facts,
            evidence_sha256=hashlib.sha256(kept.body.encode()).hexdigest(),
            drawing=drawing,
            company=deps.settings.company_name,
            countersigner=session.get_one(Account, row.countersigned_by).name,
            countersigned_at=row.countersigned_at,
        )


def _marks(order: _Order, sealer: Sealer) -> list[Mark]:
    signer = order.facts.signer
    partner = [
        f"{signer.title}，{signer.organisation}",
        _when(order.facts.signed_at),
        f"证据 Evidence {order.evidence_sha256[:16]}",
    ]
    company = [order.company, _when(order.countersigned_at)]
    seal_lines = [f"编号 {order.number}　文件 PDF SHA-256 {order.pdf_sha256}", evidence_of_time(sealer)]
    return [
        _mark("Partner", order, signer.name, partner, "签署 Signed by the partner", order.drawing),
        _mark("Company", order, order.countersigner, company, "会签 Countersigned by the company"),
        _mark("Seal", order, f"{order.company} 封签", seal_lines, "封签 Sealed by the gateway"),
    ]


def _mark(
    name: str, order: _Order, who: str, lines: Sequence[str], reason: str, drawing: Drawing | None = None
) -> Mark:
    place = order.places[name]
    day = order.countersigned_at.astimezone(COMPANY_ZONE).date()
    return Mark(name, place, appearance(place, who, lines, day, drawing=drawing), who, reason)


def _when(at: datetime) -> str:
    return f"{at.astimezone(COMPANY_ZONE):%Y-%m-%d %H:%M:%S} +08:00"


def evidence_of_time(sealer: Sealer) -> str:
    """What proves when it was sealed, in plain words."""
    if sealer.authority is None:
        return "时间：无时间戳，仅以日志检查点为证。 Time: no time stamp; the log's checkpoint is the only evidence."
    return f"时间：RFC 3161 时间戳，{sealer.authority.host}。 Time: RFC 3161 time stamp."


def _complete(deps: Deps, agreement_id: str, sealed_sha256: str, level: str, now: datetime) -> None:
    with deps.job(SYSTEM, "agreement.complete", ("agreement", agreement_id), now) as session:
        row = locked(session, Agreement, agreement_id)
        if row is None:
            raise NotFound
        if row.state != "PROCESSING":
            return
        row.sealed_sha256, row.level = sealed_sha256, level
        move(
            deps, session, AGREEMENT, row, "complete", actor=SYSTEM, now=now,
            signed_sha256=row.signed_sha256, sealed_sha256=sealed_sha256, level=level,
        )  # fmt: skip
        progress = session.get(Sealing, agreement_id)
        if progress is not None:
            progress.error = None
        enqueue(session, "signing.pack", now=now, payload={"agreement": agreement_id})
        if row.valid_from <= now:
            enter_force(deps, session, row, now)


def _hold(deps: Deps, agreement_id: str, error: Exception, now: datetime) -> None:
    """Notes why it is not sealed yet and when it is tried again; a new kind of fault is entered in the log once."""
    code = next((code for kind, code in CODES.items() if isinstance(error, kind)), "SEAL")
    _log.warning("agreement not sealed", agreement=agreement_id, code=code, reason=str(error))
    with deps.database.write() as session:
        row, progress = locked(session, Agreement, agreement_id), session.get(Sealing, agreement_id)
        if row is None or row.state != "PROCESSING":
            return
        if progress is None:
            progress = Sealing(agreement_id=agreement_id, tries=0)
            session.add(progress)
        if progress.error != code:
            record(session, "agreement.held", actor=SYSTEM, obj=("agreement", row.id), now=now, code=code)
        progress.tries, progress.error = progress.tries + 1, code
        progress.next_at = now + min(FIRST_PAUSE * 2 ** min(progress.tries - 1, 10), LONGEST_PAUSE)


def resume(deps: Deps, session: Session, row: Agreement, *, now: datetime) -> int:
    """Asks for the seal of a PROCESSING agreement again when that is due; returns 1 when it did."""
    progress = session.scalars(
        select(Sealing).where(Sealing.agreement_id == row.id).with_for_update()
    ).first()
    if progress is not None and progress.next_at > now:
        return 0
    if progress is None:
        session.add(Sealing(agreement_id=row.id, next_at=now + AT_WORK))
    else:
        progress.next_at = now + AT_WORK
    enqueue(session, SEAL_JOB, now=now, payload={"agreement": row.id})
    return 1
