"""`sealgate mark --batch` over mutated documents: it goes on, and no unmarked page comes out."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path

import pypdfium2
import pytest

from gateway.demo.opening import compare
from tests.factories import pdf

MUTATIONS = 200
CORPUS = Path(__file__).resolve().parents[3] / "shared" / "corpus"

pytestmark = pytest.mark.soak


def seeds() -> list[bytes]:
    """Real documents where there are any, generated ones beside them."""
    real = sorted(CORPUS.glob("*.pdf")) if CORPUS.is_dir() else []
    return [pdf(1), pdf(3), *(path.read_bytes() for path in real if path.stat().st_size < 1 << 20)]


def mutated(data: bytes, chance: random.Random) -> bytes:
    """Flipped bytes, a changed number, a piece cut out, doubled or moved."""
    out = bytearray(data)
    for _ in range(chance.randint(1, 12)):
        at, length = chance.randrange(len(out)), chance.randint(1, 64)
        change = chance.randrange(4)
        if change == 0:
            out[at] ^= 1 << chance.randrange(8)
        elif change == 1 and len(out) > 2 * length:
            del out[at : at + length]
        elif change == 2:
            out[at:at] = out[at : at + length]
        else:
            digits = [n for n in range(at, min(len(out), at + 400)) if out[n : n + 1].isdigit()]
            if digits:
                out[chance.choice(digits)] = ord(chance.choice("0123456789"))
    return bytes(out)


def test_mutated_documents_are_marked_or_refused_whole(tmp_path: Path) -> None:
    chance, known = random.Random(20261123), seeds()
    folder, out, report = tmp_path / "in", tmp_path / "out", tmp_path / "r.jsonl"
    folder.mkdir()
    for number in range(MUTATIONS):
        (folder / f"{number:03d}.pdf").write_bytes(mutated(chance.choice(known), chance))
    words = ["--text", "示例建材供应商 Recipient", "--copy", "SG01-F0001", "--report", str(report)]
    program = [sys.executable, "-m", "gateway.cli", "mark", "--batch", str(folder), "-o", str(out), *words]
    done = subprocess.run(program, capture_output=True, text=True, timeout=MUTATIONS * 130)
    assert done.returncode in (0, 3), done.stderr
    lines = [json.loads(line) for line in report.read_text("utf-8").splitlines()]
    assert len(lines) == MUTATIONS
    marked = {line["file"] for line in lines if line["status"] == "marked"}
    assert {path.name for path in out.rglob("*") if path.is_file()} == marked
    assert marked, "nothing could be marked: the mutations are too strong to show anything"
    for line in lines:
        assert line["status"] == "marked" or line["reason"], line
    for name in marked:
        shows_its_mark(folder / name, out / name)


def shows_its_mark(source: Path, marked: Path) -> None:
    """Every page of what came out, beside the source where a reader of its own can draw that."""
    try:
        seen = compare(source.read_bytes(), marked.read_bytes())
    except pypdfium2.PdfiumError:
        with pypdfium2.PdfDocument(marked.read_bytes()) as document:
            assert len(document) > 0, source.name
        return
    assert seen and all(page.marked for page in seen), source.name
