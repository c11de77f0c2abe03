"""The object store: set up and checked."""

import click

from gateway.cli.door import main
from gateway.config import load


@main.group()
def storage() -> None:
    """Set up the object store, or say what it lacks."""


@storage.command("init")
def storage_init() -> None:
    """Make the buckets and check them.

    Versioning, locks and lifecycle are set and then read back.
    """
    from gateway import bootstrap

    missing = bootstrap.prepare_storage(load())
    if missing:
        raise click.ClickException("the object store lacks: " + "; ".join(missing))
    click.echo("the object store is as it has to be")
