"""The documents name only what is there, and every command in docs/operations.md works as written."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import pytest

from gateway.cli import main
from gateway.config import PREFIX, Settings

ROOT = Path(__file__).parents[2]
DOCS = sorted([*ROOT.glob("README*.md"), *(ROOT / "docs").glob("*.md")])
OPERATIONS = ROOT / "docs" / "operations.md"
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def prose(path: Path) -> str:
    return path.read_text("utf-8")


@pytest.mark.parametrize("document", DOCS, ids=lambda path: path.name)
def test_every_relative_link_and_picture_exists(document: Path) -> None:
    for target in LINK.findall(FENCE.sub("", prose(document))):
        if re.match(r"[a-z]+:", target):
            continue
        file, _, anchor = target.partition("#")
        found = (document.parent / file).resolve() if file else document
        assert found.exists(), f"{document.name}: {target}"
        assert found.is_relative_to(ROOT), f"{document.name}: {target}"
        if anchor:
            assert anchor in anchors(prose(found)), f"{document.name}: {target}"


def anchors(text: str) -> set[str]:
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def make_targets() -> set[str]:
    return set(re.findall(r"^([a-z][\w-]*):", prose(ROOT / "Makefile"), re.MULTILINE))


def verbs(group: click.Command, before: str = "") -> set[str]:
    if not isinstance(group, click.Group):
        return {before.strip()}
    return {found for name, command in group.commands.items() for found in verbs(command, f"{before} {name}")}


def commands(text: str, program: str) -> list[str]:
    """What stands after the program's name, in code only."""
    fenced = [body for language, body in FENCE.findall(text) if language == "sh"]
    inline = re.findall(r"`([^`\n]+)`", FENCE.sub("", text))
    return re.findall(rf"^\s*{program} ([a-z][^\n#]*)", "\n".join([*fenced, *inline]), re.MULTILINE)


# The format specification quotes byte strings that begin with the program's name.
COMMANDING = [path for path in DOCS if path.name != "formats.md"]


@pytest.mark.parametrize("document", COMMANDING, ids=lambda path: path.name)
def test_every_make_target_and_verb_exists(document: Path) -> None:
    text = prose(document)
    for words in commands(text, "make"):
        assert words.split()[0] in make_targets(), f"{document.name}: make {words}"
    known = verbs(main)
    for words in commands(text, "sealgate"):
        assert any(f"{words} ".startswith(f"{verb} ") for verb in known), f"{document.name}: sealgate {words}"


def test_the_samples_of_names_are_read() -> None:
    sample = "Run `make nothing`, or:\n```sh\nsealgate nowhere --x  # why\nmake demo\n```\n"
    assert commands(sample, "make") == ["demo", "nothing"]
    assert commands(sample, "sealgate") == ["nowhere --x  "]


# --- the two languages ------------------------------------------------------------------------------------------


def outline(text: str) -> list[tuple[int, int]]:
    """Level of each heading with the number of list items below it."""
    parts = re.split(r"^(#+) .+$", FENCE.sub("", text), flags=re.MULTILINE)[1:]
    return [
        (len(level), len(re.findall(r"^- ", body, re.MULTILINE)))
        for level, body in zip(parts[::2], parts[1::2], strict=True)
    ]


def blocks(text: str) -> list[tuple[str, list[str]]]:
    """Every code block, its comments and the blanks before them left out."""
    return [
        (language, [re.sub(r"\s*#.*$", "", line) for line in body.splitlines()])
        for language, body in FENCE.findall(text)
    ]


def test_both_languages_say_the_same() -> None:
    english, chinese = prose(ROOT / "README.md"), prose(ROOT / "README.zh-CN.md")
    assert outline(english) == outline(chinese)
    assert blocks(english) == blocks(chinese)
    assert blocks(english)
    linked = [
        {target for target in LINK.findall(text) if not target.startswith("README")}
        for text in (english, chinese)
    ]
    assert linked[0] == linked[1]


# --- operations -------------------------------------------------------------------------------------------------


def test_every_setting_stands_in_the_table_with_its_default() -> None:
    rows = re.findall(r"^\| `(SEALGATE_\w+)` \| (.+?) \| (.+?) \|$", prose(OPERATIONS), re.MULTILINE)
    assert [name for name, _, _ in rows] == [PREFIX + name.upper() for name in Settings.model_fields]
    for (name, default, meaning), field in zip(rows, Settings.model_fields.values(), strict=True):
        assert meaning.strip(), name
        if field.is_required():
            assert default == "needed", name
        elif field.default in (None, ()):
            assert not default.startswith("`"), name
        else:
            assert (
                default == f"`{str(field.default).lower() if field.annotation is bool else field.default}`"
            ), name


WRITTEN = [line for _, body in FENCE.findall(prose(OPERATIONS)) for line in body.splitlines()]


def written(beginning: str) -> list[str]:
    """The one command of the document that begins so, as words."""
    (line,) = [line for line in WRITTEN if line.startswith(beginning)]
    return shlex.split(line)


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment in which the document's commands run: the installed program, and settings of a portal."""
    return os.environ | {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "SEALGATE_HOME": str(tmp_path_factory.mktemp("operations") / "home"),
        "SEALGATE_PUBLIC_ORIGIN": "http://127.0.0.1:8080",
        "SEALGATE_COMPANY_NAME": "示例公司",
        "SEALGATE_COMPANY_USCC": "0" * 18,
        "SEALGATE_FONDS": "SG01",
    }


@pytest.fixture(scope="module")
def installed(environment: dict[str, str]) -> str:
    """What the first day's command printed."""
    done = subprocess.run(written("sealgate init --sys"), env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@contextmanager
def kept_up(words: list[str], environment: dict[str, str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A command that does not end by itself; it has to end well on SIGTERM."""
    with log.open("wb") as out:
        process = subprocess.Popen(words, env=environment, stdout=out, stderr=out)
    try:
        yield process
        process.terminate()
        assert process.wait(20) == 0, log.read_text()
    finally:
        process.kill()
        process.wait()


def test_the_first_day_prints_three_links(installed: str) -> None:
    assert len(re.findall(r"^(?:SYS|GM|ADM) .+/enrol/\S+$", installed, re.MULTILINE)) == 3


def test_an_upgrade_changes_nothing_that_is_there(installed: str, environment: dict[str, str]) -> None:
    (line,) = [line for line in WRITTEN if line == "sealgate init"]
    done = subprocess.run(shlex.split(line), env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "newest revision" in done.stdout and "made " not in done.stdout


def test_the_portal_starts_and_says_it_is_well(
    installed: str, environment: dict[str, str], tmp_path: Path
) -> None:
    words, curl = written("sealgate serve"), written("curl")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    assert words[-1] == "8080" and ":8080/" in curl[-1]
    with kept_up([*words[:-1], port], environment, tmp_path / "log") as process:
        assert said(curl[-1].replace("8080", port), process) == b"ok\n"


def said(url: str, process: subprocess.Popen[bytes]) -> bytes:
    pause, end = threading.Event(), time.monotonic() + 60
    while time.monotonic() < end and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                return bytes(answer.read())
        except urllib.error.URLError:
            pause.wait(0.1)
    return b""


def test_the_worker_starts_and_ends(installed: str, environment: dict[str, str], tmp_path: Path) -> None:
    queue = Path(environment["SEALGATE_HOME"]) / "queue.db"
    queue.unlink(missing_ok=True)
    with kept_up(written("sealgate worker"), environment, tmp_path / "log") as process:
        pause, end = threading.Event(), time.monotonic() + 60
        while time.monotonic() < end and process.poll() is None and not queue.exists():
            pause.wait(0.05)
        assert queue.exists()


def test_the_log_is_verified_as_written(tmp_path: Path) -> None:
    """A frozen receipt under the names that the document uses."""
    words = written("python -m gateway.audit verify")
    assert words[:4] == ["python", "-m", "gateway.audit", "verify"]
    vectors = ROOT / "tests" / "vectors" / "audit"
    shutil.copy(vectors / "collect-1.tlog-proof", tmp_path / words[4])
    shutil.copy(vectors / "checkpoint-1.key", tmp_path / words[6])
    done = subprocess.run(
        [sys.executable, *words[1:]],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_installation_is_the_makefiles_own() -> None:
    """`make` runs the same three steps in every fresh checkout."""
    install = WRITTEN[:3]
    makefile = re.sub(r"\$\(PY\) -m pip [\w -]*install|\$\(PIP\)", "pip install", prose(ROOT / "Makefile"))
    assert install[0] == "python3 -m venv .venv"
    for line in install[1:]:
        words = line.replace(".venv/bin/pip", "pip").replace(" .", " -e .") if line.endswith(" .") else line
        assert words.replace(".venv/bin/", "") in makefile, line
