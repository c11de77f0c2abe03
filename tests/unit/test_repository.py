"""The repository itself: locks match their sources, the package ships what it should, served files are the published ones."""

import ast
import configparser
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("gateway", "watermark", "agreements", "storage")
REQUIREMENTS = ROOT / "requirements"
VENDOR = ROOT / "gateway" / "web" / "static" / "vendor"


@pytest.fixture(scope="module")
def setup_cfg() -> configparser.ConfigParser:
    config = configparser.ConfigParser(interpolation=None)
    config.read(ROOT / "setup.cfg", "utf-8")
    return config


def lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip() and not line.strip().startswith("#")]


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def named(path: Path) -> set[str]:
    return {
        normal(re.split(r"[\[<>=;\s]", line)[0]) for line in lines(path.read_text("utf-8")) if line[0] != "-"
    }


def pinned(path: Path) -> set[str]:
    return {
        normal(name)
        for name in re.findall(r"^([\w.-]+)(?:\[[^]]*\])?==", path.read_text("utf-8"), re.MULTILINE)
    }


# --- requirements -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["build", "base", "dev"])
def test_every_requirement_is_bounded_and_pinned(name: str) -> None:
    source = REQUIREMENTS / f"{name}.in"
    assert all(">=" in line for line in lines(source.read_text("utf-8")) if not line.startswith("-r"))
    assert named(source) <= pinned(REQUIREMENTS / f"{name}.txt")


@pytest.mark.parametrize("name", ["build", "base", "dev"])
def test_every_pin_has_hashes_and_no_address(name: str) -> None:
    text = (REQUIREMENTS / f"{name}.txt").read_text("utf-8")
    for pin in re.split(r"\n(?=[A-Za-z])", text)[1:]:
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", pin), pin.split()[0]
    assert "://" not in text
    assert "index" not in re.sub(r"^[\w.-]+==.*$", "", text, flags=re.MULTILINE)


def test_tests_run_on_the_versions_that_are_shipped() -> None:
    def pins(name: str) -> set[str]:
        return set(
            re.findall(r"^[\w.-]+==\S+", (REQUIREMENTS / f"{name}.txt").read_text("utf-8"), re.MULTILINE)
        )

    assert pins("base") - pins("dev") == set()


# --- package ----------------------------------------------------------------------------------------------------


def shipped() -> set[str]:
    """Paths of the packages' files as the repository holds them, without what Python leaves behind."""
    return {
        path.relative_to(ROOT).as_posix()
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """The wheel, built from a copy so that nothing is left in the tree."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for package in PACKAGES:
        shutil.copytree(ROOT / package, source / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(REQUIREMENTS, source / "requirements")
    for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE", "NOTICE"):
        shutil.copy(ROOT / name, source)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q", "wheel"]
    options = ["--no-deps", "--no-build-isolation", "--no-index", "-w", str(out), str(source)]
    subprocess.run([*pip, *options], check=True, capture_output=True, text=True)
    return zipfile.ZipFile(next(out.glob("*.whl")))


def test_wheel_holds_the_packages_and_nothing_else(wheel: zipfile.ZipFile) -> None:
    content = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert content == shipped()


def test_wheel_names_its_command_and_licences(wheel: zipfile.ZipFile) -> None:
    info = {name.partition(".dist-info/")[2]: name for name in wheel.namelist() if ".dist-info/" in name}
    assert "sealgate = gateway.cli:main" in wheel.read(info["entry_points.txt"]).decode()
    metadata = wheel.read(info["METADATA"]).decode()
    assert "Name: sealgate\nVersion: 0.1.0\n" in metadata
    assert "License-Expression: Apache-2.0" in metadata
    assert {"licenses/LICENSE", "licenses/NOTICE"} <= set(info)
    assert {
        normal(name) for name in re.findall(r"^Requires-Dist: ([\w.-]+)", metadata, re.MULTILINE)
    } == named(REQUIREMENTS / "base.in")


def test_licence_is_the_whole_apache_licence() -> None:
    text = (ROOT / "LICENSE").read_text("utf-8")
    assert "Apache License\n" in text
    assert "Version 2.0, January 2004" in text
    assert "END OF TERMS AND CONDITIONS" in text
    assert [int(number) for number in re.findall(r"^   (\d)\. ", text, re.MULTILINE)] == list(range(1, 10))


# --- served files -----------------------------------------------------------------------------------------------


def test_served_files_are_the_published_ones() -> None:
    entries = json.loads((VENDOR / "vendor.json").read_text("utf-8"))
    for entry in entries:
        assert hashlib.sha256((VENDOR / entry["file"]).read_bytes()).hexdigest() == entry["sha256"], entry[
            "file"
        ]
        assert (VENDOR / entry["licence_file"]).read_text("utf-8").strip()
    known = {entry[key] for entry in entries for key in ("file", "licence_file")} | {"vendor.json"}
    assert {path.name for path in VENDOR.iterdir()} == known
    notice = (ROOT / "NOTICE").read_text("utf-8")
    assert all(
        re.search(rf"^ +{entry['name']} +{entry['licence']} ", notice, re.I | re.M) for entry in entries
    )


# --- checks -----------------------------------------------------------------------------------------------------


def rooms() -> set[str]:
    """Folders of the gateway that have one of the doors of a room."""
    doors = {"views", "service", "queries", "rules"}
    ground = {"audit", "jobs", "notify", "policy", "web"}
    return {
        f"gateway.{folder.name}"
        for folder in (ROOT / "gateway").iterdir()
        if folder.name not in ground and folder.is_dir() and doors & {path.stem for path in folder.iterdir()}
    }


def test_contracts_name_every_room(setup_cfg: configparser.ConfigParser) -> None:
    assert rooms() == set(setup_cfg["importlinter:contract:doors"]["containers"].split())


def test_contracts_put_only_absent_layers_in_parentheses(setup_cfg: configparser.ConfigParser) -> None:
    layers = setup_cfg["importlinter:contract:house"]["layers"]
    for name in re.findall(r"[\w.()]+", layers):
        path = ROOT / name.strip("()").replace(".", "/")
        exists = path.is_dir() or path.with_suffix(".py").is_file()
        assert exists is not name.startswith("("), name


def test_only_installed_untyped_libraries_are_excused(setup_cfg: configparser.ConfigParser) -> None:
    section = next(name for name in setup_cfg.sections() if name.startswith("mypy-flask_babel"))
    assert dict(setup_cfg[section]) == {"ignore_missing_imports": "True"}
    used = set()
    for path in (path for package in PACKAGES for path in (ROOT / package).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                used |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                used.add(node.module.split(".")[0])
    excused = {pattern.strip("*").strip(".") for pattern in section.removeprefix("mypy-").split(",")}
    assert excused - used == set(), "excused, but imported nowhere"


def test_warnings_are_errors_and_strict_is_strict(setup_cfg: configparser.ConfigParser) -> None:
    assert setup_cfg["tool:pytest"]["filterwarnings"].split("\n")[1] == "error"
    assert setup_cfg["mypy"]["strict"] == "True"
    assert set(re.split(r", ", setup_cfg["mypy"]["files"])) == set(PACKAGES)


def test_make_help_lists_every_target() -> None:
    listed = subprocess.run(
        ["make", "-s", "help"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    for target in ("demo", "serve", "test", "bench", "soak", "check", "fmt", "lock", "help"):
        assert re.search(rf"^  make {target} +\w", listed, re.MULTILINE), target


SAMPLE = """
import pytest
def test_passes(): pass
def test_skips(): pytest.skip("no server")
@pytest.mark.xfail
def test_expected(): assert [] == [1]
"""


@pytest.mark.parametrize(
    ("ci", "closing"), [("true", "2 failed, 1 passed"), ("", "1 passed, 1 skipped, 1 xfailed")]
)
def test_a_skip_is_a_failure_where_ci_is_true(tmp_path: Path, ci: str, closing: str) -> None:
    shutil.copy(ROOT / "tests" / "conftest.py", tmp_path)
    (tmp_path / "test_sample.py").write_text(SAMPLE, "utf-8")
    (tmp_path / "pytest.ini").write_text("[pytest]\n", "utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")} | {
        "CI": ci
    }
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert closing in done.stdout


def test_a_skipped_module_is_a_failure_where_ci_is_true(tmp_path: Path) -> None:
    shutil.copy(ROOT / "tests" / "conftest.py", tmp_path)
    (tmp_path / "test_sample.py").write_text(
        "import pytest\npytest.importorskip('no_such_module')\n", "utf-8"
    )
    (tmp_path / "pytest.ini").write_text("[pytest]\n", "utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)]
    done = subprocess.run(
        command, cwd=tmp_path, env=os.environ | {"CI": "true"}, capture_output=True, text=True
    )
    assert done.returncode not in (0, 5)
    assert "nothing may be skipped" in done.stdout


@pytest.mark.parametrize(
    "script", ["deploy/python-env", "deploy/test-tools", "deploy/make-secrets", ".ci/run"]
)
def test_scripts_are_executable_and_parse(script: str) -> None:
    assert os.access(ROOT / script, os.X_OK)
    assert "set -euo pipefail" in (ROOT / script).read_text("utf-8")
    subprocess.run(["bash", "-n", str(ROOT / script)], check=True)


@pytest.mark.parametrize("code", [0, 2])
def test_ci_runs_make_test_and_ends_with_its_closing_line(tmp_path: Path, code: int) -> None:
    make = tmp_path / "make"
    make.write_text(
        f'#!/bin/sh\necho "CI=$CI $*"\necho "7 passed in 3.20s"\necho after\nexit {code}\n', "utf-8"
    )
    make.chmod(0o755)
    environment = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}", "CI": ""}
    done = subprocess.run(
        [str(ROOT / ".ci" / "run")], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == code
    assert done.stdout.splitlines()[0] == "CI=true test"
    assert done.stdout.splitlines()[-1] == "7 passed in 3.20s"
