"""Every page of the main job, at every size and in both languages: well formed, reachable, named, within its column."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.portal import Portal, Visit, both, serving, sizes
from tests.factories import World, copy_world

# What is wrong with the page as it stands: shape, names, labels, width.
FAULTS = """() => {
  const faults = [];
  const shown = (e) => e.checkVisibility({ visibilityProperty: true }) && e.getBoundingClientRect().width > 1;
  const drawn = (e) => e.querySelector("img[alt], svg[aria-label]") ? "drawn" : "";
  const name = (e) => (e.ariaLabel || e.innerText || e.title || drawn(e)).trim();
  const mark = (e) => e.outerHTML.slice(0, 90);
  const heads = document.querySelectorAll("h1");
  if (heads.length !== 1 || !heads[0].innerText.trim()) faults.push(`${heads.length} h1`);
  if (!["zh-CN", "en"].includes(document.documentElement.lang)) faults.push("no lang");
  if (!document.title.trim()) faults.push("no title");
  if (document.querySelectorAll("main").length !== 1) faults.push("not one main");
  for (const e of document.querySelectorAll("input:not([type=hidden]), select, textarea"))
    if (!e.labels.length && !e.ariaLabel && !e.getAttribute("aria-labelledby") && e.ariaHidden !== "true")
      faults.push(`no label: ${mark(e)}`);
  for (const e of document.querySelectorAll("a[href], button")) if (shown(e) && !name(e)) faults.push(`no name: ${mark(e)}`);
  for (const e of document.querySelectorAll("img")) if (!e.hasAttribute("alt")) faults.push(`no alt: ${mark(e)}`);
  const ids = [...document.querySelectorAll("[id]")].map((e) => e.id);
  for (const id of ids.filter((one, at) => ids.indexOf(one) !== at)) faults.push(`id twice: ${id}`);
  for (const e of document.querySelectorAll("[aria-describedby]"))
    for (const id of e.getAttribute("aria-describedby").split(/\\s+/))
      if (id && !document.getElementById(id)) faults.push(`describes nothing: ${id}`);
  const root = document.documentElement;
  if (root.scrollWidth > root.clientWidth) faults.push(`wider than the screen: ${root.scrollWidth} > ${root.clientWidth}`);
  return faults;
}"""

# Controls smaller than a fingertip; links inside running text follow the text.
SMALL = """() => {
  const own = "button, .btn, .sg-tabs a, summary, select, textarea, input:not([type=hidden], [type=checkbox], [type=radio])";
  return [...document.querySelectorAll(own)]
    .filter((e) => e.checkVisibility({ visibilityProperty: true }) && !e.matches(".visually-hidden"))
    .map((e) => [e.getBoundingClientRect(), e])
    .filter(([box]) => box.width > 1 && (box.height < 43.5 || box.width < 43.5))
    .map(([box, e]) => `${Math.round(box.width)}x${Math.round(box.height)} ${e.outerHTML.slice(0, 70)}`);
}"""

FOCUSED = """() => {
  const e = document.activeElement;
  const style = getComputedStyle(e);
  const ring = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2;
  const seen = e.checkVisibility() && (ring || style.boxShadow !== "none");
  return { what: e.id || e.innerText.trim() || e.name, seen, body: e === document.body };
}"""


@dataclass
class Stock:
    """A running portal with something to see on every page."""

    portal: Portal
    share: str
    items: list[str]
    bundle: str
    agreement: str

    def pages(self, name: str) -> list[str]:
        """The pages of a person."""
        partner = [
            "/my/shares",
            f"/my/shares/{self.share}",
            f"/my/bundles/{self.bundle}",
            "/my/record",
            "/my/agreements",
            f"/my/agreements/{self.agreement}",
            "/my/pledge",
            "/my/messages",
            "/account",
        ]
        return {
            "s1": partner,
            "biz.sj": [
                "/shares",
                "/shares/new",
                f"/shares/{self.share}",
                "/cases",
                f"/items/{self.items[0]}",
            ],
            "hod.sj": ["/approvals", "/account"],
            "gm": ["/agreements", f"/accounts/{self.portal.world.id('arc1')}"],
            "adm": [
                "/accounts",
                "/partners",
                f"/contacts/{self.portal.world.id('s1')}",
                f"/accounts/{self.portal.world.id('arc1')}",
            ],
            "aud": ["/log", f"/log/of/share/{self.share}", "/log/health"],
            "": ["/", "/sign-in"],
        }[name]


@pytest.fixture(scope="module")
def stock(
    sharing: tuple[World, str, list[str]],
    chromium: Browser,
    origin: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Stock]:
    """One portal for all tests of this file: they look and change nothing."""
    template, share, items = sharing
    world = copy_world(template, tmp_path_factory.mktemp("stock") / "home", public_origin=origin)
    bundle = world.ready_bundle(share, items[:1])
    agreement = world.agreement(until="VIEWED")
    with serving(world, chromium) as portal:
        yield Stock(portal, share, items, bundle, agreement)
    world.deps.database.close()


@pytest.fixture
def portal(stock: Stock) -> Iterator[Portal]:
    """The same portal; each test's visits are its own."""
    stock.portal.visits.clear()
    yield stock.portal
    for visit in stock.portal.visits:
        visit.context.close()
    assert stock.portal.problems() == []


def _faults(visit: Visit, paths: list[str], *, fingers: bool) -> dict[str, list[str]]:
    found = {}
    for path in paths:
        visit.go(path)
        faults = list(visit.page.evaluate(FAULTS))
        if fingers:
            faults += visit.page.evaluate(SMALL)
        if faults:
            found[path] = faults
    return found


@both
@pytest.mark.parametrize("name", ["s1", ""])
@pytest.mark.parametrize("size", ["narrow", "phone", "desktop"])
def test_partner_pages_fit_and_are_named(
    stock: Stock, portal: Portal, name: str, size: str, language: str
) -> None:
    visit = portal.visit(name or None, size=size, language=language)
    if size == "desktop":
        # Pages look different where a code has to be given anew.
        portal.world.clock.advance(minutes=11)
    assert _faults(visit, stock.pages(name), fingers=size != "desktop") == {}


@both
@sizes
@pytest.mark.parametrize("name", ["biz.sj", "hod.sj", "adm", "gm", "aud"])
def test_staff_pages_fit_and_are_named(
    stock: Stock, portal: Portal, name: str, size: str, language: str
) -> None:
    visit = portal.visit(name, size=size, language=language)
    if size == "desktop":
        portal.world.clock.advance(minutes=11)
    assert _faults(visit, stock.pages(name), fingers=False) == {}


@both
@sizes
@pytest.mark.parametrize("name", ["s1", "biz.sj", None])
def test_an_unknown_page_says_so(portal: Portal, language: str, size: str, name: str | None) -> None:
    visit = portal.visit(name, language=language, size=size)
    for path in ("/no-such-page", "/shares/0" if name == "s1" else "/my/shares", "/items/none"):
        visit.go(path, 404)
        visit.heading("没有这个页面")
        expect(visit.page.get_by_role("alert")).to_contain_text(visit.say("地址不存在，或不对您开放。"))
    assert visit.page.evaluate(FAULTS) == []


@both
@sizes
def test_staff_without_the_role_are_told_so(portal: Portal, language: str, size: str) -> None:
    visit = portal.visit("arc1", language=language, size=size)
    visit.go("/shares/new", 403)
    visit.heading("不允许")
    assert visit.page.evaluate(FAULTS) == []
    visit.link("回到首页").click()
    expect(visit.page.get_by_role("heading", level=1)).not_to_have_text(visit.say("不允许"))


def _tabbed(visit: Visit, limit: int = 60) -> list[str]:
    """What Tab leads to, in order, until it leaves the page; every stop must show its focus."""
    stops: list[str] = []
    for _ in range(limit):
        visit.page.keyboard.press("Tab")
        stop = visit.page.evaluate(FOCUSED)
        if stop["body"]:
            break
        assert stop["seen"], f"no visible focus on {stop['what']}"
        stops.append(stop["what"])
    return stops


@both
def test_signing_in_needs_only_the_keyboard(portal: Portal, language: str) -> None:
    visit = portal.visit(language=language)
    visit.speak("s2")
    visit.go("/sign-in")
    stops = _tabbed(visit)
    assert stops[0] == visit.say("跳到正文")
    assert stops.index("email") < stops.index("password") < stops.index(visit.say("继续"))
    person = portal.world.company.people["s2"]
    visit.page.locator("#email").focus()
    visit.page.keyboard.type(person.email)
    visit.page.keyboard.press("Tab")
    visit.page.keyboard.type(person.password)
    visit.page.keyboard.press("Enter")
    visit.name = "s2"
    visit.page.locator("#otp").focus()
    visit.page.keyboard.type(visit.code())
    visit.page.keyboard.press("Enter")
    visit.heading("我的分享")


def test_the_checklist_page_is_reached_by_keyboard_with_its_focus_shown(stock: Stock, portal: Portal) -> None:
    visit = portal.visit("hod.sj")
    visit.go(f"/shares/{stock.share}")
    stops = _tabbed(visit)
    assert visit.say("撤销") in stops
    visit.page.keyboard.press("Shift+Tab")
    assert visit.page.evaluate(FOCUSED)["what"] == visit.say("撤销")


def test_answers_are_not_kept_by_the_browser(stock: Stock, portal: Portal) -> None:
    visit = portal.visit("s1")
    for path in stock.pages("s1"):
        assert visit.go(path).headers["cache-control"] == "no-store"
