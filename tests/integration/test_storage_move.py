"""A portal's objects carried to MinIO and back by the command, killed in the middle, and switched to when complete only."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gateway import bootstrap
from gateway.cli import main
from gateway.config import Settings
from gateway.errors import ConfigError
from tests.factories import copy_world, settings_at
from tests.soak import kills
from tests.worlds import Scene

pytestmark = pytest.mark.services
ROOT = Path(__file__).parents[2]


def environment(settings: Settings) -> dict[str, str]:
    given = settings.model_dump(mode="json", exclude_none=True)
    return {
        f"SEALGATE_{name.upper()}": str(value) for name, value in given.items() if not isinstance(value, list)
    }


def sealgate(settings: Settings, *words: str) -> Result:
    return CliRunner().invoke(main, ["storage", *words], env=environment(settings))


def check(settings: Settings) -> None:
    done = sealgate(settings, "check", "--deep")
    assert done.exit_code == 0, done.output


@pytest.fixture
def old(template_scene: Scene, tmp_path: Path) -> Settings:
    """An embedded portal with an active share, a bundle and agreements."""
    copy_world(template_scene.world, tmp_path / "home").deps.database.close()
    return settings_at(tmp_path / "home")


@pytest.fixture
def new(old: Settings, minio, tmp_path: Path) -> Settings:
    """The same portal with its objects in MinIO."""
    for name, value in (("access", minio.access_key), ("secret", minio.secret_key)):
        (tmp_path / name).touch(mode=0o600)
        (tmp_path / name).write_text(value)
    keys = {"s3_access_key_file": tmp_path / "access", "s3_secret_key_file": tmp_path / "secret"}
    tag = os.urandom(4).hex()
    named = {f"s3_bucket_{kind}": f"{kind}-{tag}" for kind in bootstrap.STORES}
    return old.model_copy(update={"storage": "s3", "s3_endpoint": minio.endpoint, **keys, **named})


def words(old: Settings, new: Settings) -> tuple[str, ...]:
    """How the old portal is told to go to the new store."""
    keys = "--access-key-file", str(new.s3_access_key_file), "--secret-key-file", str(new.s3_secret_key_file)
    return "copy", "--to", f"s3:{new.s3_endpoint}", *keys


def test_to_minio_and_back_with_kills_on_the_way(old: Settings, new: Settings, tmp_path: Path) -> None:
    named = {name: getattr(new, name) for name in type(new).model_fields if name.startswith("s3_bucket_")}
    old = old.model_copy(update=named)
    check(old)
    if kills.available():
        command = [sys.executable, "-m", "gateway.cli", "storage", *words(old, new)]
        env = {**environment(old), "PYTHONPATH": str(ROOT)}
        trial = kills.run(command, tmp_path, kills.Place("sendto", 40), environment=env)
        assert trial.killed, trial.errors
        with pytest.raises(ConfigError, match="not everything was carried"):
            bootstrap.start(new)
    first = sealgate(old, *words(old, new))
    assert first.exit_code == 0, first.output
    with pytest.raises(ConfigError, match="not everything was carried"):
        bootstrap.start(new)
    last = sealgate(old, *words(old, new), "--last")
    assert last.exit_code == 0, last.output
    assert "0 carried now" in last.output
    bootstrap.start(new).database.close()
    check(new)
    back = old.model_copy(update={"store_folder": tmp_path / "back"})
    home = sealgate(new, "copy", "--to", f"local:{tmp_path / 'back'}", "--last")
    assert home.exit_code == 0, home.output
    bootstrap.start(back).database.close()
    check(back)
    assert tree(old.objects) == tree(back.objects)


def tree(folder: Path) -> dict[str, bytes]:
    """Every object's bytes."""
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def test_what_the_command_does_not_take(old: Settings) -> None:
    for to in ("nowhere", "local:", "s3:http://127.0.0.1:9", "ftp://x"):
        assert sealgate(old, "copy", "--to", to).exit_code == 2
    here = sealgate(old, "copy", "--to", f"local:{old.objects}")
    assert here.exit_code == 2
    assert "there already" in here.output
