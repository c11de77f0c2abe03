"""`sealgate storage` on a portal with real shares, on both installations."""

from __future__ import annotations

import secrets
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gateway import bootstrap
from gateway.cli import main
from gateway.engine import tasks
from gateway.errors import ConfigError
from storage.errors import Unavailable
from tests.worlds import Scene


def settings_of(scene: Scene) -> dict[str, str]:
    """The portal's settings as the environment gives them."""
    given = scene.deps.settings.model_dump(mode="json", exclude_none=True)
    return {
        f"SEALGATE_{name.upper()}": str(value) for name, value in given.items() if not isinstance(value, list)
    }


def sealgate(scene: Scene, *words: str, **more: str) -> Result:
    return CliRunner().invoke(main, ["storage", *words], env={**settings_of(scene), **more})


def objects(scene: Scene) -> list[str]:
    return [stat.key for stat in scene.deps.stores["objects"].list()]


def test_a_portal_in_order_has_no_finding(both: Scene) -> None:
    done = sealgate(both, "check", "--deep")
    assert done.exit_code == 0, done.output
    assert "whole and as it was recorded" in done.output


def test_what_is_wrong_is_named_and_ends_with_code_1(both: Scene) -> None:
    store, (missing, altered, *_) = both.deps.stores["objects"], objects(both)
    data = bytearray(b"".join(store.open(altered)))
    data[-1] ^= 1
    store.delete(missing)
    store.delete(altered)
    store.put(altered, [bytes(data)])
    store.put("item-" + "0" * 32 + ".v1", [b"nobody's"])
    shallow, deep = sealgate(both, "check"), sealgate(both, "check", "--deep")
    assert shallow.exit_code == deep.exit_code == 1
    assert f"objects/{missing}: recorded, but not in the store" in shallow.output
    assert "objects/item-" + "0" * 32 + ".v1: in the store without any record" in shallow.output
    assert altered not in shallow.output
    assert f"objects/{altered}: altered" in deep.output


def test_upkeep_sweeps_what_crashes_left_and_only_when_it_is_a_day_old(both: Scene) -> None:
    key, now = "item-" + "0" * 32 + ".v1", both.world.now()
    store = both.deps.stores["objects"]
    store.begin(key)
    [task] = [task for task in tasks(both.deps) if task.name == "leftovers"]
    task.run(now + timedelta(hours=23))
    assert len(list(store.uploads(key))) == 1
    task.run(now + timedelta(hours=25))
    assert list(store.uploads(key)) == []
    assert sealgate(both, "check").exit_code == 0


@pytest.mark.services
def test_a_store_that_lacks_versioning_is_not_started_on(production, tmp_path: Path) -> None:
    scene, settings = Scene(production, "", []), production.deps.settings
    assert bootstrap.lacking(settings) == []
    bootstrap.start(settings).database.close()
    other = settings.model_copy(update={"s3_bucket_objects": f"plain-{secrets.token_hex(5)}"})
    production.deps.stores["objects"]._wire._client.create_bucket(Bucket=other.s3_bucket_objects)
    with pytest.raises(ConfigError) as caught:
        bootstrap.start(other)
    assert [problem for problem in caught.value.problems if "versioning is missing" in problem]
    done = sealgate(scene, "check", SEALGATE_S3_BUCKET_OBJECTS=other.s3_bucket_objects)
    assert done.exit_code == 1
    assert f"the object store lacks: {other.s3_bucket_objects}: versioning" in done.output
    mended = sealgate(scene, "init", SEALGATE_S3_BUCKET_OBJECTS=other.s3_bucket_objects)
    assert mended.exit_code == 0, mended.output
    bootstrap.start(other).database.close()


@pytest.mark.services
def test_a_store_that_does_not_answer_is_not_started_on(production) -> None:
    from gateway.serving import free_port

    gone = production.deps.settings.model_copy(update={"s3_endpoint": f"http://127.0.0.1:{free_port()}"})
    with pytest.raises(Unavailable):
        bootstrap.start(gone)


@pytest.mark.services
def test_init_by_the_root_makes_a_user_who_can_change_no_bucket(production, minio, tmp_path: Path) -> None:
    tag, scene = secrets.token_hex(5), Scene(production, "", [])
    names = {f"SEALGATE_S3_BUCKET_{kind.upper()}": f"{kind}-{tag}" for kind in bootstrap.STORES}
    files = {"root": minio.access_key, "word": minio.secret_key, "user": f"portal-{tag}", "key": "k" * 24}
    for name, value in files.items():
        (tmp_path / name).touch(mode=0o600)
        (tmp_path / name).write_text(value)
    names["SEALGATE_S3_ACCESS_KEY_FILE"] = str(tmp_path / "user")
    names["SEALGATE_S3_SECRET_KEY_FILE"] = str(tmp_path / "key")
    assert sealgate(scene, "init", **names).exit_code == 1
    root = "--root-user-file", str(tmp_path / "root"), "--root-password-file", str(tmp_path / "word")
    for _ in range(2):
        done = sealgate(scene, "init", *root, **names)
        assert done.exit_code == 0, done.output
    assert "k" * 24 not in done.output
    assert sealgate(scene, "init", "--root-user-file", str(tmp_path / "root"), **names).exit_code == 2
    assert sealgate(scene, "init", **names).exit_code == 0
