"""The object store: set up, checked, and carried elsewhere."""

from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from gateway.cli.door import main
from gateway.config import load, read_secret

if TYPE_CHECKING:
    from gateway.config import Settings
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


@storage.command("copy")
@click.option(
    "--to", required=True, metavar="local:DIR|s3:URL", help="A folder, or the address of an S3 server."
)
@click.option("--access-key-file", type=SECRET_FILE, help="File (0600) with the new server's access key.")
@click.option("--secret-key-file", type=SECRET_FILE, help="File (0600) with its secret key.")
@click.option("--last", is_flag=True, help="The portal is stopped: carry the rest and allow the switch.")
def storage_copy(to: str, access_key_file: Path | None, secret_key_file: Path | None, last: bool) -> None:
    """Carry all objects to other stores.

    Runs beside traffic and may be stopped and repeated: what was carried and read back is not carried again. Then stop the
    portal, run it once more with --last, change the settings, and start: a portal does not start on stores that lack objects.
    The buckets' names are those of the settings. Uploads that are under way then are begun anew by their senders.
    """
    from gateway import bootstrap
    from gateway.custody import copy

    settings = load()
    target = _target(settings, to, access_key_file, secret_key_file)
    if copy.address(target) == copy.address(settings):
        raise click.UsageError("the objects are there already")
    missing = bootstrap.prepare_storage(target)
    if missing:
        raise click.ClickException("the other store lacks: " + "; ".join(missing))
    deps = bootstrap.build(settings)
    try:
        sources, targets = (
            bootstrap.raw_stores(place, deps.database, deps.clock, whole=True) for place in (settings, target)
        )
        move = copy.begin(settings.home, copy.address(settings), copy.address(target))
        with progress() as bar:
            task = bar.add_task("carrying", total=None)
            done = copy.carry(
                settings.home,
                sources,
                targets,
                total=lambda size: bar.update(task, total=size),
                seen=lambda size: bar.advance(task, size),
            )
    finally:
        deps.database.close()
    click.echo(
        f"{done.objects} objects are there and read back; {done.carried} carried now, {done.bytes} bytes"
    )
    if last:
        copy.settle(settings.home, move)
        click.echo("complete: change the settings to the new store and start the portal on it")


def _target(settings: "Settings", to: str, access: Path | None, secret: Path | None) -> "Settings":
    """The settings as they will be after the switch."""
    kind, _, where = to.partition(":")
    if kind == "local" and where:
        return settings.model_copy(update={"storage": "local", "store_folder": Path(where).resolve()})
    if kind == "s3" and where and access is not None and secret is not None:
        keys = {"s3_access_key_file": access, "s3_secret_key_file": secret}
        return settings.model_copy(update={"storage": "s3", "s3_endpoint": where, **keys})
    raise click.UsageError("--to takes local:DIR, or s3:URL with both key files")


def progress() -> Progress:
    """A bar of bytes, on the terminal only and gone afterwards."""
    columns = TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn()
    return Progress(*columns, console=Console(stderr=True), transient=True)
