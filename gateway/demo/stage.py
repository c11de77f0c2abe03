"""What the demo's story stands on: browsers of its people, the folder of what is left behind, and how a step fails."""

import re
import threading
from collections.abc import Callable
from pathlib import Path

from sqlalchemy import func, select

from gateway.audit.models import Leaf
from gateway.demo.browser import Browser
from gateway.demo.company import Company
from gateway.demo.errors import Failed
from gateway.demo.people import Person
from gateway.deps import Deps

WAIT_S = 90.0


class Stage:
    """One demo portal seen from outside. `paths` names the files left in `out` by their role."""

    def __init__(self, deps: Deps, company: Company, origin: str, out: Path) -> None:
        self.deps, self.company, self.origin, self.out = deps, company, origin, out
        self.browsers: dict[str, Browser] = {}
        self.paths: dict[str, str] = {}

    def browser(self, name: str) -> Browser:
        """Somebody's signed-in browser."""
        if name not in self.browsers:
            self.browsers[name] = self._signed_in(self.company.people[name])
        return self.browsers[name]

    def _signed_in(self, person: Person) -> Browser:
        browser = Browser(self.origin)
        browser.get("/sign-in")
        browser.submit("/sign-in", {"email": person.email, "password": person.password})
        page = browser.submit("/verify", {"otp": person.code(self.deps.clock())})
        need(
            page.status == 200 and "/verify" not in page.url,
            f"sign-in of {person.email} ended at {page.status} {page.url}",
        )
        return browser

    def keep(self, role: str, name: str, data: bytes) -> None:
        """Leaves a file behind under its role."""
        path = self.out / name
        path.write_bytes(data)
        self.paths[role] = str(path)

    def kept(self, role: str) -> bytes:
        """A file left behind."""
        return Path(self.paths[role]).read_bytes()

    def events(self, event: str) -> int:
        """How many entries of an event the log has."""
        with self.deps.database.read() as session:
            return session.scalar(select(func.count()).select_from(Leaf).where(Leaf.event == event)) or 0


def need(condition: bool, otherwise: str) -> None:
    """Ends the step with what was seen instead."""
    if not condition:
        raise Failed(otherwise)


def last(url: str, after: str) -> str:
    """The id that follows a piece of an address; ends the step when there is none."""
    found = re.search(re.escape(after) + r"([0-9a-f]{32})", url)
    need(found is not None, f"no id after {after} in {url}")
    return found[1] if found else ""


def wait(until: Callable[[], bool], what: str) -> None:
    """Looks every tenth of a second until it is so; ends the step after WAIT_S."""
    pause = threading.Event()
    for _ in range(int(WAIT_S * 10)):
        if until():
            return
        pause.wait(0.1)
    raise Failed(f"{what} took longer than {WAIT_S:.0f} s")
