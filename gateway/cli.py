"""The command `sealgate`: one verb a line."""

import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Literal

import click

from gateway.config import Settings, load
from gateway.errors import ConfigError, SealGateError
from gateway.principal import Role
from watermark import batch
from watermark.errors import WatermarkError
from watermark.mark import Mark

FIRST = (Role.SYS, Role.GM, Role.ADM)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """SealGate 封签: customer archives leave only under a signed agreement, marked, sealed and logged."""


def _settings() -> Settings:
    try:
        return load()
    except ConfigError as error:
        for problem in error.problems:
            click.echo(f"  {problem}", err=True)
        raise click.ClickException("the settings cannot start a portal; nothing was done") from error


@main.command()
@click.option("--sys", "sys_", nargs=2, metavar="EMAIL NAME", help="The first 系统管理员.")
@click.option("--gm", nargs=2, metavar="EMAIL NAME", help="The first 总经理.")
@click.option("--adm", nargs=2, metavar="EMAIL NAME", help="The first 行政部门 account.")
def init(sys_: tuple[str, str] | None, gm: tuple[str, str] | None, adm: tuple[str, str] | None) -> None:
    """Make keys and database, and enrol the first SYS, GM and ADM by one-time codes; safe to run again."""
    from gateway import bootstrap

    settings = _settings()
    for name in bootstrap.make_keys(settings):
        click.echo(f"made {name}")
    bootstrap.upgrade(settings)
    click.echo("database is at its newest revision")
    missing = bootstrap.prepare_storage(settings)
    if missing:
        raise click.ClickException("the object store lacks: " + "; ".join(missing))
    given = dict(zip(FIRST, (sys_, gm, adm), strict=True))
    people = {role: person for role, person in given.items() if person is not None}
    if people:
        _enrol(settings, people)


def _enrol(settings: Settings, people: dict[Role, tuple[str, str]]) -> None:
    from gateway import bootstrap
    from gateway.identity.service import first_day

    if set(people) != set(FIRST):
        raise click.ClickException("name all three of --sys, --gm and --adm")
    deps = bootstrap.build(settings)
    try:
        codes = first_day(deps, people, now=deps.clock())
    except SealGateError as error:
        raise click.ClickException(str(error)) from error
    for role, code in codes.items():
        click.echo(f"{role} {people[role][0]}: {settings.public_origin}/enrol  code {code}")
    click.echo("each code works once, for 72 hours; hand it over in person")


@main.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=8080, show_default=True, type=click.IntRange(1, 65535))
@click.option(
    "--demo", is_flag=True, help="Fill an empty portal with the demo company and print its accounts."
)
def serve(host: str, port: int, demo: bool) -> None:
    """Serve the portal with its worker in this process (the embedded installation)."""
    if demo:
        from gateway.demo.serving import serve_demo

        serve_demo(host, port)
        return
    from gateway.serving import serve_portal

    serve_portal(_settings(), host, port)


@main.command()
def worker() -> None:
    """Run jobs, mail, the log's sequencer and the sweeps, without the web door."""
    from gateway import bootstrap
    from gateway.engine import Engine

    engine = Engine(bootstrap.build(_settings()))

    def end(_signal: int, _frame: FrameType | None) -> None:
        engine.stop()

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    engine.start()
    engine.wait()


@main.command()
@click.option("--storage", type=click.Choice(["local", "minio"]), default="local", show_default=True)
@click.option("--out", type=click.Path(path_type=Path), default=Path("demo-out"), show_default=True)
def demo(storage: str, out: Path) -> None:
    """Do the main job end to end over HTTP against a portal of its own, and leave the proof in demo-out."""
    from gateway.demo.run import run_demo

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
    """Mark a file (or a folder) as a partner's copy would be; exit 0 marked, 3 refused."""
    if (source is None) == (folder is None):
        raise click.UsageError("give one file, or --batch DIR")
    if folder is not None and report is None:
        raise click.UsageError("--batch needs --report")
    try:
        sealing = batch.seal_from(format_, passphrase_file, age_recipient)
        words = Mark(lines=texts, copy_number=copy_number)
    except WatermarkError as error:
        raise click.UsageError(str(error)) from error
    if folder is not None and report is not None:
        sys.exit(batch.run_batch(folder, out, words, report, sealing=sealing))
    assert source is not None
    sys.exit(batch.run_one(source, out, words, sealing=sealing, report_file=report))


@main.group()
def storage() -> None:
    """The object store: set it up, or say what it lacks."""


@storage.command("init")
def storage_init() -> None:
    """Make the buckets with versioning, locks and lifecycle, and check that they are on."""
    from gateway import bootstrap

    missing = bootstrap.prepare_storage(_settings())
    if missing:
        raise click.ClickException("the object store lacks: " + "; ".join(missing))
    click.echo("the object store is as it has to be")


if __name__ == "__main__":
    main()
