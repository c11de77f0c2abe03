"""The one gate: bytes of an archived file leave only through this module (DESIGN.md §2.1).

`decide` gathers the facts that the rooms offer and asks the pure `policy.release`;
`release_bytes` waits for the signed
checkpoint that holds the entry, asks the live conditions once more, and only then yields;
it asks again before every further
MiB, and closes with an entry that says completed, or aborted at byte n.
"""

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import structlog
from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from gateway.audit.models import Leaf
from gateway.audit.service import record
from gateway.deps import Deps
from gateway.errors import Refused, Unavailable, Withheld
from gateway.policy import release as policy
from gateway.policy.facts import Facts
from gateway.principal import Actor, Text
from storage.errors import StorageError
from storage.sealed import SealedStore
from watermark.mark import Mark
from watermark.worker import preview

log = structlog.get_logger()
PIECE = 1 << 20


@dataclass(frozen=True)
class Ask:
    """What is asked of the gate: which exit at which stage, by whom, of which share and items, for which
    contact, from where.

    `items` are (item id, version). `bundle` names the bundle collected, when there is one.
    `duty_purpose` is the purpose code of a duty view.
    """

    exit: policy.Exit
    stage: policy.Stage
    actor: Actor
    now: datetime
    share: str | None = None
    contact: str | None = None
    items: tuple[tuple[str, int], ...] = ()
    right: str | None = None
    bundle: str | None = None
    duty_purpose: str | None = None


FactSource = Callable[[Deps, Session, Ask], Mapping[str, Any]]


def gather(deps: Deps, session: Session, ask: Ask) -> Facts:
    """Everything the decision may look at, from the ground itself and from every room's source."""
    found: dict[str, Any] = {"right": ask.right, "address": ask.actor.ip}
    if ask.stage != "live":
        found |= {
            "log_ok": deps.log.health(now=ask.now).ok,
            "keys_ready": deps.keyring.ready(),
            "clock_behind_s": clock_behind(session, ask.now),
        }
    evidence: dict[str, tuple[str, ...]] = {}
    for source in deps.facts:
        offered = dict(source(deps, session, ask))
        evidence.update(offered.pop("evidence", {}))
        found.update(offered)
    return Facts(now=ask.now, evidence=evidence, **found)


def clock_behind(session: Session, now: datetime) -> float:
    """How many seconds `now` lies behind the high-water mark, the newest entry's time; 0 when it does not."""
    newest = session.scalar(select(func.max(Leaf.at)))
    return max(0.0, (newest - now).total_seconds()) if newest is not None else 0.0


def decide(deps: Deps, session: Session, ask: Ask) -> policy.Decision:
    """The whole vector of conditions for an ask; reads only, inside the caller's transaction."""
    return policy.release(ask.exit, ask.stage, gather(deps, session, ask), deps.parameters(session, ask.now))


def demand(deps: Deps, session: Session, ask: Ask) -> policy.Decision:
    """The decision, when it is wholly met; raises Withheld with the unmet codes otherwise."""
    decision = decide(deps, session, ask)
    if not decision.allowed:
        raise Withheld([c.code for c in decision.missing], decision)
    return decision


@dataclass(frozen=True)
class Passage:
    """Bytes on their way out: the entry that allowed them, the stored object, and where to start.

    `length` None means to the end. `done` is told the outcome: `completed`, or `aborted`, and how many bytes went.
    """

    ask: Ask
    leaf: str
    store: SealedStore
    object_id: str
    version: int = 1
    start: int = 0
    length: int | None = None
    done: Callable[[str, int], None] = lambda outcome, sent: None


def release_bytes(deps: Deps, passage: Passage) -> Iterator[bytes]:
    """Yields the object's bytes in pieces of at most 1 MiB, while every live condition holds.

    Nothing is yielded before the entry stands in a signed checkpoint and the live conditions were read once
    more. Raises
    Withheld or Unavailable before the first piece; afterwards a failure ends the stream short and the closing
    entry says where.
    """
    try:
        deps.log.await_checkpoint(passage.leaf, now=deps.clock())
        _still_allowed(deps, passage)
        pieces = iter(passage.store.open(passage.object_id, passage.version, passage.start, passage.length))
        first = next(pieces, b"")
    except StorageError as error:
        _close(deps, passage, "aborted", 0)
        raise Unavailable from error
    except BaseException:
        _close(deps, passage, "aborted", 0)
        raise
    return _stream(deps, passage, first, pieces)


def _stream(deps: Deps, passage: Passage, first: bytes, pieces: Iterator[bytes]) -> Iterator[bytes]:
    sent, outcome = 0, "aborted"
    try:
        piece = first
        while piece:
            # Counted as it is handed over: whoever breaks off in the middle of a piece may have got all of it.
            sent += len(piece)
            yield piece
            piece = next(pieces, b"")
            if piece:
                _still_allowed(deps, passage)
        outcome = "completed"
    except (Refused, StorageError):
        log.warning("stream stopped", object=passage.object_id, sent=sent)
        raise
    finally:
        _close(deps, passage, outcome, sent)


def _still_allowed(deps: Deps, passage: Passage) -> None:
    ask = replace(passage.ask, stage="live", now=deps.clock())
    with deps.database.read() as session:
        demand(deps, session, ask)


def _close(deps: Deps, passage: Passage, outcome: str, sent: int) -> None:
    ask = passage.ask
    try:
        with deps.database.write() as session:
            record(
                session,
                f"release.{outcome}",
                actor=ask.actor,
                obj=("bundle", ask.bundle) if ask.bundle else ("object", passage.object_id),
                now=deps.clock(),
                opened_by=passage.leaf,
                start=passage.start,
                bytes=sent,
            )
        passage.done(outcome, sent)
    except SQLAlchemyError as error:
        # The stream is over whatever happens here; its opening entry stands, and the portal says what it could not write.
        log.critical("closing entry not written", opened_by=passage.leaf, outcome=outcome, sent=sent)
        raise Unavailable("LOG") from error


def sidecar(deps: Deps, object_id: str, version: int, *, ask: Ask, collected: bool) -> bytes:
    """A companion of a bundle, which holds no archived byte: cover, manifest, signature or receipt.

    Asks for the live conditions, except that what was collected stays provable to its owner.
    Raises Withheld or Unavailable.
    """
    if not collected:
        with deps.database.read() as session:
            demand(deps, session, replace(ask, stage="live", now=deps.clock()))
    try:
        return b"".join(deps.bundles.open(object_id, version))
    except StorageError as error:
        raise Unavailable from error


def duty_view(
    deps: Deps,
    item: str,
    version: int,
    page: int,
    purpose: str,
    *,
    sha256: str,
    number: str,
    actor: Actor,
    now: datetime,
) -> bytes:
    """One page of an archived item as an image with the viewer's mark burnt in (WebP or PNG), for staff on duty.

    Passes the gate's duty-view set, with the purpose code in an entry of its own each time.
    `page` counts from 1, `number` is
    the item's file number. Raises Withheld, or Unavailable when the page cannot be marked.
    """
    ask = Ask("duty_view", "collect", actor, now, items=((item, version),), duty_purpose=purpose)
    with deps.job(actor, "item.view", ("item", item), now) as session:
        demand(deps, session, ask)
        leaf = record(
            session,
            "item.view",
            actor=actor,
            obj=("item", item),
            now=now,
            version=version,
            page=page,
            purpose=purpose,
        )
    deps.log.await_checkpoint(leaf, now=deps.clock())
    with deps.database.read() as session:
        demand(deps, session, replace(ask, stage="live", now=deps.clock()))
    mark = Mark.for_recipient(
        recipient=actor.name,
        organisation=deps.settings.company_name,
        copy_number=number,
        issued_on=now.date(),
        purpose=purpose,
        level="–",
    )
    source = source_into_memory(deps, item, version, sha256=sha256)
    try:
        image, report = preview(source, page, mark)
    finally:
        os.close(source)
    if image is None:
        raise Unavailable(
            text=Text(f"这一页无法加水印：{report.reason}", f"This page cannot be marked: {report.reason}")
        )
    return image


def read_for_inspection(deps: Deps, item: str, version: int) -> int:
    """A freshly uploaded version's plaintext in a memfd, for the sandboxed parser that proves its kind;
    the caller closes it."""
    return source_into_memory(deps, item, version, sha256=None)


def source_into_memory(deps: Deps, item: str, version: int, *, sha256: str | None) -> int:
    """An archived version's plaintext in a fresh memfd, for the sandboxed worker that marks or inspects it;
    the caller closes it.

    Nothing leaves the machine by this. Raises Withheld(HASH) when the bytes differ from `sha256`,
    Unavailable when the store fails.
    """
    handle = os.memfd_create(f"source-{item[:8]}", os.MFD_CLOEXEC)
    digest = hashlib.sha256()
    try:
        with os.fdopen(os.dup(handle), "wb") as file:
            for piece in deps.objects.open(f"item-{item}", version):
                digest.update(piece)
                file.write(piece)
    except StorageError as error:
        os.close(handle)
        raise Unavailable from error
    if sha256 is not None and digest.hexdigest() != sha256:
        os.close(handle)
        raise Withheld(["HASH"])
    os.lseek(handle, 0, os.SEEK_SET)
    return handle
