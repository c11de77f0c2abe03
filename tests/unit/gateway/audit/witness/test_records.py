"""The witness's memory: durable before it is used, refused when it is gone, held by one process."""

import os
from pathlib import Path

import pytest

from gateway.audit.witness.errors import WitnessUnusable
from gateway.audit.witness.records import FILE, Records

ROOT = bytes(range(32))


def test_what_was_saved_is_there_again(home: Path) -> None:
    held = Records(home)
    held.save("a.example/log", (7, ROOT))
    held.save("b.example/log", (9, ROOT))
    held.close()
    again = Records(home)
    assert again.latest("a.example/log") == (7, ROOT)
    assert again.latest("c.example/log")[0] == 0
    again.close()


def test_the_file_and_its_name_are_synced_before_save_returns(
    records: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    real_sync, real_replace = os.fsync, Path.replace

    def sync(handle: int) -> None:
        steps.append("folder" if Path(f"/proc/self/fd/{handle}").resolve().is_dir() else "file")
        real_sync(handle)

    def replace(self: Path, target: Path) -> Path:
        steps.append("rename")
        return real_replace(self, target)

    monkeypatch.setattr(os, "fsync", sync)
    monkeypatch.setattr(Path, "replace", replace)
    records.save("a.example/log", (7, ROOT))
    assert steps == ["file", "rename", "folder"]


def test_a_witness_that_forgot_does_not_start(home: Path) -> None:
    (home / FILE).unlink()
    with pytest.raises(WitnessUnusable, match="gone"):
        Records(home)


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        '{"a": 1}',
        '{"a": {"size": -1, "root": ""}}',
        '{"a": {"size": true, "root": "' + "A" * 43 + '="}}',
        '{"a": {"size": 1, "root": "AAAA"}}',
    ],
)
def test_damaged_records_are_refused(home: Path, content: str) -> None:
    (home / FILE).write_text(content)
    with pytest.raises(WitnessUnusable, match="damaged"):
        Records(home)


def test_one_process_holds_them(home: Path, records: Records) -> None:
    with pytest.raises(WitnessUnusable, match="another process"):
        Records(home)


def test_a_refused_start_lets_go(home: Path) -> None:
    good = (home / FILE).read_bytes()
    (home / FILE).write_text("x")
    with pytest.raises(WitnessUnusable):
        Records(home)
    (home / FILE).write_bytes(good)
    Records(home).close()


def test_records_are_made_once(home: Path) -> None:
    with pytest.raises(WitnessUnusable):
        Records.create(home)
