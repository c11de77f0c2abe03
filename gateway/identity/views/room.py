"""The blueprint that every page of identity hangs on, and what these pages share."""

import segno
from flask import Blueprint

from gateway.web.form import done, tried

bp = Blueprint("identity", "gateway.identity", template_folder="templates")
__all__ = ["bp", "done", "qr", "tried"]


def qr(text: str) -> str:
    """A QR code as an image address: black on white in either theme, no style, no script."""
    return str(segno.make(text, error="m", micro=False).svg_data_uri(scale=6, border=4, light="#fff"))
