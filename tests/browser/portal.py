"""A live portal and the people who visit it with Chromium; every visit notes whatever a browser complains of."""

from __future__ import annotations

import re
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import (
    Browser,
    ConsoleMessage,
    Locator,
    Page,
    Playwright,
    Request,
    Response,
    WebError,
    expect,
)

from gateway.app import create_app
from gateway.identity.gate import Gate
from gateway.serving import running
from gateway.web.i18n import read_catalogue
from gateway.web.visitor import TOKEN
from tests.factories import World

ROOT = Path(__file__).parents[2]
SIZES = {"phone": (390, 844), "desktop": (1280, 800), "narrow": (320, 640)}
SWITCHES = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
# A loaded machine may take its time; what never comes is noticed all the same.
PATIENCE_MS = 20_000
expect.set_options(timeout=PATIENCE_MS)
# Leaving a page ends its running requests, and a navigation that turns into a download is given up: neither is a failure.
LEFT = "net::ERR_ABORTED"
_ENGLISH = read_catalogue(
    sorted((ROOT / "gateway").glob("*/translations/en.po"), key=lambda p: (p.parts[-3] != "web", p))
)


def launch(playwright: Playwright) -> Browser:
    """The system's Chromium."""
    return playwright.chromium.launch(executable_path=shutil.which("chromium"), args=SWITCHES)


def said(words: str, language: str, **values: object) -> str:
    """A phrase of the pages in a language."""
    text = _ENGLISH.gettext(words) if language == "en" else words
    return str(text) % values if values else str(text)


@contextmanager
def serving(world: World, chromium: Browser) -> Iterator[Portal]:
    """The world behind a real socket, with its worker and sweeps; visits end before the portal does."""
    port = urlsplit(world.deps.settings.public_origin).port
    assert port is not None
    with running(world.deps, port=port):
        portal = Portal(world, chromium)
        try:
            yield portal
        finally:
            for visit in portal.visits:
                visit.context.close()


@dataclass
class Portal:
    """A running portal."""

    world: World
    chromium: Browser
    visits: list[Visit] = field(default_factory=list)

    @property
    def origin(self) -> str:
        """Where it is found."""
        return self.world.deps.settings.public_origin

    def visit(
        self, name: str | None = None, *, size: str = "desktop", language: str = "zh-CN", script: bool = True
    ) -> Visit:
        """A fresh browser profile; with a name, signed in as that person with a fresh second factor."""
        made = Visit(self, name or "", size, language, script)
        self.visits.append(made)
        if name is not None:
            made.enter(name)
        return made

    def until(self, met: Callable[[], bool], seconds: float = 30) -> None:
        """Waits until something holds in the portal; looks ten times a second."""
        deadline, pause = monotonic() + seconds, threading.Event()
        while not met():
            assert monotonic() < deadline, "it did not happen in time"
            pause.wait(0.1)

    def problems(self) -> list[str]:
        """What went wrong in any visit."""
        return [problem for visit in self.visits for problem in visit.problems]


class Visit:
    """One person's browser: `page` is its only tab, `problems` what the browser complained of and no test expected."""

    def __init__(self, portal: Portal, name: str, size: str, language: str, script: bool) -> None:
        self.portal, self.name, self.size, self.language = portal, name, size, language
        self.problems: list[str] = []
        self._expected: list[re.Pattern[str]] = []
        width, height = SIZES[size]
        self.context = portal.chromium.new_context(
            viewport={"width": width, "height": height},
            locale="en-US" if language == "en" else language,
            base_url=portal.origin,
            is_mobile=size != "desktop",
            has_touch=size != "desktop",
            java_script_enabled=script,
            accept_downloads=True,
            permissions=["clipboard-read", "clipboard-write"] if script else [],
            reduced_motion="reduce",
        )
        self.context.set_default_timeout(PATIENCE_MS)
        self._watch()
        self.page: Page = self.context.new_page()

    def _watch(self) -> None:
        self.context.on("console", self._console)
        self.context.on("weberror", self._error)
        self.context.on("request", self._request)
        self.context.on("requestfailed", self._failed)

    def _note(self, text: str) -> None:
        if not any(pattern.search(text) for pattern in self._expected):
            self.problems.append(f"{self.name or 'stranger'}: {text}")

    def _console(self, message: ConsoleMessage) -> None:
        # Chromium reports what the content security policy stopped as an error as well.
        if message.type in ("error", "warning"):
            self._note(f"console {message.type}: {message.text}")

    def _error(self, error: WebError) -> None:
        self._note(f"page error: {error.error}")

    def _request(self, request: Request) -> None:
        if not request.url.startswith((self.portal.origin + "/", "data:", "blob:")):
            self._note(f"another origin: {request.url}")

    def _failed(self, request: Request) -> None:
        if request.failure != LEFT:
            self._note(f"failed: {request.method} {request.url} {request.failure}")

    def expects(self, pattern: str) -> None:
        """Complaints that match are part of what is tested."""
        self._expected.append(re.compile(pattern))

    def enter(self, name: str) -> None:
        """Signs in without the forms, and makes the visit's language the person's own."""
        world = self.portal.world
        self.speak(name)
        token, _ = world.session(name)
        app = create_app(world.deps)
        signer = app.session_interface.get_signing_serializer(app)
        assert signer is not None
        self.context.add_cookies(
            [
                {
                    "name": app.config["SESSION_COOKIE_NAME"],
                    "value": signer.dumps({TOKEN: token}),
                    "url": self.portal.origin,
                }
            ]
        )

    def speak(self, name: str) -> None:
        """Makes the visit's language the person's own, which stands above what the browser asks for."""
        world = self.portal.world
        Gate(world.deps).prefer(world.actor(name), self.language, now=world.now())

    def sign_in(self, name: str) -> None:
        """Signs in through the forms: address and password, then the authenticator's code."""
        self.name = name
        self.speak(name)
        person = self.portal.world.company.people[name]
        self.go("/sign-in")
        self.fill("email", person.email)
        self.fill("password", person.password)
        self.press("继续")
        expect(self.page).to_have_url(re.compile("/verify"))
        self.fill("otp", self.code())
        self.press("登录")
        expect(self.page).not_to_have_url(re.compile("/verify|/sign-in"))

    def code(self) -> str:
        """What this person's authenticator shows."""
        return self.portal.world.code(self.name)

    def say(self, words: str, **values: object) -> str:
        """A phrase in the visit's language."""
        return said(words, self.language, **values)

    def go(self, path: str, status: int = 200) -> Response:
        """Opens a page and checks its status."""
        if status >= 400:
            self.expects(rf"console error: Failed to load resource.* {status} ")
        answer = self.page.goto(path)
        assert answer is not None
        assert answer.status == status, f"{path}: {answer.status}"
        return answer

    def fill(self, name: str, value: str, within: str = "main") -> None:
        """Fills a field by its name."""
        self.page.locator(f"{within} [name={name}]").fill(value)

    def button(self, words: str) -> Locator:
        """A button of the page by what stands on it."""
        return self.page.locator("main").get_by_role("button", name=self.say(words), exact=True)

    def press(self, words: str) -> None:
        """Presses it."""
        self.button(words).click()

    def link(self, words: str) -> Locator:
        """A link of the page by its words."""
        return self.page.locator("main").get_by_role("link", name=self.say(words), exact=True)

    def heading(self, words: str) -> None:
        """Waits until the page has this heading."""
        expect(self.page.get_by_role("heading", level=1)).to_have_text(self.say(words))

    def sees(self, words: str) -> None:
        """Waits until these words can be read."""
        expect(self.page.get_by_text(self.say(words)).first).to_be_visible()

    def save(self, locator: Locator, folder: Path) -> Path:
        """Presses what downloads and returns the saved file."""
        with self.page.expect_download() as waiting:
            locator.click()
        path = folder / waiting.value.suggested_filename
        waiting.value.save_as(path)
        return path


def missing_browser() -> str:
    """What a machine without Chromium is told; with CI=true the skip it leads to is a failure."""
    return "" if shutil.which("chromium") else "Chromium is not installed (Debian: apt-get install chromium)"


both = pytest.mark.parametrize("language", ["zh-CN", "en"])
sizes = pytest.mark.parametrize("size", ["phone", "desktop"])
