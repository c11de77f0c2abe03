"""The web door: what it is built from and what it refuses to start with."""

from pathlib import Path

import pytest

from gateway import bootstrap
from gateway.app import ROOMS, create_app
from gateway.config import load
from gateway.errors import ConfigError


def test_without_settings_every_missing_one_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError) as refused:
        create_app()
    named = {problem.split(":")[0] for problem in refused.value.problems}
    assert {"SEALGATE_HOME", "SEALGATE_PUBLIC_ORIGIN", "SEALGATE_COMPANY_NAME", "SEALGATE_FONDS"} <= named


def test_without_keys_the_portal_does_not_start(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    given = {
        "HOME": str(tmp_path),
        "PUBLIC_ORIGIN": "http://localhost",
        "COMPANY_NAME": "某装饰公司",
        "COMPANY_USCC": "9" * 18,
        "FONDS": "SG01",
    }
    for name, value in given.items():
        monkeypatch.setenv(f"SEALGATE_{name}", value)
    with pytest.raises(ConfigError, match=r"session\.key: missing"):
        create_app()
    assert not list(tmp_path.iterdir())


def test_the_whole_portal_starts_and_every_room_is_in_it(tmp_path: Path) -> None:
    settings = load(
        {},
        home=str(tmp_path),
        public_origin="http://localhost",
        company_name="某装饰公司",
        company_uscc="9" * 18,
        fonds="SG01",
    )
    bootstrap.make_keys(settings)
    deps = bootstrap.build(settings)
    try:
        app = create_app(deps)
        assert {room.bp.name for room in ROOMS} | {"web"} == set(app.blueprints)
        # What the web layer names by path must be there.
        paths = {rule.rule: rule.methods for rule in app.url_map.iter_rules()}
        assert {"/", "/sign-in", "/verify", "/sign-out", "/language", "/theme"} <= set(paths)
        assert "POST" in (paths["/sign-out"] or ())
    finally:
        deps.database.close()
