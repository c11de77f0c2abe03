"""The witness: starts the separate program, which knows nothing of the portal."""

import os
import sys

import click

from gateway.cli.door import main, told


@main.command(
    context_settings={"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": []}
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def witness(arguments: tuple[str, ...]) -> None:
    """Run a witness that cosigns logs: init, vkey, serve.

    The witness has its own folder, key and user; `sealgate witness -h` tells its options.
    """
    command = [sys.executable, "-m", "gateway.audit.witness", *arguments]
    with told():
        # The process becomes the witness: nothing of the portal stays loaded beside the witness's key.
        os.execv(sys.executable, command)  # noqa: S606
