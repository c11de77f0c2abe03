"""Going on after signing in never leads out of the portal."""

from typing import Any
from urllib.parse import urljoin, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.web.links import absolute, own_path

OUTSIDE = [
    "//evil.example",
    "///evil.example",
    "////evil.example",
    "/\\evil.example",
    "\\\\evil.example",
    "\\/evil.example",
    "/\t/evil.example",
    "/\n/evil.example",
    "/\r\n//evil.example",
    "\t//evil.example",
    " //evil.example",
    "/ /evil.example",
    "http://evil.example",
    "https:evil.example",
    "HTTPS://evil.example/",
    "http:/evil.example",
    "javascript:alert(1)",
    "data:text/html,x",
    "mailto:x@evil.example",
    "evil.example",
    "@evil.example",
    "?next=//evil.example",
    "#//evil.example",
    "/x\x00",
    "/x\x7f",
    "/x\x85y",
    "//[evil",
    "/\u00a0/x\x9f",
    "/" + "x" * 2000,
    "",
    None,
]
INSIDE = [
    "/",
    "/shares",
    "/shares?state=ACTIVE&page=2",
    "/shares/abc#top",
    "/%2f/evil.example",
    "/a//b",
    "/共享/一",
    "/./x",
    "/x:y",
]


@pytest.mark.parametrize("wanted", OUTSIDE)
def test_ways_out_are_refused(wanted: str | None) -> None:
    assert own_path(wanted, "/home") == "/home"


@pytest.mark.parametrize("wanted", INSIDE)
def test_own_paths_are_kept(wanted: str) -> None:
    assert own_path(wanted, "/home") == wanted


@given(st.text(max_size=40) | st.text(alphabet="/\\:.?#@ \t\n\rehx", max_size=12))
def test_whatever_is_kept_stays_inside(wanted: str) -> None:
    kept = own_path(wanted, "/home")
    # A browser strips tabs and line ends and reads a backslash as a slash before it resolves the address.
    seen = "".join(c for c in kept if c not in "\t\n\r").replace("\\", "/")
    joined = urlsplit(urljoin("https://files.example.com/sign-in", seen))
    assert (joined.scheme, joined.netloc) == ("https", "files.example.com")


@pytest.mark.parametrize("wanted", [w for w in OUTSIDE if w])
@pytest.mark.parametrize("path", ["/language", "/theme"])
def test_the_portal_s_own_forms_lead_nowhere_else(portal: Any, token_of: Any, path: str, wanted: str) -> None:
    browser = portal.client()
    answer = browser.post(path, data={"csrf_token": token_of(browser), "next": wanted})
    assert (answer.status_code, answer.headers["Location"]) == (302, "/")


def test_links_out_carry_the_configured_origin(build: Any) -> None:
    portal = build(public_origin="https://files.example.com", trusted_hosts="files.example.com,10.0.0.5")
    with portal.app.test_request_context("/", base_url="https://10.0.0.5"):
        assert absolute("room.archive") == "https://files.example.com/archive"
        assert absolute("room.enter", name="a b", q="x&y") == "https://files.example.com/enter/a%20b?q=x%26y"
