"""Every claim of the README has its test: each line under "What it protects against" names one, and the test is there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
READMES = {"README.md": "## What it protects against", "README.zh-CN.md": "## 它防什么"}
NODE = re.compile(r"<!-- (tests/[\w/]+\.py)::(\w+) -->")


def claims(name: str) -> list[str]:
    """The bullet lines of the section, each as one string."""
    _, _, rest = (ROOT / name).read_text(encoding="utf-8").partition(READMES[name] + "\n")
    section = rest.partition("\n## ")[0]
    return [" ".join(part.split()) for part in re.split(r"\n- ", section)[1:]]


def functions_of(path: str) -> set[str]:
    """Names of the test functions in a file."""
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    return {
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    }


@pytest.mark.parametrize("name", READMES)
def test_every_claim_names_a_test_that_is_there(name: str) -> None:
    found = claims(name)
    assert len(found) >= 10
    for claim in found:
        nodes = NODE.findall(claim)
        assert nodes, f"no test is named: {claim}"
        for path, function in nodes:
            assert (ROOT / path).exists(), f"{path} is named by: {claim}"
            assert function in functions_of(path), f"{path}::{function} is named by: {claim}"


def test_both_languages_claim_the_same() -> None:
    chinese, english = (
        [NODE.findall(claim) for claim in claims(name)] for name in ("README.zh-CN.md", "README.md")
    )
    assert chinese == english
