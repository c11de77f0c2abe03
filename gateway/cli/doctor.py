"""Whether this machine holds what the portal relies on: the walls around parsers, tried from inside, and the converters."""

import sys

import click

from gateway.cli.door import main


@main.command()
def doctor() -> None:
    """Show the sandbox in force and the converters.

    Exit 0 when every layer stands; otherwise 1, and no file can be marked on this machine.
    """
    from watermark import probe

    walls, programs = probe.layers(), probe.converters()
    for layer in (*walls, *programs):
        click.echo(
            f"{'ok ' if layer.stands else 'NO '} {layer.name}" + (f": {layer.detail}" if layer.detail else "")
        )
    sys.exit(0 if all(layer.stands for layer in walls) else 1)
