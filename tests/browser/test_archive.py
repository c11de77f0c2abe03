"""A file goes into the archive through the page: in parts, with progress, and on from where it broke off."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from playwright.sync_api import Route, expect

from tests.browser.portal import Portal, both
from tests.worlds import noisy_pdf

SIZE = 20 << 20


@both
def test_a_document_is_taken_in_and_goes_on_where_it_broke_off(
    portal: Portal, language: str, tmp_path: Path
) -> None:
    client = portal.world.company.clients["示例客户甲"]
    visit = portal.visit("biz.sj", language=language)
    visit.go(f"/clients/{client}/cases/new")
    visit.fill("title", "住宅装修案卷")
    visit.press("保存")
    visit.link("添加文件").click()
    visit.fill("title", "平面布置图")
    visit.page.locator("[name=type]").select_option("PLAN")
    visit.page.locator("[name=classes][value=F07]").check()
    visit.press("保存")
    expect(visit.page).to_have_url(re.compile("/items/"))

    data = noisy_pdf(SIZE)
    path = tmp_path / "平面布置图.pdf"
    path.write_bytes(data)
    sent: list[int] = []
    lost = [2, 3]

    def part(route: Route) -> None:
        number = int(route.request.url.rpartition("/")[2])
        if number not in lost:
            sent.append(number)
            route.continue_()
            return
        lost.remove(number)
        # The second part once meets a broken connection; the third hangs until the page is left.
        if number == 2:
            route.abort("connectionreset")

    visit.expects("ERR_CONNECTION_RESET")
    visit.page.route(re.compile("/uploads/.*/parts/"), part)
    visit.page.locator("#upload-file").set_input_files(path)
    with visit.page.expect_request(re.compile("/parts/3$")):
        visit.press("上传")
    # The page tried the second part again by itself.
    expect(visit.page.locator("[data-upload-words]")).to_have_text(f"{visit.say('正在上传')} 66%")
    assert visit.page.locator("[data-upload-status] progress").evaluate("bar => bar.value / bar.max") > 0.6
    visit.page.reload()
    visit.sees("上传未完成：在右侧重新选择同一文件继续。")
    visit.page.locator("#upload-file").set_input_files(path)
    visit.press("上传")
    expect(visit.page.locator("main")).to_contain_text(hashlib.sha256(data).hexdigest(), timeout=40_000)
    # Nothing that had arrived was sent again.
    assert sent == [1, 2, 3]


def test_what_cannot_be_marked_says_why(portal: Portal, tmp_path: Path) -> None:
    case = portal.world.case()
    visit = portal.visit("biz.sj")
    visit.go(f"/cases/{case}/items/new")
    visit.fill("title", "客户说明")
    visit.page.locator("[name=type]").select_option(index=1)
    visit.page.locator("[name=classes][value=F07]").check()
    visit.press("保存")
    path = tmp_path / "说明.txt"
    path.write_text("没有版式的文字")
    visit.page.locator("#upload-file").set_input_files(path)
    visit.press("上传")
    visit.sees("不可标记")
