"""Requests to an S3 server: every call has a deadline, every refusal one of our names."""

import secrets
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from storage.errors import Conflict, Corrupt, NotFound, StorageError, Unavailable

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

DEADLINE_S = 15.0
CONNECT_S = 3
READ_S = 8

_MISSING = frozenset({"404", "NoSuchKey", "NoSuchUpload", "NoSuchVersion", "NotFound"})
_CONFLICT = frozenset(
    {"409", "412", "PreconditionFailed", "ConditionalRequestConflict", "InvalidPart", "InvalidPartOrder"}
    | {"EntityTooSmall", "InvalidArgument", "ObjectLocked", "ParentIsObject", "XMinioParentIsObject"}
)
_CORRUPT = frozenset({"BadDigest", "XAmzContentChecksumMismatch", "XMinioInvalidObject"})
_PASSING = frozenset({"RequestTimeout", "SlowDown", "RequestTimeTooSkewed"})

# What a whole answer holds, besides the request's id, without which none is taken. An answer cut inside its headers is
# read as one without them, a header cut short as a shorter one, and an empty body as an empty list: none may pass for
# success. Servers write headers in order of their names, so that length and tag are whole when the id is there.
_WHOLE = {
    "complete_multipart_upload": ("ETag",),
    "create_multipart_upload": ("UploadId",),
    "get_object": ("ETag", "ContentLength"),
    "head_object": ("ETag", "ContentLength"),
    "list_multipart_uploads": ("Bucket",),
    "list_object_versions": ("Name",),
    "list_objects_v2": ("Name",),
    "list_parts": ("UploadId",),
    "put_object": ("ETag",),
    "upload_part": ("ETag",),
}


def make_client(
    endpoint: str,
    access_key: str,
    secret_key: str,
    region: str,
    *,
    connect_s: float = CONNECT_S,
    read_s: float = READ_S,
) -> "S3Client":
    """Return a boto3 client with the settings that S3Store relies on; nothing is sent yet."""
    config = Config(
        signature_version="s3v4",
        # The service's own retries know no deadline, so there are none; this module repeats its calls.
        retries={"total_max_attempts": 1, "mode": "standard"},
        connect_timeout=connect_s,
        read_timeout=read_s,
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


class Wire:
    """One bucket behind one client; a request that fails by network or the server's fault is repeated for `deadline_s`."""

    def __init__(self, client: "S3Client", bucket: str, deadline_s: float) -> None:
        self._client, self._bucket = client, bucket
        self.deadline_s = deadline_s
        self._answers: deque[str] = deque(maxlen=256)
        self._lock = threading.Lock()

    def call(self, operation: str, *, empty: tuple[str, ...] = (), **asked: Any) -> Any:
        """Send a request until it is answered or the deadline has gone; return None for a code in `empty`.

        An answer that is over within the deadline and one more time-out of the client; raises our errors only.
        """
        until, pause = time.monotonic() + self.deadline_s, 0.1
        while True:
            try:
                answer = getattr(self._client, operation)(Bucket=self._bucket, **asked)
                if self._is_new(answer) and _whole(operation, answer):
                    return answer
                refusal, passing = _cut_short(answer), True
            except ClientError as error:
                if not self._is_new(error.response):
                    refusal, passing = _cut_short(error.response), True
                elif error.response["Error"].get("Code") in empty:
                    return None
                else:
                    refusal, passing = _named(error)
            except (BotoCoreError, OSError):
                refusal, passing = Unavailable("the store did not answer"), True
            pause = min(2.0, pause * 2) * (1 + secrets.randbelow(100) / 100)
            if not passing or time.monotonic() + pause > until:
                raise refusal from None
            time.sleep(pause)

    def _is_new(self, answer: Any) -> bool:
        """Say whether this is no answer to an earlier request: one sent twice on a connection would be taken for the next.

        From then on every answer of that connection would be another request's, so none that is open is used again.
        """
        number = answer.get("ResponseMetadata", {}).get("RequestId")
        with self._lock:
            if not number or number not in self._answers:
                self._answers.append(number or "")
                return True
        self._client.close()
        return False


def _whole(operation: str, answer: Any) -> bool:
    """Say whether the answer has all that one of its kind has."""
    named = answer.get("ResponseMetadata", {}).get("RequestId")
    return bool(named) and all(field in answer for field in _WHOLE.get(operation, ()))


def _cut_short(answer: Any) -> StorageError:
    if "Body" in answer:
        answer["Body"].close()
    return Unavailable("the store's answer was cut short or not ours")


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
    if status >= 500 or status == 429 or code in _PASSING:
        return Unavailable("the store is not to be had now"), True
    return Unavailable(f"the store refused: {code[:40]}"), False
