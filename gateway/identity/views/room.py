"""The blueprint that every page of identity hangs on, and what these pages share."""

from collections.abc import Callable
from typing import TypeVar

import segno
from flask import Blueprint

from gateway.errors import Invalid
from gateway.web.kit import Form

bp = Blueprint("identity", "gateway.identity", template_folder="templates")
T = TypeVar("T")


def tried(form: Form, act: Callable[[], T]) -> T | None:
    """What `act` gives when the form is in order; None, with the problem under its field, when it is not."""
    if not form.validate_on_submit():
        return None
    try:
        return act()
    except Invalid as problem:
        form.put_error(problem)
        return None


def done(form: Form, act: Callable[[], object]) -> bool:
    """As `tried`, for acts that give nothing back."""
    return tried(form, lambda: (act(), True)) is not None


def qr(text: str) -> str:
    """A QR code as an image address: black on white in either theme, no style, no script."""
    return str(segno.make(text, error="m", micro=False).svg_data_uri(scale=6, border=4, light="#fff"))
