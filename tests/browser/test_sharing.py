"""The partner's copy: prepared, watched, collected, opened; and how long its passphrase is shown."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pikepdf
import pytest
import pyzipper
from playwright.sync_api import expect

from gateway.sharing.models import Bundle
from tests.browser.conftest import Shared
from tests.browser.portal import Visit, both, sizes

POLLED = 30_000


def _choose(visit: Visit, shared: Shared, count: int) -> None:
    visit.go("/my/shares")
    visit.link("领取副本").click()
    for item in shared.items[count:]:
        visit.page.locator(f"#item-{item}").uncheck()
    visit.press("领取副本")


def _collect(visit: Visit, folder: Path) -> Path:
    expect(visit.page.get_by_role("heading", level=1)).to_have_text(visit.say("副本已就绪"), timeout=POLLED)
    visit.press("下载")
    visit.heading("副本已领取")
    return visit.save(visit.link("保存文件"), folder)


def _verify(receipt: Path, shared: Shared, folder: Path) -> subprocess.CompletedProcess[str]:
    key = folder / "checkpoint.key"
    key.write_text(shared.portal.world.deps.log.vkey)
    command = [sys.executable, "-m", "gateway.audit", "verify", str(receipt), "--key", str(key)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def _bundle(shared: Shared, visit: Visit) -> Bundle:
    with shared.portal.world.deps.database.read() as session:
        return session.get_one(Bundle, visit.page.url.split("/")[5])


@both
@sizes
def test_a_partner_prepares_collects_and_opens_a_copy(
    shared: Shared, language: str, size: str, tmp_path: Path
) -> None:
    visit = shared.portal.visit(size=size, language=language)
    visit.sign_in("s1")
    _choose(visit, shared, 1)
    saved = _collect(visit, tmp_path)
    page = visit.page.url
    visit.press("显示口令（仅一次）")
    secret = visit.page.locator("#secret")
    passphrase = secret.inner_text()
    visit.press("复制口令")
    expect(visit.page.get_by_text(visit.say("已复制"))).to_be_visible()
    assert visit.page.evaluate("navigator.clipboard.readText()") == passphrase
    with pytest.raises(pikepdf.PasswordError):
        pikepdf.open(saved)
    with pikepdf.open(saved, password=passphrase) as opened:
        assert len(opened.pages) == 2
    visit.press("我已保存")
    visit.sees("已记下。口令在这里已删除，不能再显示。")
    for _ in range(2):
        expect(secret).to_have_count(0)
        expect(visit.button("显示口令（仅一次）")).to_have_count(0)
        assert passphrase not in visit.page.content()
        visit.go(page.removesuffix("/collect"))
    assert _bundle(shared, visit).state == "COLLECTED"
    for name in ("issue", "collect"):
        receipt = visit.save(visit.page.locator(f"a[href$='{name}.tlog-proof']"), tmp_path)
        found = _verify(receipt, shared, tmp_path)
        assert found.returncode == 0, found.stdout + found.stderr
    for name in ("cover.pdf", "manifest.json", "manifest.sig"):
        assert visit.save(visit.page.locator(f"a[href$='{name}']"), tmp_path).stat().st_size > 0


def test_several_files_come_as_one_sealed_archive_and_are_counted(shared: Shared, tmp_path: Path) -> None:
    visit = shared.portal.visit("s1", size="phone")
    visit.go("/my/shares")
    visit.link("领取副本").click()
    visit.page.get_by_label(visit.say("自动选择")).check()
    visit.press("领取副本")
    saved = _collect(visit, tmp_path)
    visit.press("显示口令（仅一次）")
    passphrase = visit.page.locator("#secret").inner_text()
    with pyzipper.AESZipFile(saved) as sealed:
        names = [name for name in sealed.namelist() if name.endswith(".pdf")]
        sealed.setpassword(passphrase.encode())
        assert len(names) >= 2 and all(sealed.read(name).startswith(b"%PDF") for name in names)
    with zipfile.ZipFile(saved) as plain, pytest.raises((RuntimeError, NotImplementedError)):
        plain.read(names[0])
    visit.go(f"/my/shares/{shared.share}")
    expect(visit.page.locator("main")).to_contain_text(visit.say("%(n)d 次", n=2))


def test_progress_is_polled_without_loading_the_page_again(shared: Shared) -> None:
    visit = shared.portal.visit("s1", size="phone")
    loads: list[str] = []
    polls: list[str] = []
    visit.page.on(
        "request", lambda asked: (loads if asked.is_navigation_request() else polls).append(asked.url)
    )
    _choose(visit, shared, 1)
    expect(visit.page.get_by_role("heading", level=1)).to_have_text("副本已就绪", timeout=POLLED)
    assert any(url.split("?")[0].endswith("/progress") for url in polls)
    # Home list, the share, the answer to asking, the bundle, and once more when it was made.
    assert sum("/my/bundles/" in url for url in loads) == 2


@both
def test_without_scripts_a_partner_collects_all_the_same(
    shared: Shared, language: str, tmp_path: Path
) -> None:
    visit = shared.portal.visit(size="phone", language=language, script=False)
    visit.sign_in("s1")
    _choose(visit, shared, 1)
    visit.heading("正在制作您的副本")
    bundle = visit.page.url

    def made() -> bool:
        return _bundle(shared, visit).state == "READY"

    shared.portal.until(made)
    visit.go(bundle)
    saved = _collect(visit, tmp_path)
    visit.press("显示口令（仅一次）")
    passphrase = visit.page.locator("#secret").inner_text()
    assert len(pikepdf.open(saved, password=passphrase).pages) == 2
