"""The log's verbs: its key, and the whole log as a folder."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gateway import bootstrap
from gateway.audit import folder, note
from gateway.cli import main
from gateway.config import load


@pytest.fixture
def portal(tmp_path: Path) -> dict[str, str]:
    """The environment of an empty portal."""
    found = {
        "SEALGATE_HOME": str(tmp_path / "home"),
        "SEALGATE_PUBLIC_ORIGIN": "http://127.0.0.1:8080",
        "SEALGATE_COMPANY_NAME": "示例公司",
        "SEALGATE_COMPANY_USCC": "0" * 18,
        "SEALGATE_FONDS": "SG01",
    }
    settings = load(found)
    bootstrap.make_keys(settings)
    bootstrap.upgrade(settings)
    return found


def run(portal: dict[str, str], *words: str) -> Result:
    return CliRunner().invoke(main, list(words), env=portal)


def test_the_key_and_the_folder_fit(portal: dict[str, str], tmp_path: Path) -> None:
    key = run(portal, "log", "key")
    assert key.exit_code == 0
    out = run(portal, "log", "export", str(tmp_path / "out"))
    assert out.exit_code == 0, out.output
    found = folder.verify(tmp_path / "out", [note.parse_key(key.output)], full=True)
    assert found.head.size == int(out.output.split()[0]) >= 1


def test_a_folder_that_holds_something_is_left_alone(portal: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("x")
    assert run(portal, "log", "export", str(tmp_path / "out")).exit_code == 2
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["mine"]
