"""A full or read-only disk under the objects, really mounted: the portal says so, loses nothing, and goes on by itself."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from gateway.cli import main
from storage.errors import Unavailable
from storage.local import LocalStore
from tests.factories import World, copy_world

MIB = 1 << 20


class Disk:
    """A small file system of its own."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir()
        self._mount("-t", "tmpfs", "-o", "size=2m", "tmpfs")

    def _mount(self, *words: str) -> None:
        subprocess.run(["mount", *words, str(self.path)], check=True, capture_output=True)

    def grow(self) -> None:
        self._mount("-o", "remount,size=32m")

    def read_only(self, on: bool) -> None:
        self._mount("-o", f"remount,{'ro' if on else 'rw'}")

    def free(self) -> int:
        found = os.statvfs(self.path)
        return found.f_bavail * found.f_bsize

    def unmount(self) -> None:
        subprocess.run(["umount", "--lazy", str(self.path)], check=True)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("only root may mount")
    try:
        made = Disk(tmp_path / "disk")
    except subprocess.CalledProcessError:
        pytest.skip("mounting is not allowed here")
    yield made
    made.unmount()


def leftovers(store: LocalStore, disk: Disk) -> list[Path]:
    return [path for path in disk.path.rglob("*") if path.name.startswith(".new-")]


def test_the_store_on_a_full_disk(disk: Disk) -> None:
    store = LocalStore(disk.path / "objects")
    store.put("kept", [b"kept"])
    before = disk.free()
    with pytest.raises(Unavailable, match="No space left"):
        store.put("large", [secrets.token_bytes(MIB) for _ in range(3)])
    upload = store.begin("parts")
    one = store.put_part("parts", upload, 1, secrets.token_bytes(MIB))
    with pytest.raises(Unavailable):
        store.put_part("parts", upload, 2, secrets.token_bytes(MIB))
    # Joining needs the room of the parts once more.
    with pytest.raises(Unavailable):
        store.complete("parts", upload, [one])
    assert leftovers(store, disk) == []
    assert [stat.key for stat in store.list()] == ["kept"]
    assert b"".join(store.open("kept")) == b"kept"
    disk.grow()
    two = store.put_part("parts", upload, 2, b"end")
    assert store.complete("parts", upload, [one, two]).size == MIB + 3
    store.delete("parts")
    assert disk.free() > before


def test_the_store_on_a_disk_that_is_read_only(disk: Disk) -> None:
    store = LocalStore(disk.path / "objects")
    store.put("kept", [b"kept"])
    disk.read_only(True)
    for ask in (
        lambda: store.put("more", [b"x"]),
        lambda: store.delete("kept"),
        lambda: store.begin("parts"),
    ):
        with pytest.raises(Unavailable, match="Read-only file system"):
            ask()
    assert b"".join(store.open("kept")) == b"kept"
    disk.read_only(False)
    store.put("more", [b"x"])
    store.delete("kept")
    assert [stat.key for stat in store.list()] == ["more"]


@pytest.fixture
def world(template: World, disk: Disk, tmp_path: Path) -> Iterator[World]:
    """A portal whose objects, and nothing else, lie on the small disk."""
    made = copy_world(template, tmp_path / "home", store_folder=disk.path / "store")
    yield made
    made.deps.database.close()


def pdf_of(size: int) -> bytes:
    """A PDF that does not compress."""
    from tests.worlds import noisy_pdf

    return noisy_pdf(size)


def begun(world: World) -> tuple:
    """An item that waits for its file, and the browser of whoever sends it."""
    from gateway.archive.items import ItemEntry
    from gateway.archive.service import add_item

    entry = ItemEntry(title="平面图", type="PLAN", classes=("F07",))
    item = add_item(world.deps, world.case(), entry, actor=world.actor("biz.sj"), now=world.now())
    return item, world.browser("biz.sj")


def send(world: World, browser, item: str, data: bytes) -> tuple[str, int, str]:
    """One upload; the id, and status and text of the answer to its only part."""
    assert browser.get("/cases").status_code == 200
    started = browser.post(f"/items/{item}/uploads", {"name": "平面图.pdf", "size": str(len(data))})
    assert started.status_code == 200, started.get_data(as_text=True)
    upload = started.get_json()["upload"]
    answer = browser.put(f"/uploads/{upload}/parts/1", data)
    return upload, answer.status_code, answer.get_data(as_text=True)


@pytest.mark.parametrize(("language", "said"), [("zh-CN", "暂时不可用"), ("en", "Temporarily unavailable")])
def test_an_upload_to_a_full_disk_is_refused_in_the_readers_language_and_goes_on_later(
    world: World, disk: Disk, language: str, said: str
) -> None:
    item, _ = begun(world)
    browser, data = world.browser("biz.sj", language=language), pdf_of(3 * MIB)
    upload, status, text = send(world, browser, item, data)
    assert (status, said in text) == (503, True)
    assert "No space" not in text
    assert str(disk.path) not in text
    assert browser.post(f"/uploads/{upload}/complete").status_code == 422
    disk.grow()
    again, status, _ = send(world, browser, item, data)
    assert (again, status) == (upload, 200)
    assert browser.post(f"/uploads/{upload}/complete").status_code == 200
    world.drain()
    digest = world.deps.objects.digest(f"item-{item}", 1)
    assert digest.size == len(data)


def test_a_read_only_disk_costs_nothing_that_is_there(world: World, disk: Disk) -> None:
    disk.grow()
    item, browser = begun(world)
    data = pdf_of(MIB)
    upload, status, _ = send(world, browser, item, data)
    assert status == 200
    assert browser.post(f"/uploads/{upload}/complete").status_code == 200
    world.drain()
    disk.read_only(True)
    second, _ = begun(world)
    answer = browser.post(f"/items/{second}/uploads", {"name": "另一张.pdf", "size": "1000"})
    assert answer.status_code == 503
    assert world.deps.objects.digest(f"item-{item}", 1).size == len(data)
    disk.read_only(False)
    assert send(world, browser, second, data)[1] == 200


def test_the_command_says_one_sentence(world: World, disk: Disk) -> None:
    """The folder is made by the check itself, which a read-only disk does not allow."""
    shutil.rmtree(disk.path / "store")
    disk.read_only(True)
    given = world.deps.settings.model_dump(mode="json", exclude_none=True)
    env = {f"SEALGATE_{n.upper()}": str(v) for n, v in given.items() if not isinstance(v, list)}
    done = CliRunner().invoke(main, ["storage", "check"], env=env)
    assert done.exit_code == 1
    assert done.output.strip() == "Error: the folder store failed: Read-only file system"


def test_sweeping_on_a_full_disk_makes_room(disk: Disk) -> None:
    store = LocalStore(disk.path / "objects")
    store.put_part("k", store.begin("k"), 1, secrets.token_bytes(MIB))
    with pytest.raises(Unavailable):
        store.put("large", [secrets.token_bytes(MIB)] * 2)
    assert store.sweep(datetime.now(UTC) + timedelta(hours=1)) == 1
    store.put("large", [secrets.token_bytes(MIB)])
