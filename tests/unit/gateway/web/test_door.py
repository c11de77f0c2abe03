"""Who may enter, and that every refusal is recorded and changes nothing."""

from typing import Any

import pytest

from gateway.principal import Role
from gateway.web.access import Access, access, declared, require_declarations
from gateway.web.door import GENERAL, LIMITER

PEOPLE = (None, "half", "partner", "business", "archivist")
# Route, then the status for each of PEOPLE in order.
MATRIX = {
    "/staff": (404, 404, 404, 200, 200),
    "/archive": (404, 404, 404, 403, 200),
    "/mine": (404, 404, 200, 404, 404),
    "/both": (404, 404, 200, 200, 200),
    "/verify": (404, 200, 200, 200, 200),
    "/open": (200, 200, 200, 200, 200),
    "/nowhere": (404, 404, 404, 404, 404),
    "/gone": (404, 404, 404, 404, 404),
}


@pytest.mark.parametrize("path", MATRIX)
def test_each_kind_of_principal_gets_what_the_route_declares(portal: Any, path: str) -> None:
    assert tuple(portal.client(who).get(path).status_code for who in PEOPLE) == MATRIX[path]


@pytest.mark.parametrize("who", [None, "half", "partner"])
def test_forbidden_and_unknown_pages_are_the_same_page(portal: Any, who: str | None) -> None:
    browser = portal.client(who)
    unknown, staff = (
        browser.get("/nowhereX").get_data(as_text=True),
        browser.get("/archive").get_data(as_text=True),
    )
    # What differs is the token of the session, which holds dots, and the address asked for, which the page leads back to.
    parts = [
        [
            part
            for part in text.replace("/nowhereX", "@").replace("/archive", "@").split('"')
            if "." not in part
        ]
        for text in (unknown, staff)
    ]
    assert len(parts[0]) > 50
    assert parts[0] == parts[1]


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_strangers_learn_no_methods(portal: Any, method: str) -> None:
    browser = portal.client()
    answers = [browser.open(path, method=method) for path in ("/staff", "/nowhere", "/act", "/part")]
    assert {a.status_code for a in answers} == {404}
    assert all("Allow" not in a.headers for a in answers)


def test_who_may_know_of_a_page_is_told_its_methods(portal: Any) -> None:
    answer = portal.client("archivist").delete("/archive")
    assert answer.status_code == 405
    assert "GET" in answer.headers["Allow"]


@pytest.mark.parametrize("path", ["/archive/", "/archive//", "/./archive//x"])
def test_a_path_written_otherwise_is_no_redirect(portal: Any, path: str) -> None:
    assert portal.client("archivist").get(path).status_code in (200, 404)
    assert portal.client().get(path).status_code == 404


def test_refusals_of_people_are_entries_and_of_strangers_are_counted(portal: Any) -> None:
    portal.client("business").get("/archive")
    portal.client("partner").get("/nowhere")
    portal.client("archivist").delete("/archive")
    for _ in range(3):
        portal.client().get("/archive")
    assert portal.refusals() == [
        ("NOT_ALLOWED", "staff:b1", "room.archive"),
        ("NOT_FOUND", "contact:c1", "unknown"),
        ("METHOD", "staff:a1", "unknown"),
    ]
    assert portal.strangers() == {"NOT_FOUND": 3}


def test_a_recorded_refusal_is_not_written_twice(portal: Any) -> None:
    from gateway.errors import NotFound

    NotFound.recorded = True
    try:
        portal.client("archivist").get("/gone")
    finally:
        del NotFound.recorded
    assert portal.refusals() == []


def test_a_forged_post_changes_nothing(portal: Any) -> None:
    answer = portal.client("archivist").post("/act")
    assert answer.status_code == 400
    assert "CSRF" in answer.get_data(as_text=True)
    assert portal.done == []
    assert portal.refusals() == [("CSRF", "staff:a1", "room.act")]


def test_another_session_s_token_does_not_serve(portal: Any, token_of: Any) -> None:
    token = token_of(portal.client("partner"))
    assert portal.client("archivist").post("/act", data={"csrf_token": token}).status_code == 400
    assert portal.done == []


def test_a_post_from_another_site_is_refused_even_with_a_token(portal: Any, token_of: Any) -> None:
    browser = portal.client("archivist")
    data = {"csrf_token": token_of(browser)}
    assert browser.post("/act", data=data, headers={"Sec-Fetch-Site": "cross-site"}).status_code == 400
    assert portal.done == []
    assert browser.post("/act", data=data, headers={"Sec-Fetch-Site": "same-origin"}).status_code == 200
    assert portal.done == ["a1"]


def test_bodies_are_bounded_by_what_the_route_declares(portal: Any, token_of: Any) -> None:
    browser = portal.client("archivist")
    header = {"X-CSRFToken": token_of(browser)}
    assert browser.put("/part", data=b"x" * (1024 * 1024), headers=header).status_code == 200
    assert browser.put("/part", data=b"x" * (1024 * 1024 + 1), headers=header).status_code == 413
    assert browser.post("/act", data=b"x" * (256 * 1024 + 1), headers=header).status_code == 413
    assert portal.done == ["part"]


def test_a_code_sent_along_makes_the_factor_fresh(portal: Any, token_of: Any) -> None:
    browser = portal.client("stale")
    data = {"csrf_token": token_of(browser), "days": "7", "secret_password": "p"}
    asked = browser.post("/act", data=data)
    text = asked.get_data(as_text=True)
    assert asked.status_code == 403
    assert 'name="otp"' in text
    assert '<input type="hidden" name="days" value="7">' in text
    assert "secret_password" not in text
    assert portal.done == []
    wrong = browser.post("/act", data={**data, "otp": "000000"})
    assert wrong.status_code == 422
    assert "口令不对。" in wrong.get_data(as_text=True)
    assert portal.done == []
    assert browser.post("/act", data={**data, "otp": "123456"}).status_code == 200
    assert portal.done == ["a2"]
    # A wrong code is recorded by the gate that judged it.
    assert portal.refusals() == [("STALE_FACTOR", "staff:a2", "room.act")]


def test_a_get_that_needs_a_fresh_factor_goes_by_way_of_verification(portal: Any) -> None:
    answer = portal.client("stale").get("/act?x=1&y=/a")
    assert (answer.status_code, answer.headers["Location"]) == (302, "/verify?next=/act%3Fx%3D1%26y%3D/a")


def test_too_many_tries_are_stopped_per_address_and_noted_once_a_minute(portal: Any, token_of: Any) -> None:
    browser = portal.client("archivist")
    header = {"X-CSRFToken": token_of(browser)}
    answers = [browser.post("/try", headers=header) for _ in range(5)]
    assert [a.status_code for a in answers] == [200, 200, 429, 429, 429]
    assert int(answers[-1].headers["Retry-After"]) >= 1
    assert portal.refusals() == [("TOO_MANY", "staff:a1", "room.try")]
    elsewhere = portal.client("archivist")
    elsewhere.environ_base["REMOTE_ADDR"] = "192.0.2.9"
    assert elsewhere.post("/try", headers={"X-CSRFToken": token_of(elsewhere)}).status_code == 200


def test_an_address_has_a_general_limit(portal: Any) -> None:
    browser = portal.client()
    spent = [portal.app.extensions[LIMITER].limiter.hit(GENERAL, "all", "127.0.0.1") for _ in range(599)]
    assert all(spent)
    assert [browser.get("/open").status_code for _ in range(3)] == [200, 429, 429]
    assert browser.get("/nowhere").status_code == 429
    assert portal.strangers() == {"TOO_MANY": 1}


def test_without_its_counters_the_portal_does_nothing(build: Any) -> None:
    browser = build(limiter_url="redis://127.0.0.1:1/0").client("archivist")
    answer = browser.get("/both")
    assert answer.status_code == 503
    assert "LIMITER" in answer.get_data(as_text=True)
    with browser.get("/static/sealgate.css") as file:
        assert file.status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "localhost.evil.example",
        "localhost@evil.example",
        "evil.example:80",
        "[::1]",
        "loc alhost",
        "",
    ],
)
def test_other_hosts_are_refused(portal: Any, host: str) -> None:
    browser = portal.client("archivist")
    answer = browser.get("/both", headers={"Host": host}, base_url="http://localhost")
    assert answer.status_code == 400
    assert "staff:a1" not in answer.get_data(as_text=True)
    assert [*portal.strangers(), *(code for code, _, _ in portal.refusals())] == ["HOST"]


@pytest.mark.parametrize(
    "name",
    ["X-Forwarded-Host", "X-Forwarded-Server", "Forwarded", "X-Original-URL", "X-Rewrite-URL", "X-Host"],
)
def test_forwarded_hosts_change_nothing(portal: Any, name: str) -> None:
    answer = portal.client().get("/", headers={name: "evil.example"})
    assert answer.headers["Location"] == "/sign-in"


@pytest.mark.parametrize(("proxies", "seen"), [(0, "127.0.0.1"), (1, "203.0.113.7"), (2, "198.51.100.2")])
def test_the_address_comes_from_as_many_fronts_as_are_trusted(build: Any, proxies: int, seen: str) -> None:
    browser = build(trusted_proxies=proxies).client()
    assert (
        browser.get("/open", headers={"X-Forwarded-For": "6.6.6.6, 198.51.100.2, 203.0.113.7"}).get_data(
            as_text=True
        )
        == seen
    )


def test_a_route_without_declaration_keeps_the_portal_from_starting(build: Any) -> None:
    from flask import Blueprint

    bp = Blueprint("bare", __name__)
    bp.add_url_rule("/bare", "page", lambda: "x")
    with pytest.raises(RuntimeError, match=r"no access declared for: bare\.page"):
        build([bp])


def test_every_route_of_the_portal_says_who_may_open_it(portal: Any) -> None:
    require_declarations(portal.app)
    assert declared(portal.app, "static") == Access("public")
    assert declared(portal.app, "nothing") is None


def test_roles_are_kept_as_given() -> None:
    @access("staff", roles=[Role.ARC, Role.HOD], max_body=9, limit="1/minute")
    def view() -> str:
        return ""

    found = view.__sealgate_access__  # type: ignore[attr-defined]
    assert found == Access("staff", frozenset({Role.ARC, Role.HOD}), 9, "1/minute")
