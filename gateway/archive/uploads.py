"""Resumable uploads: raw parts, each sealed as it arrives; then the proof of what the file is (DESIGN.md §2.7, policy.md §2.4).

Plaintext is in memory only: a part is at most PART_SIZE bytes, and the proof reads the sealed object back through the gate
into a memory file for the sandboxed parser.
"""

import hashlib
import hmac
import math
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from gateway.archive.cases import writable_case
from gateway.archive.models import Item, ItemVersion, Upload, UploadPart
from gateway.audit.service import record
from gateway.db import locked, new_id
from gateway.deps import Deps
from gateway.errors import Invalid, NotFound, Unavailable, WrongState
from gateway.jobs.service import enqueue
from gateway.principal import SYSTEM, Actor, Text
from storage.errors import Conflict, StorageError
from storage.sealed import PART_SIZE
from storage.store import Part

MAX_SIZE = 2 << 30
ABANDONED_AFTER = timedelta(hours=24)
INSPECT = "archive.inspect"


@dataclass(frozen=True)
class UploadView:
    """What an uploader needs to go on: the size of a part, how many there are, which have arrived."""

    id: str
    item_id: str
    version: int
    file_name: str
    size: int
    part_size: int
    parts: int
    have: tuple[int, ...]
    state: str


def object_id(item_id: str) -> str:
    """The id of an item in the sealed store; its versions there are numbered as here."""
    return f"item-{item_id}"


def shown_name(name: str) -> str:
    """A name as it may be shown and sent: last component, NFC, no control, bidi or unassigned characters, 200 at most."""
    last = re.split(r"[/\\]", unicodedata.normalize("NFC", name))[-1]
    clean = "".join(
        "_" if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp") else c for c in last
    )
    clean = " ".join(clean.split()).strip(". ")
    if len(clean) > 200:
        stem, dot, suffix = clean.rpartition(".")
        clean = f"{stem[: 199 - len(suffix)]}.{suffix}" if dot and len(suffix) <= 10 else clean[:200]
    return clean or "未命名"


def part_count(size: int) -> int:
    """How many parts a file of `size` bytes has."""
    return math.ceil(size / PART_SIZE)


def part_length(size: int, number: int) -> int:
    """The exact length of part `number`; all but the last have PART_SIZE bytes."""
    return min(PART_SIZE, size - (number - 1) * PART_SIZE)


def start_upload(
    deps: Deps, item_id: str, *, file_name: str, size: int, label: str = "", actor: Actor, now: datetime
) -> UploadView:
    """Begins a new version of an item, or goes on with the actor's own open upload of the same name and size.

    `label` is the drawing's 版次, if any. Raises Invalid for an empty file or one above 2 GiB.
    """
    if not 1 <= size <= MAX_SIZE:
        raise Invalid("file", Text("文件为空，或超过 2 GiB。", "The file is empty, or larger than 2 GiB."))
    name = shown_name(file_name)
    with deps.job(actor, "upload.start", ("item", item_id), now) as session:
        item = locked(session, Item, item_id)
        if item is None:
            raise NotFound
        writable_case(session, item.case_id, actor=actor, now=now)
        going = _open_upload(session, item, name, size, actor)
        if going is not None:
            return _view(session, *going)
        version = _newest(session, item) + 1
    return _begin(deps, item_id, version, name, size, label.strip()[:40], actor, now)


def _begin(
    deps: Deps, item_id: str, version: int, name: str, size: int, label: str, actor: Actor, now: datetime
) -> UploadView:
    # The store is asked outside the transaction; if two begin at once, the second finds the version taken and forgets its own.
    try:
        ticket = deps.objects.begin(object_id(item_id), version)
    except StorageError as error:
        raise Unavailable from error
    with deps.job(actor, "upload.start", ("item", item_id), now) as session:
        item = locked(session, Item, item_id)
        if item is None:
            raise NotFound
        writable_case(session, item.case_id, actor=actor, now=now)
        if _newest(session, item) + 1 != version:
            deps.objects.abort(object_id(item_id), version, ticket)
            raise WrongState
        row = ItemVersion(
            id=new_id(), item_id=item_id, version=version, label=label, file_name=name, size=size
        )
        row.uploaded_by, row.created_at, row.state = actor.id, now, "UPLOADING"
        row.leaf = record(
            session,
            "version.started",
            actor=actor,
            obj=("item", item_id),
            now=now,
            version=version,
            size=size,
        )
        upload = Upload(
            id=new_id(), item_version_id=row.id, store_upload=ticket, size=size, owner=actor.id, state="OPEN"
        )
        upload.created_at = upload.seen_at = now
        session.add(row)
        session.flush()
        session.add(upload)
        session.flush()
        return _view(session, upload, row)


def _open_upload(
    session: Session, item: Item, name: str, size: int, actor: Actor
) -> tuple[Upload, ItemVersion] | None:
    query = (
        select(Upload, ItemVersion)
        .join(ItemVersion, ItemVersion.id == Upload.item_version_id)
        .where(ItemVersion.item_id == item.id, ItemVersion.file_name == name, Upload.size == size)
        .where(Upload.owner == actor.id, Upload.state == "OPEN")
    )
    found = session.execute(query).first()
    return (found[0], found[1]) if found is not None else None


def _newest(session: Session, item: Item) -> int:
    return session.scalar(select(func.max(ItemVersion.version)).where(ItemVersion.item_id == item.id)) or 0


def _view(session: Session, upload: Upload, version: ItemVersion) -> UploadView:
    have = session.scalars(
        select(UploadPart.number).where(UploadPart.upload_id == upload.id).order_by(UploadPart.number)
    )
    count = part_count(upload.size)
    what = upload.id, version.item_id, version.version, version.file_name
    return UploadView(*what, upload.size, PART_SIZE, count, tuple(have), upload.state)


def _own(session: Session, upload_id: str, actor: Actor, *, lock: bool = False) -> tuple[Upload, ItemVersion]:
    upload = locked(session, Upload, upload_id) if lock else session.get(Upload, upload_id)
    if upload is None or upload.owner != actor.id or actor.kind != "staff":
        raise NotFound
    version = session.get(ItemVersion, upload.item_version_id)
    assert version is not None
    return upload, version


def upload_state(deps: Deps, upload_id: str, *, actor: Actor, now: datetime) -> UploadView:
    """Which parts have arrived, so that a broken upload goes on where it stopped; NotFound for anybody else's."""
    with deps.database.read() as session:
        return _view(session, *_own(session, upload_id, actor))


def put_part(
    deps: Deps,
    upload_id: str,
    number: int,
    data: bytes,
    *,
    sha256: str | None = None,
    actor: Actor,
    now: datetime,
) -> None:
    """Seals and stores part `number` (from 1). Sending it again replaces it.

    Raises Invalid for a number out of range, a wrong length, or bytes that do not have the `sha256` (hex) sent along;
    WrongState when the upload is over; Unavailable when the store does not answer, and the part may be sent again.
    """
    with deps.job(actor, "upload.part", ("upload", upload_id), now) as session:
        upload, version = _own(session, upload_id, actor)
        if upload.state != "OPEN":
            raise WrongState
    _check_part(upload.size, number, data, sha256)
    place = object_id(version.item_id), version.version, upload.store_upload
    try:
        part = deps.objects.put_part(*place, number, data, last=number == part_count(upload.size))
    except StorageError as error:
        raise Unavailable from error
    with deps.job(actor, "upload.part", ("upload", upload_id), now) as session:
        upload, _ = _own(session, upload_id, actor, lock=True)
        if upload.state != "OPEN":
            raise WrongState
        session.merge(
            UploadPart(upload_id=upload_id, number=number, etag=part.etag, size=len(data), stored=part.size)
        )
        upload.seen_at = now


def _check_part(size: int, number: int, data: bytes, sha256: str | None) -> None:
    if not 1 <= number <= part_count(size):
        raise Invalid("part", Text("没有这一分块。", "There is no such part."))
    if len(data) != part_length(size, number):
        raise Invalid(
            "part", Text("分块大小不对，请重新发送。", "The part has a wrong length. Send it again.")
        )
    if sha256 is not None and not hmac.compare_digest(hashlib.sha256(data).hexdigest(), sha256.lower()):
        raise Invalid(
            "part", Text("分块摘要不符，请重新发送。", "The part's digest does not fit. Send it again.")
        )


def complete_upload(deps: Deps, upload_id: str, *, actor: Actor, now: datetime) -> str:
    """Joins the parts and starts the inspection; returns the job's id. Safe to repeat; Invalid while parts are missing."""
    with deps.job(actor, "upload.complete", ("upload", upload_id), now) as session:
        upload, version = _own(session, upload_id, actor)
        parts = list(
            session.scalars(
                select(UploadPart).where(UploadPart.upload_id == upload_id).order_by(UploadPart.number)
            )
        )
    if upload.state == "OPEN":
        _join(deps, upload, version, parts)
    with deps.job(actor, "upload.complete", ("upload", upload_id), now) as session:
        upload, version = _own(session, upload_id, actor, lock=True)
        if upload.state == "DONE" and upload.job_id:
            return upload.job_id
        if upload.state != "OPEN":
            raise WrongState
        target = ("item", version.item_id)
        version.leaf = record(
            session, "version.uploaded", actor=actor, obj=target, now=now, version=version.version
        )
        version.state = "CHECKING"
        upload.job_id = enqueue(session, INSPECT, now=now, payload={"version": version.id})
        upload.state, upload.seen_at = "DONE", now
        return upload.job_id


def _join(deps: Deps, upload: Upload, version: ItemVersion, parts: Sequence[UploadPart]) -> None:
    if [p.number for p in parts] != list(range(1, part_count(upload.size) + 1)) or sum(
        p.size for p in parts
    ) != upload.size:
        raise Invalid("file", Text("还有分块没有到达。", "Some parts have not arrived."))
    stored = [Part(p.number, p.etag, p.stored) for p in parts]
    try:
        deps.objects.complete(object_id(version.item_id), version.version, upload.store_upload, stored)
    except Conflict as error:
        raise Invalid(
            "file", Text("分块与已存的不一致，请重新上传。", "The parts do not fit. Upload again.")
        ) from error
    except StorageError as error:
        raise Unavailable from error


def abort_upload(deps: Deps, upload_id: str, *, actor: Actor, now: datetime) -> None:
    """The uploader gives up: parts are forgotten, the version stays as a refused number."""
    with deps.job(actor, "upload.abort", ("upload", upload_id), now) as session:
        upload, version = _own(session, upload_id, actor, lock=True)
        if upload.state != "OPEN":
            raise WrongState
        _give_up(session, upload, version, "CANCELLED", actor, now)
    _forget(deps, upload, version)


def sweep_uploads(deps: Deps, now: datetime) -> int:
    """Aborts uploads that nobody has touched for 24 hours; returns how many. For upkeep."""
    old = select(Upload.id).where(Upload.state == "OPEN", Upload.seen_at < now - ABANDONED_AFTER)
    with deps.database.read() as session:
        waiting = list(session.scalars(old))
    return sum(_sweep(deps, upload_id, now) for upload_id in waiting)


def _sweep(deps: Deps, upload_id: str, now: datetime) -> bool:
    with deps.database.write() as session:
        upload = locked(session, Upload, upload_id)
        if upload is None or upload.state != "OPEN" or upload.seen_at >= now - ABANDONED_AFTER:
            return False
        version = session.get(ItemVersion, upload.item_version_id)
        assert version is not None
        _give_up(session, upload, version, "ABANDONED", SYSTEM, now)
    _forget(deps, upload, version)
    return True


def _give_up(
    session: Session, upload: Upload, version: ItemVersion, why: str, actor: Actor, now: datetime
) -> None:
    data: dict[str, Any] = {"version": version.version, "reason_code": why}
    version.leaf = record(
        session, "version.refused", actor=actor, obj=("item", version.item_id), now=now, **data
    )
    upload.state = "ABORTED"
    version.state, version.why_not = "REFUSED", why
    session.flush()


def _forget(deps: Deps, upload: Upload, version: ItemVersion) -> None:
    try:
        deps.objects.abort(object_id(version.item_id), version.version, upload.store_upload)
    except StorageError:
        # The bucket's own rule for unfinished uploads clears what is left; nothing of it can be read.
        return
