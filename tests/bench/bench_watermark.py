"""What marking, checking and sealing cost beside a plain overlay and encryption of the same document."""

import io
import os
import statistics
import time
from collections.abc import Callable
from typing import Any

import pikepdf
from pikepdf import Array, Dictionary, Name, Pdf

from watermark import layout, memory, sanitize, seal, stamp, verify, worker
from watermark.mark import Mark

MARK = Mark(
    ("示例建材供应商 联系人s1", "SG01-KH·2026·SJ-0001-003_F0001 2026-11-23"), "SG01-KH·2026·SJ-0001-003_F0001"
)
KEY = "K7QF-M2XN-ABCD-EFGH-2345"
PAGES = 200
REPEATS = 3


def source() -> bytes:
    """200 A4 pages of text and lines, each with a noisy picture, about 5 MB."""
    with Pdf.new() as pdf:
        font = pdf.make_indirect(Dictionary(Type=Name.Font, Subtype=Name.Type1, BaseFont=Name.Helvetica))
        for number in range(PAGES):
            pdf.add_blank_page(page_size=(595, 842))
            page = pdf.pages[-1].obj
            picture = pdf.make_stream(os.urandom(24_000))
            picture.Type, picture.Subtype, picture.Width, picture.Height = Name.XObject, Name.Image, 200, 120
            picture.ColorSpace, picture.BitsPerComponent = Name.DeviceGray, 8
            lines = "".join(f"{x} 100 m {x} 700 l S " for x in range(60, 540, 12))
            text = f"BT /F 11 Tf 60 760 Td (Page {number}) Tj ET q 200 0 0 120 60 600 cm /P Do Q "
            page.Contents = pdf.make_stream((text + lines).encode())
            page.Resources = Dictionary(Font=Dictionary(F=font), XObject=Dictionary(P=picture))
        out = io.BytesIO()
        pdf.save(out)
        return out.getvalue()


def overlay() -> Pdf:
    """The same mark as a page of its own, for pikepdf's overlay."""
    pdf = Pdf.new()
    pdf.add_blank_page(page_size=(595, 842))
    box = (0.0, 0.0, 595.0, 842.0)
    form = stamp.Stamper(pdf, MARK, layout.words(MARK)).form(stamp.Geometry(box, box, 0, 1.0))
    pdf.pages[0].obj.Resources = Dictionary(XObject=Dictionary(M=form))
    pdf.pages[0].obj.Contents = pdf.make_stream(b"/M Do")
    pdf.pages[0].obj.MediaBox = Array(box)
    return pdf


def peer(data: bytes, over: Pdf) -> None:
    """pikepdf's overlay on every page and its AES-256 save: no sanitising, no check, no walls."""
    with Pdf.open(io.BytesIO(data)) as pdf:
        for page in pdf.pages:
            page.add_overlay(over.pages[0])
        pdf.save(io.BytesIO(), encryption=pikepdf.Encryption(user=KEY, owner="owner", R=6))


def checked_peer(data: bytes, over: Pdf) -> None:
    """The peer, with every page drawn before and after as the product draws them."""
    peer(data, over)
    with Pdf.open(io.BytesIO(data)) as pdf:
        for page in pdf.pages:
            page.add_overlay(over.pages[0])
        out = io.BytesIO()
        pdf.save(out)
    verify.check_pdf(data, data, out.getvalue(), MARK.opacity)


def bare(data: bytes) -> None:
    """Rebuild, stamp and encrypt in this process: what the work itself costs."""
    with sanitize.open_pdf(data) as pdf:
        rebuilt = sanitize.rebuild(pdf)
        stamp.stamp_all(rebuilt.pdf, rebuilt.geometries, MARK, layout.words(MARK))
        rebuilt.pdf.save(
            io.BytesIO(), compress_streams=False, encryption=pikepdf.Encryption(user=KEY, owner="owner", R=6)
        )


def whole(data: bytes) -> None:
    """What the product does: child process, rebuild, stamp, draw every page twice to check it, then seal in another child."""
    fd = memory.create("source", data)
    out, report = worker.mark(fd, MARK)
    assert out is not None, report
    os.close(seal.seal_pdf(out, KEY))
    os.close(out)
    os.close(fd)


def _seconds(work: Callable[[], None]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def rows() -> list[dict[str, Any]]:
    """Interleaved runs, medians; ratios to the peer of the same run."""
    data, over = source(), overlay()
    taken: dict[str, list[float]] = {"peer": [], "bare": [], "checked": [], "whole": []}
    for _ in range(REPEATS):
        taken["peer"].append(_seconds(lambda: peer(data, over)))
        taken["bare"].append(_seconds(lambda: bare(data)))
        taken["checked"].append(_seconds(lambda: checked_peer(data, over)))
        taken["whole"].append(_seconds(lambda: whole(data)))
    median = {name: statistics.median(times) for name, times in taken.items()}
    return [
        _row(
            "200 pages: rebuild + mark + AES-256 ÷ pikepdf overlay + AES-256",
            median["bare"] / median["peer"],
            2.0,
        ),
        _row(
            "200 pages: the same with walls and every page drawn to check it ÷ overlay so checked",
            median["whole"] / median["checked"],
            1.5,
        ),
    ]


def _row(name: str, ratio: float, goal: float) -> dict[str, Any]:
    return {"name": name, "ratio": round(ratio, 2), "goal": f"<= {goal:g}", "met": ratio <= goal}
