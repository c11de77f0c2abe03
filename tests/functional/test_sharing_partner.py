"""The partner's download over HTTP, end to end: prepare, collect, the ticket with its ranges, the passphrase, the record."""

from __future__ import annotations

import hashlib
import io
import re
import zipfile

import pytest
from sqlalchemy import select
from werkzeug.test import TestResponse

from gateway.sharing.models import Bundle, Counter, RevealedSecret, Transfer
from tests.factories import Browser, World, page_count


def ticket_of(answer: TestResponse) -> str:
    """The one link of a collection's answer."""
    found = re.search(r'href="(/t/[0-9a-f]{64})"', answer.get_data(as_text=True))
    assert found is not None
    return found[1]


def secret_of(answer: TestResponse) -> str:
    """The passphrase on the answer that shows it."""
    found = re.search(r'id="secret">([A-Z2-7-]+)<', answer.get_data(as_text=True))
    assert found is not None
    return found[1]


def spent(world: World, share: str) -> list[int]:
    """Downloads spent per counter of a share."""
    with world.deps.database.read() as session:
        return sorted(session.scalars(select(Counter.used).where(Counter.share_id == share)))


def prepared(world: World, browser: Browser, share: str, items: list[str], wanted: str = "") -> str:
    """The page of a bundle that was asked for over HTTP and made."""
    browser.get(f"/my/shares/{share}")
    asked = browser.post(f"/my/shares/{share}/prepare", {"items": items, "format": wanted})
    assert asked.status_code == 303
    world.drain()
    return asked.headers["Location"]


def collected(world: World, browser: Browser, share: str, items: list[str]) -> tuple[str, str]:
    """A bundle's page and the ticket of its collection."""
    bundle = prepared(world, browser, share, items)
    return bundle, ticket_of(browser.post(f"{bundle}/collect"))


def test_from_the_first_page_to_the_opened_file(world: World) -> None:
    share, items = world.active_share(1)
    browser = world.browser("s1")
    home = browser.get("/my/shares").get_data(as_text=True)
    assert world.share(share).number in home and "领取副本" in home
    assert "示例客户甲" not in home and world.share(share).title not in home
    assert "图纸1" in browser.get(f"/my/shares/{share}").get_data(as_text=True)

    asked = browser.post(f"/my/shares/{share}/prepare", {"items": items, "format": ""})
    bundle = asked.headers["Location"]
    assert "正在制作您的副本" in browser.get(bundle).get_data(as_text=True)
    polled = browser.get(f"{bundle}/progress", headers={"HX-Request": "true"})
    assert polled.status_code == 200 and "HX-Refresh" not in polled.headers
    assert browser.get(f"{bundle}/progress").headers["Location"] == bundle
    world.drain()
    assert browser.get(f"{bundle}/progress", headers={"HX-Request": "true"}).headers["HX-Refresh"] == "true"
    assert "副本已就绪" in browser.get(bundle).get_data(as_text=True)
    assert spent(world, share) == [0]

    answer = browser.post(f"{bundle}/collect")
    assert answer.status_code == 200 and answer.headers["Cache-Control"] == "no-store"
    assert spent(world, share) == [1]
    ticket = ticket_of(answer)
    assert ticket not in browser.get(bundle).get_data(as_text=True)
    whole = browser.get(ticket)
    with world.deps.database.read() as session:
        row = session.scalars(select(Bundle)).one()
        assert hashlib.sha256(whole.data).hexdigest() == row.sha256
    assert int(whole.headers["Content-Length"]) == len(whole.data)
    assert whole.headers["Content-Disposition"].startswith("attachment; filename=")
    assert (
        whole.headers["Cache-Control"] == "no-store" and whole.headers["X-Content-Type-Options"] == "nosniff"
    )

    secret = secret_of(browser.post(f"{bundle}/passphrase"))
    assert page_count(whole.data, secret) == 2
    assert secret_of(browser.post(f"{bundle}/passphrase")) == secret
    assert browser.post(f"{bundle}/acknowledge").status_code == 303
    assert browser.post(f"{bundle}/passphrase").status_code == 404
    with world.deps.database.read() as session:
        assert session.scalars(select(RevealedSecret)).first() is None
    assert secret not in browser.get(bundle).get_data(as_text=True)
    assert spent(world, share) == [1]


def test_a_download_resumes_by_range_and_costs_one(world: World) -> None:
    share, items = world.active_share(2)
    browser = world.browser("s1")
    _, ticket = collected(world, browser, share, items)
    whole = browser.get(ticket)
    size, etag = len(whole.data), whole.headers["ETag"]
    assert zipfile.is_zipfile(io.BytesIO(whole.data))
    half = browser.get(ticket, headers={"Range": f"bytes={size // 2}-", "If-Range": etag})
    assert half.status_code == 206
    assert half.headers["Content-Range"] == f"bytes {size // 2}-{size - 1}/{size}"
    assert half.data == whole.data[size // 2 :]
    tail = browser.get(ticket, headers={"Range": "bytes=-10"})
    assert (tail.status_code, tail.data) == (206, whole.data[-10:])
    other = browser.get(ticket, headers={"Range": "bytes=5-9", "If-Range": '"somebody-else"'})
    assert (other.status_code, other.data) == (200, whole.data)
    past = browser.get(ticket, headers={"Range": f"bytes={size}-"})
    assert (past.status_code, past.headers["Content-Range"], past.data) == (416, f"bytes */{size}", b"")
    assert spent(world, share) == [1, 1]
    assert len(world.leaves("release.completed")) == 4


def test_head_passes_the_checks_and_opens_nothing(world: World) -> None:
    share, items = world.active_share(1)
    browser = world.browser("s1")
    _, ticket = collected(world, browser, share, items)
    head = browser.client.head(ticket)
    assert (head.status_code, head.data) == (200, b"")
    assert int(head.headers["Content-Length"]) > 1000 and head.headers["Accept-Ranges"] == "bytes"
    assert not world.leaves("release.completed") and not world.leaves("release.aborted")
    with world.deps.database.read() as session:
        assert session.scalars(select(Transfer.outcome)).all() == ["HEAD"]
    assert world.browser("s1").client.head(ticket).status_code == 404
    world.clock.advance(minutes=31)
    assert world.browser("s1").client.head(ticket).status_code == 404


def test_a_ticket_works_with_its_own_session_only(world: World) -> None:
    share, items = world.active_share(1, ("s1", "s2"))
    browser = world.browser("s1")
    _, ticket = collected(world, browser, share, items)
    for other in (world.browser("s1"), world.browser("s2"), world.browser("biz.sj"), world.browser()):
        refused = other.get(ticket)
        assert refused.status_code == 404
        assert b"%PDF" not in refused.data
    assert browser.get(ticket).status_code == 200


def test_a_ticket_ends_with_its_window(world: World) -> None:
    share, items = world.active_share(1)
    browser = world.browser("s1")
    _, ticket = collected(world, browser, share, items)
    for _ in range(3):
        world.clock.advance(minutes=9)
        assert browser.get(ticket).status_code == 200
    world.clock.advance(minutes=4)
    assert browser.get(ticket).status_code == 404


def test_what_belongs_to_one_contact_is_unknown_to_another(world: World) -> None:
    share, items = world.active_share(1)
    browser = world.browser("s1")
    bundle, _ = collected(world, browser, share, items)
    for name in ("s2", "d1"):
        other = world.browser(name)
        assert share not in other.get("/my/shares").get_data(as_text=True)
        files = [f"{bundle}/files/{name}" for name in ("cover.pdf", "collect.tlog-proof")]
        for path in (f"/my/shares/{share}", bundle, f"{bundle}/progress", *files):
            assert other.get(path).status_code == 404
        for path in (
            f"/my/shares/{share}/prepare",
            f"{bundle}/collect",
            f"{bundle}/passphrase",
            f"{bundle}/acknowledge",
        ):
            assert other.post(path, {"items": items, "format": ""}).status_code == 404


def test_companions_prove_the_copy_to_its_owner(world: World) -> None:
    share, items = world.active_share(1)
    browser = world.browser("s1")
    bundle = prepared(world, browser, share, items)
    assert browser.get(f"{bundle}/files/cover.pdf").data.startswith(b"%PDF")
    assert browser.get(f"{bundle}/files/collect.tlog-proof").status_code == 404
    assert browser.get(f"{bundle}/files/bundle.zip").status_code == 404
    browser.post(f"{bundle}/collect")
    for name in ("manifest.json", "manifest.sig", "issue.tlog-proof", "collect.tlog-proof"):
        assert browser.get(f"{bundle}/files/{name}").status_code == 200
    record = browser.get("/my/record").get_data(as_text=True)
    assert "collect.tlog-proof" in record and world.deps.log.vkey in record


def test_an_uncollected_bundle_of_a_stopped_share_says_so_and_gives_nothing(world: World) -> None:
    share, items = world.active_share(1)
    browser = world.browser("s1")
    bundle = prepared(world, browser, share, items)
    staff = world.browser("biz.sj")
    staff.get(f"/shares/{share}")
    number = world.share(share).number
    revoked = staff.post(f"/shares/{share}/revoke", {"reason": "供应商变更，不再需要资料", "number": number})
    assert revoked.status_code == 303
    shown = browser.get(bundle).get_data(as_text=True)
    assert "这项分享已撤销" in shown and "不计下载次数" in shown
    assert browser.get(f"{bundle}/files/cover.pdf").status_code == 404
    assert browser.post(f"{bundle}/collect").status_code == 409
    assert spent(world, share) == [0]


def test_several_pdfs_one_by_one(world: World) -> None:
    share, items = world.active_share(2)
    browser = world.browser("s1")
    browser.get(f"/my/shares/{share}")
    asked = browser.post(f"/my/shares/{share}/prepare", {"items": items, "format": "pdf"})
    assert asked.headers["Location"] == f"/my/shares/{share}"
    world.drain()
    with world.deps.database.read() as session:
        assert session.scalars(select(Bundle.format)).all() == ["pdf", "pdf"]


def test_nothing_chosen_is_said_under_the_list(world: World) -> None:
    share, _ = world.active_share(1)
    browser = world.browser("s1")
    browser.get(f"/my/shares/{share}")
    answer = browser.post(f"/my/shares/{share}/prepare", {"format": ""})
    assert answer.status_code == 422 and "请选择文件" in answer.get_data(as_text=True)
    forged = browser.post(f"/my/shares/{share}/prepare", {"items": "f" * 32, "format": ""})
    assert forged.status_code == 422


def test_the_fourth_download_is_refused_by_the_limit(world: World) -> None:
    share, items = world.active_share(1)
    browser = world.browser("s1")
    for _ in range(3):
        _, ticket = collected(world, browser, share, items)
        assert browser.get(ticket).status_code == 200
    assert spent(world, share) == [3]
    before = len(world.leaves("copy.reserve"))
    page = browser.get(f"/my/shares/{share}").get_data(as_text=True)
    assert 'aria-disabled="true"' in page and "下载次数有余" in page
    refused = browser.post(f"/my/shares/{share}/prepare", {"items": items, "format": ""})
    assert refused.status_code == 409 and "下载次数有余" in refused.get_data(as_text=True)
    assert b'"LIMIT"' in world.leaves("refused")[-1].body
    assert len(world.leaves("copy.reserve")) == before


def test_a_stale_second_factor_is_asked_for_and_then_the_act_goes_on(world: World) -> None:
    share, items = world.active_share(1)
    browser = world.browser("s1")
    world.clock.advance(minutes=11)
    assert "6 位动态口令" in browser.get(f"/my/shares/{share}").get_data(as_text=True)
    asked = browser.post(f"/my/shares/{share}/prepare", {"items": items, "format": ""})
    assert asked.status_code == 403 and "输入动态口令" in asked.get_data(as_text=True)
    assert not world.leaves("bundle.prepare")
    again = browser.post(
        f"/my/shares/{share}/prepare", {"items": items, "format": "", "otp": world.code("s1")}
    )
    assert again.status_code == 303
    assert len(world.leaves("bundle.prepare")) == 1


@pytest.mark.parametrize(
    ("language", "words"),
    [("zh-CN", ("我的分享", "剩余下载", "可领取")), ("en", ("My shares", "Downloads left", "Ready"))],
)
def test_the_first_page_in_both_languages(world: World, language: str, words: tuple[str, ...]) -> None:
    world.active_share(1)
    browser = world.browser("s1")
    browser.get("/my/shares")
    browser.post("/language", {"language": language, "next": "/my/shares"})
    page = browser.get("/my/shares").get_data(as_text=True)
    assert all(word in page for word in words)


def test_nothing_shared_yet_says_what_would_be_here(world: World) -> None:
    world.agreement()
    page = world.browser("s1").get("/my/shares").get_data(as_text=True)
    assert "现在没有分享给您的文件" in page
    assert "还没有领取记录" in world.browser("s1").get("/my/record").get_data(as_text=True)


def test_what_is_to_be_signed_or_accepted_stands_on_the_first_page(world: World) -> None:
    world.agreement(until="SENT")
    assert "/my/agreements" in world.browser("s1").get("/my/shares").get_data(as_text=True).split("<main")[1]
    world.agreement(pledges=())
    assert "请接受个人保密承诺" in world.browser("s1").get("/my/shares").get_data(as_text=True)


def test_the_link_stays_on_the_page_that_shows_the_passphrase(world: World) -> None:
    share, items = world.active_share(1)
    bundle = world.ready_bundle(share, items)
    browser = world.browser("s1")
    browser.get(f"/my/bundles/{bundle}")
    collected = browser.post(f"/my/bundles/{bundle}/collect").get_data(as_text=True)
    link = re.search(r"/t/([0-9a-f]{64})", collected)
    assert link is not None and f'name="ticket" value="{link[1]}"' in collected
    shown = browser.post(f"/my/bundles/{bundle}/passphrase", {"ticket": link[1]}).get_data(as_text=True)
    assert 'id="secret"' in shown and link[0] in shown
    hostile = browser.post(f"/my/bundles/{bundle}/passphrase", {"ticket": '"><script>'}).get_data(
        as_text=True
    )
    assert "<script>" not in hostile.replace("<script src", "") and "/t/" not in hostile
