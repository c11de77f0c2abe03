"""The portal's own script in a real browser: uploading in parts, going on after a break, copying, drawing; nothing is blocked."""

import base64
import hashlib
import shutil
import threading
from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Any

import pytest
from flask import Blueprint, Response, jsonify, render_template_string, request
from playwright.sync_api import Browser, Page, sync_playwright
from werkzeug.serving import make_server

from gateway.web.kit import access

pytestmark = pytest.mark.browser

PART = 1000
PAGE = """{% extends "partner.html" %}
{% block scripts %}<script src="{{ asset('vendor/signature_pad.umd.min.js') }}" defer></script>{% endblock %}
{% block heading %}{{ _("上传") }}{% endblock %}
{% block main %}
{% call sg.upload("/begin", parts="/uploads") %}<input type="hidden" name="label" value="A3">{% endcall %}
<output class="sg-secret" id="secret">K7QF-M2XN</output>{{ sg.copy_button("secret") }}
<form method="post" action="/sign" data-once>{{ sg.csrf() }}{{ sg.pen("drawn", "手写签名") }}
<button class="btn btn-seal" aria-disabled="true" id="held">签署</button><button class="btn btn-ink" id="go">签署</button></form>
<table class="table sg-table"><tr><td>{{ sg.ledger("SG01-KH·2026·SJ-0007-003", "_F0012") }}</td></tr></table>
<p id="poll" hx-get="/poll" hx-trigger="every 50ms" hx-swap="outerHTML">0</p>
{% endblock %}"""


@dataclass
class Seen:
    """What reached the server."""

    parts: dict[int, bytes] = field(default_factory=dict)
    begun: list[dict[str, str]] = field(default_factory=list)
    puts: list[int] = field(default_factory=list)
    failing: dict[int, list[int]] = field(default_factory=dict)
    signed: list[str] = field(default_factory=list)
    polls: int = 0


def room(seen: Seen) -> Blueprint:
    """A room that takes uploads in parts of 1000 bytes."""
    bp = Blueprint("script", __name__)

    @bp.get("/pieces")
    @access("partner")
    def pieces() -> str:
        return render_template_string(PAGE)

    @bp.post("/begin")
    @access("partner")
    def begin() -> Response:
        seen.begun.append(request.form.to_dict())
        return jsonify(upload="u 1", part_size=PART, have=sorted(seen.parts))

    @bp.put("/uploads/<upload>/parts/<int:number>")
    @access("partner", max_body=PART)
    def put(upload: str, number: int) -> Any:
        seen.puts.append(number)
        fail = seen.failing.get(number, [])
        if fail:
            return jsonify(message="坏了"), fail.pop(0)
        seen.parts[number] = request.get_data()
        return jsonify(part=number)

    @bp.post("/uploads/<upload>/complete")
    @access("partner")
    def complete(upload: str) -> Response:
        return jsonify(next="/finished")

    @bp.get("/finished")
    @access("partner")
    def finished() -> str:
        return render_template_string('{% extends "partner.html" %}{% block heading %}完成{% endblock %}')

    @bp.post("/sign")
    @access("partner")
    def sign() -> Response:
        seen.signed.append(request.form["drawn"])
        return Response(status=204)

    @bp.get("/poll")
    @access("partner")
    def poll() -> str:
        seen.polls += 1
        again = 'hx-get="/poll" hx-trigger="every 50ms" hx-swap="outerHTML"' if seen.polls < 3 else ""
        return f'<p id="poll" {again}>{seen.polls}</p>'

    return bp


@pytest.fixture(scope="module")
def chromium() -> Generator[Browser, None, None]:
    """The system's Chromium."""
    path = shutil.which("chromium")
    assert path is not None, "chromium is not installed: deploy/test-tools"
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def seen() -> Seen:
    """What reached the server of one test."""
    return Seen()


@pytest.fixture
def origin(build: Any, seen: Seen) -> Generator[str, None, None]:
    """A served portal; one session is signed in."""
    portal = build([room(seen)])
    server = make_server("127.0.0.1", 0, portal.app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    cookie = portal.app.session_interface.get_signing_serializer(portal.app).dumps({"sid": "partner"})
    yield f"http://localhost:{server.server_port} {cookie}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def pages(chromium: Browser, origin: str) -> Generator[Any, None, None]:
    """Opens a path at a width and gives the page with what its console said."""
    address, cookie = origin.split(" ")
    opened = []

    def go(path: str, width: int = 390, *, script: bool = True) -> tuple[Page, list[str]]:
        context = chromium.new_context(viewport={"width": width, "height": 844}, java_script_enabled=script)
        context.grant_permissions(["clipboard-read", "clipboard-write"], origin=address)
        context.add_cookies([{"name": "sealgate", "value": cookie, "url": address}])
        opened.append(context)
        page = context.new_page()
        said: list[str] = []
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.goto(address + path)
        return page, said

    yield go
    for context in opened:
        context.close()


def chosen(page: Page, content: bytes) -> None:
    """Chooses a file and presses upload."""
    page.set_input_files(
        "#upload-file", {"name": "图 1.pdf", "mimeType": "application/pdf", "buffer": content}
    )
    page.click("[data-upload-start]")


def test_a_file_goes_up_in_parts_and_the_page_goes_on(pages: Any, seen: Seen) -> None:
    content = bytes(range(256)) * 10
    page, said = pages("/pieces")
    chosen(page, content)
    page.wait_for_url("**/finished")
    assert [seen.parts[n] for n in (1, 2, 3)] == [content[:1000], content[1000:2000], content[2000:]]
    assert seen.puts == [1, 2, 3]
    begun = seen.begun[0]
    assert (begun["name"], begun["size"], begun["label"]) == ("图 1.pdf", "2560", "A3")
    assert "file" not in begun
    assert said == []


def test_parts_already_there_are_not_sent_again_and_busy_moments_are_tried_again(
    pages: Any, seen: Seen
) -> None:
    seen.parts[1] = b"kept"
    seen.failing[2] = [503]
    page, _ = pages("/pieces")
    chosen(page, b"x" * 2500)
    page.wait_for_url("**/finished")
    assert seen.puts == [2, 2, 3]
    assert seen.parts[1] == b"kept"


def test_what_was_refused_is_said_and_can_be_gone_on_with(pages: Any, seen: Seen) -> None:
    seen.failing[2] = [422]
    page, _ = pages("/pieces")
    chosen(page, b"x" * 2500)
    page.locator("[data-upload-words]", has_text="坏了").wait_for()
    assert "Not accepted." in page.inner_text("[data-upload-words]")
    page.click("[data-upload-start]")
    page.wait_for_url("**/finished")
    assert seen.puts == [1, 2, 2, 3]


def test_the_passphrase_is_copied(pages: Any) -> None:
    page, _ = pages("/pieces")
    page.click("[data-copy]")
    page.locator("[data-copy]", has_text="Copied").wait_for()
    assert page.evaluate("navigator.clipboard.readText()") == "K7QF-M2XN"


def test_a_signature_is_drawn_cleared_and_sent_once(pages: Any, seen: Seen) -> None:
    page, said = pages("/pieces")
    box = page.locator("canvas").bounding_box()
    assert box is not None
    page.locator("canvas").scroll_into_view_if_needed()
    box = page.locator("canvas").bounding_box()

    def draw() -> None:
        page.mouse.move(box["x"] + 20, box["y"] + 20)
        page.mouse.down()
        page.mouse.move(box["x"] + 120, box["y"] + 60, steps=8)
        page.mouse.up()

    draw()
    drawn = page.input_value("input[name=drawn]")
    assert base64.b64decode(drawn.removeprefix("data:image/png;base64,")).startswith(b"\x89PNG\r\n\x1a\n")
    page.click("[data-pen-clear]")
    assert page.input_value("input[name=drawn]") == ""
    draw()
    page.click("#held", force=True)
    assert seen.signed == []
    with page.expect_response("**/sign"):
        page.click("#go")
    page.click("#go")
    assert page.get_attribute("form[data-once]", "data-sent") == "yes"
    assert len(seen.signed) == 1
    assert hashlib.sha256(seen.signed[0].encode()).digest() != hashlib.sha256(b"").digest()
    assert [text for text in said if "Security" in text or "rror" in text] == []


def test_fragments_are_polled_until_there_is_nothing_to_wait_for(pages: Any, seen: Seen) -> None:
    page, _ = pages("/pieces")
    page.locator("#poll", has_text="3").wait_for()
    assert page.get_attribute("#poll", "hx-get") is None
    assert seen.polls == 3


@pytest.mark.parametrize("width", [320, 390, 1280])
def test_pages_fit_the_screen_and_nothing_is_blocked(pages: Any, width: int) -> None:
    page, said = pages("/pieces", width)
    page.wait_for_load_state("networkidle")
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert said == []


def test_targets_are_large_enough_on_phones(pages: Any) -> None:
    page, _ = pages("/pieces")
    sizes = page.eval_on_selector_all(
        ".btn:not([hidden]), .sg-switch button, .sg-tabs a",
        "all => all.filter(e => e.offsetHeight).map(e => [e.offsetHeight, e.textContent.trim()])",
    )
    assert sizes
    assert [words for height, words in sizes if height < 44] == []


def test_the_focus_is_seen_and_the_first_stop_skips_to_the_content(pages: Any) -> None:
    page, _ = pages("/pieces")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.getAttribute('href')") == "#main"
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"


def test_without_script_the_page_reads_and_says_what_it_cannot_do(pages: Any) -> None:
    page, _ = pages("/pieces", script=False)
    assert "K7QF-M2XN" in page.inner_text("main")
    assert "Uploading needs JavaScript." in page.inner_text("main")
    assert not page.is_visible("canvas")
    assert not page.is_visible("[data-copy]")
