"""The command `sealgate`: one verb a line."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import click

from gateway.config import Settings, load
from gateway.errors import ConfigError, SealGateError
from gateway.principal import Role
from storage.errors import StorageError
from watermark import batch
from watermark.errors import WatermarkError
from watermark.mark import Mark

FIRST = (Role.SYS, Role.GM, Role.ADM)


class _Door(click.Group):
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


@click.group(cls=_Door, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
def main() -> None:
    """SealGate 封签: customer archives leave only under a signed agreement, marked, sealed and logged."""


@contextmanager
def _told() -> Iterator[None]:
    """What the system refuses (a port that is taken, a file that cannot be written), in its own words."""
    try:
        yield
    except OSError as error:
        raise click.ClickException(error.strerror or type(error).__name__) from error


@main.command()
@click.option("--sys", "sys_", nargs=2, metavar="EMAIL NAME", help="The first 系统管理员.")
@click.option("--gm", nargs=2, metavar="EMAIL NAME", help="The first 总经理.")
@click.option("--adm", nargs=2, metavar="EMAIL NAME", help="The first 行政部门 account.")
def init(sys_: tuple[str, str] | None, gm: tuple[str, str] | None, adm: tuple[str, str] | None) -> None:
    """Make keys, database and the first accounts.

    Safe to run again: no key is overwritten, and the three accounts are made on an empty portal only. Each is
    enrolled by a one-time code, which is printed.
    """
    from gateway import bootstrap

    people = _first_people(sys_, gm, adm)
    settings = load()
    for name in bootstrap.make_keys(settings):
        click.echo(f"made {name}")
    bootstrap.upgrade(settings)
    click.echo("database is at its newest revision")
    missing = bootstrap.prepare_storage(settings)
    if missing:
        raise click.ClickException("the object store lacks: " + "; ".join(missing))
    if people:
        _enrol(settings, people)


def _first_people(*given: tuple[str, str] | None) -> dict[Role, tuple[str, str]]:
    """All three or none; a usage error otherwise, before anything is made."""
    people = {role: person for role, person in zip(FIRST, given, strict=True) if person is not None}
    if people and set(people) != set(FIRST):
        raise click.UsageError("name all three of --sys, --gm and --adm")
    return people


def _enrol(settings: Settings, people: dict[Role, tuple[str, str]]) -> None:
    from gateway import bootstrap
    from gateway.identity.service import first_day

    deps = bootstrap.build(settings)
    try:
        codes = first_day(deps, people, now=deps.clock())
    finally:
        deps.database.close()
    for role, code in codes.items():
        click.echo(f"{role} {people[role][0]}: {settings.public_origin}/enrol/{code}")
    click.echo("each link works once, for 72 hours; hand it over in person")


@main.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=8080, show_default=True, type=click.IntRange(1, 65535))
@click.option(
    "--demo", is_flag=True, help="Fill an empty portal with the demo company and print its accounts."
)
def serve(host: str, port: int, demo: bool) -> None:
    """Serve the portal and its worker in one process.

    This is the embedded installation; it ends on SIGINT or SIGTERM after the work at hand.
    """
    from gateway.serving import ends_on_signals, serve_portal

    with _told(), ends_on_signals():
        if demo:
            from gateway.demo.serving import serve_demo

            serve_demo(host, port)
        else:
            serve_portal(load(), host, port)


@main.command()
def worker() -> None:
    """Run jobs, mail and sweeps without the web door.

    Ends on SIGINT or SIGTERM after the job at hand.
    """
    from gateway.serving import ends_on_signals, run_worker

    with ends_on_signals():
        run_worker(load())


@main.command()
@click.option("--storage", type=click.Choice(["local", "minio"]), default="local", show_default=True)
@click.option("--out", type=click.Path(path_type=Path), default=Path("demo-out"), show_default=True)
def demo(storage: str, out: Path) -> None:
    """Do the main job over HTTP and leave the proof.

    The portal is its own and is gone afterwards; the folder of an earlier demo is replaced, any other is refused.
    """
    from gateway.demo.run import replaceable, run_demo
    from gateway.serving import raise_on_signals

    if not replaceable(out):
        raise click.UsageError("--out names a folder that holds something else than an earlier demo")
    raise_on_signals()
    sys.exit(run_demo(storage, out))


@main.command()
@click.argument("source", required=False, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "-o",
    "--out",
    required=True,
    type=click.Path(path_type=Path),
    help="The marked file, or the folder of a batch.",
)
@click.option(
    "--text",
    "texts",
    multiple=True,
    required=True,
    metavar="LINE",
    help="A line of the mark; may be repeated.",
)
@click.option("--copy", "copy_number", required=True, metavar="NUMBER", help="The copy number.")
@click.option("--seal", "format_", type=click.Choice(["pdf", "zip", "age"]), help="Encrypt the result.")
@click.option("--passphrase-file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--age-recipient", metavar="R")
@click.option("--report", type=click.Path(path_type=Path), metavar="R.json")
@click.option(
    "--batch",
    "folder",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    metavar="DIR",
    help="Mark a whole folder.",
)
def mark(
    source: Path | None,
    out: Path,
    texts: tuple[str, ...],
    copy_number: str,
    format_: Literal["pdf", "zip", "age"] | None,
    passphrase_file: Path | None,
    age_recipient: str | None,
    report: Path | None,
    folder: Path | None,
) -> None:
    """Mark a file or a folder as a copy would be.

    Exit 0 when marked, 3 when refused; a refused file leaves nothing at OUT.
    """
    if (source is None) == (folder is None):
        raise click.UsageError("give one file, or --batch DIR")
    if folder is not None and report is None:
        raise click.UsageError("--batch needs --report")
    if source is not None and not source.is_file():
        raise click.UsageError("a pipe or a device has no end to be marked to")
    if source is not None and out.resolve() == source.resolve():
        raise click.UsageError("OUT is the file to be marked")
    try:
        sealing = batch.seal_from(format_, passphrase_file, age_recipient)
        words = Mark(lines=texts, copy_number=copy_number)
    except (WatermarkError, UnicodeDecodeError) as error:
        raise click.UsageError(str(error)) from error
    with _told():
        if folder is not None and report is not None:
            sys.exit(batch.run_batch(folder, out, words, report, sealing=sealing))
        assert source is not None
        sys.exit(batch.run_one(source, out, words, sealing=sealing, report_file=report))


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


if __name__ == "__main__":
    main()
