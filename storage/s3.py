"""Objects in an S3 bucket, by boto3: every call has a deadline, every refusal one of our names."""

import hashlib
import itertools
import secrets
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from storage.errors import Conflict, Corrupt, NotFound, StorageError, Unavailable
from storage.seal import cut
from storage.store import PIECE, Part, Stat, check_key, check_part, check_parts, check_prefix, started

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

# What is buffered of a stream of unknown length: an object up to this size is one request.
PUT_PART = 8 << 20
DEADLINE_S = 15.0
CONNECT_S = 3
READ_S = 8

_MISSING = frozenset({"404", "NoSuchKey", "NoSuchUpload", "NoSuchVersion", "NotFound"})
_CONFLICT = frozenset(
    {"409", "412", "PreconditionFailed", "ConditionalRequestConflict", "InvalidPart", "InvalidPartOrder"}
    | {"EntityTooSmall", "InvalidArgument", "ObjectLocked", "ParentIsObject", "XMinioParentIsObject"}
)
_CORRUPT = frozenset({"BadDigest", "XAmzContentChecksumMismatch", "XMinioInvalidObject"})

# What a whole answer holds. An answer cut inside its headers is read as one without them, and an empty body
# as an empty list: neither may pass for success.
_WHOLE = {
    "complete_multipart_upload": ("ETag",),
    "create_multipart_upload": ("UploadId",),
    "get_object": ("ETag", "ContentLength"),
    "head_object": ("ETag", "ContentLength"),
    "list_object_versions": ("Name",),
    "list_objects_v2": ("Name",),
    "put_object": ("ETag",),
    "upload_part": ("ETag",),
}


def connect(endpoint: str, access_key: str, secret_key: str, region: str, bucket: str) -> "S3Store":
    """Return a store on `bucket` at an endpoint URL; nothing is sent yet."""
    return S3Store(make_client(endpoint, access_key, secret_key, region), bucket)


def make_client(endpoint: str, access_key: str, secret_key: str, region: str) -> "S3Client":
    """Return a boto3 client with the settings that S3Store relies on."""
    config = Config(
        signature_version="s3v4",
        # The service's own retries know no deadline, so there are none; this module repeats its calls.
        retries={"total_max_attempts": 1, "mode": "standard"},
        connect_timeout=CONNECT_S,
        read_timeout=READ_S,
        max_pool_connections=32,
        s3={"addressing_style": "path"},
        # Newer checksum headers are refused by older servers; the sealed layer authenticates every byte anyway.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    return boto3.client(
        "s3",
        endpoint_url=endpoint,
        aws_access_key_id=access_key,
        aws_secret_access_key=secret_key,
        region_name=region,
        config=config,
    )


class S3Store:
    """An object store in one bucket, below `prefix`.

    That writes never overwrite rests on the server's honouring `If-None-Match: *`, as MinIO and SeaweedFS do.
    A call that fails by network or by the server's own fault is repeated until `deadline_s` seconds have gone,
    so an operation on one request ends within the deadline and one more request time-out.
    """

    def __init__(
        self, client: "S3Client", bucket: str, prefix: str = "", deadline_s: float = DEADLINE_S
    ) -> None:
        self._client, self._bucket, self._prefix = client, bucket, prefix
        self._deadline_s = deadline_s

    def put(self, key: str, chunks: Iterable[bytes]) -> Stat:
        """Store the joined chunks: one request up to PUT_PART bytes, an upload in parts above."""
        name, pieces = self._name(key), cut(chunks, PUT_PART)
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
        """Return size and newest version."""
        found = self._head(self._name(key))
        return Stat(key, found["ContentLength"], found.get("VersionId"))

    def delete(self, key: str) -> None:
        """Delete every version and marker of the key; Unavailable when a lock or the rights forbid it."""
        name = self._name(key)
        for version in list(self._versions(name)):
            self._call("delete_object", Key=name, VersionId=version)

    def list(self, prefix: str = "") -> Iterator[Stat]:
        """Yield objects page by page."""
        asked: dict[str, Any] = {"Prefix": self._prefix + check_prefix(prefix)}
        while True:
            page = self._call("list_objects_v2", **asked)
            for found in page.get("Contents", []):
                yield Stat(found["Key"][len(self._prefix) :], found["Size"], None)
            if not page.get("IsTruncated"):
                return
            asked["ContinuationToken"] = page["NextContinuationToken"]

    def begin(self, key: str) -> str:
        """Open an upload in parts."""
        name = self._name(key)
        return str(self._call("create_multipart_upload", Key=name)["UploadId"])

    def put_part(self, key: str, upload: str, number: int, data: bytes) -> Part:
        """Store one part."""
        asked: dict[str, Any] = {"Key": self._name(key), "UploadId": upload, "PartNumber": check_part(number)}
        done = self._call("upload_part", Body=data, **asked)
        return Part(number, done["ETag"].strip('"'), len(data))

    def complete(self, key: str, upload: str, parts: Sequence[Part]) -> Stat:
        """Join the parts unless the key exists."""
        name = self._name(key)
        listed: Any = [{"PartNumber": part.number, "ETag": part.etag} for part in check_parts(parts)]
        try:
            done = self._call(
                "complete_multipart_upload",
                Key=name,
                UploadId=upload,
                MultipartUpload={"Parts": listed},
                IfNoneMatch="*",
            )
        except (NotFound, Conflict) as refusal:
            # The first call may have joined them although its answer was lost.
            return self._completed(key, name, parts, refusal)
        return Stat(key, sum(part.size for part in parts), done.get("VersionId"))

    def abort(self, key: str, upload: str) -> None:
        """Forget the upload."""
        name = self._name(key)
        with suppress(NotFound):
            self._call("abort_multipart_upload", Key=name, UploadId=upload)

    def _name(self, key: str) -> str:
        return self._prefix + check_key(key)

    def _head(self, name: str) -> Any:
        return self._call("head_object", Key=name)

    def _put_whole(self, key: str, name: str, data: bytes) -> Stat:
        """Store one small object. The mark tells our own first attempt, whose answer was lost, from another's object."""
        mark = secrets.token_hex(16)
        asked: dict[str, Any] = {"Key": name, "Metadata": {"put": mark}, "IfNoneMatch": "*"}
        try:
            done = self._call("put_object", Body=data, **asked)
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
        asked: dict[str, Any] = {"Prefix": name}
        while True:
            page = self._call("list_object_versions", **asked)
            for found in [*page.get("Versions", []), *page.get("DeleteMarkers", [])]:
                if found["Key"] == name:
                    yield found["VersionId"]
            if not page.get("IsTruncated"):
                return
            asked |= {"KeyMarker": page["NextKeyMarker"], "VersionIdMarker": page["NextVersionIdMarker"]}

    def _pieces(self, name: str, start: int, length: int | None) -> Iterator[bytes]:
        first = self._get(name, start, length)
        if first is None or length == 0:
            yield b""
            return
        etag, left, at = first["ETag"], first["ContentLength"], start
        body, until, begun = first["Body"], time.monotonic() + self._deadline_s, False
        while True:
            with closing(body):
                if not begun:
                    begun = True
                    yield b""
                try:
                    while left and (piece := body.read(min(PIECE, left))):
                        at, left = at + len(piece), left - len(piece)
                        yield piece
                        until = time.monotonic() + self._deadline_s
                except (BotoCoreError, OSError):
                    pass
            if not left:
                return
            # Progress, not the whole reading, has the deadline: a reader may take hours over a large object.
            if time.monotonic() > until:
                raise Unavailable("the object ended early")
            body = self._again(name, at, left, etag)

    def _get(self, name: str, start: int, length: int | None) -> Any:
        """Begin to read; None when the object holds no byte of the range."""
        if length == 0:
            return self._head(name)
        asked: dict[str, Any] = {"Key": name}
        if start or length is not None:
            end = "" if length is None else str(start + length - 1)
            asked["Range"] = f"bytes={start}-{end}"
        return self._call("get_object", **asked, empty=("InvalidRange", "416"))

    def _again(self, name: str, at: int, left: int, etag: str) -> Any:
        """Go on reading the same version; Conflict when another has its name now."""
        asked: dict[str, Any] = {"Key": name, "Range": f"bytes={at}-{at + left - 1}", "IfMatch": etag}
        return self._call("get_object", **asked)["Body"]

    def _call(self, operation: str, *, empty: tuple[str, ...] = (), **asked: Any) -> Any:
        """Send a request until it is answered or the deadline has gone; return None for a code in `empty`."""
        until, pause = time.monotonic() + self._deadline_s, 0.1
        refusal: StorageError
        while True:
            try:
                answer = getattr(self._client, operation)(Bucket=self._bucket, **asked)
                if all(field in answer for field in _WHOLE.get(operation, ())):
                    return answer
                refusal, passing = Unavailable("the store's answer was cut short"), True
            except ClientError as error:
                if error.response["Error"].get("Code") in empty:
                    return None
                refusal, passing = _named(error)
            except (BotoCoreError, OSError):
                refusal, passing = Unavailable("the store did not answer"), True
            pause = min(2.0, pause * 2) * (1 + secrets.randbelow(100) / 100)
            if not passing or time.monotonic() + pause > until:
                raise refusal from None
            time.sleep(pause)


def _named(error: ClientError) -> tuple[StorageError, bool]:
    """Return our error for the server's, and whether it may pass; its own text may name bucket and key."""
    code = str(error.response["Error"].get("Code", ""))
    status = error.response["ResponseMetadata"].get("HTTPStatusCode", 0)
    if code in _MISSING:
        return NotFound("no such object or upload"), False
    if code in _CONFLICT:
        return Conflict("the key exists or the parts do not fit"), False
    if code in _CORRUPT:
        return Corrupt("the bytes changed on their way"), False
    if status >= 500 or status == 429 or code in {"RequestTimeout", "SlowDown", "RequestTimeTooSkewed"}:
        return Unavailable("the store is not to be had now"), True
    return Unavailable(f"the store refused: {code[:40]}"), False


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
