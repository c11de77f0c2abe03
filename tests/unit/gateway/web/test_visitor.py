"""The cookie holds an opaque token; the gate says who that is."""

from typing import Any

import pytest
from flask import Flask

from gateway.web.gate import SessionGate


def kept(portal: Any, browser: Any) -> dict[str, Any]:
    """What the signed cookie holds."""
    with browser.session_transaction(base_url="http://localhost") as session:
        return dict(session)


def test_the_cookie_holds_the_token_and_nothing_of_the_person(portal: Any, token_of: Any) -> None:
    browser = portal.client()
    assert browser.post("/enter/archivist", data={"csrf_token": token_of(browser)}).status_code == 200
    assert kept(portal, browser) == {"sid": "archivist"}
    assert browser.get("/both").get_data(as_text=True) == "staff:a1"
    browser.get("/staff")
    assert set(kept(portal, browser)) == {"sid", "csrf_token"}


def test_signing_in_keeps_nothing_of_a_planted_cookie(portal: Any, token_of: Any) -> None:
    browser = portal.client("partner")
    planted = token_of(browser)
    browser.post("/enter/archivist", data={"csrf_token": planted})
    assert browser.get("/both").get_data(as_text=True) == "staff:a1"
    assert browser.post("/act", data={"csrf_token": planted}).status_code == 400
    assert portal.done == []


def test_signing_out_empties_the_cookie(portal: Any, token_of: Any) -> None:
    browser = portal.client("archivist")
    browser.post("/leave", data={"csrf_token": token_of(browser)})
    assert kept(portal, browser) == {}
    assert browser.get("/both").status_code == 404


def test_an_unsigned_or_foreign_cookie_is_a_stranger_s(portal: Any) -> None:
    for value in ("archivist", "eyJzaWQiOiJhcmNoaXZpc3QifQ.aaaa.bbbb", "", "." * 4000):
        browser = portal.client()
        browser.set_cookie("sealgate", value, domain="localhost")
        assert browser.get("/both").status_code == 404
    assert portal.gate.asked == []


@pytest.mark.parametrize("token", ["unknown", "", 7, None, ["archivist"]])
def test_a_token_that_is_not_live_is_a_stranger_s(portal: Any, token: Any) -> None:
    browser = portal.client()
    with browser.session_transaction(base_url="http://localhost") as session:
        session["sid"] = token
    assert browser.get("/both").status_code == 404


def test_the_gate_is_asked_once_a_request_with_address_and_browser(portal: Any) -> None:
    browser = portal.client("archivist")
    browser.get("/staff", headers={"User-Agent": "A" * 500})
    assert portal.gate.asked == [("archivist", "127.0.0.1", "A" * 200)]


def test_the_way_in(portal: Any) -> None:
    wanted = {
        None: "/sign-in",
        "half": "/verify",
        "partner": "/mine",
        "business": "/staff",
        "archivist": "/staff",
    }
    assert {who: portal.client(who).get("/").headers["Location"] for who in wanted} == wanted


def test_somebody_without_any_page_of_their_own_is_refused(build: Any) -> None:
    assert build([]).client("archivist").get("/").status_code == 404


def test_the_test_s_gate_is_what_the_web_layer_asks_for(portal: Any) -> None:
    gate: SessionGate = portal.gate
    assert gate.resolve("nobody", ip="", agent="", now=portal.app.extensions["sealgate.deps"].clock()) is None


def test_the_portal_says_that_it_answers(portal: Any) -> None:
    answer = portal.client().get("/healthz")
    assert (answer.status_code, answer.get_data(as_text=True)) == (200, "ok\n")
    assert isinstance(portal.app, Flask)
