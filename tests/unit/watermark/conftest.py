"""Documents and pictures made on the spot, and ways to look at what became of them."""

import io
import os
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pikepdf
import pypdfium2
import pytest
from pikepdf import Array, Dictionary, Name, Pdf
from PIL import Image

from watermark import child, memory, worker
from watermark.mark import Mark
from watermark.report import Report

COPY = "SG01-KH·2026·SJ-0001-003_F0001"
LINES = ("示例建材供应商 联系人s1 Recipient", f"{COPY} 2026-11-23", "用途 Purpose: 采购下单 · 密级 Level L2")


@pytest.fixture
def mark() -> Mark:
    """The mark of the demo's first copy."""
    return Mark(LINES, COPY)


def _page(
    pdf: Pdf,
    size: tuple[float, float] = (595, 842),
    content: bytes = b"BT /F 24 Tf 60 400 Td (Drawing) Tj ET",
    **keys: Any,
) -> pikepdf.Page:
    pdf.add_blank_page(page_size=size)
    page = pdf.pages[-1]
    font = Dictionary(Type=Name.Font, Subtype=Name.Type1, BaseFont=Name.Helvetica)
    page.obj.Resources = Dictionary(Font=Dictionary(F=font))
    page.obj.Contents = pdf.make_stream(content)
    for key, value in keys.items():
        page.obj[f"/{key}"] = value
    return page


@pytest.fixture
def add_page() -> Callable[..., pikepdf.Page]:
    """Adds a page of a size in points with a text, and any further page keys."""
    return _page


@pytest.fixture
def saved() -> Callable[[Pdf], bytes]:
    """A document as bytes, streams as they are."""

    def save(pdf: Pdf, **options: Any) -> bytes:
        out = io.BytesIO()
        pdf.save(out, **options)
        return out.getvalue()

    return save


@pytest.fixture
def a4(saved: Callable[[Pdf], bytes]) -> bytes:
    """One A4 page."""
    with Pdf.new() as pdf:
        _page(pdf)
        return saved(pdf)


@pytest.fixture
def marked(mark: Mark) -> Callable[..., tuple[bytes | None, Report]]:
    """Marks bytes in the child process; the marked bytes or None, and the report."""

    def run(data: bytes, mark: Mark = mark, **options: Any) -> tuple[bytes | None, Report]:
        source = memory.create("source", data)
        try:
            out, report = worker.mark(source, mark, **options)
        finally:
            os.close(source)
        if out is None:
            return None, report
        try:
            return memory.read(out), report
        finally:
            os.close(out)

    return run


@pytest.fixture
def drawn() -> Callable[..., Image.Image]:
    """A page of a PDF as pdfium shows it, grey, one pixel a point unless scaled."""

    def draw(data: bytes, index: int = 0, scale: float = 1.0) -> Image.Image:
        with closing(pypdfium2.PdfDocument(data)) as document, closing(document[index]) as page:
            return page.render(scale=scale).to_pil().convert("L").copy()

    return draw


@pytest.fixture
def picture() -> Callable[..., bytes]:
    """An image file of a format and mode, grey with a dark half."""

    def make(kind: str, mode: str = "RGB", size: tuple[int, int] = (640, 480), **options: Any) -> bytes:
        image = Image.new("L", size, 200)
        image.paste(20, (0, 0, size[0] // 2, size[1]))
        out = io.BytesIO()
        image.convert(mode).save(out, kind, **options)
        return out.getvalue()

    return make


@pytest.fixture
def open_descriptors() -> Iterator[None]:
    """The test leaves no descriptor open; the zygote is there already and keeps its own."""
    child.ZYGOTE.start()
    before = len(list(Path("/proc/self/fd").iterdir()))
    yield
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """`corpus_file` is every real PDF beside the project, or none: the generated ones stand in their place."""
    if "corpus_file" in metafunc.fixturenames:
        folder = Path(__file__).resolve().parents[4] / "shared" / "corpus"
        files = sorted(folder.glob("*.pdf")) if folder.is_dir() else []
        metafunc.parametrize(
            "corpus_file", files or [None], ids=lambda path: path.name if path else "generated"
        )


@pytest.fixture
def array() -> Callable[..., Array]:
    """A PDF array of numbers."""
    return lambda *values: Array(values)
