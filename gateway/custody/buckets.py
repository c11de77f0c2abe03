"""The buckets of an installation: made and checked, by its settings; nothing of it applies to the folder store."""

from urllib.parse import urlsplit

from minio import Minio

from gateway.config import Settings, read_secret
from gateway.errors import ConfigError
from storage import admin, rights

BUNDLE_DAYS = 35
LOCK_YEARS = 10


def s3_credentials(settings: Settings) -> tuple[str, str]:
    """Access and secret key from their files; raises ConfigError."""
    if settings.s3_access_key_file is None or settings.s3_secret_key_file is None:
        raise ConfigError(["SEALGATE_S3_ACCESS_KEY_FILE, SEALGATE_S3_SECRET_KEY_FILE: needed"])
    return read_secret(settings.s3_access_key_file).decode(), read_secret(
        settings.s3_secret_key_file
    ).decode()


def buckets(settings: Settings) -> admin.Buckets:
    """The buckets this installation uses."""
    return admin.Buckets(
        objects=settings.s3_bucket_objects,
        bundles=settings.s3_bucket_bundles,
        evidence=settings.s3_bucket_evidence,
        audit=settings.s3_bucket_audit,
        bundle_days=BUNDLE_DAYS,
        lock_years=LOCK_YEARS,
    )


def prepare_storage(settings: Settings, root: tuple[str, str] | None = None) -> list[str]:
    """Makes the buckets where objects are kept in S3; returns what is still missing by name (empty for local).

    `root` is the server's own access and secret key: with it the buckets are made by the root, and the portal's user
    with no more than its rights. Without it the portal's user has to be able to make them.
    """
    if settings.storage == "local":
        return []
    admin.create_buckets(_administrator(settings, root), buckets(settings))
    if root is not None:
        endpoint, user = urlsplit(settings.s3_endpoint or ""), s3_credentials(settings)
        secure = endpoint.scheme == "https"
        rights.provision(endpoint.netloc, root, user, buckets(settings).all, secure=secure)
    return lacking(settings)


def lacking(settings: Settings) -> list[str]:
    """What the object store lacks, as the portal's own user sees it: `<bucket>: <what>`; empty for local."""
    if settings.storage == "local":
        return []
    return admin.verify(_administrator(settings, None), buckets(settings))


def _administrator(settings: Settings, root: tuple[str, str] | None) -> Minio:
    endpoint = urlsplit(settings.s3_endpoint or "")
    keys = root or s3_credentials(settings)
    return admin.connect(endpoint.netloc, *keys, settings.s3_region, secure=endpoint.scheme == "https")
