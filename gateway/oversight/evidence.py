"""Reports and evidence taken from the log: a PDF for people beside the files that the offline verifier reads, in one ZIP."""

import io
import json
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from sqlalchemy.orm import Session

from gateway.audit import leaf, proof, tiles, tree
from gateway.audit import queries as audit
from gateway.audit.models import Checkpoint
from gateway.audit.queries import LogFilter
from gateway.audit.rows import Row, entry_of
from gateway.audit.search import Search, in_order
from gateway.deps import Deps
from gateway.errors import Invalid, Unavailable
from gateway.oversight import printing, statements
from gateway.oversight.filters import Wanted
from gateway.oversight.finding import searched
from gateway.oversight.indexing import Vocabulary, waiting
from gateway.oversight.observing import cosigners
from gateway.oversight.relations import Pair
from gateway.oversight.subjects import Facts, facts
from gateway.principal import Actor, Text

MOST_PRINTED = 1_000
MOST_RECEIPTS = 500
_TOO_MANY = Text(
    "结果超过 {n} 条，不能排成 PDF；请缩小范围，或导出可核验文件。",
    "More than {n} entries fit, too many for a PDF. Narrow the search, or export the verifiable file.",
)


@dataclass(frozen=True)
class Taken:
    """Who takes a report, when, and in whose language and zone it speaks."""

    actor: Actor
    at: datetime
    language: str


def log_pdf(deps: Deps, wanted: Wanted, taken: Taken) -> bytes:
    """The matching entries as one PDF; raises Invalid when they are more than MOST_PRINTED, Unavailable before a checkpoint."""
    with deps.database.read() as session:
        head = _head(session)
        report = _report(
            deps, session, _search(deps, session, wanted), head, taken, Text("审计日志", "Audit log"), []
        )
    if report.more:
        raise Invalid("form", _TOO_MANY.format(n=MOST_PRINTED))
    return printing.pdf(report, taken.language)


def log_package(deps: Deps, wanted: Wanted, taken: Taken) -> Iterator[bytes]:
    """The matching entries with all that proves them, as a ZIP, piece by piece."""
    with deps.database.read() as session:
        filters = LogFilter() if wanted == Wanted() else searched(session, wanted, deps.search)
        search = _search(deps, session, wanted)
        yield from _package(
            deps, session, search, filters, taken, Text("审计日志", "Audit log"), [], receipts=False
        )


def dossier(deps: Deps, about: Pair, taken: Taken) -> Iterator[bytes]:
    """Everything known about one share, item, case, partner or copy, as a ZIP; raises NotFound before the first piece."""
    with deps.database.read() as session:
        number, known = facts(session, about)
        search = Search((Vocabulary(deps.search).about(about),))
        title = Text("证据报告 {n}", "Evidence report {n}").format(
            n=number.replace("{", "(").replace("}", ")")
        )
        yield from _package(deps, session, search, search, taken, title, known, receipts=True)


def _search(deps: Deps, session: Session, wanted: Wanted) -> Search:
    return searched(session, wanted, deps.search)


def _head(session: Session) -> Checkpoint:
    head = audit.last_usable(session)
    if head is None:
        raise Unavailable("LOG")
    return head


def _report(
    deps: Deps, session: Session, search: Search, head: Checkpoint, taken: Taken, title: Text, known: Facts
) -> printing.Report:
    rows = list(islice(in_order(session, search, head.size), MOST_PRINTED + 1))
    lines = [printing.Printed(entry_of(row), row.body) for row in rows[:MOST_PRINTED]]
    young = waiting(session)
    more: Facts = [(Text("未编号", "Without a number"), str(young))] if young else []
    return printing.Report(
        title=title,
        facts=[*known, (Text("检查点", "Checkpoint"), str(head.size)), *more],
        lines=lines,
        checkpoint=head.note,
        vkey=deps.log.vkey,
        cosigners=cosigners(head.note),
        by=taken.actor.name,
        at=taken.at,
        zone=taken.actor.timezone,
        more=len(rows) > MOST_PRINTED,
    )


def _package(
    deps: Deps,
    session: Session,
    search: Search,
    filters: Search | LogFilter,
    taken: Taken,
    title: Text,
    known: Facts,
    *,
    receipts: bool,
) -> Iterator[bytes]:
    head = _head(session)
    report = _report(deps, session, search, head, taken, title, known)
    files: list[tuple[str, Iterable[bytes]]] = [
        ("README.txt", [_readme(report).encode()]),
        ("report.pdf", [printing.pdf(report, taken.language)]),
        ("report.json", [_machine(report)]),
        ("log.jsonl", audit.export_jsonl(session, filters, head.size)),
        ("log.csv", audit.export_csv(session, filters, head.size)),
        ("checkpoint.txt", [head.note.encode()]),
        ("checkpoint.vkey", [deps.log.vkey.encode() + b"\n"]),
    ]
    if receipts:
        rows = islice(in_order(session, search, head.size), MOST_RECEIPTS)
        files += ((name, [content]) for name, content in _receipts(session, rows, head))
    yield from zipped(files, taken.at)


def _receipts(session: Session, rows: Iterable[Row], head: Checkpoint) -> Iterator[tuple[str, bytes]]:
    node = tiles.Tiles(session).node
    for row in rows:
        if row.seq is not None:
            path = tree.inclusion(node, row.seq, head.size)
            name = f"receipts/{row.seq:08d}.tlog-proof"
            yield name, proof.Receipt(row.seq, path, head.note, row.body).encode()


def _machine(report: printing.Report) -> bytes:
    """The report for programs. Names stand where they can still be told; everything that proves them is in log.jsonl."""
    made: dict[str, Any] = {
        "format": "sealgate-log-report",
        "v": 1,
        "title": {"zh": report.title.zh, "en": report.title.en},
        "facts": [{"zh": name.zh, "en": name.en, "value": value} for name, value in report.facts],
        "checkpoint": report.checkpoint,
        "cosigners": list(report.cosigners),
        "proves": [{"zh": t.zh, "en": t.en} for t in statements.proves(report.cosigners)],
        "does_not_prove": [{"zh": t.zh, "en": t.en} for t in statements.leaves_open(report.cosigners)],
        "complete": not report.more,
        "entries": [_plain(line) for line in report.lines],
    }
    return json.dumps(made, ensure_ascii=False, indent=1).encode() + b"\n"


def _plain(line: printing.Printed) -> dict[str, Any]:
    entry = line.entry
    return {
        "seq": entry.seq,
        "id": entry.id,
        "at": leaf.stamp(entry.at),
        "event": entry.event,
        "object": list(entry.object),
        "from": entry.source,
        "to": entry.target,
        "data": entry.data,
        "personal": dict(entry.personal),
        "erased": list(entry.erased),
        "leaf_hash": tree.leaf_hash(line.body).hex(),
    }


def _readme(report: printing.Report) -> str:
    lines = [report.title.zh, report.title.en, ""]
    for heading, texts in (
        (Text("本报告证明", "What this proves"), statements.proves(report.cosigners)),
        (Text("本报告不证明", "What this does not prove"), statements.leaves_open(report.cosigners)),
    ):
        lines += [
            heading.zh,
            *(f"- {t.zh}" for t in texts),
            "",
            heading.en,
            *(f"- {t.en}" for t in texts),
            "",
        ]
    return "\n".join([*lines, *_HOW]) + "\n"


_HOW = (
    "核验（在另一台电脑上；公钥须另从安装日的记录取得，不要只信本包里的 checkpoint.vkey）：",
    "To verify, on another machine (have the key from the record of the day of installation, not from this package alone):",
    "",
    "    python -m gateway.audit verify log.jsonl --key checkpoint.vkey",
    "    python -m gateway.audit verify checkpoint.txt --key checkpoint.vkey",
    "    python -m gateway.audit verify receipts/NUMBER.tlog-proof --key checkpoint.vkey",
    "",
    "log.csv 只供阅读，每行有编号和叶摘要，可与 log.jsonl 对照。",
    "log.csv is for reading; its numbers and leaf hashes lead to log.jsonl.",
)


class _Sink(io.RawIOBase):
    """Takes what the archive writes and gives it away; nothing is kept and nothing reaches a disk."""

    def __init__(self) -> None:
        self._held: list[bytes] = []

    def writable(self) -> bool:
        """Always."""
        return True

    def write(self, piece: Any) -> int:
        """Keeps one piece until it is taken."""
        self._held.append(bytes(piece))
        return len(piece)

    def taken(self) -> bytes:
        """What came since the last time."""
        held, self._held = b"".join(self._held), []
        return held


def zipped(files: Iterable[tuple[str, Iterable[bytes]]], at: datetime) -> Iterator[bytes]:
    """A ZIP of the files, each written as it is made."""
    sink = _Sink()
    stamp = at.astimezone(UTC).timetuple()[:6]
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, pieces in files:
            info = zipfile.ZipInfo(name, stamp)
            info.compress_type = zipfile.ZIP_DEFLATED
            with archive.open(info, "w", force_zip64=True) as member:
                for piece in pieces:
                    member.write(piece)
                    if held := sink.taken():
                        yield held
    yield sink.taken()
