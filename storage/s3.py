"""Objects in an S3 bucket, by boto3: streamed, never overwritten, read again where a connection broke."""

import hashlib
import itertools
import secrets
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError

from storage.errors import Conflict, NotFound, StorageError, Unavailable
from storage.seal import cut
from storage.store import (
    PIECE,
    OpenUpload,
    Part,
    Stat,
    UploadJournal,
    check_key,
    check_part,
    check_parts,
    check_prefix,
    started,
)
from storage.wire import DEADLINE_S, Wire, make_client

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

__all__ = ["PUT_PART", "S3Store", "connect", "make_client"]

# What is buffered of a stream of unknown length: an object up to this size is one request.
PUT_PART = 8 << 20


def connect(
    endpoint: str,
    access_key: str,
    secret_key: str,
    region: str,
    bucket: str,
    *,
    journal: UploadJournal | None = None,
    locked: bool = False,
) -> "S3Store":
    """Return a store on `bucket` at an endpoint URL; nothing is sent yet."""
    client = make_client(endpoint, access_key, secret_key, region)
    return S3Store(client, bucket, journal=journal, locked=locked)


class S3Store:
    """An object store in one bucket, below `prefix`.

    That writes never overwrite rests on the server's honouring `If-None-Match: *`, as MinIO and SeaweedFS do.
    A call that fails by network or by the server's own fault is repeated until `deadline_s` seconds have gone,
    so an operation on one request ends within the deadline and one more request time-out.

    `locked` is for buckets with object lock: there nobody can delete a version before its time, yet anybody with
    rights can write over a key or hide it behind a delete marker. So the first version of a key is the object, for
    reading, for listing and for refusing to write again. `journal` hears of every upload in parts.
    """

    def __init__(
        self,
        client: "S3Client",
        bucket: str,
        prefix: str = "",
        deadline_s: float = DEADLINE_S,
        *,
        journal: UploadJournal | None = None,
        locked: bool = False,
    ) -> None:
        self._wire, self._prefix = Wire(client, bucket, deadline_s), prefix
        self._journal, self._locked = journal, locked

    def put(self, key: str, chunks: Iterable[bytes]) -> Stat:
        """Store the joined chunks: one request up to PUT_PART bytes, an upload in parts above."""
        name, pieces = self._name(key), cut(chunks, PUT_PART)
        self._refuse_hidden(name)
        begun = list(itertools.islice(pieces, 2))
        if len(begun) == 1:
            return self._put_whole(key, name, begun[0])
        return self._put_parts(key, itertools.chain(_released(begun), pieces))

    def open(self, key: str, start: int = 0, length: int | None = None) -> Iterator[bytes]:
        """Yield a range of the object; a connection that breaks is taken up again where it broke."""
        if start < 0 or (length is not None and length < 0):
            raise ValueError("a range has no negative bounds")
        return started(self._pieces(self._name(key), start, length))

    def stat(self, key: str) -> Stat:
        """Return size and version: the newest, or the first where the bucket is locked."""
        found = self._head(self._name(key))
        return Stat(key, found["ContentLength"], found.get("VersionId"))

    def delete(self, key: str) -> None:
        """Delete every version and marker of the key; Unavailable when a lock or the rights forbid it."""
        name = self._name(key)
        for version in list(self._versions(name)):
            self._wire.call("delete_object", Key=name, VersionId=version)

    def list(self, prefix: str = "") -> Iterator[Stat]:
        """Yield objects page by page."""
        asked: dict[str, Any] = {"Prefix": self._prefix + check_prefix(prefix)}
        if self._locked:
            yield from self._list_first(asked["Prefix"])
            return
        while True:
            page = self._wire.call("list_objects_v2", **asked)
            for found in page.get("Contents", []):
                yield Stat(found["Key"][len(self._prefix) :], found["Size"], None)
            if not page.get("IsTruncated"):
                return
            asked["ContinuationToken"] = page["NextContinuationToken"]

    def begin(self, key: str) -> str:
        """Open an upload in parts, noted before the server is asked: what a lost answer leaves is found by its key."""
        name = self._name(key)
        note = self._journal.beginning(key) if self._journal else ""
        upload = str(self._wire.call("create_multipart_upload", Key=name)["UploadId"])
        if self._journal:
            self._journal.begun(note, upload)
        return upload

    def put_part(self, key: str, upload: str, number: int, data: bytes) -> Part:
        """Store one part."""
        asked: dict[str, Any] = {"Key": self._name(key), "UploadId": upload, "PartNumber": check_part(number)}
        done = self._wire.call("upload_part", Body=data, **asked)
        return Part(number, done["ETag"].strip('"'), len(data))

    def complete(self, key: str, upload: str, parts: Sequence[Part]) -> Stat:
        """Join the parts unless the key exists."""
        name = self._name(key)
        listed: Any = [{"PartNumber": part.number, "ETag": part.etag} for part in check_parts(parts)]
        asked: dict[str, Any] = {"Key": name, "UploadId": upload, "MultipartUpload": {"Parts": listed}}
        try:
            self._refuse_hidden(name)
            done = self._wire.call("complete_multipart_upload", **asked, IfNoneMatch="*")
            stat = Stat(key, sum(part.size for part in parts), done.get("VersionId"))
        except (NotFound, Conflict) as refusal:
            # The first call may have joined them although its answer was lost.
            stat = self._completed(key, name, parts, refusal)
        self._over(key, upload)
        return stat

    def abort(self, key: str, upload: str) -> None:
        """Forget the upload."""
        name = self._name(key)
        with suppress(NotFound):
            self._wire.call("abort_multipart_upload", Key=name, UploadId=upload)
        self._over(key, upload)

    def uploads(self, key: str) -> Iterator[OpenUpload]:
        """Yield the key's open uploads; MinIO lists them for an exact key only."""
        name = self._name(key)
        asked: dict[str, Any] = {"Prefix": name}
        while True:
            page = self._wire.call("list_multipart_uploads", **asked)
            for found in page.get("Uploads", []):
                if found["Key"] == name:
                    yield OpenUpload(found["UploadId"], self._touched(name, found))
            if not page.get("IsTruncated"):
                return
            asked |= {"KeyMarker": page["NextKeyMarker"], "UploadIdMarker": page["NextUploadIdMarker"]}

    def sweep(self, before: datetime) -> int:
        """Find nothing by itself: uploads are listed by key, and the keys stand in the journal."""
        return 0

    def _touched(self, name: str, found: Any) -> datetime:
        """Return when an upload was begun or last given a part."""
        times: deque[datetime] = deque([found["Initiated"]])
        asked: dict[str, Any] = {"Key": name, "UploadId": found["UploadId"]}
        while True:
            try:
                page = self._wire.call("list_parts", **asked)
            except NotFound:
                break
            times.extend(part["LastModified"] for part in page.get("Parts", []))
            if not page.get("IsTruncated"):
                break
            asked["PartNumberMarker"] = page["NextPartNumberMarker"]
        return max(times).astimezone(UTC)

    def _over(self, key: str, upload: str) -> None:
        if self._journal:
            self._journal.over(key, upload)

    def _name(self, key: str) -> str:
        return self._prefix + check_key(key)

    def _head(self, name: str) -> Any:
        return self._wire.call("head_object", Key=name, **self._version(name))

    def _version(self, name: str) -> dict[str, Any]:
        """Return which version a request has to name: none, or the first of a locked key; raises NotFound."""
        if not self._locked:
            return {}
        first = next(iter(self._firsts(name, exact=True)), None)
        if first is None:
            raise NotFound("no such object or upload")
        return {"VersionId": first["VersionId"]}

    def _refuse_hidden(self, name: str) -> None:
        """Raise Conflict when a locked key has a version, also one behind a delete marker, which the server allows."""
        if self._locked and next(iter(self._firsts(name, exact=True)), None) is not None:
            raise Conflict("the key exists")

    def _list_first(self, prefix: str) -> Iterator[Stat]:
        for found in self._firsts(prefix, exact=False):
            yield Stat(found["Key"][len(self._prefix) :], found["Size"], found["VersionId"])

    def _firsts(self, prefix: str, *, exact: bool) -> Iterator[Any]:
        """Yield the first version of each key with the prefix (or of that key): versions come newest first."""
        oldest: Any = None
        for found in self._entries(prefix, ("Versions",)):
            if oldest is not None and found["Key"] != oldest["Key"]:
                yield oldest
            if exact and found["Key"] != prefix:
                return
            oldest = found
        if oldest is not None:
            yield oldest

    def _put_whole(self, key: str, name: str, data: bytes) -> Stat:
        """Store one small object. The mark tells our own first attempt, whose answer was lost, from another's object."""
        mark = secrets.token_hex(16)
        asked: dict[str, Any] = {"Key": name, "Metadata": {"put": mark}, "IfNoneMatch": "*"}
        try:
            done = self._wire.call("put_object", Body=data, **asked)
        except Conflict:
            found = self._head(name)
            if found["Metadata"].get("put") != mark:
                raise
            return Stat(key, found["ContentLength"], found.get("VersionId"))
        return Stat(key, len(data), done.get("VersionId"))

    def _put_parts(self, key: str, pieces: Iterable[bytes]) -> Stat:
        """Store a large object by an upload of its own, which is forgotten when it cannot be completed."""
        upload = self.begin(key)
        try:
            parts = [self.put_part(key, upload, number, data) for number, data in enumerate(pieces, start=1)]
            return self.complete(key, upload, parts)
        except BaseException:
            with suppress(StorageError):
                self.abort(key, upload)
            raise

    def _completed(self, key: str, name: str, parts: Sequence[Part], refusal: StorageError) -> Stat:
        """Return the object when it is these parts joined; else raise what the server said."""
        try:
            found = self._head(name)
        except NotFound:
            raise refusal from None
        same_size = found["ContentLength"] == sum(part.size for part in parts)
        if not same_size or found["ETag"].strip('"') != _joined_etag(parts):
            raise Conflict("the key exists")
        return Stat(key, found["ContentLength"], found.get("VersionId"))

    def _versions(self, name: str) -> Iterator[str]:
        """Yield the id of every version and delete marker of exactly this key."""
        for found in self._entries(name, ("Versions", "DeleteMarkers")):
            if found["Key"] == name:
                yield found["VersionId"]

    def _entries(self, prefix: str, kinds: tuple[str, ...]) -> Iterator[Any]:
        asked: dict[str, Any] = {"Prefix": prefix}
        while True:
            page = self._wire.call("list_object_versions", **asked)
            for kind in kinds:
                yield from page.get(kind, [])
            if not page.get("IsTruncated"):
                return
            asked |= {"KeyMarker": page["NextKeyMarker"], "VersionIdMarker": page["NextVersionIdMarker"]}

    def _pieces(self, name: str, start: int, length: int | None) -> Iterator[bytes]:
        version = self._version(name)
        first = self._get(name, version, start, length)
        if first is None or length == 0:
            yield b""
            return
        etag, left, at = first["ETag"], first["ContentLength"], start
        body, until, begun = first["Body"], time.monotonic() + self._wire.deadline_s, False
        while True:
            with closing(body):
                if not begun:
                    begun = True
                    yield b""
                try:
                    while left and (piece := body.read(min(PIECE, left))):
                        at, left = at + len(piece), left - len(piece)
                        yield piece
                        until = time.monotonic() + self._wire.deadline_s
                except (BotoCoreError, OSError):
                    pass
            if not left:
                return
            # Progress, not the whole reading, has the deadline: a reader may take hours over a large object.
            if time.monotonic() > until:
                raise Unavailable("the object ended early")
            body = self._again(name, version, at, left, etag)

    def _get(self, name: str, version: dict[str, Any], start: int, length: int | None) -> Any:
        """Begin to read; None when the object holds no byte of the range."""
        asked: dict[str, Any] = {"Key": name, **version}
        if length == 0:
            return self._wire.call("head_object", **asked)
        if start or length is not None:
            end = "" if length is None else str(start + length - 1)
            asked["Range"] = f"bytes={start}-{end}"
        return self._wire.call("get_object", **asked, empty=("InvalidRange", "416"))

    def _again(self, name: str, version: dict[str, Any], at: int, left: int, etag: str) -> Any:
        """Go on reading the same version; Conflict when another has its name now."""
        asked: dict[str, Any] = {
            "Key": name,
            **version,
            "Range": f"bytes={at}-{at + left - 1}",
            "IfMatch": etag,
        }
        return self._wire.call("get_object", **asked)["Body"]


def _released(pieces: list[bytes]) -> Iterator[bytes]:
    """Yield the pieces and let go of each, so that an upload does not hold its first parts to its end."""
    while pieces:
        yield pieces.pop(0)


def _joined_etag(parts: Sequence[Part]) -> str:
    """Return the tag that S3 gives an object joined from parts: MD5 over their MD5s, and their number."""
    with suppress(ValueError):
        tags = b"".join(bytes.fromhex(part.etag) for part in parts)
        return f"{hashlib.md5(tags, usedforsecurity=False).hexdigest()}-{len(parts)}"
    return ""
