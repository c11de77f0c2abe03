"""Portals for browser tests: a company loaded once per worker, one Chromium per file, a portal and fresh visits per test."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from gateway.serving import free_port
from tests.browser.portal import Portal, launch, missing_browser, serving
from tests.factories import World, build_world, copy_world


@dataclass
class Shared:
    """A running portal with an active share of `items` for both contacts of the supplier."""

    portal: Portal
    share: str
    items: list[str]


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """The browser of one file's tests; it ends with them, since one process holds one driver at a time."""
    absent = missing_browser()
    if absent:
        pytest.skip(absent)
    with sync_playwright() as playwright:
        browser = launch(playwright)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def origin() -> str:
    """Where every portal of this worker is found: the log's key is bound to its portal's name, so copies keep it."""
    return f"http://127.0.0.1:{free_port()}"


@pytest.fixture(scope="session")
def company(origin: str, tmp_path_factory: pytest.TempPathFactory) -> World:
    """The loaded company, copied for each test."""
    return build_world(tmp_path_factory.mktemp("company") / "home", public_origin=origin)


@pytest.fixture(scope="session")
def filing(company: World, origin: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[World, list[str]]:
    """The company with a filed case, copied for each test."""
    world = copy_world(company, tmp_path_factory.mktemp("filing") / "home", public_origin=origin)
    return world, world.filed_items(1)


@pytest.fixture(scope="session")
def sharing(
    company: World, origin: str, tmp_path_factory: pytest.TempPathFactory
) -> tuple[World, str, list[str]]:
    """The company with an active share, copied for each test."""
    world = copy_world(company, tmp_path_factory.mktemp("sharing") / "home", public_origin=origin)
    share, items = world.active_share(2, ("s1", "s2"))
    return world, share, items


def _served(template: World, home: Path, chromium: Browser, origin: str) -> Iterator[Portal]:
    world = copy_world(template, home, public_origin=origin)
    with serving(world, chromium) as portal:
        yield portal
        problems = portal.problems()
    world.deps.database.close()
    assert problems == []


@pytest.fixture
def portal(company: World, chromium: Browser, origin: str, tmp_path: Path) -> Iterator[Portal]:
    """A running portal with the demo company; fails on whatever a browser complained of."""
    yield from _served(company, tmp_path / "home", chromium, origin)


@pytest.fixture
def filed(
    filing: tuple[World, list[str]], chromium: Browser, origin: str, tmp_path: Path
) -> Iterator[tuple[Portal, list[str]]]:
    """A running portal with filed items; fails on whatever a browser complained of."""
    template, items = filing
    for portal in _served(template, tmp_path / "home", chromium, origin):
        yield portal, items


@pytest.fixture
def shared(
    sharing: tuple[World, str, list[str]], chromium: Browser, origin: str, tmp_path: Path
) -> Iterator[Shared]:
    """A running portal with an active share; fails on whatever a browser complained of."""
    template, share, items = sharing
    for portal in _served(template, tmp_path / "home", chromium, origin):
        yield Shared(portal, share, items)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Every test of this folder drives Chromium, and says so."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.browser)
