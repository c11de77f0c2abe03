"""The job that makes a bundle: mark every item, read the marks back, commit to the manifest, seal, store."""

import json
import os
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from gateway.archive.models import Item, ItemVersion
from gateway.db import locked
from gateway.deps import Deps
from gateway.errors import SealGateError, Withheld
from gateway.identity.models import Contact, Organisation
from gateway.jobs.service import JobView, Progress
from gateway.notify.service import Recipient, tell
from gateway.principal import SYSTEM, Text
from gateway.release import source_into_memory
from gateway.sharing.errors import NotMarked
from gateway.sharing.models import Bundle, Copy, RevealedSecret, Share
from gateway.sharing.rules import BUNDLE, COPY, PURPOSES
from gateway.sharing.service.preparing import version_of
from gateway.sharing.service.sealing import Issued, Sealed, Sources, issue, seal_and_store
from gateway.signing.models import Agreement
from gateway.workflow import move
from watermark.mark import Mark
from watermark.report import Report
from watermark.worker import mark as mark_file


@dataclass(frozen=True)
class Plan:
    """Everything the worker needs, read once before the long work, outside any transaction."""

    bundle: Bundle
    share: Share
    contact: Contact
    organisation: Organisation
    copies: tuple[Copy, ...]
    versions: tuple[ItemVersion, ...]
    levels: tuple[int, ...]
    opacity: float
    agreement_number: str
    agreement_digest: str


def make(deps: Deps, job: JobView, progress: Progress) -> None:
    """The job `sharing.prepare`: marks every item, reads the marks back, issues and seals; safe to run again after a crash."""
    bundle_id = str(job.payload["bundle"])
    now = deps.clock()
    try:
        with deps.database.read() as session:
            plan = _plan(deps, session, bundle_id, now)
        if plan is None:
            return
        with ExitStack() as held:
            marked = _mark_all(deps, plan, progress, now, held)
            sources = Sources(tuple(f for f, _ in marked), tuple(r for _, r in marked))
            progress(Text("写入日志并签名", "Writing to the log"), len(marked), len(marked) + 2)
            issued = issue(deps, plan, sources, now=deps.clock())
            progress(Text("加密", "Encrypting"), len(marked) + 1, len(marked) + 2)
            sealed = seal_and_store(deps, plan, issued)
        _finish(deps, plan, sources, issued, sealed, now=deps.clock())
    except SealGateError as error:
        give_up(deps, bundle_id, error.code, now=deps.clock())


def _plan(deps: Deps, session: Session, bundle_id: str, now: datetime) -> Plan | None:
    bundle = session.get(Bundle, bundle_id)
    if bundle is None or bundle.state != "PREPARING":
        return None
    copies = tuple(session.scalars(select(Copy).where(Copy.bundle_id == bundle_id).order_by(Copy.number)))
    contact = session.get_one(Contact, bundle.contact_id)
    agreement = governing(session, contact.organisation_id, now)
    return Plan(
        bundle=bundle,
        share=session.get_one(Share, bundle.share_id),
        contact=contact,
        organisation=session.get_one(Organisation, contact.organisation_id),
        copies=copies,
        versions=tuple(version_of(session, c.item_id, c.version) for c in copies),
        levels=tuple(session.get_one(Item, c.item_id).level for c in copies),
        opacity=deps.parameters(session, now)["watermark.opacity_pct"] / 100,
        agreement_number=agreement.number,
        agreement_digest=agreement.signed_sha256 or "",
    )


def governing(session: Session, organisation_id: str, now: datetime) -> Agreement:
    """The newest agreement in force of an organisation; Withheld(NDA) when there is none."""
    query = select(Agreement).where(
        Agreement.organisation_id == organisation_id, Agreement.state.in_(("IN_FORCE", "EXPIRING")), Agreement.kind == "NDA",
        Agreement.valid_from <= now, Agreement.valid_to > now,
    )  # fmt: skip
    found = session.scalars(query.order_by(Agreement.created_at.desc()).limit(1)).first()
    if found is None:
        raise Withheld(["NDA"])
    return found


def _mark_all(
    deps: Deps, plan: Plan, progress: Progress, now: datetime, held: ExitStack
) -> list[tuple[int, Report]]:
    done = []
    for index, copy in enumerate(plan.copies):
        progress(Text("加水印并逐页核对", "Marking and reading back"), index, len(plan.copies) + 2)
        handle, report = _mark_one(deps, plan, index, copy, now)
        held.callback(os.close, handle)
        done.append((handle, report))
    return done


def _mark_one(deps: Deps, plan: Plan, index: int, copy: Copy, now: datetime) -> tuple[int, Report]:
    version = plan.versions[index]
    words = PURPOSES[plan.share.purpose]
    mark = Mark.for_recipient(
        plan.contact.name, plan.organisation.name, copy.number, now.date(), f"{words.zh} {words.en}", f"L{plan.levels[index]}",
        opacity=plan.opacity,
    )  # fmt: skip
    source = source_into_memory(deps, copy.item_id, copy.version, sha256=version.sha256)
    try:
        handle, report = mark_file(source, mark)
    finally:
        os.close(source)
    if handle is None:
        raise NotMarked(report.reason or "NOT_MARKED")
    return handle, report


def _finish(
    deps: Deps, plan: Plan, sources: Sources, issued: Issued, sealed: Sealed, *, now: datetime
) -> None:
    with deps.job(SYSTEM, "bundle.ready", ("bundle", plan.bundle.id), now) as session:
        bundle = locked(session, Bundle, plan.bundle.id)
        if bundle is None or bundle.state != "PREPARING":
            return
        bundle.sha256, bundle.size, bundle.file_name, bundle.ready_at = (
            sealed.sha256,
            sealed.size,
            sealed.name,
            now,
        )
        bundle.manifest_sha256, bundle.issue_leaf = issued.manifest_sha256, issued.leaf
        move(
            deps,
            session,
            BUNDLE,
            bundle,
            "ready",
            actor=SYSTEM,
            now=now,
            sha256=sealed.sha256,
            size=sealed.size,
            issue_leaf=issued.leaf,
        )
        for copy, report in zip(plan.copies, sources.reports, strict=True):
            row = locked(session, Copy, copy.id)
            if row is not None:
                row.marked_sha256, row.report = report.sha256_out, _report_json(report)
                move(
                    deps,
                    session,
                    COPY,
                    row,
                    "ready",
                    actor=SYSTEM,
                    now=now,
                    marked_sha256=report.sha256_out,
                    pages=len(report.pages),
                )
        if sealed.secret is not None:
            session.merge(RevealedSecret(bundle_id=bundle.id, blob=sealed.secret, created_at=now))
        tell(
            session,
            "copy.ready",
            [Recipient("contact", bundle.contact_id)],
            now=now,
            fields={"no": plan.share.number},
        )


def _report_json(report: Report) -> dict[str, object]:
    parsed: dict[str, object] = json.loads(report.as_json())
    return parsed


def give_up(deps: Deps, bundle_id: str, cause: str, *, now: datetime) -> None:
    """A bundle that could not be made: its copies' numbers are void and nothing is spent."""
    with deps.job(SYSTEM, "bundle.fail", ("bundle", bundle_id), now) as session:
        bundle = locked(session, Bundle, bundle_id)
        if bundle is not None and bundle.state == "PREPARING":
            bundle.failure = cause
            void_copies(deps, session, bundle, cause, now)
            move(deps, session, BUNDLE, bundle, "fail", actor=SYSTEM, now=now, cause=cause)


def void_copies(deps: Deps, session: Session, bundle: Bundle, cause: str, now: datetime) -> None:
    """Abandons the copies of a bundle that were not collected; their numbers are not used again."""
    for copy in session.scalars(select(Copy).where(Copy.bundle_id == bundle.id).with_for_update()):
        if copy.state in ("RESERVED", "READY"):
            move(deps, session, COPY, copy, "abandon", actor=SYSTEM, now=now, cause=cause)


def _failed(deps: Deps, job: JobView, progress: Progress) -> None:
    give_up(deps, str(job.payload["bundle"]), "CRASHED", now=deps.clock())


HANDLERS = {"sharing.prepare": make}


FAILURES = {"sharing.prepare": _failed}
