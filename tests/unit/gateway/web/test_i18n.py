"""Which language is spoken, and how values are written in it."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from flask import Flask, request
from hypothesis import given
from hypothesis import strategies as st

from gateway.principal import Text
from gateway.web import filters, i18n

NOON = datetime(2026, 11, 23, 4, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("own", "cookie", "header", "spoken"),
    [
        (None, None, None, "zh-CN"),
        (None, None, "zh-CN,en;q=0.8", "zh-CN"),
        (None, None, "zh-Hans-CN,en;q=0.8", "zh-CN"),
        (None, None, "zh,en;q=0.8", "zh-CN"),
        (None, None, "zh_TW,en;q=0.8", "zh-CN"),
        (None, None, "en-US,en;q=0.9,zh-CN;q=0.8", "en"),
        (None, None, "en;q=0.5,zh-CN;q=0.9", "zh-CN"),
        (None, None, "fr,de;q=0.9,en;q=0.1", "en"),
        (None, None, "en;q=0,zh;q=0.1", "zh-CN"),
        (None, None, "fr", "zh-CN"),
        (None, None, "*", "zh-CN"),
        (None, None, ";;;,,=", "zh-CN"),
        (None, "en", "zh-CN", "en"),
        (None, "zh-CN", "en", "zh-CN"),
        (None, "xx", "en", "zh-CN"),
        ("zh-CN", "en", "en", "zh-CN"),
        ("en", "zh-CN", "zh-CN", "en"),
        ("en-GB", None, None, "en"),
    ],
)
def test_the_language_of_a_request(
    own: str | None, cookie: str | None, header: str | None, spoken: str
) -> None:
    headers = {
        name: value
        for name, value in (("Accept-Language", header), ("Cookie", cookie and f"lang={cookie}"))
        if value
    }
    with Flask("x").test_request_context("/", headers=headers):
        assert i18n.choose(own, request) == spoken


@given(st.text(max_size=60), st.text(max_size=10))
def test_any_header_and_cookie_give_one_of_two_languages(header: str, cookie: str) -> None:
    environ = {
        "HTTP_ACCEPT_LANGUAGE": header.encode("utf-8", "ignore").decode("latin-1"),
        "HTTP_COOKIE": f"lang={cookie!r}",
    }
    with Flask("x").test_request_context("/", environ_overrides=environ):
        assert i18n.choose(None, request) in ("zh-CN", "en")


def test_pages_say_which_language_they_are_in(portal: Any) -> None:
    chinese = (
        portal.client().get("/start", headers={"Accept-Language": "zh-CN,en;q=0.8"}).get_data(as_text=True)
    )
    english = portal.client().get("/start", headers={"Accept-Language": "en"}).get_data(as_text=True)
    assert '<html lang="zh-CN"' in chinese
    assert "<h1>输入动态口令</h1>" in chinese
    assert '<span class="sg-en" lang="en">Enter your one-time code</span>' in chinese
    assert '<html lang="en"' in english
    assert "<h1>Enter your one-time code</h1>" in english
    assert '<span class="sg-en" lang="zh-CN">输入动态口令</span>' in english


def test_a_person_is_spoken_to_in_their_own_language(portal: Any) -> None:
    assert '<html lang="en"' in portal.client("partner", lang="zh-CN").get("/mine").get_data(as_text=True)
    assert '<html lang="zh-CN"' in portal.client("archivist", lang="en").get("/staff").get_data(as_text=True)


def test_choosing_a_language_keeps_it(portal: Any, token_of: Any) -> None:
    browser = portal.client()
    answer = browser.post(
        "/language", data={"csrf_token": token_of(browser), "language": "en", "next": "/start"}
    )
    assert (answer.status_code, answer.headers["Location"]) == (302, "/start")
    cookie = next(c for c in answer.headers.getlist("Set-Cookie") if c.startswith("lang=en"))
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    assert '<html lang="en"' in browser.get("/start").get_data(as_text=True)
    assert portal.gate.preferred == []


def test_a_person_s_choice_is_told_to_the_keeper_of_accounts(portal: Any, token_of: Any) -> None:
    browser = portal.client("archivist")
    browser.post("/language", data={"csrf_token": token_of(browser), "language": "en"})
    browser.post("/language", data={"csrf_token": token_of(browser), "language": "kl"})
    assert portal.gate.preferred == [("a1", "en"), ("a1", "zh-CN")]


def test_choosing_colours_keeps_them(portal: Any, token_of: Any) -> None:
    browser = portal.client()
    assert 'data-bs-theme="light"' in browser.get("/start").get_data(as_text=True)
    browser.post("/theme", data={"csrf_token": token_of(browser), "theme": "dark"})
    assert 'data-bs-theme="dark"' in browser.get("/start").get_data(as_text=True)
    assert 'data-bs-theme="light"' in portal.client(theme="x").get("/start").get_data(as_text=True)


@pytest.mark.parametrize(
    ("moment", "shown"),
    [
        (NOON, '<time datetime="2026-11-23T04:00:00+00:00">11-23 12:00</time>'),
        (
            datetime(2025, 12, 31, 15, 59, tzinfo=UTC),
            '<time datetime="2025-12-31T15:59:00+00:00">2025-12-31 23:59</time>',
        ),
        (
            datetime(2025, 12, 31, 16, 0, tzinfo=UTC),
            '<time datetime="2025-12-31T16:00:00+00:00">01-01 00:00</time>',
        ),
        (None, "–"),
    ],
)
def test_times_are_written_in_the_reader_s_zone(portal: Any, moment: datetime | None, shown: str) -> None:
    with portal.app.test_request_context("/"):
        assert str(filters.when(moment)) == shown


@pytest.mark.parametrize(
    ("rest", "chinese", "english"),
    [
        (timedelta(days=2, hours=6, minutes=59), "2 天 6 小时", "2 d 6 h"),
        (timedelta(hours=5, minutes=3), "5 小时 3 分", "5 h 3 min"),
        (timedelta(minutes=9, seconds=59), "9 分钟", "9 min"),
        (timedelta(0), "0 分钟", "0 min"),
        (timedelta(seconds=-1), "已截止", "Ended"),
    ],
)
def test_remaining_time_has_its_two_largest_units(
    portal: Any, rest: timedelta, chinese: str, english: str
) -> None:
    for header, shown in (("zh-CN", chinese), ("en", english)):
        with portal.app.test_request_context("/", headers={"Accept-Language": header}):
            assert filters.left(NOON + rest) == shown


@pytest.mark.parametrize(
    ("count", "shown"),
    [
        (0, "0 B"),
        (None, "0 B"),
        (1023, "1,023 B"),
        (1024, "1 KB"),
        (50_960_794, "48.6 MB"),
        (2 * 1024**3, "2 GB"),
        (1024**5, "1,048,576 GB"),
    ],
)
def test_sizes(portal: Any, count: int | None, shown: str) -> None:
    with portal.app.test_request_context("/"):
        assert filters.size(count) == shown


def test_days_and_words(portal: Any) -> None:
    with portal.app.test_request_context("/", headers={"Accept-Language": "en"}):
        assert filters.day(datetime(2026, 11, 22, 17, tzinfo=UTC)) == "2026-11-23"
        assert filters.day(date(2026, 1, 2)) == "2026-01-02"
        assert filters.words(Text("放行", "Release")) == "Release"
        assert filters.words(None) == ""
        assert (filters.day(None), filters.left(None)) == ("–", "–")
        assert filters.words(7) == "7"


def test_earlier_texts_win_and_none_is_lost(tmp_path: Path) -> None:
    head = 'msgid ""\nmsgstr "Content-Type: text/plain; charset=UTF-8\\n"\n\n'
    one, two = tmp_path / "one.po", tmp_path / "two.po"
    one.write_text(head + 'msgid "甲"\nmsgstr "A"\n', encoding="utf-8")
    two.write_text(head + 'msgid "甲"\nmsgstr "B"\n\nmsgid "乙"\nmsgstr "C"\n', encoding="utf-8")
    read = i18n.read_catalogue([one, two])
    assert (read.ugettext("甲"), read.ugettext("乙"), read.ugettext("丙")) == ("A", "C", "丙")
