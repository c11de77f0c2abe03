"""`make bench`: runs the rows() of every bench_*.py beside this file, prints the table, writes bench-out/results.json.

A row is {"name", "ratio", "goal", "met"}: `ratio` compares two measurements of the same run, so that machines compare too.
"""

import importlib.util
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from rich.console import Console
from rich.table import Table

HERE = Path(__file__).parent
FIELDS = {"name", "ratio", "goal", "met"}


def load(path: Path) -> ModuleType:
    """The module of one bench file."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def rows(folder: Path) -> Iterator[dict[str, Any]]:
    """The rows of every bench file in the folder, in the order of their names; raises ValueError on a malformed one."""
    for path in sorted(folder.glob("bench_*.py")):
        for row in load(path).rows():
            if set(row) != FIELDS or not isinstance(row["met"], bool):
                raise ValueError(f"{path.name}: a row has the fields {sorted(row)}")
            yield row


def table(measured: list[dict[str, Any]]) -> Table:
    """The rows for people."""
    drawn = Table("name", "ratio", "goal", "met")
    for row in measured:
        drawn.add_row(row["name"], f"{row['ratio']:.3g}", str(row["goal"]), "yes" if row["met"] else "no")
    return drawn


def main(folder: Path = HERE, out: Path = Path("bench-out")) -> int:
    """Measures, prints, writes; 1 when a goal is missed or nothing was measured."""
    measured = list(rows(folder))
    Console().print(table(measured))
    out.mkdir(exist_ok=True)
    (out / "results.json").write_text(json.dumps(measured, indent=2, ensure_ascii=False) + "\n", "utf-8")
    return 0 if measured and all(row["met"] for row in measured) else 1


if __name__ == "__main__":
    sys.exit(main())
