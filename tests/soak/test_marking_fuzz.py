"""Kinds, sanitiser and containers under mutation: the parent goes on, and nothing comes out unmarked."""

from __future__ import annotations

import io
import os
import random
import time
import zipfile
from collections.abc import Callable
from email.message import EmailMessage
from pathlib import Path

import pytest
from pikepdf import Dictionary, Name, Pdf
from PIL import Image

from watermark import kinds, memory, worker
from watermark.mark import Mark

CORPUS = Path(__file__).resolve().parents[3] / "shared" / "corpus"
MARK = Mark(("示例建材供应商 Recipient",), "SG01-F0001")
FULL_S = float(os.environ.get("FUZZ_SECONDS", "1800"))
SHORT_S = 4.0


def _pdf() -> bytes:
    with Pdf.new() as pdf:
        pdf.add_blank_page(page_size=(300, 400))
        font = Dictionary(Type=Name.Font, Subtype=Name.Type1, BaseFont=Name.Helvetica)
        pdf.pages[0].obj.Resources = Dictionary(Font=Dictionary(F=font))
        pdf.pages[0].obj.Contents = pdf.make_stream(b"BT /F 24 Tf 60 200 Td (Drawing) Tj ET")
        out = io.BytesIO()
        pdf.save(out)
        return out.getvalue()


def _picture(kind: str) -> bytes:
    out = io.BytesIO()
    Image.effect_noise((160, 160), 40).save(out, kind)
    return out.getvalue()


def _zip(items: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in items.items():
            archive.writestr(name, data)
    return out.getvalue()


def _mail() -> bytes:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "a@example.com", "b@example.com", "图纸"
    message.set_content("正文\n")
    message.add_attachment(_pdf(), maintype="application", subtype="pdf", filename="平面.pdf")
    return bytes(message)


SVG = (
    b'<svg xmlns="http://www.w3.org/2000/svg" width="200" height="300">'
    b'<rect width="99" height="99"/><text x="9" y="90">x</text></svg>'
)
SMALL: list[Callable[[], bytes]] = [
    _pdf,
    *(lambda kind=kind: _picture(kind) for kind in ("PNG", "JPEG", "TIFF", "WEBP", "GIF", "BMP")),  # type: ignore[misc]
    lambda: SVG,
    lambda: "品名,数量\n瓷砖,120\n".encode("gb18030"),
    lambda: "说明\n第二行\n".encode("utf-16"),
]


def _documents() -> list[bytes]:
    real = sorted(CORPUS.glob("*.pdf")) if CORPUS.is_dir() else []
    return [_pdf(), *(path.read_bytes() for path in real if path.stat().st_size < 100_000)]


def _containers() -> list[bytes]:
    return [_zip({"a.pdf": _pdf(), "图/b.svg": SVG}), _zip({"x.zip": _zip({"c.txt": b"text\n"})}), _mail()]


TARGETS: dict[str, Callable[[], list[bytes]]] = {
    "kinds": lambda: [make() for make in SMALL],
    "sanitiser": _documents,
    "containers": _containers,
}


def mutated(data: bytes, chance: random.Random) -> bytes:
    """A few bytes changed, cut out, doubled, or numbers made large."""
    out = bytearray(data)
    for _ in range(chance.randint(1, 8)):
        at, length = chance.randrange(len(out)), chance.randint(1, 80)
        change = chance.randrange(5)
        if change == 0:
            out[at] = chance.randrange(256)
        elif change == 1 and len(out) > 2 * length:
            del out[at : at + length]
        elif change == 2:
            out[at:at] = out[at : at + length]
        elif change == 3:
            out[at : at + 4] = chance.choice((b"\xff\xff\xff\xff", b"\0\0\0\0", b"9999", b"\x7f\xff\xff\xff"))
        else:
            out[at:at] = bytes(chance.randrange(256) for _ in range(length))
    return bytes(out) or b"x"


def shown(data: bytes) -> None:
    """Every page of every PDF in what came out draws the mark last."""
    if data.startswith(b"PK"):
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for name in archive.namelist():
                shown(archive.read(name))
    elif data.startswith(b"%PDF"):
        with Pdf.open(io.BytesIO(data)) as pdf:
            assert len(pdf.pages)
            for page in pdf.pages:
                assert page.Contents.read_bytes().rstrip().endswith(b"q /Mark Do Q")


def _fuzzed(target: str, seconds: float, seed: int) -> dict[str, int]:
    chance, known, seen = random.Random(seed), TARGETS[target](), {"marked": 0, "refused": 0}
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        data = mutated(chance.choice(known), chance)
        source = memory.create("source", data)
        kind = worker.inspect(source, deadline_s=20)
        out, report = worker.mark(source, MARK, deadline_s=20, signature_loss=True)
        os.close(source)
        assert isinstance(kind, kinds.Kind)
        assert (out is None) == (report.status == "refused")
        seen[report.status] += 1
        if out is not None:
            assert report.pages and all(page.marked for page in report.pages)
            shown(memory.read(out))
            os.close(out)
    return seen


@pytest.mark.soak
@pytest.mark.parametrize("target", TARGETS)
def test_half_an_hour_of_mutations(target: str) -> None:
    seen = _fuzzed(target, FULL_S, random.SystemRandom().randrange(1 << 30))
    print(target, seen)
    assert min(seen.values()) > 0


@pytest.mark.parametrize("target", TARGETS)
def test_some_mutations(target: str) -> None:
    assert sum(_fuzzed(target, SHORT_S, 20261124).values()) > 0
