"""The partner reads and signs the agreement."""

from __future__ import annotations

import hashlib
import io
import re
import zipfile
from pathlib import Path

import pikepdf
from playwright.sync_api import expect

from gateway.signing.models import Agreement
from tests.browser.portal import Portal, Visit, both, sizes

SIGNER = "供应商联系人一"


def _state(portal: Portal, agreement: str) -> str:
    with portal.world.deps.database.read() as session:
        return session.get_one(Agreement, agreement).state


def _read(visit: Visit) -> None:
    visit.heading("签署保密协议")
    deed = visit.page.get_by_role("region", name=visit.say("协议全文，可滚动"))
    expect(deed).to_contain_text("保密")
    expect(deed).to_contain_text("no marketing, profiling")
    expect(visit.page.locator(".sg-deed > [lang]").first).to_have_attribute("lang", visit.language)
    for image in visit.page.locator("img.sg-deed-page").all():
        image.scroll_into_view_if_needed()
        expect(image).to_have_js_property("complete", True)
        assert image.evaluate("picture => picture.naturalWidth") > 600


def _sign(visit: Visit) -> None:
    visit.fill("name", SIGNER)
    visit.page.locator("main #consent").check()
    visit.press("签署")


def _pdf(visit: Visit) -> tuple[bytes, int]:
    found = visit.context.request.get(visit.page.url.partition("#")[0] + "/pdf")
    assert found.ok
    assert found.headers["content-type"] == "application/pdf"
    return found.body(), len(pikepdf.open(io.BytesIO(found.body())).pages)


@both
@sizes
def test_the_signer_reads_signs_and_keeps_the_evidence(
    portal: Portal, language: str, size: str, tmp_path: Path
) -> None:
    agreement = portal.world.agreement(until="SENT")
    visit = portal.visit(size=size, language=language)
    visit.sign_in("s1")
    visit.page.get_by_role("link", name=visit.say("协议"), exact=True).click()
    visit.link("阅读并签署").click()
    _read(visit)
    digest = visit.page.locator("[name=pdf_sha256]").input_value()
    document, pages = _pdf(visit)
    assert hashlib.sha256(document).hexdigest() == digest
    assert visit.page.locator("img.sg-deed-page").count() == pages
    if size == "phone":
        _draw(visit)
    # The factor that was fresh at sign-in is too old by the time the agreement has been read.
    portal.world.clock.advance(minutes=11)
    visit.expects("console error: Failed to load resource.* 403 ")
    _sign(visit)
    visit.heading("输入动态口令")
    assert _state(portal, agreement) == "VIEWED"
    visit.fill("otp", visit.code())
    visit.press("继续")
    visit.heading("客户信息保密协议")
    visit.sees("已签署，待对方会签后生效。")
    assert _state(portal, agreement) == "PARTNER_SIGNED"
    assert _pdf(visit)[0] == document
    kept = visit.save(visit.page.locator("a[href$=evidence]"), tmp_path)
    assert any(zipfile.ZipFile(kept).read(name) == document for name in zipfile.ZipFile(kept).namelist())
    assert ("drawing" in "".join(zipfile.ZipFile(kept).namelist())) == (size == "phone")


def _draw(visit: Visit) -> None:
    pen = visit.page.locator("canvas.sg-pen")
    pen.scroll_into_view_if_needed()
    box = pen.bounding_box()
    assert box is not None
    mouse = visit.page.mouse
    mouse.move(box["x"] + 20, box["y"] + 30)
    mouse.down()
    for step in range(1, 12):
        mouse.move(box["x"] + 20 + 15 * step, box["y"] + 30 + 40 * (step % 2))
    mouse.up()
    drawing = visit.page.locator("[name=drawing]")
    expect(drawing).to_have_value(re.compile("^data:image/png;base64,"))


@both
def test_without_scripts_a_name_is_needed_and_enough(portal: Portal, language: str) -> None:
    agreement = portal.world.agreement(until="SENT")
    visit = portal.visit("s1", size="phone", language=language, script=False)
    visit.expects("console error: Failed to load resource.* 422 ")
    visit.go(f"/my/agreements/{agreement}")
    visit.heading("签署保密协议")
    visit.page.locator("main #consent").check()
    visit.fill("name", "  ")
    visit.press("签署")
    expect(visit.page.locator("#name")).to_have_attribute("aria-invalid", "true")
    assert _state(portal, agreement) == "SENT"
    _sign(visit)
    visit.sees("已签署，待对方会签后生效。")
    assert _state(portal, agreement) == "PARTNER_SIGNED"
