"""The page that asks for a one-time code and then repeats what was being done."""

from urllib.parse import quote

from flask import Response, redirect, request
from werkzeug.wrappers import Response as AnyResponse

from gateway.errors import Invalid
from gateway.web.links import VERIFY
from gateway.web.render import page

CODE_FIELD = "otp"
SAFE = frozenset({"GET", "HEAD"})


def ask_again(problem: Invalid | None = None) -> AnyResponse:
    """Asks for a code: a GET goes by way of the verification page, a POST is kept in the form; passwords never are."""
    if request.method in SAFE:
        return redirect(f"{VERIFY}?next={quote(request.full_path.rstrip('?'), safe='/')}")
    return _kept(problem)


def _kept(problem: Invalid | None) -> Response:
    fields = [
        (name, value)
        for name, value in request.form.items(multi=True)
        if name not in (CODE_FIELD, "csrf_token") and "password" not in name
    ]
    return page("again.html", kept=fields, error=problem, status=422 if problem else 403)
