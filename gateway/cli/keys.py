"""Keys: how they stand, rotated, copied apart from everything else, brought back."""

from pathlib import Path

import click

from gateway.cli.door import main
from gateway.config import load
from gateway.principal import SYSTEM

RECIPIENTS_HELP = "File of age recipients; SEALGATE_BACKUP_RECIPIENTS without it."
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@main.group()
def keys() -> None:
    """Look after the key-encryption keys."""


@keys.command("status")
def keys_status() -> None:
    """Say which epochs there are, what is wrapped, which exports exist, and which destructions are pending."""
    from gateway import bootstrap
    from gateway.custody import keys as custody

    deps = bootstrap.build(load())
    found = custody.status(deps, now=deps.clock())
    for epoch in found.epochs:
        click.echo(f"epoch {epoch}: {found.wraps.get(epoch, 0)} keys")
    if len(found.epochs) > 1:
        click.echo("a rotation is unfinished; run `sealgate keys rotate` again")
    click.echo(f"keyring generation {found.generation}; next rotation due {found.due:%Y-%m-%d}")
    for copy in found.copies:
        click.echo(
            f"export {copy.id[:8]}: epochs {_list(copy.epochs)}, destroy by {copy.expires_at:%Y-%m-%d}"
        )
    if not found.exported:
        click.echo("the newest epoch is in no export: run `sealgate keys export-backup`")
    for one in found.pending:
        why = ", after a rotation" if one.rotation else ""
        click.echo(f"{one.name}: pending until backups expire, {one.until:%Y-%m-%d}{why}")
    click.echo(f"destroyed: {len(found.pending)} pending, {found.final} final")
    deps.database.close()


def _list(epochs: tuple[int, ...]) -> str:
    return ", ".join(map(str, epochs))


@keys.command("rotate")
@click.option("--export", "target", type=click.Path(path_type=Path), help="Export the new keys here first.")
@click.option("--recipients", type=_FILE, help=RECIPIENTS_HELP)
def keys_rotate(target: Path | None, recipients: Path | None) -> None:
    """Wrap every key under a new epoch and destroy the old one.

    Runs beside traffic. After a crash, run it again: it goes on where it stood.
    """
    from gateway import bootstrap
    from gateway.custody import envelope
    from gateway.custody import keys as custody

    settings = load()
    to = envelope.recipients(recipients or settings.backup_recipients) if target else []
    deps = bootstrap.build(settings)

    def export(epoch: int) -> None:
        if target is not None:
            custody.export_backup(deps, target, to, actor=SYSTEM, now=deps.clock(), since=epoch)

    done = custody.rotate(deps, actor=SYSTEM, now=deps.clock(), export=export)
    deps.log.sequence(now=deps.clock())
    word = "resumed and ended" if done.resumed else "done"
    click.echo(f"rotation {word}: epoch {done.epoch}, {done.rewrapped} keys wrapped anew")
    if target is None:
        click.echo("the new epoch is in no export yet: run `sealgate keys export-backup`")
    deps.database.close()


@keys.command("export-backup")
@click.argument("target", type=click.Path(path_type=Path))
@click.option("--recipients", type=_FILE, help=RECIPIENTS_HELP)
def keys_export(target: Path, recipients: Path | None) -> None:
    """Copy every key file, encrypted with age, into the file TARGET.

    Keep it apart from every backup of the data. Whoever has both, and a recovery identity, reads everything.
    """
    from gateway import bootstrap
    from gateway.custody import envelope
    from gateway.custody import keys as custody

    settings = load()
    to = envelope.recipients(recipients or settings.backup_recipients)
    deps = bootstrap.build(settings)
    copy = custody.export_backup(deps, target, to, actor=SYSTEM, now=deps.clock())
    deps.log.sequence(now=deps.clock())
    click.echo(f"epochs {_list(copy.epochs)} exported; destroy the file by {copy.expires_at:%Y-%m-%d}")
    deps.database.close()


@keys.command("restore")
@click.argument("source", type=_FILE)
@click.option("--identity", type=_FILE, required=True, help="File of age identities, 0600.")
def keys_restore(source: Path, identity: Path) -> None:
    """Bring the key files of an export back into an empty installation."""
    from gateway import bootstrap
    from gateway.custody import envelope
    from gateway.custody import keys as custody

    settings = load()
    names = custody.restore_keys(source, envelope.identities(identity), settings.keys)
    made = bootstrap.make_keys(settings)
    click.echo(f"{len(names)} key files restored; made anew: {', '.join(made)}")
