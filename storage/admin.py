"""Buckets as the gateway wants them, by the minio SDK: made once, and proved at every start."""

import os
from collections.abc import Iterator
from dataclasses import dataclass

import certifi
from minio import Minio
from minio.commonconfig import COMPLIANCE, ENABLED, Filter
from minio.error import MinioException, S3Error
from minio.lifecycleconfig import Expiration, LifecycleConfig, NoncurrentVersionExpiration, Rule
from minio.objectlockconfig import DAYS, YEARS, ObjectLockConfig
from minio.versioningconfig import VersioningConfig
from urllib3 import PoolManager, Retry, Timeout
from urllib3.exceptions import HTTPError

from storage.errors import Unavailable
from storage.wire import CONNECT_S, READ_S

_TTL_RULE = "bundles-end"
_NO_CONFIG = frozenset({"ObjectLockConfigurationNotFoundError", "NoSuchObjectLockConfiguration"})


@dataclass(frozen=True)
class Buckets:
    """Names of the four buckets, days after which a bundle is gone, and years for which a lock holds."""

    objects: str
    bundles: str
    evidence: str
    audit: str
    bundle_days: int
    lock_years: int

    @property
    def locked(self) -> tuple[str, str]:
        """The buckets whose objects nobody can delete or overwrite before their time."""
        return self.evidence, self.audit

    @property
    def all(self) -> tuple[str, ...]:
        """Every bucket."""
        return self.objects, self.bundles, *self.locked


def connect(host: str, access_key: str, secret_key: str, region: str, *, secure: bool = True) -> Minio:
    """Return the SDK's client for `host[:port]`; nothing is sent yet."""
    return Minio(host, access_key, secret_key, region=region, secure=secure, http_client=patient())


def patient() -> PoolManager:
    """Return connections that give up: the SDK's own would wait five minutes for each of six tries."""
    return PoolManager(
        timeout=Timeout(connect=CONNECT_S, read=READ_S),
        # A server that has just been started answers 503 for a moment.
        retries=Retry(total=3, backoff_factor=0.3, status_forcelist=(500, 502, 503, 504)),
        cert_reqs="CERT_REQUIRED",
        ca_certs=os.environ.get("SSL_CERT_FILE") or certifi.where(),
    )


def create_buckets(client: Minio, buckets: Buckets) -> None:
    """Make what is missing and set what is unset; safe to repeat. Raises Unavailable.

    Where nothing is missing nothing is written, so that a user who may only read the settings gets through. A bucket
    that exists without object lock cannot be given one: `verify` says so afterwards.
    """
    try:
        for bucket in buckets.all:
            if not client.bucket_exists(bucket):
                client.make_bucket(bucket, object_lock=bucket in buckets.locked)
        if client.get_bucket_versioning(buckets.objects).status != ENABLED:
            client.set_bucket_versioning(buckets.objects, VersioningConfig(ENABLED))
        if not _ends(client, buckets.bundles, buckets.bundle_days):
            client.set_bucket_lifecycle(buckets.bundles, LifecycleConfig([_ttl(buckets.bundle_days)]))
        for bucket in buckets.locked:
            if not _lacks_lock(client, bucket, buckets.lock_years):
                continue
            client.set_object_lock_config(bucket, ObjectLockConfig(COMPLIANCE, buckets.lock_years, YEARS))
    except (MinioException, HTTPError) as error:
        raise Unavailable(f"the buckets could not be set up: {_code(error)}") from None


def verify(client: Minio, buckets: Buckets) -> list[str]:
    """Return what is missing, as `<bucket>: <what>`, empty when all is on; raises Unavailable."""
    try:
        return list(_missing(client, buckets))
    except (MinioException, HTTPError) as error:
        raise Unavailable(f"the buckets could not be checked: {_code(error)}") from None


def _missing(client: Minio, buckets: Buckets) -> Iterator[str]:
    for bucket in buckets.all:
        if not client.bucket_exists(bucket):
            yield f"{bucket}: bucket"
            continue
        if bucket != buckets.bundles and client.get_bucket_versioning(bucket).status != ENABLED:
            yield f"{bucket}: versioning"
        if bucket == buckets.bundles and not _ends(client, bucket, buckets.bundle_days):
            yield f"{bucket}: lifecycle"
        if bucket in buckets.locked and _lacks_lock(client, bucket, buckets.lock_years):
            yield f"{bucket}: object lock"


def _ttl(days: int) -> Rule:
    return Rule(
        ENABLED,
        rule_filter=Filter(prefix=""),
        rule_id=_TTL_RULE,
        expiration=Expiration(days=days),
        noncurrent_version_expiration=NoncurrentVersionExpiration(noncurrent_days=1),
    )


def _ends(client: Minio, bucket: str, days: int) -> bool:
    """Say whether every object of the bucket ends after at most `days` days."""
    found = client.get_bucket_lifecycle(bucket)
    return any(
        rule.status == ENABLED
        and rule.expiration is not None
        and rule.expiration.days is not None
        and rule.expiration.days <= days
        and (rule.rule_filter is None or not rule.rule_filter.prefix)
        for rule in (found.rules if found else ())
    )


def _lacks_lock(client: Minio, bucket: str, years: int = 0) -> bool:
    """Say whether new objects of the bucket are not locked in COMPLIANCE mode for `years` years."""
    try:
        found = client.get_object_lock_config(bucket)
    except S3Error as error:
        if error.code in _NO_CONFIG:
            return True
        raise
    unit = {DAYS: 1, YEARS: 365}.get(found.duration_unit or "", 0)
    return found.mode != COMPLIANCE or (found.duration or 0) * unit < max(1, years * 365)


def _code(error: Exception) -> str:
    """Return the server's code, or the kind of failure: the texts would name host and bucket."""
    return str(error.code) if isinstance(error, S3Error) else type(error).__name__
