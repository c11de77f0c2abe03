"""What the archive's views share: trying a service from a form, reading filters, and the one way to a page image."""

from flask import Response, make_response
from werkzeug.datastructures import MultiDict

from gateway.archive import queries
from gateway.archive.results import CaseFilter
from gateway.archive.rules import CASE
from gateway.archive.vocabulary import PURPOSES
from gateway.errors import NotFound
from gateway.release import duty_view
from gateway.web.form import done, tried
from gateway.web.kit import Form, actor, deps, now

__all__ = ["case_filter", "done", "page_image", "purpose", "status", "tried"]


def status(form: Form) -> int:
    """422 for a form that is shown again with its errors."""
    return 422 if form.errors or form.form_errors else 200


def case_filter(args: "MultiDict[str, str]") -> CaseFilter:
    """The filters of the catalogue as they stand in the address; what makes no sense is left out."""
    state = args.get("state", "")
    level, year = args.get("level", type=int), args.get("year", type=int)
    return CaseFilter(
        state=state if state in CASE.states else "",
        department=args.get("department", "")[:32],
        level=level if level in (1, 2, 3) else None,
        year=year if year is not None and 1900 < year < 3000 else None,
        number=args.get("number", "")[:60],
    )


def purpose(args: "MultiDict[str, str]") -> str:
    """The purpose code in the address; NotFound without a known one."""
    code = args.get("purpose", "")
    if code not in PURPOSES:
        raise NotFound
    return code


def page_image(item_id: str, version: int, number: int, why: str) -> Response:
    """One marked page as an image that is kept nowhere; NotFound for a page the version does not have."""
    found = queries.viewable(deps(), item_id, version, actor=actor(), now=now())
    if not 1 <= number <= found.pages:
        raise NotFound
    image = duty_view(
        deps(),
        item_id,
        version,
        number,
        why,
        sha256=found.sha256,
        number=found.number,
        actor=actor(),
        now=now(),
    )
    shown = make_response(image)
    shown.content_type = "image/webp" if image[:4] == b"RIFF" else "image/png"
    shown.headers["Content-Disposition"] = "inline"
    return shown
