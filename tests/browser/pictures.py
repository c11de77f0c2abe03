"""The README's pictures, taken of a portal with demo data: `python -m tests.browser.pictures [FOLDER]`."""

from __future__ import annotations

import io
import sys
import tempfile
import warnings
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

from gateway.serving import free_port
from tests.browser.portal import Portal, launch, serving
from tests.factories import build_world

MOST_BYTES = 200_000


def take(page: Page, path: Path) -> None:
    """Saves what the page shows as a PNG of few colours, so that it stays small; raises ValueError over 200 KB."""
    shot = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    shot.quantize(128, dither=Image.Dither.NONE).save(path, optimize=True)
    if path.stat().st_size > MOST_BYTES:
        raise ValueError(f"{path.name} is larger than {MOST_BYTES} bytes")


def _bundle_ready(portal: Portal, share: str, items: list[str], folder: Path) -> None:
    bundle = portal.world.ready_bundle(share, items[:1])
    visit = portal.visit("s1", size="phone")
    visit.go(f"/my/bundles/{bundle}")
    visit.heading("副本已就绪")
    take(visit.page, folder / "bundle-ready.png")


def _checklist(portal: Portal, items: list[str], folder: Path) -> None:
    draft = portal.world.draft_share(items, title="厨房橱柜下单图")
    visit = portal.visit("biz.sj")
    visit.go(f"/shares/{draft}")
    take(visit.page, folder / "share-checklist.png")


def _log(portal: Portal, folder: Path) -> None:
    visit = portal.visit("aud")
    visit.go("/log")
    take(visit.page, folder / "log.png")


def main(folder: Path) -> None:
    """Builds the demo company in a folder that is thrown away, and takes the pictures."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="sealgate-pictures-") as home, sync_playwright() as playwright:
        world = build_world(Path(home) / "state", public_origin=f"http://127.0.0.1:{free_port()}")
        browser = launch(playwright)
        items = world.filed_items(2)
        draft_items = items[:1]
        with serving(world, browser) as portal:
            _checklist(portal, draft_items, folder)
        world.agreement()
        share = world.draft_share(items, title="平面图与立面图")
        world.approve_share(share)
        with serving(world, browser) as portal:
            _bundle_ready(portal, share, items, folder)
            _log(portal, folder)
        browser.close()
        world.deps.database.close()


if __name__ == "__main__":
    warnings.simplefilter("default")
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path("docs/pictures"))
