"""Gives the portal its own user in MinIO, with rights on its buckets only; run by the job store-user of docker-compose.yml.

The root credentials are read here and nowhere else. Running it again is harmless.
"""

import os
from pathlib import Path

from minio import MinioAdmin
from minio.credentials import StaticProvider

POLICY = "sealgate"
# No right to lift a lock, to shorten a retention, or to delete a version of what is locked.
ACTIONS = [
    "s3:CreateBucket",
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
    "s3:AbortMultipartUpload",
    "s3:DeleteObject",
    "s3:DeleteObjectVersion",
    "s3:PutBucketObjectLockConfiguration",
    "s3:PutBucketVersioning",
    "s3:PutLifecycleConfiguration",
    "s3:PutObject",
    "s3:PutObjectRetention",
]


def policy(buckets: list[str]) -> dict[str, object]:
    """The policy document: these actions, on these buckets and their objects."""
    resources = [f"arn:aws:s3:::{bucket}{suffix}" for bucket in buckets for suffix in ("", "/*")]
    return {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": ACTIONS, "Resource": resources}],
    }


def provision(admin: MinioAdmin, user: str, password: str, buckets: list[str]) -> None:
    """Makes or renews the user and its policy, and joins them."""
    admin.policy_add(POLICY, policy=policy(buckets))
    admin.user_add(user, password)
    attached = admin.get_policy_entities([user], [], [])
    if f'"{POLICY}"' not in attached:
        admin.attach_policy([POLICY], user=user)


def main() -> None:
    """Reads endpoint and buckets from the environment, credentials from the secret files."""
    secrets = Path(os.environ.get("SECRETS", "/run/secrets"))
    read = {
        name: (secrets / name).read_text("ascii").strip()
        for name in ("s3_root_user", "s3_root_password", "s3_access_key", "s3_secret_key")
    }
    admin = MinioAdmin(
        endpoint=os.environ["S3_ENDPOINT"],
        credentials=StaticProvider(read["s3_root_user"], read["s3_root_password"]),
        secure=os.environ.get("S3_SECURE") == "true",
    )
    provision(admin, read["s3_access_key"], read["s3_secret_key"], os.environ["S3_BUCKETS"].split())


if __name__ == "__main__":
    main()
