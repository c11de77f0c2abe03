"""Making a bundle: reserve numbers under the gate, mark and read back in the worker, commit to the manifest, seal, store."""

import json
import os
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from gateway.archive.models import Case, Item, ItemVersion
from gateway.archive.service import next_copy_number
from gateway.db import locked, new_id
from gateway.deps import Deps
from gateway.errors import NotFound, Refused, SealGateError, Withheld
from gateway.identity.models import Contact, Organisation
from gateway.jobs.service import JobView, Progress, enqueue
from gateway.notify.service import Recipient, tell
from gateway.principal import SYSTEM, Actor, Text
from gateway.release import Ask, demand, source_into_memory
from gateway.sharing.errors import BadShare
from gateway.sharing.models import Bundle, Copy, RevealedSecret, Share, ShareContact, ShareItem
from gateway.sharing.rules import BUNDLE, COPY, PURPOSES, bundle_format
from gateway.sharing.service.sealing import Issued, Sealed, Sources, issue, seal_and_store
from gateway.signing.models import Agreement
from gateway.workflow import move
from watermark.bundle import file_name
from watermark.mark import Mark
from watermark.report import Report
from watermark.worker import mark as mark_file


def prepare(
    deps: Deps, share_id: str, item_ids: Sequence[str], *, wanted: str | None, actor: Actor, now: datetime
) -> list[str]:
    """Reserves copies of the chosen items for the contact who asks and queues their making; returns the bundles' ids.

    `wanted` is pdf (several PDFs are then taken one by one), zip, age or None for the best fit. The same request while one is
    being made or lies ready returns that one. Raises Withheld with the vector when a reserve condition is unmet.
    """
    with deps.job(actor, "bundle.prepare", ("share", share_id), now) as session:
        share = _visible(session, share_id, actor)
        chosen = _chosen(session, share, item_ids)
        kinds = [version.kind or "" for _, version in chosen]
        apart = wanted == "pdf" and len(chosen) > 1 and set(kinds) == {"pdf"}
        groups = [[one] for one in chosen] if apart else [chosen]
        return [_reserve(deps, session, share, group, wanted, actor, now) for group in groups]


def _visible(session: Session, share_id: str, actor: Actor) -> Share:
    share = locked(session, Share, share_id)
    named = select(ShareContact).where(ShareContact.share_id == share_id, ShareContact.contact_id == actor.id)
    if share is None or actor.kind != "contact" or session.scalars(named).first() is None:
        raise NotFound
    return share


def _chosen(session: Session, share: Share, item_ids: Sequence[str]) -> list[tuple[Item, ItemVersion]]:
    listed = {row.item_id: row.version for row in session.scalars(select(ShareItem).where(ShareItem.share_id == share.id))}
    wanted = list(dict.fromkeys(item_ids))
    if not wanted:
        raise BadShare("items", Text("请选择文件。", "Choose at least one file."))
    if any(item_id not in listed for item_id in wanted):
        raise NotFound
    return [(locked(session, Item, i) or _lost(), _version(session, i, listed[i])) for i in wanted]


def _version(session: Session, item_id: str, version: int) -> ItemVersion:
    return session.scalars(select(ItemVersion).where(ItemVersion.item_id == item_id, ItemVersion.version == version)).one()


def _lost() -> Item:
    raise NotFound


def _reserve(
    deps: Deps, session: Session, share: Share, chosen: list[tuple[Item, ItemVersion]], wanted: str | None, actor: Actor, now: datetime
) -> str:
    items = tuple((item.id, version.version) for item, version in chosen)
    contact = session.get_one(Contact, actor.id)
    fmt = bundle_format([v.kind or "" for _, v in chosen], wanted, has_key=contact.age_recipient is not None)
    open_one = _open_bundle(session, share.id, actor.id, items, fmt)
    if open_one is not None:
        return open_one
    decision = demand(deps, session, Ask("copy", "reserve", actor, now, share.id, actor.id, items, "DOWNLOAD"))
    hours = deps.parameters(session, now)["copy.abandon_h"]
    bundle = Bundle(id=new_id(), state="", share_id=share.id, contact_id=actor.id, format=fmt, prepared_at=now)
    bundle.expires_at = now + timedelta(hours=hours)
    numbers = [next_copy_number(session, item) for item, _ in chosen]
    vector = decision.as_json()
    move(deps, session, BUNDLE, bundle, "prepare", actor=actor, now=now, share=share.id, contact=actor.id, format=fmt, copies=numbers, vector=vector)
    for number, (item, version) in zip(numbers, chosen, strict=True):
        copy = Copy(id=new_id(), state="", number=number, bundle_id=bundle.id, share_id=share.id, contact_id=actor.id)
        copy.item_id, copy.version, copy.created_at, copy.vector = item.id, version.version, now, vector
        copy.file_name = file_name(number, version.kind or "")
        move(deps, session, COPY, copy, "reserve", actor=actor, now=now, number=number, share=share.id, contact=actor.id, item=item.id, version=version.version)
    bundle.job_id = enqueue(session, "sharing.prepare", now=now, payload={"bundle": bundle.id})
    return bundle.id


def _open_bundle(session: Session, share_id: str, contact_id: str, items: tuple[tuple[str, int], ...], fmt: str) -> str | None:
    query = select(Bundle).where(
        Bundle.share_id == share_id, Bundle.contact_id == contact_id, Bundle.format == fmt, Bundle.state.in_(("PREPARING", "READY"))
    )
    for bundle in session.scalars(query):
        held = {(c.item_id, c.version) for c in session.scalars(select(Copy).where(Copy.bundle_id == bundle.id))}
        if held == set(items):
            return bundle.id
    return None


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
        versions=tuple(_version(session, c.item_id, c.version) for c in copies),
        levels=tuple(session.get_one(Item, c.item_id).level for c in copies),
        opacity=deps.parameters(session, now)["watermark.opacity_pct"] / 100,
        agreement_number=agreement.number,
        agreement_digest=agreement.signed_sha256 or "",
    )


def governing(session: Session, organisation_id: str, now: datetime) -> Agreement:
    """The newest agreement in force of an organisation; Withheld(NDA) when there is none."""
    query = select(Agreement).where(
        Agreement.organisation_id == organisation_id, Agreement.state.in_(("IN_FORCE", "EXPIRING")),
        Agreement.valid_from <= now, Agreement.valid_to > now,
    )  # fmt: skip
    found = session.scalars(query.order_by(Agreement.created_at.desc()).limit(1)).first()
    if found is None:
        raise Withheld(["NDA"])
    return found


def _mark_all(deps: Deps, plan: Plan, progress: Progress, now: datetime, held: ExitStack) -> list[tuple[int, Report]]:
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


class NotMarked(Refused):
    """An item could not be marked, or its mark was not read back; the code is the worker's reason."""

    text = Text("有文件无法加水印，没有文件外出。", "A file could not be marked. Nothing left.")

    def __init__(self, reason: str) -> None:
        super().__init__(code=f"MARK_{reason}"[:60])


def _finish(deps: Deps, plan: Plan, sources: Sources, issued: Issued, sealed: Sealed, *, now: datetime) -> None:
    with deps.job(SYSTEM, "bundle.ready", ("bundle", plan.bundle.id), now) as session:
        bundle = locked(session, Bundle, plan.bundle.id)
        if bundle is None or bundle.state != "PREPARING":
            return
        bundle.sha256, bundle.size, bundle.file_name, bundle.ready_at = sealed.sha256, sealed.size, sealed.name, now
        bundle.manifest_sha256, bundle.issue_leaf = issued.manifest_sha256, issued.leaf
        move(deps, session, BUNDLE, bundle, "ready", actor=SYSTEM, now=now, sha256=sealed.sha256, size=sealed.size, issue_leaf=issued.leaf)
        for copy, report in zip(plan.copies, sources.reports, strict=True):
            row = locked(session, Copy, copy.id)
            if row is not None:
                row.marked_sha256, row.report = report.sha256_out, _report_json(report)
                move(deps, session, COPY, row, "ready", actor=SYSTEM, now=now, marked_sha256=report.sha256_out, pages=len(report.pages))
        if sealed.secret is not None:
            session.merge(RevealedSecret(bundle_id=bundle.id, blob=sealed.secret, created_at=now))
        tell(session, "copy.ready", [Recipient("contact", bundle.contact_id)], now=now, fields={"no": plan.share.number})


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
