"""Agreements over HTTP, without JavaScript: drafting, reading, signing, countersigning, declining, ending, undertakings."""

from __future__ import annotations

import hashlib
import html
import io
import re
import zipfile
from datetime import timedelta
from typing import Any

import openpyxl
import pypdfium2
import pytest
from PIL import Image
from sqlalchemy import func, select
from werkzeug.test import TestResponse

from gateway.audit import queries as log
from gateway.identity.models import Contact
from gateway.signing import service
from gateway.signing.models import Agreement
from tests.factories import Browser, World

REASON = "双方商定不再继续，另行处理"


def enter(world: World, name: str) -> Browser:
    """Somebody's browser on the first page after signing in."""
    browser = world.browser(name)
    browser.get("/", follow_redirects=True)
    return browser


def text(response: TestResponse) -> str:
    return html.unescape(response.get_data(as_text=True))


def state(world: World, agreement: str) -> str:
    with world.deps.database.read() as session:
        return session.get_one(Agreement, agreement).state


def digest(world: World, agreement: str) -> str:
    with world.deps.database.read() as session:
        return session.get_one(Agreement, agreement).pdf_sha256 or ""


def speak(world: World, name: str, language: str) -> None:
    with world.deps.database.write() as session:
        session.get_one(Contact, world.id(name)).language = language


def hidden(page: str, name: str) -> str:
    found = re.search(rf'<input[^>]*name="{name}"[^>]*value="([^"]*)"', page)
    assert found is not None, name
    return found[1]


def scope(world: World, **changes: Any) -> dict[str, Any]:
    today = (world.now() + timedelta(hours=8)).date()
    return {
        "organisation": world.company.organisations["supplier"],
        "signer": world.id("s1"),
        "all_clients": "y",
        "classes": ["F07", "F08"],
        "purposes": ["P01"],
        "relation": "ENTRUST",
        "valid_from": today.isoformat(),
        "valid_to": (today + timedelta(days=180)).isoformat(),
        "incident_contact": "行政部 100-0000-0000",
        "liability": "赔偿实际损失",
        "forum": "甲方所在地人民法院",
        **changes,
    }


def drafted(world: World, browser: Browser | None = None, **changes: Any) -> str:
    adm = browser or enter(world, "adm")
    assert adm.get("/agreements/new").status_code == 200
    made = adm.post("/agreements/new", scope(world, **changes))
    assert made.status_code == 302, text(made)
    return made.headers["Location"].rpartition("/")[2]


SAID = {
    "zh-CN": (
        "签署保密协议", "会记录", "已签署，待对方会签后生效", "协议生效中", "个人承诺已接受", "与手写签名或盖章具有同等法律效力",
    ),
    "en": (
        "Sign the agreement", "On record", "In force once the other party", "The agreement is in force", "Undertaking accepted",
        "equal to a handwritten",
    ),
}  # fmt: skip


@pytest.mark.parametrize("language", SAID)
def test_an_agreement_from_draft_to_undertaking(portal: World, language: str) -> None:
    words = SAID[language]
    adm = enter(portal, "adm")
    agreement = drafted(portal, adm)
    assert "草稿" in text(adm.get(f"/agreements/{agreement}"))
    assert enter(portal, "s1").get(f"/my/agreements/{agreement}").status_code == 404
    assert adm.post(f"/agreements/{agreement}/send").status_code == 302

    speak(portal, "s1", language)
    s1 = enter(portal, "s1")
    assert f"/my/agreements/{agreement}" in text(s1.get("/my/agreements"))
    page = text(s1.get(f"/my/agreements/{agreement}"))
    for said in (words[0], words[1], words[5], "甲方为量房设计提供的客户档案", "No other use"):
        assert said in page
    assert page.index(words[1]) < page.index("btn-seal")
    assert 'id="consent" name="consent" value="y" required>' in page
    assert state(portal, agreement) == "SENT"

    shown = hidden(page, "pdf_sha256")
    pdf = s1.get(f"/my/agreements/{agreement}/pdf")
    assert hashlib.sha256(pdf.get_data()).hexdigest() == shown
    assert pdf.headers["Cache-Control"] == "no-store"
    assert pdf.headers["Content-Disposition"].startswith("inline")
    assert s1.get(f"/my/agreements/{agreement}/pages/1.webp").get_data()[8:12] == b"WEBP"
    assert s1.get(f"/my/agreements/{agreement}/pages/99.webp").status_code == 404
    assert state(portal, agreement) == "SENT"

    signed = s1.post(
        f"/my/agreements/{agreement}/sign",
        {"pdf_sha256": shown, "language": hidden(page, "language"), "name": "王小明", "consent": "y"},
        follow_redirects=True,
    )
    assert words[2] in text(signed)
    assert state(portal, agreement) == "PARTNER_SIGNED"
    assert s1.get(f"/my/agreements/{agreement}/certificate").status_code == 409

    gm = enter(portal, "gm")
    assert f"/agreements/{agreement}" in text(gm.get("/agreements/countersign", follow_redirects=True))
    confirm = hidden(text(gm.get(f"/agreements/{agreement}")), "pdf_sha256")
    assert gm.post(f"/agreements/{agreement}/countersign", {"pdf_sha256": confirm}).status_code == 302
    assert state(portal, agreement) == "IN_FORCE"

    assert words[3] in text(s1.get(f"/my/agreements/{agreement}"))
    portal.deps.log.sequence(now=portal.now())
    assert s1.get(f"/my/agreements/{agreement}/certificate").get_data().startswith(b"%PDF-")
    packed = zipfile.ZipFile(io.BytesIO(s1.get(f"/my/agreements/{agreement}/evidence").get_data()))
    assert b'"pdf_sha256":"' + shown.encode() in packed.read("evidence.json")

    for who in ("s1", "s2"):
        speak(portal, who, language)
        contact = enter(portal, who)
        page = text(contact.get("/my/pledge"))
        assert hidden(page, "agreement") == agreement
        accepted = contact.post("/my/pledge", {"agreement": agreement, "consent": "y"}, follow_redirects=True)
        assert words[4] in text(accepted)


def test_the_page_notes_its_opening_by_post_only(world: World) -> None:
    agreement, s1 = world.agreement(until="SENT"), enter(world, "s1")
    page = text(s1.get(f"/my/agreements/{agreement}"))
    assert f'hx-post="/my/agreements/{agreement}/view" hx-trigger="load"' in page
    assert state(world, agreement) == "SENT"
    assert s1.get(f"/my/agreements/{agreement}/view").status_code == 405
    assert s1.post(f"/my/agreements/{agreement}/view").status_code == 204
    assert state(world, agreement) == "VIEWED"
    assert s1.post(f"/my/agreements/{agreement}/view", {"page": "2"}).status_code == 204
    assert s1.post(f"/my/agreements/{agreement}/view", {"page": "x"}).status_code == 204
    assert [e.event for e in world.leaves() if e.object_id == agreement][-2:] == [
        "agreement.view",
        "agreement.read",
    ]


def test_a_drawing_travels_with_the_signature(world: World) -> None:
    agreement, s1 = world.agreement(until="SENT"), enter(world, "s1")
    given = {"pdf_sha256": digest(world, agreement), "name": "王小明", "consent": "y", "language": "zh"}
    refused = s1.post(f"/my/agreements/{agreement}/sign", {**given, "drawing": "data:image/png;base64,AAAA"})
    assert refused.status_code == 422
    assert "手写签名无法读取" in text(refused)
    assert state(world, agreement) == "SENT"
    too_large = s1.post(f"/my/agreements/{agreement}/sign", {**given, "drawing": "x" * 500_000})
    assert too_large.status_code == 413
    assert state(world, agreement) == "SENT"


@pytest.mark.parametrize(
    ("changes", "status", "said"),
    [
        ({"pdf_sha256": "0" * 64}, 409, "没有任何改动"),
        ({"consent": ""}, 422, "请勾选同意后再签署"),
        ({"name": ""}, 422, "请填写签署人姓名"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_is_signed(
    world: World, changes: dict[str, str], status: int, said: str
) -> None:
    agreement, s1 = world.agreement(until="SENT"), enter(world, "s1")
    given = {"pdf_sha256": digest(world, agreement), "name": "王小明", "consent": "y", "language": "zh"}
    body = {k: v for k, v in {**given, **changes}.items() if v or k != "consent"}
    refused = s1.post(f"/my/agreements/{agreement}/sign", body)
    assert refused.status_code == status
    assert said in text(refused)
    assert state(world, agreement) == "SENT"


def test_a_stale_second_factor_is_asked_for_and_the_signature_goes_on(world: World) -> None:
    agreement, s1 = world.agreement(until="SENT"), enter(world, "s1")
    given = {"pdf_sha256": digest(world, agreement), "name": "王小明", "consent": "y", "language": "zh"}
    world.clock.advance(minutes=11)
    assert "otp" in text(s1.get(f"/my/agreements/{agreement}"))
    asked = s1.post(f"/my/agreements/{agreement}/sign", given)
    assert asked.status_code == 403
    assert 'name="pdf_sha256"' in text(asked)
    wrong = s1.post(f"/my/agreements/{agreement}/sign", {**given, "otp": "000000"})
    assert wrong.status_code == 422
    assert state(world, agreement) == "SENT"
    done = s1.post(f"/my/agreements/{agreement}/sign", {**given, "otp": world.code("s1")})
    assert done.status_code == 302
    assert state(world, agreement) == "PARTNER_SIGNED"


def test_a_colleague_reads_and_cannot_sign(world: World) -> None:
    agreement, s2 = world.agreement(until="SENT"), enter(world, "s2")
    page = text(s2.get(f"/my/agreements/{agreement}"))
    assert "您可以阅读，不能签署" in page
    assert "btn-seal" not in page
    given = {"pdf_sha256": digest(world, agreement), "name": "王小明", "consent": "y", "language": "zh"}
    assert s2.post(f"/my/agreements/{agreement}/sign", given).status_code == 403
    assert s2.post(f"/my/agreements/{agreement}/decline", {"reason": REASON}).status_code == 403
    assert state(world, agreement) == "SENT"


def test_foreign_and_unknown_agreements_look_the_same(world: World) -> None:
    agreement = world.agreement(until="PARTNER_SIGNED")
    d1 = enter(world, "d1")
    for known, unknown in ((agreement, "0" * 32),):
        for tail in ("", "/pdf", "/pages/1.webp", "/certificate", "/evidence"):
            answers = [d1.get(f"/my/agreements/{i}{tail}") for i in (known, unknown)]
            assert [a.status_code for a in answers] == [404, 404], tail
        for tail, data in (
            ("/view", {}),
            ("/sign", {"name": "王"}),
            ("/decline", {"reason": REASON}),
            ("/terminate", {"reason": REASON}),
        ):
            answers = [d1.post(f"/my/agreements/{i}{tail}", data) for i in (known, unknown)]
            assert [a.status_code for a in answers] == [404, 404], tail
    assert d1.get(f"/agreements/{agreement}").status_code == 404
    assert d1.post(f"/agreements/{agreement}/countersign").status_code == 404
    assert agreement not in text(d1.get("/my/agreements"))
    assert d1.post("/my/pledge", {"agreement": agreement, "consent": "y"}).status_code == 404
    assert enter(world, "gm").get(f"/agreements/{'0' * 32}").status_code == 404


def test_declining_with_and_without_a_reason(world: World) -> None:
    agreement, s1 = world.agreement(until="SENT"), enter(world, "s1")
    refused = s1.post(f"/my/agreements/{agreement}/decline", {"reason": "不签"})
    assert refused.status_code == 422
    assert "10 到 500 字" in text(refused)
    done = s1.post(f"/my/agreements/{agreement}/decline", {"reason": REASON}, follow_redirects=True)
    assert "已记录为不签署" in text(done)
    assert state(world, agreement) == "DECLINED"
    assert "btn-seal" not in text(s1.get(f"/my/agreements/{agreement}"))


def test_the_partner_ends_an_agreement(world: World) -> None:
    agreement, s1 = world.agreement(), enter(world, "s1")
    assert s1.post(f"/my/agreements/{agreement}/terminate", {"reason": "短"}).status_code == 422
    assert (
        enter(world, "s2").post(f"/my/agreements/{agreement}/terminate", {"reason": REASON}).status_code
        == 403
    )
    assert s1.post(f"/my/agreements/{agreement}/terminate", {"reason": REASON}).status_code == 302
    assert state(world, agreement) == "TERMINATED"


def test_the_company_voids_and_ends(world: World) -> None:
    adm, gm = enter(world, "adm"), enter(world, "gm")
    sent, live = world.agreement(until="SENT"), world.agreement()
    assert "会停止" in text(adm.get(f"/agreements/{sent}"))
    assert adm.post(f"/agreements/{sent}/void", {"reason": "短"}).status_code == 422
    assert adm.post(f"/agreements/{sent}/void", {"reason": REASON}).status_code == 302
    assert gm.post(f"/agreements/{live}/terminate", {"reason": REASON}).status_code == 302
    assert (state(world, sent), state(world, live)) == ("VOID", "TERMINATED")
    assert gm.post(f"/agreements/{live}/terminate", {"reason": REASON}).status_code == 409
    assert enter(world, "arc1").post(f"/agreements/{live}/void", {"reason": REASON}).status_code == 403


def test_another_document_is_not_countersigned(world: World) -> None:
    agreement, gm = world.agreement(until="PARTNER_SIGNED"), enter(world, "gm")
    assert gm.post(f"/agreements/{agreement}/countersign", {"pdf_sha256": "0" * 64}).status_code == 409
    assert gm.post(f"/agreements/{agreement}/countersign").status_code == 409
    assert enter(world, "adm").post(f"/agreements/{agreement}/countersign").status_code == 403
    assert state(world, agreement) == "PARTNER_SIGNED"


def test_the_ledger_over_http(world: World) -> None:
    agreement = world.agreement()
    for who in ("gm", "dgm", "adm", "aud", "arc1"):
        browser = enter(world, who)
        page = text(browser.get("/agreements"))
        assert "保密协议台账" in page
        assert f"/agreements/{agreement}" in page
        assert browser.get(f"/agreements/{agreement}").status_code == 200
        assert browser.get(f"/agreements/{agreement}/pdf").get_data().startswith(b"%PDF-")
        assert browser.get(f"/agreements/{agreement}/pages/1.webp").status_code == 200
        assert browser.get(f"/agreements/{agreement}/certificate").status_code == 200
        assert browser.get(f"/agreements/{agreement}/evidence").status_code == 200
    adm = enter(world, "adm")
    studio = text(adm.get("/agreements"))
    assert "示例设计工作室（虚构）" in studio.partition("没有生效协议的合作单位")[2]
    assert f"/agreements/{agreement}" not in text(adm.get("/agreements?state=DRAFT"))
    assert f"/agreements/{agreement}" in text(adm.get("/agreements?state=nonsense&ending=12&organisation="))
    for who in ("biz.sj", "hod.sj", "sys"):
        assert enter(world, who).get("/agreements").status_code == 403


def test_a_draft_says_what_is_missing(world: World) -> None:
    adm = enter(world, "adm")
    for changes, said in (
        ({"classes": []}, "请选择信息类别"),
        ({"valid_to": "2000-01-01"}, "期限须为"),
        ({"signer": ""}, "请填写"),
        ({"all_clients": "", "clients": []}, "请选择客户"),
        ({"liability": ""}, "请填写"),
    ):
        given = {k: v for k, v in scope(world, **changes).items() if v}
        refused = adm.post("/agreements/new", given)
        assert refused.status_code == 422, changes
        assert said in text(refused)
    assert "agreement.draft" not in [e.event for e in world.leaves()]


def test_a_draft_from_an_organisation_and_from_an_earlier_agreement(world: World) -> None:
    earlier, adm = world.agreement(), enter(world, "adm")
    organisation = world.company.organisations["supplier"]
    page = text(adm.get(f"/agreements/new?organisation={organisation}"))
    assert "供应商联系人一、供应商联系人二" in page
    assert f'<option selected value="{world.id("s1")}">' in page
    page = text(adm.get(f"/agreements/new?from={earlier}"))
    assert "赔偿实际损失" in page
    assert re.search(r'<input checked[^>]*value="F08"', page)
    assert adm.get(f"/agreements/new?from={'0' * 32}").status_code == 404


def test_an_undertaking_must_be_ticked(world: World) -> None:
    agreement, s2 = world.agreement(pledges=()), enter(world, "s2")
    refused = s2.post("/my/pledge", {"agreement": agreement})
    assert refused.status_code == 422
    assert "请勾选后再接受" in text(refused)
    assert "还没有接受个人承诺" in text(s2.get("/my/agreements"))


def test_a_swapped_document_is_shown_to_nobody(world: World) -> None:
    agreement = world.agreement(until="SENT")
    world.deps.evidence.delete(f"agreement-{agreement}", 1)
    s1 = enter(world, "s1")
    page = s1.get(f"/my/agreements/{agreement}")
    assert page.status_code == 200
    assert "协议文件暂时无法读取" in text(page)
    assert "btn-seal" not in text(page)
    assert s1.get(f"/my/agreements/{agreement}/pdf").status_code == 503


def test_hostile_words_stay_words(world: World) -> None:
    agreement = drafted(world, liability="<script>alert(1)</script>{{ 7 * 7 }}%(x)s ${7*7}")
    page = enter(world, "adm").get(f"/agreements/{agreement}").get_data(as_text=True)
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;{{ 7 * 7 }}%(x)s ${7*7}" in page
    assert service.pdf_bytes(world.deps, agreement, actor=world.actor("adm"), now=world.now()).startswith(
        b"%PDF-"
    )


@pytest.mark.parametrize("form", ["csv", "xlsx", "pdf"])
def test_the_ledger_is_taken_away_as_a_file_and_the_log_knows(world: World, form: str) -> None:
    made = drafted(world)
    with world.deps.database.read() as session:
        number = session.get_one(Agreement, made).number
    aud = enter(world, "aud")
    answer = aud.get(f"/agreements/ledger.{form}")
    assert answer.status_code == 200
    assert "attachment" in answer.headers["Content-Disposition"]
    assert number in words_of(answer.get_data(), form)
    none = aud.get(f"/agreements/ledger.{form}?state=LAPSED")
    assert number not in words_of(none.get_data(), form)
    entries = logged(world, "agreement.exported")
    assert [(e.data["form"], e.data["rows"]) for e in entries] == [(form, 0), (form, 1)]


def words_of(data: bytes, form: str) -> str:
    if form == "csv":
        return data.decode("utf-8-sig")
    if form == "xlsx":
        sheet = openpyxl.load_workbook(io.BytesIO(data)).active
        return " ".join(str(cell.value) for row in sheet.iter_rows() for cell in row)
    with pypdfium2.PdfDocument(data) as document:
        return "".join(page.get_textpage().get_text_range() for page in document)


def logged(world: World, event: str) -> list[Any]:
    with world.deps.database.read() as session:
        found = log.page(session, log.LogFilter(event=event), limit=50)
    return list(found.entries)


def test_the_ledger_leaves_only_with_its_readers(world: World) -> None:
    assert enter(world, "biz.sj").get("/agreements/ledger.csv").status_code == 403
    assert enter(world, "s1").get("/agreements/ledger.csv").status_code == 404
    assert logged(world, "agreement.exported") == []


def scanned() -> bytes:
    out = io.BytesIO()
    Image.new("L", (620, 877), 230).save(out, "PDF")
    return out.getvalue()


def paper(world: World, adm: Browser, data: bytes, **changes: Any) -> TestResponse:
    today = (world.now() + timedelta(hours=8)).date().isoformat()
    given = scope(world, signed_on=today, location="档案室 3 柜 2 盒", template="", **changes)
    file = (io.BytesIO(data), "../扫描件.pdf", "application/pdf")
    return adm.post("/agreements/paper", {**given, "scan": file}, content_type="multipart/form-data")


def test_a_paper_agreement_is_registered_checked_by_two_and_governs(world: World) -> None:
    adm, arc = enter(world, "adm"), enter(world, "arc1")
    assert "登记纸质协议" in text(adm.get("/agreements/paper"))
    made = paper(world, adm, scanned())
    assert made.status_code == 302, text(made)
    agreement = made.headers["Location"].rpartition("/")[2]
    first = {"points": ["PAGES", "SEAM", "SEAL", "AUTHORITY"]}
    assert arc.post(f"/agreements/{agreement}/check/1", first).status_code == 403
    half = adm.post(f"/agreements/{agreement}/check/1", {"points": ["PAGES"]})
    assert (half.status_code, "每一项都须核对后勾选" in text(half)) == (422, True)
    assert adm.post(f"/agreements/{agreement}/check/1", first).status_code == 302
    assert "复核纸质协议" in text(arc.get(f"/agreements/{agreement}"))
    assert arc.get("/agreements/papers").headers["Location"].endswith("state=CHECK1")
    picture = arc.get(f"/agreements/{agreement}/pages/1.webp")
    assert (picture.status_code, picture.content_type) == (200, "image/webp")
    assert arc.get(f"/agreements/{agreement}/check/3").status_code == 404
    second = arc.post(f"/agreements/{agreement}/check/2", {"points": ["ORIGINAL", "SAME", "PLACE"]})
    assert second.status_code == 302
    assert state(world, agreement) == "IN_FORCE"
    ledger = text(adm.get("/agreements"))
    assert "纸质" in ledger
    assert "档案室 3 柜 2 盒" in ledger
    assert text(enter(world, "s1").get(f"/my/agreements/{agreement}")).count("所签文件的页面") >= 1


def test_a_scan_that_is_no_pdf_keeps_what_was_typed_and_stores_nothing(world: World) -> None:
    adm = enter(world, "adm")
    answer = paper(world, adm, b"GIF89a" + bytes(600))
    assert answer.status_code == 422
    assert "扫描件须为可以打开的 PDF" in text(answer)
    assert "档案室 3 柜 2 盒" in text(answer)
    with world.deps.database.read() as session:
        assert session.scalar(select(func.count()).select_from(Agreement)) == 0


def test_a_paper_that_does_not_fit_is_refused_with_a_reason(world: World) -> None:
    adm, arc = enter(world, "adm"), enter(world, "arc1")
    agreement = paper(world, adm, scanned()).headers["Location"].rpartition("/")[2]
    assert arc.post(f"/agreements/{agreement}/refuse", {"reason": "短"}).status_code == 422
    gone = arc.post(f"/agreements/{agreement}/refuse", {"reason": "印章名称与单位名称不一致"})
    assert gone.status_code == 302
    assert state(world, agreement) == "REFUSED"
