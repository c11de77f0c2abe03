"""What is taken out is gone: from the text, the pixels and the bytes, by the word of two readers."""

import io
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pikepdf
import pytest
from PIL import Image

from watermark import memory, redact, worker
from watermark.errors import Refusal
from watermark.redact import Region

AddPage = Callable[..., pikepdf.Page]
Saved = Callable[..., bytes]


@pytest.fixture
def secret(add_page: AddPage, saved: Saved) -> bytes:
    """Three pages, the second turned, with a telephone number in two of them and in an annotation."""
    with pikepdf.Pdf.new() as pdf:
        add_page(pdf, content=b"BT /F 24 Tf 60 400 Td (Tel 138 0000 1234) Tj ET")
        add_page(pdf, content=b"BT /F 24 Tf 60 400 Td (Call 13800001234 now) Tj ET", Rotate=90)
        add_page(pdf, content=b"BT /F 24 Tf 60 400 Td (Plain page) Tj ET")
        with pdf.open_metadata() as metadata:
            metadata["dc:title"] = "13800001234"
        return saved(pdf, compress_streams=False)


def _text(pdf: bytes, folder: Path) -> str:
    (folder / "x.pdf").write_bytes(pdf)
    return subprocess.run(
        ["pdftotext", str(folder / "x.pdf"), "-"], check=True, capture_output=True, text=True
    ).stdout


@pytest.mark.tools
def test_words_are_gone_from_text_pixels_and_bytes(
    secret: bytes, tmp_path: Path, drawn: Callable[..., Image.Image]
) -> None:
    fd = memory.create("source", secret)
    out, done = worker.redact(fd, [], ["13800001234"])
    os.close(fd)
    assert out is not None, done
    data = memory.read(out)
    os.close(out)
    assert (done.pages, done.found, done.reason) == ((1, 2), {"13800001234": 2}, None)
    assert done.sha256_out not in (None, done.sha256_in)
    text = _text(data, tmp_path)
    assert "138" not in text
    assert "Plain page" in text
    assert b"13800001234" not in data
    page = drawn(data, 0)
    assert page.crop((110, 425, 250, 440)).getextrema()[1] < 60  # type: ignore[operator]
    assert page.crop((60, 200, 400, 300)).getextrema() == (255, 255)
    assert drawn(data, 1).size == (842, 595)


@pytest.mark.tools
def test_a_region_takes_all_below_it(secret: bytes, tmp_path: Path) -> None:
    fd = memory.create("source", secret)
    out, done = worker.redact(fd, [Region(1, 50, 380, 400, 430)])
    os.close(fd)
    assert out is not None, done
    text = _text(memory.read(out), tmp_path)
    os.close(out)
    assert "Tel" not in text
    assert "Call" in text


@pytest.mark.parametrize(
    ("regions", "terms", "reason"),
    [
        ([], ["nowhere"], "NOT_FOUND"),
        ([Region(9, 0, 0, 9, 9)], [], "NOT_FOUND"),
        ([], [" \u200b"], "BAD_REGION"),
        ([], [], "BAD_REGION"),
    ],
)
def test_what_cannot_be_found_is_refused(
    regions: list[Region], terms: list[str], reason: str, secret: bytes
) -> None:
    with pytest.raises(Refusal) as refused:
        redact.redact_pdf(secret, regions, terms)
    assert refused.value.code == reason


def test_a_result_that_still_holds_the_word_is_not_given_out(
    secret: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pikepdf.Pdf.open(io.BytesIO(secret)) as pdf:
        out = io.BytesIO()
        pdf.save(out)
    monkeypatch.setattr(redact, "_assembled", lambda *given: out.getvalue())
    with pytest.raises(Refusal, match="NOT_REDACTED"):
        redact.redact_pdf(secret, [], ["13800001234"])


def test_a_box_that_is_not_black_is_not_given_out(secret: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redact, "_INK", (250, 250, 250))
    with pytest.raises(Refusal, match="NOT_REDACTED"):
        redact.redact_pdf(secret, [Region(1, 50, 380, 400, 430)], [])


def test_pixels_of_a_picture_are_gone(picture: Callable[..., bytes]) -> None:
    fd = memory.create("source", picture("JPEG"))
    out, done = worker.redact(fd, [Region(1, 100, 100, 500, 200)])
    os.close(fd)
    assert out is not None, done
    image = Image.open(io.BytesIO(memory.read(out)))
    os.close(out)
    assert image.crop((100, 100, 500, 200)).convert("L").getextrema() == (0, 0)
    assert image.getpixel((600, 400)) != (0, 0, 0)
    assert not image.getexif()


def test_words_written_otherwise_are_the_same_words() -> None:
    assert redact.plain("１３８ 00\u200b00") == redact.plain("1380000")
