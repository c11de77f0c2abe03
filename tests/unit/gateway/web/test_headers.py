"""The headers of every kind of answer, and that no template needs more than they allow."""

import re
from pathlib import Path
from typing import Any

import pytest

PATHS = (
    "/",
    "/start",
    "/nowhere",
    "/static/app.js",
    "/static/nothing.js",
    "/staff",
    "/boom",
    "/down",
    "/tampered",
    "/held",
    "/many",
    "/bad",
)
WANTED = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
CONTENT = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self' data:",
    "connect-src": "'self'",
    "form-action": "'self'",
    "frame-ancestors": "'none'",
    "base-uri": "'none'",
}
GATEWAY = Path(__file__).parents[4] / "gateway"
TEMPLATES = sorted(GATEWAY.glob("*/templates/**/*.html"))


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("origin", ["http://localhost", "https://files.example.com"])
def test_every_answer_carries_the_headers(build: Any, path: str, origin: str) -> None:
    with build(public_origin=origin).client("archivist").get(path) as answer:
        headers = answer.headers
    assert {name: headers[name] for name in WANTED} == WANTED
    policy = dict(part.strip().split(" ", 1) for part in headers["Content-Security-Policy"].split(";"))
    assert policy == CONTENT
    assert "camera=()" in headers["Permissions-Policy"]
    assert ("Strict-Transport-Security" in headers) == origin.startswith("https")
    assert "Server" not in headers


@pytest.mark.parametrize("path", PATHS)
def test_nothing_but_own_files_is_kept_by_browsers(portal: Any, path: str) -> None:
    with portal.client("archivist").get(path) as answer:
        headers = answer.headers
    kept = headers["Cache-Control"]
    assert kept == ("public, max-age=86400" if path == "/static/app.js" else "no-store")


def test_a_refused_host_gets_the_headers_too(portal: Any) -> None:
    answer = portal.client().get("/", headers={"Host": "evil.example"})
    assert answer.status_code == 400
    assert answer.headers["Cache-Control"] == "no-store"
    assert "Content-Security-Policy" in answer.headers


@pytest.mark.parametrize(
    ("origin", "name", "secure"),
    [("http://localhost", "sealgate", False), ("https://files.example.com", "__Host-sealgate", True)],
)
def test_the_cookie_is_bound(build: Any, origin: str, name: str, secure: bool) -> None:
    cookie = build(public_origin=origin).client().get("/start").headers["Set-Cookie"]
    assert cookie.startswith(name + "=")
    parts = {part.strip().split("=")[0].lower(): part.strip() for part in cookie.split(";")}
    assert {"httponly", "samesite", "path"} <= set(parts)
    assert parts["samesite"] == "SameSite=Lax"
    assert parts["path"] == "Path=/"
    assert "domain" not in parts
    assert ("secure" in parts) == secure


def test_there_are_templates_to_look_at() -> None:
    assert {"base.html", "staff.html", "partner.html", "plain.html", "sg.html"} <= {t.name for t in TEMPLATES}


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda t: str(t.relative_to(GATEWAY)))
def test_no_template_holds_inline_style_or_script(template: Path) -> None:
    text = template.read_text(encoding="utf-8")
    assert not re.search(r"<style\b", text)
    assert not re.search(r"""\sstyle\s*=\s*["'{]""", text)
    assert not re.search(r"""<[^>]*\son[a-z]+\s*=""", text)
    assert not re.search(r"<script(?![^>]*\bsrc=)", text)
    assert "javascript:" not in text
    assert not re.search(r"""(?:src|href|action)\s*=\s*["']?(?:https?:)?//""", text)
    assert "hx-on" not in text


def test_own_script_evaluates_nothing() -> None:
    text = (GATEWAY / "web" / "static" / "app.js").read_text(encoding="utf-8")
    assert not re.search(r"\beval\(|new Function|innerHTML|insertAdjacentHTML|document\.write", text)
