"""What views import: who may enter, who asks, what time it is, how to draw a page, how to speak of errors."""

from flask import flash

from gateway.principal import Text
from gateway.web.access import access
from gateway.web.form import Form
from gateway.web.i18n import language
from gateway.web.links import absolute, own_path
from gateway.web.nav import nav
from gateway.web.render import page
from gateway.web.visitor import (
    actor,
    begin_session,
    deps,
    end_session,
    gate,
    is_fresh,
    is_full,
    now,
)

__all__ = [
    "Form",
    "absolute",
    "access",
    "actor",
    "begin_session",
    "deps",
    "end_session",
    "flash_text",
    "gate",
    "is_fresh",
    "is_full",
    "language",
    "nav",
    "now",
    "own_path",
    "page",
]


def flash_text(text: Text | str, tone: str = "ok") -> None:
    """Says one sentence on the next page shown, in the words of today's language; `tone` is ok, wait, fail or info."""
    flash(text(language()) if isinstance(text, Text) else str(text), tone)
