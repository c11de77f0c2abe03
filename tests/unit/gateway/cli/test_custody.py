"""`sealgate keys`, `backup` and `restore` as people type them: what they print, how they refuse in one sentence with code 1."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pyrage
import pytest
from click.testing import CliRunner, Result

from gateway import bootstrap
from gateway.cli import main
from gateway.config import load
from gateway.custody import shred
from gateway.principal import SYSTEM

REASON = "保管期限届满，依法销毁"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installation with one object to keep and one to destroy, recipients and identity beside it."""
    for name, value in {
        "HOME": str(tmp_path / "home"),
        "PUBLIC_ORIGIN": "http://127.0.0.1:8080",
        "COMPANY_NAME": "示例公司",
        "COMPANY_USCC": "0" * 18,
        "FONDS": "SG01",
        "BACKUP_RECIPIENTS": str(tmp_path / "recipients"),
    }.items():
        monkeypatch.setenv(f"SEALGATE_{name}", value)
    for name in ("identity", "other"):
        made = pyrage.x25519.Identity.generate()
        (tmp_path / name).touch(mode=0o600)
        (tmp_path / name).write_text(str(made))
        if name == "identity":
            (tmp_path / "recipients").write_text(str(made.to_public()))
    assert run("init").exit_code == 0
    deps = bootstrap.build(load())
    for name in ("item-1", "item-2"):
        deps.objects.put(name, 1, iter([b"content"]))
    deps.log.heartbeat(now=deps.clock())
    deps.keyring.close()
    deps.database.close()
    return tmp_path


def run(*words: str | Path) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


def done(*words: str | Path) -> str:
    result = run(*words)
    assert result.exit_code == 0, result.output
    return result.stdout


def refused(*words: str | Path) -> str:
    """The one sentence of the refusal; what is wrong by name may stand above it."""
    result = run(*words)
    assert result.exit_code == 1, result.output
    *findings, sentence = result.stderr.splitlines()
    assert sentence.startswith("Error: ")
    assert all(line.startswith("  ") for line in findings)
    return result.stderr


def destroyed(name: str) -> None:
    deps = bootstrap.build(load())
    shred.destroy(deps, "objects", name, versions=1, reason=REASON, actor=SYSTEM, now=deps.clock())
    deps.keyring.close()
    deps.database.close()


def lost(place: Path) -> None:
    """All of the installation is gone."""
    shutil.rmtree(place / "home")


def test_status_tells_epochs_exports_and_pending_destructions(place: Path) -> None:
    said = done("keys", "status")
    assert "epoch 1: 2 keys\n" in said
    assert "the newest epoch is in no export" in said
    assert "destroyed: 0 pending, 0 final\n" in said
    done("keys", "export-backup", place / "keys.age")
    destroyed("item-1")
    said = done("keys", "status")
    assert ": epochs 1, destroy by " in said
    assert "in no export" not in said
    assert "item-1: pending until backups expire, " in said
    assert "destroyed: 1 pending, 0 final\n" in said


def test_a_rotation_is_told_and_its_export_holds_the_new_epoch(place: Path) -> None:
    assert "rotation done: epoch 2, 2 keys wrapped anew\n" in done("keys", "rotate")
    said = done("keys", "rotate", "--export", place / "new.age")
    assert "epoch 3, 2 keys" in said
    assert "in no export" not in said
    assert "epoch 3: 2 keys\n" in done("keys", "status")


def test_an_export_goes_over_no_file_and_needs_recipients(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = done("keys", "export-backup", place / "keys.age")
    assert said.startswith("epochs 1 exported; destroy the file by ")
    assert "cannot be used" in refused("keys", "export-backup", place / "keys.age")
    monkeypatch.delenv("SEALGATE_BACKUP_RECIPIENTS")
    assert "No recovery recipients" in refused("keys", "export-backup", place / "more.age")
    assert "No recovery recipients" in refused("keys", "rotate", "--export", place / "more.age")
    assert "No recovery recipients" in refused("backup", place / "safe")
    assert not (place / "more.age").exists()
    assert not (place / "safe").exists()


def test_keys_and_backups_refuse_each_others_folders(place: Path) -> None:
    done("backup", place / "safe")
    assert "cannot be used" in refused("keys", "export-backup", place / "safe" / "keys.age")
    (place / "apart").mkdir()
    done("keys", "export-backup", place / "apart" / "keys.age")
    assert "cannot be used" in refused("backup", place / "apart" / "data")


def test_all_is_lost_and_comes_back(place: Path) -> None:
    (place / "apart").mkdir()
    done("keys", "export-backup", place / "apart" / "keys.age")
    said = done("backup", place / "safe")
    assert ": 2 objects, 2 copied now\n" in said
    assert ": 2 objects, 0 copied now\n" in done("backup", place / "safe")
    lost(place)
    said = done("keys", "restore", place / "apart" / "keys.age", "--identity", place / "identity")
    assert "key files restored" in said
    said = done("restore", place / "safe", "--identity", place / "identity")
    assert "rows, 2 objects\n" in said
    assert "sessions are void; shares are suspended" in said
    assert "epoch 1: 2 keys\n" in done("keys", "status")
    deps = bootstrap.build(load())
    assert b"".join(deps.objects.open("item-1", 1)) == b"content"
    deps.keyring.close()
    deps.database.close()


def test_what_was_destroyed_since_is_left_out_and_said(place: Path) -> None:
    (place / "apart").mkdir()
    first = done("backup", place / "safe").split()[1].rstrip(":")
    destroyed("item-1")
    done("keys", "export-backup", place / "apart" / "keys.age")
    done("backup", place / "safe")
    lost(place)
    done("keys", "restore", place / "apart" / "keys.age", "--identity", place / "identity")
    said = done("restore", place / "safe", "--identity", place / "identity", "--at", first)
    assert "left out because they were destroyed since: 1\n" in said


def test_keys_return_by_the_right_identity_into_an_empty_folder(place: Path) -> None:
    done("keys", "export-backup", place / "keys.age")
    again: Callable[[str], str] = lambda name: refused(  # noqa: E731
        "keys", "restore", place / "keys.age", "--identity", place / name
    )
    assert "not empty" in again("identity")
    lost(place)
    assert "does not open it" in again("other")
    (place / "keys.age").write_bytes((place / "keys.age").read_bytes()[:-9])
    assert "damaged" in again("identity")
    assert not (place / "home" / "keys").exists()


def test_a_restore_over_a_portal_by_a_stranger_or_from_nowhere_is_refused(place: Path) -> None:
    done("backup", place / "safe")
    assert "not empty" in refused("restore", place / "safe", "--identity", place / "identity")
    assert "does not open it" in refused("restore", place / "safe", "--identity", place / "other")
    assert "cannot be used" in refused("restore", place / "absent", "--identity", place / "identity")
    assert "cannot be used" in refused(
        "restore", place / "safe", "--identity", place / "identity", "--at", "x"
    )
    (place / "identity").chmod(0o644)
    assert "settings" in refused("restore", place / "safe", "--identity", place / "identity")


def test_a_drill_says_how_it_went_and_what_is_missing(place: Path) -> None:
    done("backup", place / "safe")
    words = ("restore", place / "safe", "--identity", place / "identity", "--drill")
    said = done(*words)
    assert ": PASSED; record drill-" in said
    next(path for path in (place / "safe" / "objects").rglob("*") if path.is_file()).unlink()
    result = run(*words)
    assert result.exit_code == 1
    assert "  objects/item-" in result.stderr and "missing or of another size" in result.stderr
    assert "Error: the backup could not be restored" in result.stderr
    records = [json.loads(path.read_text()) for path in (place / "home" / "drills").iterdir()]
    assert sorted(one["outcome"] for one in records) == ["INCOMPLETE", "PASSED"]
