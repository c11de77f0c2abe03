"""The pipeline behind `sealgate mark`: one file or a folder, marked, sealed if asked, written whole or not at all."""

import json
import os
import secrets
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TextIO

from watermark import bundle, memory, seal, worker
from watermark.errors import BadEntry, SealError
from watermark.mark import Mark
from watermark.report import Report, refused

MARKED, REFUSED = 0, 3


@dataclass(frozen=True, slots=True)
class Seal:
    """How the output is encrypted: `key` is the passphrase for pdf and zip, the recipient for age."""

    format: Literal["pdf", "zip", "age"]
    key: str


def seal_from(
    format: Literal["pdf", "zip", "age"] | None,  # noqa: A002  # The word of the product.
    passphrase_file: Path | None,
    age_recipient: str | None,
) -> Seal | None:
    """The seal that a command line asks for. The passphrase is the file's first line.

    Raises SealError for a mix that makes none, OSError for a file that cannot be read.
    """
    if format is None and age_recipient is None and passphrase_file is None:
        return None
    if age_recipient is not None and format in (None, "age") and passphrase_file is None:
        return Seal("age", seal.parse_recipient(age_recipient))
    if format in ("pdf", "zip") and passphrase_file is not None and age_recipient is None:
        first, _, _ = passphrase_file.read_text(encoding="utf-8").partition("\n")
        return Seal(format, seal.checked_passphrase(first.rstrip("\r")))
    raise SealError("pdf and zip need a passphrase file, age needs a recipient")


@contextmanager
def _whole(path: Path) -> Iterator[int]:
    """A file that appears under its name complete and synced, mode 0600, or not at all."""
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    fd = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        yield fd
        os.fsync(fd)
        partial.replace(path)
    finally:
        os.close(fd)
        partial.unlink(missing_ok=True)


def _pieces(marked: int, copy_number: str, report: Report, sealing: Seal | None) -> Iterable[bytes]:
    if sealing is None:
        return memory.chunks(marked)
    if sealing.format == "pdf":
        if report.kind != "pdf":
            raise BadEntry("only a PDF can be sealed as an encrypted PDF")
        return memory.drained(seal.seal_pdf(marked, sealing.key))
    entries = [seal.Entry.of_fd(bundle.file_name(copy_number, report.kind), marked)]
    return (
        seal.seal_zip(entries, sealing.key)
        if sealing.format == "zip"
        else seal.seal_age(entries, sealing.key)
    )


@dataclass(frozen=True, slots=True)
class Source:
    """What is known of a source beyond its bytes: the password that opens it, and whether it may lose its signature."""

    password: str = ""
    signature_loss: bool = False


PLAIN = Source()


def _mark_to(
    source: Path, target: Path, mark: Mark, sealing: Seal | None, deadline_s: float, given: Source = PLAIN
) -> Report:
    """Mark one file to `target`; a refusal leaves no file there, not even an older one."""
    target.unlink(missing_ok=True)
    marked, report = worker.mark(
        source, mark, deadline_s=deadline_s, password=given.password, signature_loss=given.signature_loss
    )
    if marked is None:
        return report
    try:
        with _whole(target) as fd:
            for piece in _pieces(marked, mark.copy_number, report, sealing):
                memory.write_all(fd, piece)
    except SealError as error:
        target.unlink(missing_ok=True)
        return refused("NOT_SEALED", str(error), report.kind).hashed(report.sha256_in, None)
    finally:
        os.close(marked)
    return report


def run_one(
    source: Path,
    target: Path,
    mark: Mark,
    *,
    sealing: Seal | None = None,
    report_file: Path | None = None,
    deadline_s: float = 120,
    given: Source = PLAIN,
    explain: TextIO | None = None,
) -> int:
    """`sealgate mark IN -o OUT`: 0 when marked, 3 when refused. OUT exists only when marked; the report is written either way.

    Raises OSError when the source cannot be read or the target not written.
    """
    report = _mark_to(source, target, mark, sealing, deadline_s, given)
    if explain is not None:
        explain.write(explained(report))
    if report_file is not None:
        with _whole(report_file) as fd:
            memory.write_all(fd, (report.as_json() + "\n").encode("utf-8"))
    if report.status == "refused":
        sys.stderr.write(f"refused {report.reason}: {report.detail}\n")
        return REFUSED
    return MARKED


def run_batch(
    folder: Path,
    out_folder: Path,
    mark: Mark,
    report_file: Path,
    *,
    sealing: Seal | None = None,
    deadline_s: float = 120,
) -> int:
    """`sealgate mark --batch DIR`: every regular file below DIR, one child process each; goes on after failures.

    One line of JSON a file, flushed as it is done, with `file` beside the report's fields. 0 when all were marked, else 3.
    """
    all_marked = True
    with report_file.open("w", encoding="utf-8") as lines:
        report_file.chmod(0o600)
        for source in _files(folder, (out_folder, report_file)):
            relative = source.relative_to(folder)
            report = _mark_quietly(source, out_folder / relative, mark, sealing, deadline_s)
            _write_line(lines, relative, report)
            all_marked = all_marked and report.status == "marked"
    return MARKED if all_marked else REFUSED


def explained(report: Report) -> str:
    """A report as lines for people: what the file was, what was done to it, every page or item, or why it was refused."""
    became = f"{report.source_kind} → {report.kind}" if report.source_kind else report.kind
    lines = [f"{became}: {report.status}" + (f" ({report.reason})" if report.reason else "")]
    lines += [f"  {report.detail}"] if report.detail else []
    lines += [f"  {NOTES.get(note, note)}" for note in report.notes]
    lines += [f"  removed: {count} × {name.replace('_', ' ')}" for name, count in report.removed.items()]
    for item in report.items:
        lines.append(f"  {item.name}: {item.source_kind} → {item.kind}, {item.pages} pages marked")
        lines += [f"    {NOTES.get(note, note)}" for note in item.notes]
    lines += [
        f"  page {page.number}: {page.width:g} × {page.height:g}, turned {page.rotation}°, "
        + ("marked" if page.marked else "NOT marked")
        for page in report.pages
    ]
    return "\n".join([*lines, ""])


NOTES = {
    "CONVERTED": "converted; how it looks may differ from the program that made it",
    "DRAWN_AS_PICTURES": "too broken to be rebuilt: every page is a picture at 200 dpi",
    "SIGNATURE_LOST": "the source's digital signature does not cover this copy",
}


def _files(folder: Path, own: Sequence[Path]) -> list[Path]:
    """Regular files in order of their names; links are not followed, and what the batch itself writes is no source."""
    ours = {path.resolve() for path in own}
    found = (path for path in sorted(folder.rglob("*")) if path.is_file() and not path.is_symlink())
    return [path for path in found if not ours & {path.resolve(), *path.resolve().parents}]


def _mark_quietly(source: Path, target: Path, mark: Mark, sealing: Seal | None, deadline_s: float) -> Report:
    """As `_mark_to`, with what the file system refuses as a refusal, so that one file does not stop the rest."""
    if sealing is not None and sealing.format != "pdf":
        target = target.with_name(f"{target.name}.{sealing.format}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        return _mark_to(source, target, mark, sealing, deadline_s)
    except OSError as error:
        return refused("NOT_WRITTEN", f"the file could not be read or written: {type(error).__name__}")


def _write_line(lines: TextIO, relative: Path, report: Report) -> None:
    name = str(relative).encode("utf-8", "backslashreplace").decode("utf-8")
    lines.write(json.dumps({"file": name, **json.loads(report.as_json())}, ensure_ascii=False) + "\n")
    lines.flush()
