"""The object store: set up, checked, and carried elsewhere."""

from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from gateway.cli.door import main
from gateway.config import load, read_secret

if TYPE_CHECKING:
    from gateway.custody.check import Finding
    from gateway.deps import Deps

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


@storage.command("check")
@click.option("--deep", is_flag=True, help="Decrypt every object and compare its digest.")
def storage_check(deep: bool) -> None:
    """Compare database, keyring and stores.

    Names what is missing, orphaned, altered, of a wrong size, or without its key, and then ends with code 1. Runs beside
    traffic; nothing is changed.
    """
    from gateway import bootstrap

    lacking = bootstrap.lacking(load())
    for what in lacking:
        click.echo(f"the object store lacks: {what}")
    deps = bootstrap.build(load())
    try:
        findings = _examined(deps, deep=deep)
    finally:
        deps.database.close()
    for finding in findings:
        click.echo(finding.text.en)
    if findings or lacking:
        raise click.ClickException(f"{len(findings) + len(lacking)} findings")
    click.echo("everything recorded is there" + (", whole and as it was recorded" if deep else ""))


def _examined(deps: "Deps", *, deep: bool) -> "list[Finding]":
    from gateway.custody import check
    from gateway.oversight.stored import recorded

    sealed = {"objects": deps.objects, "bundles": deps.bundles, "evidence": deps.evidence}
    # The audit store holds checkpoints in clear; the log itself is what proves them.
    stores = {place: deps.stores[place] for place in sealed}
    found = check.listing(stores)
    with deps.database.read() as session:
        records = recorded(session, now=deps.clock())
    findings = list(check.compare(found, records, stores, deps.keyring))
    if deep:
        with progress() as bar:
            task = bar.add_task("reading", total=found.bytes)
            findings += check.read_all(found, records, sealed, lambda size: bar.advance(task, size))
    return list({(one.place, one.name, one.fault): one for one in findings}.values())


def progress() -> Progress:
    """A bar of bytes, on the terminal only and gone afterwards."""
    columns = TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn()
    return Progress(*columns, console=Console(stderr=True), transient=True)
