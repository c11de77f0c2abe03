"""Pages of refusals and failures: in the reader's language and layout, with what did not happen, what to do, and a code."""

import json
import re
from typing import Any

import pytest
from sqlalchemy import select
from structlog.testing import capture_logs

from gateway.audit.models import Leaf
from gateway.errors import TamperedRow
from gateway.web.refusals import PAGES, STATUS

CASES = {
    "/gone": (404, "NOT_FOUND", "没有这个页面", "No such page"),
    "/archive": (403, "NOT_ALLOWED", "不允许", "Not allowed"),
    "/held": (409, "WITHHELD", "现在不能这样做", "Not possible now"),
    "/state": (409, "WRONG_STATE", "现在不能这样做", "Not possible now"),
    "/many": (429, "TOO_MANY", "操作太频繁", "Too many requests"),
    "/bad": (422, "INVALID", "填写有误", "Something to correct"),
    "/down": (503, "UNAVAILABLE", "暂时不可用", "Temporarily unavailable"),
    "/tampered": (500, "TAMPERED", "系统出错", "Something went wrong"),
    "/boom": (500, "ERROR", "系统出错", "Something went wrong"),
}


def english(portal: Any) -> Any:
    """A member of staff who reads English."""
    from dataclasses import replace

    person, full = portal.gate.people["business"]
    portal.gate.people["business"] = (replace(person, language="en"), full)
    return portal.client("business")


@pytest.mark.parametrize("path", CASES)
def test_each_refusal_has_its_page_in_both_languages(portal: Any, path: str) -> None:
    status, code, chinese, other = CASES[path]
    answers = [portal.client("business").get(path), english(portal).get(path)]
    for answer, first, second in zip(answers, (chinese, other), (other, chinese), strict=True):
        text = answer.get_data(as_text=True)
        assert answer.status_code == status
        assert text.count("<h1>") == 1
        assert f"<h1>{first}</h1>" in text
        assert f">{second}</span>" in text
        assert f"{status} {code}</span>" in text
        assert 'role="alert"' in text


def test_every_status_that_errors_have_has_a_page() -> None:
    assert {status for _, status in STATUS} <= set(PAGES)
    assert set(PAGES) == {400, 403, 404, 405, 409, 413, 422, 429, 500, 503}


@pytest.mark.parametrize(
    ("who", "frame"),
    [(None, "sg-partner"), ("half", "sg-partner"), ("partner", "sg-partner"), ("business", "sg-shell")],
)
def test_the_page_has_the_reader_s_layout(portal: Any, who: str | None, frame: str) -> None:
    assert f'class="{frame}' in portal.client(who).get("/nowhere").get_data(as_text=True)


def test_strangers_and_half_sessions_are_shown_the_way_in(portal: Any) -> None:
    assert 'href="/sign-in?next=/archive%3Fx%3D1"' in portal.client().get("/archive?x=1").get_data(
        as_text=True
    )
    assert 'href="/verify?next=/archive"' in portal.client("half").get("/archive").get_data(as_text=True)


def test_withheld_shows_the_checklist(portal: Any) -> None:
    text = english(portal).get("/held").get_data(as_text=True)
    assert "1 of 2 not met" in text
    assert "NDA in force" in text
    assert "Sign or renew" in text
    assert text.count("Not enabled") == 2
    assert portal.refusals() == [("WITHHELD", "staff:b1", "room.held")]


def test_waiting_time_is_told(portal: Any) -> None:
    assert portal.client("business").get("/many").headers["Retry-After"] == "77"


def test_failures_tell_neither_page_nor_log_their_message(portal: Any) -> None:
    with capture_logs() as logs:
        text = portal.client("business").get("/boom").get_data(as_text=True)
    assert "secret-in-message" not in text
    assert "secret-in-message" not in json.dumps(logs)
    assert [(e["event"], e["problem"], e["endpoint"]) for e in logs] == [
        ("failed", "RuntimeError", "room.boom")
    ]
    assert not any("/" in place for place in logs[0]["where"])


def test_a_tampered_row_is_an_alert_entry(portal: Any) -> None:
    with capture_logs() as logs:
        assert portal.client("business").get("/tampered").status_code == 500
    with portal.database.read() as session:
        rows = session.scalars(select(Leaf).where(Leaf.event == "alert")).all()
        assert [(row.actor, row.object_id) for row in rows] == [("staff:b1", "room.tampered")]
    assert [e["event"] for e in logs] == ["tampered_row"]


def test_a_tampered_session_row_lets_nobody_in(portal: Any) -> None:
    portal.gate.broken = TamperedRow()
    answer = portal.client("archivist").get("/archive")
    assert answer.status_code == 500
    assert 'class="sg-partner' in answer.get_data(as_text=True)
    with portal.database.read() as session:
        assert [row.actor for row in session.scalars(select(Leaf).where(Leaf.event == "alert"))] == [
            "system:system"
        ]


def test_the_page_stands_when_the_database_does_not(portal: Any) -> None:
    from gateway.db import Base

    browser = portal.client("archivist")
    Base.metadata.drop_all(portal.database.engine)
    with capture_logs() as logs:
        answer = browser.get("/nowhere")
    assert answer.status_code == 404
    assert "没有这个页面" in answer.get_data(as_text=True)
    assert [e["event"] for e in logs] == ["not_recorded"]


def test_the_page_stands_when_its_own_drawing_fails(portal: Any) -> None:
    from gateway.web import nav

    def broken() -> int:
        raise RuntimeError

    entry = portal.app.extensions[nav.NAV][0]
    portal.app.extensions[nav.NAV] = [
        nav.Entry(entry.label, entry.endpoint, "todo", None, "staff", "file", 1, broken)
    ]
    with capture_logs() as logs:
        answer = portal.client("archivist").get("/nowhere")
    assert answer.status_code == 404
    assert "<h1>没有这个页面</h1>" in answer.get_data(as_text=True)
    assert "error_page_failed" in [e["event"] for e in logs]


def test_a_polling_fragment_whose_session_ended_reloads_the_page(portal: Any) -> None:
    assert portal.client().get("/staff", headers={"HX-Request": "true"}).headers["HX-Refresh"] == "true"
    assert "HX-Refresh" not in portal.client("archivist").get("/gone", headers={"HX-Request": "true"}).headers


def test_what_was_asked_is_written_safely(portal: Any) -> None:
    text = (
        portal.client().get("/%22%3E%3Cscript%3Ealert(1)%3C/script%3E?a=%22%3E%3Cb%3E").get_data(as_text=True)
    )
    assert "<script>alert" not in text
    assert not re.search(r"<b>", text)
