"""Who may open what: every route × every method × every kind of principal, against a table kept by hand.

The table (access_matrix.txt) is written from policy.md §1 and not from the declarations: a route missing from it fails, as does
a principal who gets further or less far than it says. Views are replaced by a marker, so that only the door decides.
"""

from __future__ import annotations

import re
from functools import wraps
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from werkzeug.routing import Rule

from gateway.identity.service.sessions import open_session
from gateway.web.door import LIMITER
from gateway.web.visitor import TOKEN
from tests.factories import Browser, World

TABLE = Path(__file__).with_name("access_matrix.txt")
REACHED = 299
PEOPLE = {
    "gm": "gm", "dgm": "dgm", "adm": "adm", "hod": "hod.sj", "biz": "biz.sj", "arc": "arc1", "aud": "aud", "sys": "sys",
    "partner": "s1",
}  # fmt: skip
STAFF = ("gm", "dgm", "adm", "hod", "biz", "arc", "aud", "sys")
WORDS: dict[str, frozenset[str]] = {
    "public": frozenset({"stranger", "half-staff", "half-partner", *PEOPLE}),
    "half": frozenset({"half-staff", "half-partner", *PEOPLE}),
    "any": frozenset(PEOPLE),
    "staff": frozenset(STAFF),
    "partner": frozenset({"partner"}),
}
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


def table() -> dict[str, frozenset[str]]:
    """Endpoint → principals who pass the door."""
    found = {}
    for line in TABLE.read_text(encoding="utf-8").splitlines():
        if line.strip() and not line.startswith("#"):
            endpoint, *words = line.split()
            found[endpoint] = frozenset().union(*(WORDS.get(word, frozenset({word})) for word in words))
    return found


def address(rule: Rule) -> str:
    """A path of this rule with made-up ids."""

    def fill(match: re.Match[str]) -> str:
        converter = match[1] or ""
        if converter.startswith("any("):
            return converter[4:].partition(",")[0].rstrip(")").strip("'\" ")
        return "1" if converter == "int:" else "0" * 32

    return re.sub(r"<((?:any\([^>]*\)|\w+)?:?)\w+>", fill, rule.rule)


@pytest.fixture
def browsers(world: World) -> dict[str, Browser]:
    """Every kind of principal, in front of views that only say that they were reached."""
    _mark_views(world.app)
    found = {name: world.browser(account) for name, account in PEOPLE.items()}
    found["stranger"] = world.browser()
    for name, account in (("half-staff", "biz.sj"), ("half-partner", "s1")):
        found[name] = world.browser()
        with world.deps.database.write() as session:
            token = open_session(session, world.actor(account), mfa_at=None, now=world.now())
        with found[name].client.session_transaction() as cookie:
            cookie[TOKEN] = token
    return found


def _mark_views(app: Flask) -> None:
    app.config["WTF_CSRF_ENABLED"] = False
    app.extensions[LIMITER].enabled = False
    for endpoint, view in app.view_functions.items():

        @wraps(view)
        def reached(**_: Any) -> tuple[str, int]:
            return "", REACHED

        app.view_functions[endpoint] = reached


def test_every_route_stands_in_the_table(world: World) -> None:
    routes = {rule.endpoint for rule in world.app.url_map.iter_rules()}
    assert routes == set(table()), f"missing: {routes - set(table())}; gone: {set(table()) - routes}"


def test_the_door_lets_in_just_whom_the_table_names(world: World, browsers: dict[str, Browser]) -> None:
    wrong, known = [], table()
    rules = [rule for rule in world.app.url_map.iter_rules() if rule.endpoint != "static"]
    for path in {address(rule) for rule in rules}:
        # One address may serve several endpoints, each with methods of its own.
        serving = {m: rule.endpoint for rule in rules if address(rule) == path for m in rule.methods or ()}
        for name, browser in browsers.items():
            for method in METHODS:
                answer = browser.client.open(path, method=method)
                expected = name in known.get(serving.get(method, ""), frozenset())
                if (answer.status_code == REACHED) != expected:
                    wrong.append(f"{name} {method} {path}: {answer.status_code}")
    assert not wrong, "\n".join(wrong)


def test_strangers_get_one_and_the_same_answer_for_every_closed_page(
    world: World, browsers: dict[str, Browser]
) -> None:
    unknown = browsers["stranger"].client.get("/no/such/page")
    known = table()
    open_paths = {address(r) for r in world.app.url_map.iter_rules() if "stranger" in known[r.endpoint]}
    closed = [r for r in world.app.url_map.iter_rules() if address(r) not in open_paths]
    for rule in closed:
        answer = browsers["stranger"].client.get(address(rule))
        assert (answer.status_code, _bare(answer.text)) == (unknown.status_code, _bare(unknown.text)), (
            rule.rule
        )


def _bare(text: str) -> str:
    # Tokens against forged requests and the address shown in the language form differ from page to page.
    return re.sub(r'(value|content|href)="[^"]*"', "", text)
