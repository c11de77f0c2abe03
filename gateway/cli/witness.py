"""The witness: starts the separate program, which knows nothing of the portal."""

import os
import sys

import click

from gateway.cli.door import main, told


@main.command(context_settings={"ignore_unknown_options": True, "allow_extra_args": True})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def witness(arguments: tuple[str, ...]) -> None:
    """Run a witness that cosigns logs.

    It has its own folder, key and user, and is best run on another person's machine.

    \b
    witness init  --home DIR --name NAME       make the key and print its public half
    witness vkey  --home DIR                   print the public key
    witness serve --home DIR --log VKEY ...    cosign; --listen HOST:PORT (127.0.0.1:7380)
    """
    command = [sys.executable, "-m", "gateway.audit.witness", *arguments]
    with told():
        # The process becomes the witness: nothing of the portal stays loaded beside the witness's key.
        os.execv(sys.executable, command)  # noqa: S606
