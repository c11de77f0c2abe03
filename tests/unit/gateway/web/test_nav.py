"""The sidebar and the tabs show each reader their own pages only."""

import re
from typing import Any

import pytest
from flask import Blueprint, render_template_string

from gateway.web.kit import access, nav


def links(text: str) -> list[str]:
    """The paths of the main navigation."""
    found = re.search(r'<nav class="sg-(?:nav|tabs)".*?</nav>', text, re.DOTALL)
    return re.findall(r'href="([^"]+)"', found.group(0)) if found else []


@pytest.mark.parametrize(
    ("who", "path", "shown"),
    [
        ("archivist", "/staff", ["/staff", "/archive"]),
        ("business", "/staff", ["/staff"]),
        ("partner", "/mine", ["/mine"]),
        ("half", "/nowhere", []),
        (None, "/nowhere", []),
    ],
)
def test_readers_see_what_their_roles_open(portal: Any, who: str | None, path: str, shown: list[str]) -> None:
    assert links(portal.client(who).get(path).get_data(as_text=True)) == shown


def test_the_present_page_is_marked(portal: Any) -> None:
    text = portal.client("archivist").get("/staff").get_data(as_text=True)
    assert re.findall(r'<a href="([^"]+)" aria-current="page">', text) == ["/staff"]


def test_a_page_below_an_entry_marks_it(build: Any) -> None:
    bp = Blueprint("tree", __name__)
    bp.add_url_rule("/tree", "tree", access("staff")(lambda: "x"))
    nav(bp, "树", "tree")
    browser = build([bp]).client("archivist")
    assert '<a href="/tree" aria-current="true">' in browser.get("/tree/leaf").get_data(as_text=True)
    assert '<a href="/tree">' in browser.get("/trees").get_data(as_text=True)


def test_a_page_with_an_entry_of_its_own_marks_no_other(build: Any) -> None:
    bp = Blueprint("tree", __name__)
    for path, name in (("/tree", "tree"), ("/tree/new", "new")):
        page = access("staff")(lambda: render_template_string('{% extends "staff.html" %}'))
        bp.add_url_rule(path, name, page)
        nav(bp, name, name)
    text = build([bp]).client("archivist").get("/tree/new").get_data(as_text=True)
    assert re.findall(r'<a href="(/tree[^"]*)"( aria-current="[a-z]+")?>', text) == [
        ("/tree", ""),
        ("/tree/new", ' aria-current="page"'),
    ]


def test_groups_have_names_and_empty_ones_are_left_out(portal: Any) -> None:
    text = portal.client("business").get("/staff").get_data(as_text=True)
    assert "<b>待办</b>" in text
    assert "<b>监督</b>" not in text


@pytest.mark.parametrize("endpoint", ["nowhere", "one"])
def test_an_entry_that_leads_nowhere_keeps_the_portal_from_starting(build: Any, endpoint: str) -> None:
    bp = Blueprint("lost", __name__)
    bp.add_url_rule("/one/<name>", "one", access("staff")(lambda name: name))
    nav(bp, "x", endpoint)
    with pytest.raises(RuntimeError, match=rf"pages that do not exist: lost\.{endpoint}"):
        build([bp])


def test_what_waits_is_counted(build: Any) -> None:
    bp = Blueprint("work", __name__)
    bp.add_url_rule("/work", "work", access("staff")(lambda: "x"))
    waiting = iter([5, 0])
    nav(bp, "审批", "work", group="todo", count=lambda: next(waiting))
    browser = build([bp]).client("archivist")
    assert '审批 <span class="sg-small">5</span>' in browser.get("/nowhere").get_data(as_text=True)
    assert "审批</a>" in browser.get("/nowhere").get_data(as_text=True)
