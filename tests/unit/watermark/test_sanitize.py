"""A rebuilt PDF holds pages and nothing that acts, fetches or hides; bombs and broken files end in a refusal."""

import io
import os
import random
import zlib
from collections.abc import Callable
from contextlib import closing

import pikepdf
import pypdfium2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pikepdf import Array, Dictionary, Name, Pdf, Stream, String
from PIL import Image, ImageChops

from watermark import job, memory, sanitize
from watermark.allowlist import Allowlist
from watermark.errors import Refusal
from watermark.report import Report

Marked = Callable[..., tuple[bytes | None, Report]]
Drawn = Callable[..., Image.Image]
Saved = Callable[..., bytes]
AddPage = Callable[..., pikepdf.Page]

_ACTIVE = (
    "/JavaScript /JS /OpenAction /AA /Launch /SubmitForm /ImportData /GoToR /GoToE /URI /EmbeddedFiles /EmbeddedFile /EF "
    "/XFA /AcroForm /RichMedia /Annots /Metadata /PieceInfo /Thumb /Ref /OPI /Alternates /Names /Outlines /Dests "
    "/StructTreeRoot /Collection /Threads /PS /AF /Perms"
).split()


def _keys(data: bytes) -> set[str]:
    """Every key of every dictionary in a document."""
    found: set[str] = set()
    with Pdf.open(io.BytesIO(data)) as pdf:
        waiting: list[object] = [*pdf.objects, pdf.trailer]
        while waiting:
            value = waiting.pop()
            if isinstance(value, Array):
                waiting.extend(
                    item for item in value if isinstance(item, Array | Dictionary) and not item.is_indirect
                )
            elif isinstance(value, Dictionary | Stream):
                found |= set(value.keys())
                inner = [value[key] for key in list(value.keys())]
                waiting.extend(
                    item for item in inner if isinstance(item, Array | Dictionary) and not item.is_indirect
                )
    return found


def _active(pdf: Pdf, page: pikepdf.Page) -> None:
    """Plant one of each active or hiding thing in a document."""
    script = Dictionary(S=Name.JavaScript, JS=String("app.alert('canary-script')"))
    launch = Dictionary(S=Name.Launch, F=String("canary-launch.exe"))
    embedded = pdf.make_stream(b"canary-file")
    embedded.Type = Name.EmbeddedFile
    spec = Dictionary(Type=Name.Filespec, F=String("canary.exe"), EF=Dictionary(F=embedded))
    root = pdf.Root
    root.OpenAction, root.AA, root.AF = script, Dictionary(WC=script), Array([spec])
    root.Names = Dictionary(
        JavaScript=Dictionary(Names=Array([String("a"), script])),
        EmbeddedFiles=Dictionary(Names=Array([String("b"), spec])),
    )
    widget = _annotation(pdf, "/Widget", AA=script, FT=Name.Btn)
    root.AcroForm = Dictionary(Fields=Array([widget]), XFA=pdf.make_stream(b"<canary-xfa/>"))
    root.Metadata = pdf.make_stream(b"<canary-xmp/>")
    root.PieceInfo = Dictionary(Canary=Dictionary(Private=String("canary-private")))
    root.Outlines = pdf.make_indirect(Dictionary(Type=Name.Outlines))
    pdf.trailer.Info = pdf.make_indirect(Dictionary(Author=String("canary-author")))
    page.obj.AA, page.obj.PieceInfo, page.obj.Thumb = (
        Dictionary(O=launch),
        root.PieceInfo,
        pdf.make_stream(b"canary-thumb"),
    )
    page.obj.Annots = Array(
        [_annotation(pdf, "/RichMedia", A=script), _annotation(pdf, "/Link", A=launch), widget]
    )


def _annotation(pdf: Pdf, subtype: str, **keys: object) -> pikepdf.Object:
    rectangle = Array([100, 100, 200, 150])
    return pdf.make_indirect(Dictionary(Type=Name.Annot, Subtype=Name(subtype), Rect=rectangle, **keys))


def _deep(pdf: Pdf, page: pikepdf.Page) -> None:
    """Plant active keys down in the resources, beside a font and an image that are harmlessly named like them."""
    form = pdf.make_stream(b"0 0 10 10 re f")
    form.Type, form.Subtype, form.BBox = Name.XObject, Name.Form, Array([0, 0, 10, 10])
    form.Ref = Dictionary(F=String("canary-elsewhere.pdf"), Page=0)
    form.PieceInfo, form.OPI, form.Metadata = Dictionary(), Dictionary(), pdf.make_stream(b"canary-deep")
    postscript = pdf.make_stream(b"(canary-ps) run")
    postscript.Type, postscript.Subtype = Name.XObject, Name.PS
    image = pdf.make_stream(b"\x80" * 100)
    image.Type, image.Subtype, image.Width, image.Height = Name.XObject, Name.Image, 10, 10
    image.ColorSpace, image.BitsPerComponent = Name.DeviceGray, 8
    image.Alternates = Array([Dictionary(Image=image, DefaultForPrinting=True)])
    page.obj.Resources.XObject = Dictionary(JS=form, PS0=postscript, AA=image)
    page.obj.Contents = pdf.make_stream(b"q 100 0 0 100 200 200 cm /AA Do Q /JS Do /PS0 Do")


def test_nothing_active_or_hidden_is_left_and_all_is_counted(
    marked: Marked, saved: Saved, add_page: AddPage
) -> None:
    with Pdf.new() as pdf:
        page = add_page(pdf)
        _active(pdf, page)
        _deep(pdf, page)
        source = saved(pdf, compress_streams=False)
        data, report = marked(source)
    assert source.count(b"canary") >= 14
    assert data is not None, report
    assert not _keys(data) & set(_ACTIVE) - {"/JS", "/AA"}
    assert b"canary" not in data
    with Pdf.open(io.BytesIO(data)) as out:
        assert set(out.docinfo.keys()) == {"/Title", "/Producer"}
        assert str(out.docinfo.Title) == "SG01-KH·2026·SJ-0001-003_F0001"
    for name in (
        "open_action actions javascript embedded_files xfa metadata piece_info thumbnails outlines annotations "
        "rich_media form_fields reference_xobjects opi_references alternate_images"
    ).split():
        assert report.removed.get(name), name


def test_resources_named_like_active_keys_stay(
    marked: Marked, drawn: Drawn, saved: Saved, add_page: AddPage
) -> None:
    with Pdf.new() as pdf:
        page = add_page(pdf)
        _deep(pdf, page)
        data, _ = marked(saved(pdf))
    assert data is not None
    assert 100 < drawn(data).getpixel((250, 842 - 250)) < 140


def test_annotations_and_fields_look_as_before(
    marked: Marked, drawn: Drawn, saved: Saved, add_page: AddPage
) -> None:
    with Pdf.new() as pdf:
        page = add_page(pdf, content=b"")
        look = pdf.make_stream(b"0 g 0 0 50 25 re f")
        look.Subtype, look.BBox, look.Matrix = Name.Form, Array([0, 0, 50, 25]), Array([0, 1, -1, 0, 0, 0])
        seen = _annotation(pdf, "/Stamp", AP=Dictionary(N=look))
        hidden = _annotation(pdf, "/Stamp", AP=Dictionary(N=look), F=2)
        hidden.Rect = Array([300, 300, 400, 400])
        chosen = _annotation(
            pdf,
            "/Widget",
            FT=Name.Btn,
            AP=Dictionary(N=Dictionary(On=look, Off=pdf.make_stream(b""))),
            AS=Name.On,
        )
        chosen.Rect = Array([300, 100, 400, 200])
        page.obj.Annots = Array([seen, hidden, chosen])
        pdf.Root.AcroForm = Dictionary(Fields=Array([chosen]))
        source = saved(pdf)
        data, report = marked(source)
    assert data is not None
    assert report.removed == {"annotations": 2, "flattened": 2, "form_fields": 1}
    image = drawn(data)
    for point, dark in (((150, 842 - 125), True), ((350, 842 - 350), False), ((350, 842 - 150), True)):
        assert (image.getpixel(point) < 70) is dark, point  # type: ignore[operator]


def test_hidden_layers_stay_hidden(marked: Marked, drawn: Drawn, saved: Saved, add_page: AddPage) -> None:
    with Pdf.new() as pdf:
        page = add_page(pdf, content=b"/OC /L BDC 100 100 300 300 re f EMC")
        layer = pdf.make_indirect(Dictionary(Type=Name.OCG, Name=String("Hidden")))
        page.obj.Resources.Properties = Dictionary(L=layer)
        pdf.Root.OCProperties = Dictionary(
            OCGs=Array([layer]), D=Dictionary(OFF=Array([layer]), Order=Array([layer]))
        )
        data, _ = marked(saved(pdf))
        assert data is not None
        assert drawn(data).crop((100, 442, 400, 742)).getextrema()[0] > 100
        pdf.Root.OCProperties.D = Dictionary(Order=Array([layer]))
        data, _ = marked(saved(pdf))
        assert data is not None
        assert drawn(data).getpixel((250, 842 - 250)) < 70  # type: ignore[operator]


def test_an_unknown_key_is_removed_wherever_it_stands() -> None:
    with Pdf.new() as pdf:
        inner = Dictionary(
            Type=Name.Font, Subtype=Name.Type1, BaseFont=Name.Helvetica, Tomorrow=Dictionary(JS=String("x"))
        )
        resources = Dictionary(Font=Dictionary(Tomorrow=inner), Tomorrow=String("y"))
        pdf.Root.Keep = resources
        walk = Allowlist()
        assert walk.clean(pdf.Root.Keep, "resources")
        assert set(pdf.Root.Keep.keys()) == {"/Font"}
        assert set(pdf.Root.Keep.Font.Tomorrow.keys()) == {"/Type", "/Subtype", "/BaseFont"}
        assert walk.removed["other_keys"] == 2


def test_a_structure_too_deep_is_refused() -> None:
    with Pdf.new() as pdf:
        deep: pikepdf.Object = Array([])
        for _ in range(200):
            deep = Array([deep])
        with pytest.raises(Refusal, match="BUDGET_OBJECTS"):
            Allowlist().clean(deep, "colour")
        loop = pdf.make_indirect(Dictionary(Type=Name.Pattern))
        loop.Resources = Dictionary(Pattern=Dictionary(P=loop))
        assert Allowlist().clean(loop, "pattern")


@pytest.mark.parametrize("owner_only", [False, True])
def test_encrypted_files_are_refused(
    owner_only: bool, marked: Marked, saved: Saved, add_page: AddPage
) -> None:
    with Pdf.new() as pdf:
        add_page(pdf)
        locked = saved(pdf, encryption=pikepdf.Encryption(user="" if owner_only else "u", owner="o", R=6))
    assert marked(locked)[1].reason == "ENCRYPTED"


def test_signed_files_are_refused(marked: Marked, saved: Saved, add_page: AddPage) -> None:
    with Pdf.new() as pdf:
        page = add_page(pdf)
        field = _annotation(pdf, "/Widget", FT=Name.Sig, V=Dictionary(Type=Name.Sig))
        parent = pdf.make_indirect(Dictionary(Kids=Array([field])))
        page.obj.Annots = Array([field])
        pdf.Root.AcroForm = Dictionary(Fields=Array([parent]), SigFlags=3)
        assert marked(saved(pdf))[1].reason == "SIGNED"
        del field.V
        assert marked(saved(pdf))[1].status == "marked"


def test_dynamic_forms_are_refused(marked: Marked, saved: Saved, add_page: AddPage) -> None:
    with Pdf.new() as pdf:
        add_page(pdf)
        pdf.Root.AcroForm = Dictionary(Fields=Array([]), XFA=pdf.make_stream(b"<x/>"))
        pdf.Root.NeedsRendering = True
        assert marked(saved(pdf))[1].reason == "XFA_DYNAMIC"


def _bomb(layers: int) -> bytes:
    """Zeros deflated `layers` times: 1 GiB from a few hundred bytes at three."""
    engine = zlib.compressobj(9)
    data = b"".join(engine.compress(b" " * (1 << 20)) for _ in range(512)) + engine.flush()
    for _ in range(layers - 1):
        data = zlib.compress(data, 9)
    return data


@pytest.mark.parametrize("place", ["contents", "pieces", "image", "font"])
@pytest.mark.parametrize("layers", [1, 3])
def test_deflate_bombs_end_quickly_and_never_unmarked(
    place: str, layers: int, marked: Marked, saved: Saved, add_page: AddPage
) -> None:
    with Pdf.new() as pdf:
        page = add_page(pdf).obj
        bomb = pdf.make_stream(b"")
        bomb.write(_bomb(layers), filter=Array([Name.FlateDecode] * layers))
        if place == "contents":
            page.Contents = bomb
        elif place == "pieces":
            page.Contents = Array([bomb, bomb])
        elif place == "image":
            bomb.Subtype, bomb.Width, bomb.Height, bomb.BitsPerComponent = Name.Image, 16384, 32768, 8
            bomb.Type, bomb.ColorSpace = Name.XObject, Name.DeviceGray
            page.Resources.XObject = Dictionary(B=bomb)
            page.Contents = pdf.make_stream(b"q 500 0 0 500 0 0 cm /B Do Q")
        else:
            page.Resources.Font.F.FontDescriptor = Dictionary(Type=Name.FontDescriptor, FontFile2=bomb)
        source = saved(pdf, compress_streams=False, stream_decode_level=pikepdf.StreamDecodeLevel.none)
    assert len(source) < 2_000_000
    data, report = marked(source, deadline_s=20)
    assert report.reason in (None, "BUDGET_BYTES", "BUDGET_MEMORY", "CRASHED", "BROKEN", "MARK_NOT_SEEN"), (
        report
    )
    assert (data is not None) == (report.status == "marked")
    if data is not None:
        assert len(data) < 3_000_000


def test_too_many_pages_are_refused(monkeypatch: pytest.MonkeyPatch, saved: Saved, add_page: AddPage) -> None:
    monkeypatch.setattr(sanitize, "MAX_PAGES", 2)
    with Pdf.new() as pdf:
        for _ in range(3):
            add_page(pdf)
        with pytest.raises(Refusal, match="BUDGET_PAGES"):
            sanitize.open_pdf(saved(pdf))


def test_real_and_made_files_look_as_before_under_the_mark(corpus_file, marked: Marked, a4: bytes) -> None:  # type: ignore[no-untyped-def]
    """Every page is marked or the file refused; under the mark no page lost or gained more than the mark's own strokes."""
    source = corpus_file.read_bytes() if corpus_file else a4
    data, report = marked(source)
    if data is None:
        assert report.reason in ("ENCRYPTED", "BROKEN", "PAGE_SIZE"), report
        return
    with closing(pypdfium2.PdfDocument(source)) as before, closing(pypdfium2.PdfDocument(data)) as after:
        assert len(before) == len(after) == len(report.pages)
        for index in range(min(3, len(after))):
            one, two = (
                document[index].render(scale=0.7).to_pil().convert("L") for document in (before, after)
            )
            changed = ImageChops.difference(one, two).point(lambda level: 255 if level > 110 else 0)
            assert (
                changed.crop((0, 0, one.width, int(one.height * 0.93))).histogram()[255]
                < 0.004 * one.width * one.height
            )


@given(seed=st.integers(0, 1 << 32), cuts=st.integers(1, 40))
@settings(deadline=None, max_examples=60)
def test_damaged_files_are_marked_or_refused_and_never_raise(seed: int, cuts: int) -> None:
    with Pdf.new() as pdf:
        pdf.add_blank_page(page_size=(595, 842))
        _active(pdf, pdf.pages[0])
        out = io.BytesIO()
        pdf.save(out)
    data = bytearray(out.getvalue())
    chance = random.Random(seed)  # Reproducible damage, not a secret.
    for _ in range(cuts):
        data[chance.randrange(len(data))] = chance.randrange(256)
    source, target = memory.create("source", bytes(data)), memory.create("out")
    try:
        order = {"task": "mark", "mark": {"lines": ["甲 C-1"], "copy_number": "C-1", "opacity": 0.12}}
        done = job.run(order, source, target)
        assert (done["status"] == "marked") == (memory.size(target) > 0)
        assert all(page["marked"] for page in done["pages"])
    finally:
        os.close(source)
        os.close(target)


def test_a_password_opens_what_its_owner_locked(marked: Marked, saved: Saved, add_page: AddPage) -> None:
    with Pdf.new() as pdf:
        add_page(pdf)
        locked = saved(pdf, encryption=pikepdf.Encryption(user="开门", owner="o", R=6))
    out, report = marked(locked, password="开门")
    assert out is not None, report
    with Pdf.open(io.BytesIO(out)) as pdf:
        assert not pdf.is_encrypted
    assert marked(locked, password="other")[1].reason == "WRONG_PASSWORD"


def test_a_signature_is_lost_only_when_that_is_said(marked: Marked, saved: Saved, add_page: AddPage) -> None:
    with Pdf.new() as pdf:
        page = add_page(pdf)
        field = _annotation(pdf, "/Widget", FT=Name.Sig, V=Dictionary(Type=Name.Sig))
        page.obj.Annots = Array([field])
        pdf.Root.AcroForm = Dictionary(Fields=Array([field]), SigFlags=3)
        signed = saved(pdf)
    assert marked(signed)[1].reason == "SIGNED"
    out, report = marked(signed, signature_loss=True)
    assert out is not None, report
    assert report.notes == ("SIGNATURE_LOST",)
    assert not _keys(out) & {"/AcroForm", "/Perms"}
