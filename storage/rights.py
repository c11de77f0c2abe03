"""The portal's own user in MinIO: what it may do, on its four buckets and nowhere else.

Whoever holds the server's root credentials makes the buckets and this user; the portal is never given them.
"""

from collections.abc import Sequence
from typing import Any

from minio import MinioAdmin
from minio.credentials.providers import StaticProvider
from minio.error import MinioException
from urllib3.exceptions import HTTPError

from storage.admin import patient
from storage.errors import Unavailable

POLICY = "sealgate"
# Settings of buckets are read, for the checks at every start, and not written: who breaks into the portal can neither
# suspend versioning nor shorten a lock or a lifecycle. Locks are lifted by nobody.
ACTIONS = (
    "s3:AbortMultipartUpload",
    "s3:DeleteObject",
    "s3:DeleteObjectVersion",
    "s3:GetBucketLocation",
    "s3:GetBucketObjectLockConfiguration",
    "s3:GetBucketVersioning",
    "s3:GetLifecycleConfiguration",
    "s3:GetObject",
    "s3:GetObjectRetention",
    "s3:GetObjectVersion",
    "s3:ListBucket",
    "s3:ListBucketMultipartUploads",
    "s3:ListBucketVersions",
    "s3:ListMultipartUploadParts",
    "s3:PutObject",
)


def policy(buckets: Sequence[str]) -> dict[str, Any]:
    """Return the policy document: these actions, on these buckets and their objects."""
    resources = [f"arn:aws:s3:::{bucket}{suffix}" for bucket in buckets for suffix in ("", "/*")]
    statement = {"Effect": "Allow", "Action": list(ACTIONS), "Resource": resources}
    return {"Version": "2012-10-17", "Statement": [statement]}


def provision(
    host: str,
    root: tuple[str, str],
    user: tuple[str, str],
    buckets: Sequence[str],
    *,
    secure: bool = True,
) -> None:
    """Make or renew the user (access key, secret key) and its policy by the server's root; safe to repeat.

    Raises Unavailable when the server does not answer or is none of MinIO's kind.
    """
    credentials = StaticProvider(*root)
    admin = MinioAdmin(endpoint=host, credentials=credentials, secure=secure, http_client=patient())
    try:
        admin.policy_add(POLICY, policy=policy(buckets))
        admin.user_add(*user)
        if f'"{POLICY}"' not in admin.get_policy_entities([user[0]], [], []):
            admin.attach_policy([POLICY], user=user[0])
    except (MinioException, HTTPError, ValueError) as error:
        raise Unavailable(f"the portal's user could not be made: {type(error).__name__}") from None
