"""The bench runner: collects rows, refuses malformed ones, and fails when a goal is missed."""

import json
from pathlib import Path

import pytest

from tests.bench.__main__ import main


def bench(folder: Path, name: str, rows: str) -> None:
    (folder / f"bench_{name}.py").write_text(f"def rows():\n    return {rows}\n", "utf-8")


def test_writes_the_rows_of_every_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bench(tmp_path, "b", "[{'name': 'b', 'ratio': 1.25, 'goal': '<= 2', 'met': True}]")
    bench(tmp_path, "a", "[{'name': 'a', 'ratio': 0.5, 'goal': '>= 0.1', 'met': True}]")
    assert main(tmp_path, tmp_path / "out") == 0
    assert [row["name"] for row in json.loads((tmp_path / "out" / "results.json").read_text("utf-8"))] == [
        "a",
        "b",
    ]
    assert "1.25" in capsys.readouterr().out


def test_a_missed_goal_fails(tmp_path: Path) -> None:
    bench(tmp_path, "a", "[{'name': 'a', 'ratio': 3, 'goal': '<= 2', 'met': False}]")
    assert main(tmp_path, tmp_path / "out") == 1


def test_nothing_measured_fails(tmp_path: Path) -> None:
    assert main(tmp_path, tmp_path / "out") == 1


def test_a_malformed_row_is_refused(tmp_path: Path) -> None:
    bench(tmp_path, "a", "[{'name': 'a', 'seconds': 3}]")
    with pytest.raises(ValueError, match=r"bench_a\.py"):
        main(tmp_path, tmp_path / "out")
