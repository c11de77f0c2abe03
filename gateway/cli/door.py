"""The door itself: one group of verbs, and how what stops a verb is said."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from gateway.errors import ConfigError, SealGateError
from storage.errors import StorageError


class Door(click.Group):
    """Says what stopped a verb in a few lines: every bad setting by name, or the one sentence of an error."""

    def invoke(self, ctx: click.Context) -> Any:
        """Runs the verb; what the product raises on purpose ends it with code 1."""
        try:
            return super().invoke(ctx)
        except ConfigError as error:
            for problem in error.problems:
                click.echo(f"  {problem}", err=True)
            raise click.ClickException("the settings cannot start a portal; nothing was done") from error
        except (SealGateError, StorageError) as error:
            raise click.ClickException(str(error)) from error


@click.group(cls=Door, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
def main() -> None:
    """SealGate 封签: customer archives leave only under a signed agreement, marked, sealed and logged."""


@contextmanager
def told() -> Iterator[None]:
    """What the system refuses (a port that is taken, a file that cannot be written), in its own words."""
    try:
        yield
    except OSError as error:
        raise click.ClickException(error.strerror or type(error).__name__) from error
