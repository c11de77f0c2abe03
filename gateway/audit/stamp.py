"""Time that is not ours: the anchored checkpoint stamped by an RFC 3161 authority, once a week.

The stamp lies in the anchors beside what it stamps and can be checked with `openssl ts -verify`.
"""

import http.client
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog
from cryptography import x509
from rfc3161_client import (
    TimestampRequestBuilder,
    VerificationError,
    VerifierBuilder,
    decode_timestamp_response,
)
from sqlalchemy import select

from gateway.audit import anchors
from gateway.audit.asking import post
from gateway.audit.errors import AuditError, NotStamped
from gateway.audit.models import Leaf
from gateway.audit.service import record
from gateway.config import PREFIX, Settings
from gateway.db import Database
from gateway.errors import ConfigError
from gateway.principal import SYSTEM
from storage.errors import StorageError
from storage.store import ObjectStore

EVERY = timedelta(days=7)
DEADLINE_S = 20.0
MAX_ANSWER_BYTES = 64 << 10
CLOCK_SLACK = timedelta(hours=1)
STAMPED, FAILED = "anchor.stamped", "anchor.stamp_failed"
OBJECT = ("log", "stamp")
_FOLDER = "stamp"
_DAY = "%Y%m%d"

logger = structlog.get_logger()


class Authority:
    """A time-stamp authority at an address, trusted through the given roots."""

    def __init__(self, url: str, roots: Sequence[x509.Certificate], *, clock: Callable[[], datetime]) -> None:
        self._url, self._roots, self._clock = url, list(roots), clock

    @classmethod
    def configured(cls, settings: Settings, clock: Callable[[], datetime]) -> "Authority | None":
        """The authority that the settings name, None when there is none; raises ConfigError for roots that cannot be read."""
        if settings.log_tsa_url is None or settings.log_tsa_roots_file is None:
            return None
        try:
            roots = x509.load_pem_x509_certificates(settings.log_tsa_roots_file.read_bytes())
        except (OSError, ValueError) as error:
            raise ConfigError([f"{PREFIX}LOG_TSA_ROOTS_FILE: holds no certificate"]) from error
        return cls(settings.log_tsa_url, roots, clock=clock)

    def stamp(self, content: bytes) -> bytes:
        """The authority's response over these bytes, proved to be over them, of now, and of a trusted authority.

        Raises NotStamped.
        """
        asked = (
            TimestampRequestBuilder().data(content).nonce(nonce=True).cert_request(cert_request=True).build()
        )
        try:
            end = time.monotonic() + DEADLINE_S
            status, answer = post(
                self._url, asked.as_bytes(), "application/timestamp-query", end=end, limit=MAX_ANSWER_BYTES
            )
            if status != 200:
                raise NotStamped(f"status {status}")
            response = decode_timestamp_response(answer)
            verifier = VerifierBuilder.from_request(asked)
            for root in self._roots:
                verifier = verifier.add_root_certificate(root)
            verifier.build().verify_message(response, content)
            if abs(response.tst_info.gen_time - self._clock()) > CLOCK_SLACK:
                raise NotStamped("the stated time is far from now")
        except (VerificationError, ValueError) as error:
            raise NotStamped("the answer does not stand") from error
        except (OSError, http.client.HTTPException) as error:
            raise NotStamped("the authority was not to be reached") from error
        return answer


def weekly(database: Database, bucket: ObjectStore, authority: Authority | None, *, now: datetime) -> bool:
    """Stamps the newest anchored checkpoint when the last stamp is a week old; returns whether it did. Never raises for that.

    A failure is an entry of its own, once until a stamp succeeds, and nothing else waits for it.
    """
    if authority is None:
        return False
    try:
        newest = anchors.latest(bucket) if _due(bucket, now) else None
        if newest is None:
            return False
        name = f"{_FOLDER}/{now.astimezone(UTC):{_DAY}}/{newest.size:020d}.tsr"
        bucket.put(name, iter([authority.stamp(newest.note.encode("utf-8"))]))
    except (StorageError, AuditError) as error:
        logger.error("checkpoint not stamped", reason=type(error).__name__)
        _tell(database, FAILED, now, reason_code=type(error).__name__)
        return False
    _tell(database, STAMPED, now, size=newest.size)
    return True


def _due(bucket: ObjectStore, now: datetime) -> bool:
    days = [stat.key.split("/")[1] for stat in bucket.list(f"{_FOLDER}/")]
    last = max((day for day in days if len(day) == 8 and day.isdecimal()), default=None)
    return last is None or last <= f"{now.astimezone(UTC) - EVERY:{_DAY}}"


def _tell(database: Database, event: str, now: datetime, **data: Any) -> None:
    with database.write() as session:
        query = select(Leaf.event).where(Leaf.event.in_((STAMPED, FAILED)))
        last = session.scalar(query.order_by(Leaf.arrival.desc()).limit(1))
        if event == STAMPED or last != FAILED:
            record(session, event, actor=SYSTEM, obj=OBJECT, now=now, **data)
