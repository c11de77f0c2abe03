"""Drawing a page in the layout of its reader."""

from typing import Any

from flask import Flask, Response, make_response, render_template, request

from gateway.principal import ROLE_TEXT, Role
from gateway.web import i18n, nav, visitor
from gateway.web.links import own_path

THEME = "theme"


def install(app: Flask) -> None:
    """What every template may use without being handed it."""
    app.context_processor(_everywhere)
    app.jinja_env.globals.update(in_other=i18n.in_other, is_fresh=visitor.is_fresh)


def page(template: str, *, status: int = 200, **values: Any) -> Response:
    """A template drawn with the given values."""
    return make_response(render_template(template, **values), status)


def _everywhere() -> dict[str, Any]:
    person = visitor.actor()
    return {
        "actor": person,
        "known": person.kind != "stranger",
        "layout": _layout(),
        "lang": i18n.language(),
        "other_lang": i18n.other_language(),
        "theme": _theme(),
        "here": own_path(request.full_path.rstrip("?")) if request.method == "GET" else "/",
        "demo": visitor.deps().settings.demo,
        "company": visitor.deps().settings.company_name,
        "idle_s": visitor.idle_s,
        "nav_groups": nav.grouped,
        "nav_entries": nav.entries,
        "role_names": [ROLE_TEXT[r] for r in Role if r in person.roles],
    }


def _layout() -> str:
    if not visitor.is_full():
        return "plain.html"
    return "staff.html" if visitor.actor().kind == "staff" else "partner.html"


def _theme() -> str:
    return "dark" if request.cookies.get(THEME) == "dark" else "light"
