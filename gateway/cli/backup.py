"""Backups while serving, restores into an empty place, drills."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from gateway.cli.door import main
from gateway.config import Settings, load, read_secret
from gateway.principal import SYSTEM

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
F = TypeVar("F", bound=Callable[..., Any])


def _bucket_options(command: F) -> F:
    for option in (
        click.option(
            "--endpoint", metavar="URL", help="S3 server of an s3:// place; the portal's without it."
        ),
        click.option("--access-key-file", type=_FILE, help="File (0600) with its access key."),
        click.option("--secret-key-file", type=_FILE, help="File (0600) with its secret key."),
    ):
        command = option(command)
    return command


@main.command("backup")
@click.argument("place", metavar="DIR|s3://BUCKET/PREFIX")
@click.option(
    "--recipients", type=_FILE, help="File of age recipients; SEALGATE_BACKUP_RECIPIENTS without it."
)
@_bucket_options
def backup(place: str, recipients: Path | None, **bucket: Any) -> None:
    """Save database, keyring and objects while the portal serves.

    Unchanged objects are not copied again; what has expired there is removed. Keys are never in it: see `sealgate keys
    export-backup`.
    """
    from gateway import bootstrap
    from gateway.custody import envelope
    from gateway.custody.backup import back_up
    from gateway.custody.place import open_place

    settings = load()
    to = envelope.recipients(recipients or settings.backup_recipients)
    deps = bootstrap.build(settings)
    target = open_place(place, settings, _access(settings, bucket), make=True)
    made = back_up(deps, deps.stores, target, to, actor=SYSTEM, now=deps.clock())
    deps.log.sequence(now=deps.clock())
    size = made.manifest.checkpoint.size if made.manifest.checkpoint is not None else 0
    click.echo(f"backup {made.manifest.id}: {made.manifest.objects} objects, {made.copied} copied now")
    click.echo(f"log up to entry {size}; kept until {made.manifest.expires_at:%Y-%m-%d}")
    for one in made.removed:
        click.echo(f"expired and removed: {one}")
    deps.database.close()


def _access(settings: Settings, bucket: dict[str, Any]) -> Any:
    from gateway.custody.place import Access

    endpoint = bucket["endpoint"] or settings.s3_endpoint
    access = bucket["access_key_file"] or settings.s3_access_key_file
    secret = bucket["secret_key_file"] or settings.s3_secret_key_file
    if endpoint is None or access is None or secret is None:
        return None
    return Access(endpoint, settings.s3_region, read_secret(access).decode(), read_secret(secret).decode())


@main.command("restore")
@click.argument("place", metavar="DIR|s3://BUCKET/PREFIX")
@click.option("--identity", type=_FILE, required=True, help="File (0600) of age identities.")
@click.option("--at", "backup_id", metavar="ID", help="This backup; the newest without it.")
@click.option("--drill", is_flag=True, help="Prove everything in a scratch place and write a dated record.")
@_bucket_options
def restore(place: str, identity: Path, backup_id: str | None, *, drill: bool, **bucket: Any) -> None:
    """Bring a backup back into an empty place.

    Its keys are restored first, by `sealgate keys restore`. Everything is proved before anything is written. Afterwards
    all sessions are void, and shares stay suspended until 行政部门 resumes them.
    """
    from gateway import bootstrap
    from gateway.custody import envelope, proving
    from gateway.custody.place import open_place

    settings = load()
    by = envelope.identities(identity)
    deps = bootstrap.build(settings, restoring=True)
    target = open_place(place, settings, _access(settings, bucket), make=False)
    _name_findings(lambda: _do(deps, proving.open_source(deps, target, by, backup_id), drill=drill))
    deps.database.close()


def _do(deps: Any, source: Any, *, drill: bool) -> None:
    from gateway import bootstrap
    from gateway.custody import drill as drills
    from gateway.custody import restore as restoring

    now = deps.clock()
    if drill:
        found = drills.drill(deps, source, actor=SYSTEM, now=now)
        deps.log.sequence(now=deps.clock())
        for line in found.findings:
            click.echo(f"  {line}", err=True)
        click.echo(f"drill of {found.backup}: {found.outcome}; record {found.path.name}")
        if not found.passed:
            raise click.ClickException("the backup could not be restored")
        return
    done = restoring.restore(
        deps,
        source,
        prepare=lambda: bootstrap.upgrade(deps.settings),
        rebuilt=lambda: bootstrap.build(deps.settings, restoring=True),
        actor=SYSTEM,
        now=now,
    )
    click.echo(f"restored {done.backup}: {done.rows} rows, {done.objects} objects")
    if done.destroyed:
        click.echo(f"left out because they were destroyed since: {done.destroyed}")
    click.echo(_log_words(done.compared.outcome, done.compared.lost))
    click.echo("sessions are void; shares are suspended until 行政部门 resumes them")


def _log_words(outcome: str, lost: int) -> str:
    return {
        "ALONE": "log: no checkpoint outside to compare with",
        "EQUAL": "log: it holds the newest checkpoint outside",
        "FETCHED": f"log: {lost} entries that the backup lacked were fetched back",
        "CONTINUED": f"log: FROZEN; {lost} entries are lost, a new log under a new key continues it",
    }[outcome]


def _name_findings(act: Callable[[], None]) -> None:
    from gateway.custody.errors import CustodyError

    try:
        act()
    except CustodyError as error:
        for line in getattr(error, "findings", ()):
            click.echo(f"  {line}", err=True)
        raise
