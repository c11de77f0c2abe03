"""Makes the buckets and gives the portal its own user in MinIO; run by the job store-user of docker-compose.yml.

`sealgate storage init --root-user-file … --root-password-file …` does the same for an installation that has its settings
at hand. The root credentials are read here and nowhere else. Running it again is harmless.
"""

import os
from pathlib import Path

from gateway.custody.buckets import BUNDLE_DAYS, LOCK_YEARS
from storage import admin, rights
from storage.admin import Buckets


def main() -> None:
    """Reads endpoint and buckets from the environment, credentials from the secret files."""
    secrets = Path(os.environ.get("SECRETS", "/run/secrets"))
    root_user, root_password, user, password = (
        (secrets / name).read_text("ascii").strip()
        for name in ("s3_root_user", "s3_root_password", "s3_access_key", "s3_secret_key")
    )
    host, secure = os.environ["S3_ENDPOINT"], os.environ.get("S3_SECURE") == "true"
    buckets = Buckets(*os.environ["S3_BUCKETS"].split(), bundle_days=BUNDLE_DAYS, lock_years=LOCK_YEARS)
    client = admin.connect(
        host, root_user, root_password, os.environ.get("S3_REGION", "us-east-1"), secure=secure
    )
    admin.create_buckets(client, buckets)
    rights.provision(host, (root_user, root_password), (user, password), buckets.all, secure=secure)


if __name__ == "__main__":
    main()
