"""Agreements signed on paper: the scan is kept as evidence, two different people confirm it; equal in effect (policy.md §3.7)."""

import hashlib
import os
from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from gateway.db import new_id
from gateway.deps import Deps
from gateway.errors import Unavailable
from gateway.principal import Actor, Text
from gateway.signing.errors import BadAgreement
from gateway.signing.models import Agreement, PaperCheck, Template
from gateway.signing.rules import AGREEMENT, COMPANY_ZONE, PAPER_CHECKS, day_start, unable
from gateway.signing.service.drafting import found, object_id, started
from gateway.signing.service.forcing import enter_force
from gateway.signing.service.wording import Scope
from gateway.workflow import move
from storage.errors import Conflict, StorageError
from watermark import memory
from watermark.kinds import Kind
from watermark.worker import inspect

MAX_SCAN = 12 << 20
OTHER_TEXT = "–"
_LONGEST_PLACE = 200


@dataclass(frozen=True)
class Scan:
    """A paper agreement as it is registered: what it covers, the scanned PDF, when it was signed, where the original is.

    `template` is the id of the text version it was printed from; empty when the paper has words of its own.
    """

    scope: Scope
    template: str
    signed_on: date
    location: str
    data: bytes


def intake(deps: Deps, scan: Scan, *, actor: Actor, now: datetime) -> str:
    """Registers a paper agreement and keeps its scan; returns its id. It governs nothing before both checks.

    Raises BadAgreement naming the field that cannot be taken; Unavailable when the evidence cannot be stored.
    """
    with deps.job(actor, "agreement.intake", ("agreement", "new"), now) as session:
        _admit(session, scan, actor, now)
    pages = _proved(scan.data)
    agreement_id, digest = new_id(), hashlib.sha256(scan.data).hexdigest()
    _keep(deps, agreement_id, scan.data)
    with deps.job(actor, "agreement.intake", ("agreement", agreement_id), now) as session:
        _admit(session, scan, actor, now)
        template = session.get(Template, scan.template) if scan.template else None
        version = template.version if template is not None else OTHER_TEXT
        row = started(deps, session, scan.scope, version, agreement_id, actor=actor, now=now)
        row.template_id = template.id if template is not None else None
        row.form, row.original_location = "PAPER", scan.location.strip()
        row.pdf_sha256 = row.signed_sha256 = digest
        row.signed_at = day_start(scan.signed_on)
        row.values = {**row.values, "pages": str(pages)}
        move(
            deps, session, AGREEMENT, row, "intake", actor=actor, now=now, number=row.number, pdf_sha256=digest,
            signed_on=scan.signed_on.isoformat(), classes=row.classes, purposes=row.purposes, clients=row.clients,
        )  # fmt: skip
        return row.id


def check(
    deps: Deps, agreement_id: str, stage: int, ticked: Collection[str], *, actor: Actor, now: datetime
) -> None:
    """Confirms a stage (1 or 2) of the check of a paper; the second brings it into force from its first day.

    Every point of the stage must be ticked: BadAgreement otherwise. The second check is never by who registered the paper or
    made the first: NotAllowed SOD-2.
    """
    event = f"check{stage}"
    with deps.job(actor, f"agreement.{event}", ("agreement", agreement_id), now) as session:
        row = found(session, agreement_id)
        refusal = unable(AGREEMENT, row.state, event, actor)
        if refusal is not None:
            raise refusal
        points = PAPER_CHECKS[stage]
        if set(ticked) != set(points):
            raise BadAgreement(
                "points", Text("每一项都须核对后勾选。", "Every point must be checked and ticked.")
            )
        if stage == 1:
            row.checked_by = actor.id
        leaf = move(
            deps, session, AGREEMENT, row, event, actor=actor, now=now, checks=sorted(points), pdf_sha256=row.pdf_sha256
        )  # fmt: skip
        session.add(PaperCheck(id=new_id(), agreement_id=row.id, stage=stage, by=actor.id, at=now, leaf=leaf))
        if stage == 2 and row.valid_from <= now:
            enter_force(deps, session, row, now)


def refuse(deps: Deps, agreement_id: str, reason: str, *, actor: Actor, now: datetime) -> None:
    """A paper that does not stand up is refused for good; its scan stays as evidence."""
    with deps.job(actor, "agreement.refuse", ("agreement", agreement_id), now) as session:
        row = found(session, agreement_id)
        move(deps, session, AGREEMENT, row, "refuse", actor=actor, now=now, reason=reason)


def _admit(session: Session, scan: Scan, actor: Actor, now: datetime) -> None:
    refusal = unable(AGREEMENT, "", "intake", actor)
    if refusal is not None:
        raise refusal
    if not 1 <= len(scan.location.strip()) <= _LONGEST_PLACE:
        raise BadAgreement(
            "location",
            Text(
                "请填写原件存放位置，不超过 200 字。",
                "Say where the original is kept, in up to 200 characters.",
            ),
        )
    if scan.signed_on > now.astimezone(COMPANY_ZONE).date():
        raise BadAgreement("signed_on", Text("签署日期不能在将来。", "The day of signing cannot lie ahead."))
    template = session.get(Template, scan.template) if scan.template else None
    if scan.template and (template is None or template.state not in ("ACTIVE", "RETIRED")):
        raise BadAgreement(
            "template", Text("请选择印制所用的模板版本。", "Choose the version that was printed.")
        )
    digest = hashlib.sha256(scan.data).hexdigest()
    if session.scalars(select(Agreement.id).where(Agreement.pdf_sha256 == digest)).first() is not None:
        raise BadAgreement("scan", Text("这份扫描件已经登记过。", "This scan has been registered already."))


def _proved(data: bytes) -> int:
    """How many pages the scan has; the sandboxed parser, not its name, says that it is a PDF."""
    if not 1 <= len(data) <= MAX_SCAN:
        raise BadAgreement("scan", Text("请选择扫描件，不超过 12 MiB。", "Choose a scan of at most 12 MiB."))
    source = memory.create("scan", data)
    try:
        kind: Kind = inspect(source)
    finally:
        os.close(source)
    if kind.code != "pdf" or kind.treatment != "stamp" or not kind.pages:
        raise BadAgreement(
            "scan",
            Text(
                "扫描件须为可以打开的 PDF，没有密码，也没有电子签名。",
                "The scan must be a PDF that opens, without password and without electronic signature.",
            ),
        )
    return kind.pages


def _keep(deps: Deps, agreement_id: str, data: bytes) -> None:
    try:
        deps.evidence.put(object_id(agreement_id), 1, iter([data]))
    except (Conflict, StorageError) as error:
        raise Unavailable from error
