"""The proof of an uploaded version: its hash, read back from the sealed object, and its kind, proved by its parser."""

import hashlib
import os
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from gateway.archive.models import Item, ItemVersion, Proof
from gateway.archive.uploads import INSPECT, object_id
from gateway.audit.service import record
from gateway.db import locked
from gateway.deps import Deps
from gateway.errors import NotFound, WrongState
from gateway.jobs.service import JobView, Progress, enqueue
from gateway.principal import SYSTEM, Actor, Role, Text
from gateway.release import read_for_inspection
from storage.errors import StorageError
from watermark.kinds import Kind
from watermark.worker import inspect

MIB = 1 << 20
CHECK_FAILED = "CHECK_FAILED"
# A kind that no parser here marks may be archived; one that its own parser refuses may not.
_ONLY_UNMARKABLE = "NOT_MARKABLE"
_READ = Text("读取密封内容", "Reading the sealed content")
_HASH = Text("计算摘要", "Computing the digest")
_PROVE = Text("由解析器证明类型", "Proving the kind by its parser")


def inspect_version(deps: Deps, job: JobView, progress: Progress) -> None:
    """The handler of `archive.inspect`; leaves a version alone that is no longer being checked."""
    with deps.database.read() as session:
        version = session.get(ItemVersion, str(job.payload["version"]))
        if version is None or version.state != "CHECKING":
            return
        version_id, item_id, number, total = (
            version.id,
            version.item_id,
            version.version,
            max(1, -(-version.size // MIB)),
        )
    progress(_READ, 0, total)
    source = read_for_inspection(deps, item_id, number)
    try:
        digest = _digest(source, progress, total)
        progress(_PROVE, total, total)
        kind = inspect(source)
        size = os.fstat(source).st_size
    finally:
        os.close(source)
    _settle(deps, version_id, kind, digest, size, deps.clock())


def _digest(source: int, progress: Progress, total: int) -> str:
    sha256 = hashlib.sha256()
    for count, piece in enumerate(_pieces(source)):
        sha256.update(piece)
        if count % 64 == 0:
            progress(_HASH, min(count, total), total)
    os.lseek(source, 0, os.SEEK_SET)
    return sha256.hexdigest()


def _pieces(source: int) -> Iterator[bytes]:
    os.lseek(source, 0, os.SEEK_SET)
    while piece := os.read(source, MIB):
        yield piece


def _settle(deps: Deps, version_id: str, kind: Kind, digest: str, size: int, now: datetime) -> None:
    with deps.database.write() as session:
        version = locked(session, ItemVersion, version_id)
        if version is None or version.state != "CHECKING":
            return
        item = locked(session, Item, version.item_id)
        assert item is not None
        refused = _why_refused(kind, whole=size == version.size)
        data: dict[str, Any] = {
            "version": version.version,
            "sha256": digest,
            "kind": kind.code,
            "pages": kind.pages,
        }
        markable = kind.treatment == "stamp"
        # What would have to be converted first is kept, but not shared: copies are named and shown by the source's own pages.
        why_not = refused or kind.reason or (None if markable else _ONLY_UNMARKABLE)
        data |= {"markable": markable, "reason_code": why_not}
        event = "version.refused" if refused else "version.ready"
        version.leaf = record(session, event, actor=SYSTEM, obj=("item", item.id), now=now, **data)
        version.kind, version.mime, version.pages = kind.code, kind.mime[:100], kind.pages
        version.markable, version.why_not = markable, why_not
        version.sha256, version.state = digest, "REFUSED" if refused else "READY"
        report = {**kind.as_dict(), "sha256": digest, "size": size}
        session.merge(Proof(item_version_id=version.id, report=report, at=now))
        if version.state == "READY":
            item.version = max(item.version, version.version)
    if version.state == "REFUSED":
        _drop(deps, version)


def _why_refused(kind: Kind, *, whole: bool) -> str | None:
    if not whole:
        return "SIZE"
    if kind.code == "empty":
        return "EMPTY"
    return kind.reason if kind.treatment == "refuse" and kind.reason != _ONLY_UNMARKABLE else None


def _drop(deps: Deps, version: ItemVersion) -> None:
    try:
        deps.objects.delete(object_id(version.item_id), version.version)
    except StorageError:
        # What stays is ciphertext of a refused version, which no exit reads.
        return


def inspection_failed(deps: Deps, job: JobView, progress: Progress) -> None:
    """Called when the job has failed for good: the version is refused, its sealed content kept for another check."""
    with deps.database.write() as session:
        version = locked(session, ItemVersion, str(job.payload["version"]))
        if version is None or version.state != "CHECKING":
            return
        data: dict[str, Any] = {"version": version.version, "reason_code": CHECK_FAILED}
        version.leaf = record(
            session, "version.refused", actor=SYSTEM, obj=("item", version.item_id), now=deps.clock(), **data
        )
        version.state, version.why_not = "REFUSED", CHECK_FAILED


def check_again(deps: Deps, version_id: str, *, actor: Actor, now: datetime) -> str:
    """An archivist has a version checked again whose check could not be finished; returns the job's id."""
    with deps.job(actor, "version.check", ("version", version_id), now) as session:
        version = locked(session, ItemVersion, version_id)
        if version is None or not actor.has(Role.ARC):
            raise NotFound
        if version.state != "REFUSED" or version.why_not != CHECK_FAILED:
            raise WrongState
        target = ("item", version.item_id)
        version.leaf = record(
            session, "version.checking", actor=actor, obj=target, now=now, version=version.version
        )
        version.state, version.why_not = "CHECKING", None
        return enqueue(session, INSPECT, now=now, payload={"version": version.id})
