"""Marking files without a portal."""

import sys
from pathlib import Path
from typing import Literal, TextIO

import click

from gateway.cli.door import main, told
from watermark import batch
from watermark.errors import WatermarkError
from watermark.mark import Mark


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
@click.option("--explain", is_flag=True, help="Print what was done, page by page.")
@click.option(
    "--source-password-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Its first line opens an encrypted source.",
)
@click.option("--signature-loss", is_flag=True, help="Mark a signed source too; its signature is lost.")
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
    explain: bool,
    source_password_file: Path | None,
    signature_loss: bool,
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
        given = batch.Source(_first_line(source_password_file), signature_loss)
    except (WatermarkError, UnicodeDecodeError) as error:
        raise click.UsageError(str(error)) from error
    with told():
        if folder is not None and report is not None:
            sys.exit(batch.run_batch(folder, out, words, report, sealing=sealing))
        assert source is not None
        shown: TextIO | None = sys.stdout if explain else None
        sys.exit(
            batch.run_one(source, out, words, sealing=sealing, report_file=report, given=given, explain=shown)
        )


def _first_line(file: Path | None) -> str:
    return file.read_text(encoding="utf-8").partition("\n")[0].rstrip("\r") if file else ""
