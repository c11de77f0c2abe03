"""Every feature of a PDF on twelve page geometries under marks in six scripts; bombs; the real documents beside the project."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pikepdf
import pytest
from pikepdf import Array, Dictionary, Name, Pdf, String

from watermark import memory, worker
from watermark.mark import Mark
from watermark.report import Report

# Why a real file may be refused: locked, signed, smaller than a readable mark, or no document at all.
HONEST = ("ENCRYPTED", "SIGNED", "PAGE_SIZE")
CORPUS = Path(__file__).resolve().parents[3] / "shared" / "corpus"
SCRIPTS = ("示例建材供应商", "Recipient Ltd", "شركة المثال", "บริษัทตัวอย่าง", "उदाहरण कंपनी", "𠮷野 😀 é")
# Width and height in points, turn, user unit, and how far the visible box lies inside the media box.
GEOMETRIES = (
    (420, 595, 0, 1, 0),
    (595, 842, 0, 1, 0),
    (595, 842, 90, 1, 0),
    (595, 842, 180, 1, 30),
    (842, 595, 270, 1, 0),
    (842, 1191, 0, 1, 50),
    (1191, 1684, 90, 1, 0),
    (2384, 3370, 0, 1, 0),
    (612, 792, 0, 1, 0),
    (300, 400, 0, 2, 0),
    (200, 1200, 0, 1, 0),
    (595, 842, 0, 1, -20),
)
ACTIVE = frozenset(
    "/JavaScript /JS /OpenAction /AA /Launch /URI /EmbeddedFiles /EF /XFA /AcroForm /RichMedia /Annots /Metadata "
    "/PieceInfo /Thumb /Ref /Names /Outlines /Collection /Perms".split()
)


def _action(pdf: Pdf) -> pikepdf.Object:
    return pdf.make_indirect(Dictionary(S=Name.JavaScript, JS=String("app.alert(1)")))


def _annotated(pdf: Pdf, subtype: str, **keys: object) -> None:
    for page in pdf.pages:
        look = pdf.make_stream(
            b"0.5 g 0 0 50 20 re f", Type=Name.XObject, Subtype=Name.Form, BBox=Array([0, 0, 50, 20])
        )
        note = Dictionary(
            Type=Name.Annot,
            Subtype=Name(subtype),
            Rect=Array([40, 40, 90, 60]),
            AP=Dictionary(N=look),
            **keys,
        )
        page.obj.Annots = Array([pdf.make_indirect(note)])


def _form(pdf: Pdf) -> None:
    _annotated(pdf, "/Widget", FT=Name.Tx, T=String("f"), V=String("v"), DA=String("/Helv 9 Tf"))
    fields = Array([page.obj.Annots[0] for page in pdf.pages])
    pdf.Root.AcroForm = Dictionary(Fields=fields, XFA=pdf.make_stream(b"<xdp/>"))


def _on_pages(key: str, value: Callable[[Pdf], object]) -> Callable[[Pdf], None]:
    def put(pdf: Pdf) -> None:
        for page in pdf.pages:
            page.obj[key] = value(pdf)

    return put


def _attach(pdf: Pdf) -> None:
    pdf.attachments["a.txt"] = b"attached"


def _reference(pdf: Pdf) -> None:
    for page in pdf.pages:
        page.obj.Resources.XObject = Dictionary(
            R=pdf.make_stream(
                b"",
                Type=Name.XObject,
                Subtype=Name.Form,
                BBox=Array([0, 0, 9, 9]),
                Ref=Dictionary(F=String("other.pdf")),
            )
        )


def _layers(pdf: Pdf) -> None:
    layer = pdf.make_indirect(Dictionary(Type=Name.OCG, Name=String("L")))
    pdf.Root.OCProperties = Dictionary(OCGs=Array([layer]), D=Dictionary(OFF=Array([layer])))
    for page in pdf.pages:
        page.obj.Resources.Properties = Dictionary(P=layer)


def _described(pdf: Pdf) -> None:
    with pdf.open_metadata() as metadata:
        metadata["dc:title"] = "secret"


def _signature(pdf: Pdf) -> None:
    _annotated(pdf, "/Widget", FT=Name.Sig, V=Dictionary(Type=Name.Sig), T=String("s"))
    fields = Array([page.obj.Annots[0] for page in pdf.pages])
    pdf.Root.AcroForm = Dictionary(Fields=fields, SigFlags=3)


FEATURES: dict[str, Callable[[Pdf], None]] = {
    "plain": lambda pdf: None,
    "javascript": lambda pdf: setattr(pdf.Root, "OpenAction", _action(pdf)),
    "actions": _on_pages("/AA", lambda pdf: Dictionary(O=_action(pdf))),
    "launch": lambda pdf: _annotated(pdf, "/Link", A=Dictionary(S=Name.Launch, F=String("x.exe"))),
    "rich media": lambda pdf: _annotated(pdf, "/RichMedia", RichMediaContent=Dictionary()),
    "stamp": lambda pdf: _annotated(pdf, "/Stamp"),
    "form": _form,
    "embedded": _attach,
    "reference": _reference,
    "metadata": _described,
    "piece info": _on_pages("/PieceInfo", lambda pdf: Dictionary(X=Dictionary(Private=String("x")))),
    "thumbnails": _on_pages("/Thumb", lambda pdf: pdf.make_stream(b"x")),
    "layers": _layers,
    "signature": _signature,
}


def document(feature: str) -> bytes:
    """A page of every geometry with a feature on it."""
    with Pdf.new() as pdf:
        for width, height, turn, unit, inset in GEOMETRIES:
            pdf.add_blank_page(page_size=(width, height))
            page = pdf.pages[-1].obj
            page.Contents = pdf.make_stream(
                f"q 0.2 g {width / 4} {height / 4} {width / 3} {height / 3} re f".encode()
            )
            page.Resources = Dictionary()
            page.CropBox = Array([inset, inset, width - inset, height - inset])
            page.Rotate, page.UserUnit = turn, unit
        FEATURES[feature](pdf)
        out = io.BytesIO()
        pdf.save(out)
        return out.getvalue()


def keys_of(data: bytes) -> set[str]:
    """Every key of every dictionary."""
    found: set[str] = set()
    with Pdf.open(io.BytesIO(data)) as pdf:
        waiting: list[object] = [*pdf.objects, pdf.trailer]
        while waiting:
            value = waiting.pop()
            if isinstance(value, Dictionary | pikepdf.Stream):
                found |= set(value.keys())
                waiting += [
                    item for key, item in value.items() if key != "/Parent" and not item_is_indirect(item)
                ]
            elif isinstance(value, Array):
                waiting += [item for item in value if not item_is_indirect(item)]
    return found


def item_is_indirect(item: object) -> bool:
    return isinstance(item, pikepdf.Object) and item.is_indirect


def marked(data: bytes, mark: Mark, **options: object) -> tuple[bytes | None, Report]:
    """The marked bytes, or None."""
    fd = memory.create("source", data)
    try:
        out, report = worker.mark(fd, mark, **options)  # type: ignore[arg-type]
    finally:
        os.close(fd)
    if out is None:
        return None, report
    try:
        return memory.read(out), report
    finally:
        os.close(out)


def _through(cases: Iterator[tuple[str, str]]) -> int:
    done = 0
    for feature, script in cases:
        out, report = marked(
            document(feature),
            Mark((script, "用途 Purpose"), "SG01-F0001"),
            signature_loss=feature == "signature",
        )
        assert out is not None, (feature, script, report)
        assert [page.marked for page in report.pages] == [True] * len(GEOMETRIES)
        assert not keys_of(out) & ACTIVE, feature
        assert feature in ("plain", "layers") or report.removed, feature
        assert ("SIGNATURE_LOST" in report.notes) == (feature == "signature")
        done += 1
    return done


@pytest.mark.soak
def test_every_feature_on_every_geometry_in_every_script() -> None:
    assert _through((feature, script) for feature in FEATURES for script in SCRIPTS) == len(FEATURES) * len(
        SCRIPTS
    )


def test_every_feature_once() -> None:
    chosen = [("form", 0), ("signature", 3), ("launch", 2)]
    assert _through((feature, SCRIPTS[script]) for feature, script in chosen) == len(chosen)


@pytest.mark.soak
def test_the_real_documents_in_one_batch(tmp_path: Path) -> None:
    if not CORPUS.is_dir():
        pytest.fail("the corpus is not beside the checkout")
    report, out = tmp_path / "r.jsonl", tmp_path / "out"
    words = ["--text", "示例建材供应商 Recipient", "--copy", "SG01-F0001", "--report", str(report)]
    program = [sys.executable, "-m", "gateway.cli", "mark", "--batch", str(CORPUS), "-o", str(out), *words]
    done = subprocess.run(program, capture_output=True, text=True, timeout=3600)
    assert done.returncode in (0, 3), done.stderr
    lines = [json.loads(line) for line in report.read_text("utf-8").splitlines()]
    assert len(lines) == sum(path.is_file() for path in CORPUS.rglob("*"))
    for line in lines:
        assert line["status"] == "marked" or line["reason"] in HONEST, line
        assert all(page["marked"] for page in line["pages"])
        if line["status"] == "marked" and line["kind"] == "pdf":
            assert not keys_of((out / line["file"]).read_bytes()) & ACTIVE, line["file"]


def _deflated(layers: int) -> bytes:
    engine = zlib.compressobj(9)
    data = b"".join(engine.compress(b" " * (1 << 20)) for _ in range(512)) + engine.flush()
    for _ in range(layers - 1):
        data = zlib.compress(data, 9)
    return data


def _contents_bomb(layers: int) -> bytes:
    with Pdf.new() as pdf:
        pdf.add_blank_page(page_size=(595, 842))
        stream = pdf.make_stream(b"")
        stream.write(_deflated(layers), filter=Array([Name.FlateDecode] * layers))
        pdf.pages[0].obj.Contents = stream
        return _saved(pdf)


def _objects_bomb() -> bytes:
    with Pdf.new() as pdf:
        pdf.add_blank_page(page_size=(595, 842))
        pdf.Root.X = Array([pdf.make_indirect(Dictionary(N=number)) for number in range(250_000)])
        return _saved(pdf)


def _nested_forms() -> bytes:
    """Ten forms that each draw the next ten times: ten thousand million rectangles."""
    with Pdf.new() as pdf:
        pdf.add_blank_page(page_size=(595, 842))
        inner = pdf.make_stream(
            b"0 0 9 9 re f", Type=Name.XObject, Subtype=Name.Form, BBox=Array([0, 0, 9, 9])
        )
        for _ in range(10):
            inner = pdf.make_stream(
                b"/F Do " * 10,
                Type=Name.XObject,
                Subtype=Name.Form,
                BBox=Array([0, 0, 9, 9]),
                Resources=Dictionary(XObject=Dictionary(F=inner)),
            )
        pdf.pages[0].obj.Resources = Dictionary(XObject=Dictionary(F=inner))
        pdf.pages[0].obj.Contents = pdf.make_stream(b"/F Do")
        return _saved(pdf)


def _image_bomb() -> bytes:
    with Pdf.new() as pdf:
        pdf.add_blank_page(page_size=(595, 842))
        image = pdf.make_stream(
            b"",
            Type=Name.XObject,
            Subtype=Name.Image,
            Width=30_000,
            Height=30_000,
            BitsPerComponent=8,
            ColorSpace=Name.DeviceRGB,
        )
        image.write(_deflated(2), filter=Array([Name.FlateDecode] * 2))
        pdf.pages[0].obj.Resources = Dictionary(XObject=Dictionary(I=image))
        pdf.pages[0].obj.Contents = pdf.make_stream(b"500 0 0 500 0 0 cm /I Do")
        return _saved(pdf)


def _pixel_bomb() -> bytes:
    header = b"IHDR" + (60_000).to_bytes(4, "big") * 2 + b"\x08\x00\x00\x00\x00"
    body = b"IDAT" + zlib.compress(bytes(1 << 20), 9)
    chunks = b"".join(
        len(part[4:]).to_bytes(4, "big") + part + zlib.crc32(part).to_bytes(4, "big")
        for part in (header, body, b"IEND")
    )
    return b"\x89PNG\r\n\x1a\n" + chunks


def _many_pages(count: int) -> bytes:
    with Pdf.new() as pdf:
        for _ in range(count):
            pdf.add_blank_page(page_size=(595, 842))
        return _saved(pdf)


def _saved(pdf: Pdf) -> bytes:
    out = io.BytesIO()
    pdf.save(out)
    return out.getvalue()


BOMBS: dict[str, Callable[[], bytes]] = {
    "deflate": lambda: _contents_bomb(1),
    "deflate three times": lambda: _contents_bomb(3),
    "objects": _objects_bomb,
    "nested forms": _nested_forms,
    "image": _image_bomb,
    "pixels": _pixel_bomb,
    "ten thousand pages": lambda: _many_pages(10_000),
}


def _defused(name: str, deadline_s: float) -> None:
    data, started = BOMBS[name](), time.monotonic()
    out, report = marked(data, Mark(("示例",), "SG01-F0001"), deadline_s=deadline_s)
    assert time.monotonic() - started < deadline_s + 30
    assert (out is None) == (report.status == "refused")
    assert out is None or all(page.marked for page in report.pages)
    assert (
        out is not None
        or report.reason in ("TIMEOUT", "CRASHED", "BROKEN")
        or str(report.reason).startswith("BUDGET")
    ), report


@pytest.mark.soak
@pytest.mark.parametrize("name", BOMBS)
def test_bombs_end_inside_their_budgets(name: str) -> None:
    _defused(name, 60)


@pytest.mark.parametrize("name", ["pixels", "nested forms"])
def test_some_bombs_end_inside_their_budgets(name: str) -> None:
    _defused(name, 4)
