"""Pages of oversight: the log with its exports and proofs. Parameters and messages hang on the same blueprint."""

from collections.abc import Iterator
from datetime import datetime
from itertools import chain

from flask import Blueprint, Response, request
from flask_babel import lazy_gettext as _

from gateway.errors import Invalid, NotFound
from gateway.oversight import evidence, queries, service, words
from gateway.oversight.alert_views import add_alert_pages
from gateway.oversight.filters import NAMES, Wanted, read_filter
from gateway.oversight.message_views import add_message_pages
from gateway.oversight.parameter_views import add_parameter_pages
from gateway.oversight.publication_views import add_publication_pages
from gateway.oversight.receipt_views import add_receipt_pages
from gateway.principal import Role
from gateway.web.kit import access, actor, deps, language, nav, now, page

AUDITORS = frozenset({Role.AUD})
CASE_READERS = frozenset({Role.AUD, Role.ADM})
COUNTERS = frozenset({Role.AUD, Role.DGM})
HEALTH_READERS = frozenset({Role.AUD, Role.SYS})
EXPORTS = (
    ("csv", _("导出 CSV")),
    ("jsonl", _("导出可核验文件")),
    ("pdf", _("导出 PDF")),
    ("zip", _("导出证明包")),
)
MIME = {
    "jsonl": "application/x-ndjson",
    "csv": "text/csv; charset=utf-8",
    "pdf": "application/pdf",
    "zip": "application/zip",
}

bp = Blueprint("oversight", __name__, template_folder="templates")
nav(bp, _("审计日志"), "log", group="watch", roles=AUDITORS, icon="list", order=10)
nav(bp, _("日志计数"), "log_counts", group="watch", roles=COUNTERS, icon="list", order=20)
nav(bp, _("日志健康"), "log_health", group="watch", roles=HEALTH_READERS, icon="info", order=30)
add_parameter_pages(bp)
add_alert_pages(bp)
add_message_pages(bp)
add_publication_pages(bp)
add_receipt_pages(bp)


@bp.get("/log")
@access("staff", roles=AUDITORS)
def log() -> Response:
    """The log, newest first; looking at it is itself an entry, written before anything is shown."""
    try:
        filters = _filters()
    except Invalid as problem:
        return _log(None, problem)
    service.note_reading(deps(), "page", filters, actor=actor(), now=now())
    return _log(filters)


def _filters() -> Wanted:
    return read_filter(request.args, actor().timezone)


def _log(filters: Wanted | None, problem: Invalid | None = None) -> Response:
    asked = {name: request.args.get(name, "") for name in NAMES}
    return page(
        "oversight/log.html",
        status=200 if problem is None else 422,
        found=None if filters is None else queries.log_page(deps(), filters, _cursor()),
        head=queries.head(deps()),
        asked=asked,
        given={name: value for name, value in asked.items() if value},
        problem=problem,
        events=sorted(((code, text(language())) for code, text in words.EVENTS.items()), key=lambda e: e[1]),
        kinds=words.KINDS,
        codes=words.CODES,
        exports=EXPORTS,
        reports=() if filters is None else queries.reports(deps(), filters),
    )


def _cursor() -> int | None:
    # An arrival is a positive number of the database's own; anything else starts from the newest.
    found = request.args.get("before", type=int)
    return found if found is not None and 0 <= found < 2**63 else None


@bp.get("/log/of/<kind>/<object_id>")
@access("staff", roles=CASE_READERS)
def log_of(kind: str, object_id: str) -> Response:
    """The entries of one object, for auditors and, in its own casework, for 行政部."""
    found = queries.object_page(deps(), kind, object_id, _cursor(), actor=actor())
    service.note_reading(deps(), "object", None, about=(kind, object_id), actor=actor(), now=now())
    return page(
        "oversight/object.html", found=found, kind=kind, object_id=object_id, words=words, codes=words.CODES
    )


@bp.get("/log/entry/<leaf_id>")
@access("staff", roles=AUDITORS)
def entry(leaf_id: str) -> Response:
    """One entry by its id, opened."""
    found = queries.one_entry(deps(), leaf_id)
    service.note_reading(deps(), "entry", None, about=("entry", leaf_id), actor=actor(), now=now())
    return page("oversight/entry.html", line=found, codes=words.CODES)


@bp.get("/log/export.<form>")
@access("staff", roles=AUDITORS)
def export(form: str) -> Response:
    """The matching entries as a file; the entry of the export is written first and stands in a complete one."""
    if form not in MIME:
        raise NotFound
    wanted = _filters()
    service.note_reading(deps(), form, wanted, actor=actor(), now=now())
    content: bytes | Iterator[bytes]
    if form == "pdf":
        try:
            content = evidence.log_pdf(deps(), wanted, _taken())
        except Invalid as problem:
            return _log(wanted, problem)
    elif form == "zip":
        content = started(evidence.log_package(deps(), wanted, _taken()))
    else:
        content = queries.export(deps(), wanted, form)
    return _file(Response(content), MIME[form], f"sealgate-log-{_stamp(now())}.{form}")


@bp.get("/log/evidence/<kind>/<object_id>.zip")
@access("staff", roles=AUDITORS)
def evidence_report(kind: str, object_id: str) -> Response:
    """Everything known about one share, item, case, partner or copy, with receipts; NotFound for any other."""
    queries.require_subject(deps(), (kind, object_id))
    service.note_reading(deps(), "evidence", None, about=(kind, object_id), actor=actor(), now=now())
    content = started(evidence.dossier(deps(), (kind, object_id), _taken()))
    return _file(Response(content), MIME["zip"], f"sealgate-evidence-{kind}-{_stamp(now())}.zip")


def _taken() -> evidence.Taken:
    return evidence.Taken(actor(), now(), language())


def started(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """The same pieces, the first of them made already: what cannot be made is refused before an answer begins."""
    return chain([next(pieces)], pieces)


def _file(answer: Response, mime: str, name: str) -> Response:
    answer.content_type = mime
    answer.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return answer


def _stamp(moment: datetime) -> str:
    return moment.strftime("%Y%m%dT%H%M%SZ")


@bp.get("/log/receipt/<leaf_id>")
@access("staff", roles=AUDITORS)
def receipt(leaf_id: str) -> Response:
    """The receipt of one entry; NotFound for an unknown one, Unavailable while it waits for its checkpoint."""
    if not queries.has_entry(deps(), leaf_id):
        raise NotFound
    proof = deps().log.receipt(leaf_id)
    service.note_reading(deps(), "receipt", None, about=("entry", leaf_id), actor=actor(), now=now())
    return _file(Response(proof), "application/octet-stream", f"{leaf_id}.tlog-proof")


@bp.get("/log/counts")
@access("staff", roles=COUNTERS)
def log_counts() -> Response:
    """How much happened, by event; no entry, no name."""
    service.note_reading(deps(), "counts", None, actor=actor(), now=now())
    return page("oversight/counts.html", found=queries.counts(deps(), now=now()))


@bp.get("/log/health")
@access("staff", roles=HEALTH_READERS)
def log_health() -> Response:
    """Whether the log works; nothing of what stands in it."""
    return page("oversight/health.html", found=queries.health(deps(), now=now()))
