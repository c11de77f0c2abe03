"""The page that checks a receipt in the visitor's browser, in the portal and as a file for use without any network."""

import base64
import hashlib
from pathlib import Path
from typing import Any

from flask import Blueprint, Response, current_app
from markupsafe import Markup

from gateway.web.headers import let_nothing_out
from gateway.web.kit import access, deps, page


def add_receipt_pages(bp: Blueprint) -> None:
    """Enters the pages of this module into the blueprint of oversight."""
    bp.add_url_rule("/receipts", view_func=receipt_page, methods=["GET"])
    bp.add_url_rule("/receipts/check.html", view_func=receipt_file, methods=["GET"])


def _keys() -> dict[str, Any]:
    """The public keys that receipts of this portal are checked with."""
    named = [text.strip().partition(" ")[2].strip() for text in deps().settings.witnesses]
    return {"key": deps().log.vkey, "witnesses": named}


@access("public")
def receipt_page() -> Response:
    """The page in the portal; its browser may not send anything to anybody."""
    let_nothing_out()
    return page("oversight/receipt_check.html", **_keys())


@access("public")
def receipt_file() -> Response:
    """The same page in one file: script, style and keys inside, and a policy that lets it load nothing else."""
    static = Path(current_app.static_folder or "")
    style, script = ((static / name).read_text("utf-8") for name in ("receipt.css", "receipt.js"))
    policy = f"default-src 'none'; style-src {_digest(style)}; script-src {_digest(script)}; base-uri 'none'"
    answer = page(
        "oversight/receipt_file.html",
        policy=policy,
        style=_element("style", style),
        script=_element("script", script),
        **_keys(),
    )
    answer.headers["Content-Disposition"] = 'attachment; filename="sealgate-receipt.html"'
    return answer


def _digest(content: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"


def _element(name: str, content: str) -> Markup:
    # Both are the portal's own files, shipped with it, and never hold what would end the element.
    return Markup("<{0}>{1}</{0}>").format(name, Markup(content))  # noqa: S704
