"""The few pages that belong to no room: the way in, the language, the colours."""

from flask import Blueprint, Response, redirect, request
from werkzeug.wrappers import Response as AnyResponse

from gateway.errors import NotFound
from gateway.web import i18n, nav, visitor
from gateway.web.access import access
from gateway.web.links import HOME, SIGN_IN, VERIFY, own_path
from gateway.web.render import THEME

bp = Blueprint("web", __name__)
YEAR_S = 365 * 24 * 3600


@bp.get("/")
@access("public")
def home() -> AnyResponse:
    """Leads everyone to where they can go on: signing in, the second factor, or the first page of their own."""
    if visitor.actor().kind == "stranger":
        return redirect(SIGN_IN)
    if not visitor.is_full():
        return redirect(VERIFY)
    mine = nav.entries()
    if not mine:
        raise NotFound
    return redirect(mine[0].url)


@bp.post("/language")
@access("public")
def language() -> AnyResponse:
    """Keeps the chosen language: with the person if there is one, in a cookie otherwise."""
    chosen = i18n.ENGLISH if request.form.get("language") == i18n.ENGLISH else i18n.CHINESE
    if visitor.is_full():
        visitor.gate().prefer(visitor.actor(), chosen, now=visitor.now())
    return _kept(i18n.COOKIE, chosen)


@bp.post("/theme")
@access("public")
def theme() -> AnyResponse:
    """Keeps light or dark in a cookie."""
    return _kept(THEME, "dark" if request.form.get("theme") == "dark" else "light")


@bp.get("/healthz")
@access("public")
def healthz() -> Response:
    """Says that the process answers; nothing about what it holds."""
    return Response("ok\n", mimetype="text/plain")


def _kept(name: str, value: str) -> AnyResponse:
    answer = redirect(own_path(request.form.get("next"), HOME))
    secure = visitor.deps().settings.secure_cookies
    answer.set_cookie(name, value, max_age=YEAR_S, secure=secure, httponly=True, samesite="Lax")
    return answer
