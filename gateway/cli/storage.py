"""The object store: set up, checked, and carried elsewhere."""

from pathlib import Path

import click

from gateway.cli.door import main
from gateway.config import load, read_secret

SECRET_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@main.group()
def storage() -> None:
    """Set up the object store, or say what it lacks."""


@storage.command("init")
@click.option("--root-user-file", type=SECRET_FILE, help="File (0600) with the server's root user.")
@click.option("--root-password-file", type=SECRET_FILE, help="File (0600) with its password.")
def storage_init(root_user_file: Path | None, root_password_file: Path | None) -> None:
    """Make the buckets and check them.

    Versioning, locks and lifecycle are set and then read back. With MinIO's root credentials the portal's own user is
    made too, who may read and write objects and change no bucket; the root's are used for this once and kept nowhere.
    """
    from gateway import bootstrap

    if (root_user_file is None) != (root_password_file is None):
        raise click.UsageError("name both root files or none")
    root = None
    if root_user_file is not None and root_password_file is not None:
        root = read_secret(root_user_file).decode(), read_secret(root_password_file).decode()
    missing = bootstrap.prepare_storage(load(), root)
    if missing:
        raise click.ClickException("the object store lacks: " + "; ".join(missing))
    click.echo("the object store is as it has to be")
