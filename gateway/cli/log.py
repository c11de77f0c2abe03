"""The log: its public key, and the whole of it as a folder that anybody can verify."""

from pathlib import Path

import click

from gateway.cli.door import main, told
from gateway.config import load


@main.group()
def log() -> None:
    """Tell the log's key, or take the whole log away."""


@log.command("key")
def log_key() -> None:
    """Print the public key of the log.

    Witnesses and verifiers are given it.
    """
    from gateway import bootstrap
    from gateway.audit.signer import Signer

    settings = load()
    click.echo(Signer.load(settings.keys / "log.key", bootstrap.log_origin(settings)).vkey)


@log.command("export")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
def log_export(folder: Path) -> None:
    """Write the whole log into a new FOLDER, in the layout of C2SP tlog-tiles.

    It holds the checkpoint, the tiles and every entry, without the names that entries commit to; taking it away is
    itself an entry. `python -m gateway.audit verify FOLDER --key KEY` checks it.
    """
    from gateway import bootstrap
    from gateway.audit import publish

    if folder.exists() and any(folder.iterdir()):
        raise click.UsageError("FOLDER holds something already")
    deps = bootstrap.build(load())
    try:
        with told():
            size = publish.export(deps.database, deps.log, folder, now=deps.clock())
    finally:
        deps.database.close()
    click.echo(f"{size} entries; the key is: {deps.log.vkey}")
