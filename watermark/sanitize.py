"""A PDF rebuilt by allow-list: a new document with the old one's pages and nothing else.

Each page's contents become one Form XObject, so that no unbalanced q or Q, no clip and no colour of the page reaches what is
drawn after it. Annotations and fields that are seen become forms too; the rest of the document is left behind and counted.
"""

import io
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import pikepdf
from pikepdf import Array, Dictionary, Name, Pdf, Stream

from watermark.allowlist import Allowlist
from watermark.errors import Refusal
from watermark.geometry import Box, Geometry, box, inherited

MAX_PAGES = 5_000
MAX_OBJECTS = 200_000
MAX_CONTENT = 256 << 20
MAX_ANNOTATIONS = 20_000
_HIDDEN, _NO_VIEW = 2, 32
_NEVER_SEEN = frozenset({"/Popup", "/TrapNet", "/PrinterMark"})
_CATALOG = {
    "/OpenAction": "open_action",
    "/AA": "actions",
    "/Metadata": "metadata",
    "/PieceInfo": "piece_info",
    "/Outlines": "outlines",
    "/StructTreeRoot": "structure_tree",
    "/AF": "embedded_files",
    "/Collection": "portfolio",
    "/URI": "actions",
    "/Dests": "destinations",
    "/Threads": "article_threads",
    "/DPartRoot": "document_parts",
}
_PAGE = {
    "/AA": "actions",
    "/Metadata": "metadata",
    "/PieceInfo": "piece_info",
    "/Thumb": "thumbnails",
    "/AF": "embedded_files",
}
_NAMES = {"/JavaScript": "javascript", "/EmbeddedFiles": "embedded_files"}

Matrix = tuple[float, float, float, float, float, float]


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """A rebuilt document: pages hold the old contents as forms and can take more; `removed` counts what is gone."""

    pdf: Pdf
    geometries: tuple[Geometry, ...]
    removed: dict[str, int]


def open_pdf(data: bytes, *, password: str = "", signature_loss: bool = False) -> Pdf:
    """Open hostile bytes; raises Refusal ENCRYPTED, WRONG_PASSWORD, SIGNED, BROKEN, XFA_DYNAMIC, BUDGET_PAGES or BUDGET_OBJECTS.

    An encrypted file is opened with the password its owner gave at intake. A signed one loses its signature by marking, and is
    opened only where `signature_loss` says that this is wanted.
    """
    try:
        pdf = Pdf.open(io.BytesIO(data), password=password, suppress_warnings=True)
    except pikepdf.PasswordError as error:
        if password:
            raise Refusal("WRONG_PASSWORD", "the password does not open the file") from error
        raise Refusal(
            "ENCRYPTED", "the file is encrypted; give its password, or ask for one without"
        ) from error
    except pikepdf.PdfError as error:
        raise Refusal("BROKEN", "the file does not parse as a PDF") from error
    if pdf.is_encrypted and not password:
        raise Refusal("ENCRYPTED", "the file is encrypted; ask for one without restrictions")
    if len(pdf.objects) > MAX_OBJECTS:
        raise Refusal("BUDGET_OBJECTS", f"the file has more than {MAX_OBJECTS} objects")
    if len(pdf.pages) > MAX_PAGES:
        raise Refusal("BUDGET_PAGES", f"the file has more than {MAX_PAGES} pages")
    if len(pdf.pages) == 0:
        raise Refusal("BROKEN", "the file has no page")
    _refuse_bound(pdf, signature_loss=signature_loss)
    return pdf


def signed(pdf: Pdf) -> bool:
    """Whether the document carries a signature that marking would break."""
    form = pdf.Root.get("/AcroForm")
    return "/Perms" in pdf.Root or (isinstance(form, Dictionary) and any(_signatures(form)))


def _refuse_bound(pdf: Pdf, *, signature_loss: bool) -> None:
    """Signed files would lose their signature, dynamic forms their contents."""
    form = pdf.Root.get("/AcroForm")
    if not signature_loss and signed(pdf):
        raise Refusal("SIGNED", "the file carries a digital signature, which marking would break")
    if isinstance(form, Dictionary) and "/XFA" in form and pdf.Root.get("/NeedsRendering", False) is True:
        raise Refusal("XFA_DYNAMIC", "the file is a dynamic XFA form; only its maker's reader can draw it")


def _signatures(form: pikepdf.Object) -> Iterator[bool]:
    """Yields True for each signature field that has a value."""
    waiting = list(_dictionaries(form.get("/Fields")))
    for _ in range(MAX_OBJECTS):
        if not waiting:
            return
        field = waiting.pop()
        if field.get("/FT") == Name.Sig and "/V" in field:
            yield True
        waiting.extend(_dictionaries(field.get("/Kids")))
    raise Refusal("BUDGET_OBJECTS", "the form has too many fields")


def _dictionaries(value: object) -> Iterator[pikepdf.Object]:
    if isinstance(value, Array):
        yield from (item for item in value if isinstance(item, Dictionary))


def rebuild(source: Pdf) -> Rebuilt:
    """Copy every page's looks into a new document. Raises Refusal for what cannot be copied within the budgets."""
    rebuilder = _Rebuilder(source)
    geometries = tuple(rebuilder.page(page.obj) for page in source.pages)
    return Rebuilt(rebuilder.target, geometries, rebuilder.finish())


class _Rebuilder:
    """One pass from `source` to `target`; content forms are shared where pages share contents and resources."""

    def __init__(self, source: Pdf) -> None:
        self.source = source
        self.target = Pdf.new()
        self.allow = Allowlist()
        self.removed: Counter[str] = Counter()
        self.decoded = 0
        self.forms: dict[tuple[object, ...], pikepdf.Object] = {}
        self._draw_fields()

    def _draw_fields(self) -> None:
        """Let fields without an appearance get one; a form too broken for that loses them, which the count shows."""
        if "/AcroForm" in self.source.Root:
            try:
                self.source.generate_appearance_streams()
            except (pikepdf.PdfError, ValueError, RuntimeError):
                self.removed["fields_not_drawn"] += 1

    def page(self, page: pikepdf.Object) -> Geometry:
        """Append one rebuilt page to the target."""
        geometry = Geometry.of(page)
        content = self._content_form(page, geometry.visible)
        forms = [(content, (1.0, 0.0, 0.0, 1.0, 0.0, 0.0)), *self._annotations(page)]
        drawn = Dictionary()
        operators = []
        for index, (form, matrix) in enumerate(forms):
            drawn[f"/C{index}"] = self.target.copy_foreign(form)
            numbers = " ".join(f"{value:.6f}" for value in matrix)
            operators.append(f"q {numbers} cm /C{index} Do Q\n")
        new = self._page_dictionary(page, geometry)
        new.Resources = Dictionary(XObject=drawn)
        new.Contents = self.target.make_stream("".join(operators).encode())
        self.target.pages.append(pikepdf.Page(self.target.make_indirect(new)))
        for key, name in _PAGE.items():
            self.removed[name] += key in page
        return geometry

    def _page_dictionary(self, page: pikepdf.Object, geometry: Geometry) -> Dictionary:
        new = Dictionary(Type=Name.Page, MediaBox=Array(geometry.media), CropBox=Array(geometry.visible))
        for key in ("/TrimBox", "/BleedBox", "/ArtBox"):
            if (edges := box(page.get(key))) is not None:
                new[key] = Array(edges)
        if geometry.rotation:
            new.Rotate = geometry.rotation
        if geometry.user_unit != 1:
            new.UserUnit = geometry.user_unit
        group = page.get("/Group")
        if isinstance(group, Dictionary) and self.allow.clean(group, "group"):
            new.Group = self._copied(group)
        return new

    def _copied(self, value: pikepdf.Object) -> pikepdf.Object:
        return self.target.copy_foreign(value if value.is_indirect else self.source.make_indirect(value))

    def _content_form(self, page: pikepdf.Object, visible: Box) -> pikepdf.Object:
        """The page's contents as one form, clipped to what was visible: nothing outside comes to light by widening a box."""
        contents = page.get("/Contents")
        resources = _resources(page)
        key = (_identity(contents), _identity(resources), visible)
        if None not in key and key in self.forms:
            return self.forms[key]
        form = self._stream(contents)
        form.Type, form.Subtype, form.BBox = Name.XObject, Name.Form, Array(visible)
        if resources is not None and self.allow.clean(resources, "resources"):
            form.Resources = resources
        else:
            form.Resources = Dictionary()
        if None not in key:
            self.forms[key] = form
        return form

    def _stream(self, contents: object) -> Stream:
        """Contents as a new stream of the source: one stream as it lies, several decoded and joined by a line end."""
        streams = [contents] if isinstance(contents, Stream) else list(_streams(contents))
        if len(streams) == 1:
            return self._as_it_lies(streams[0])
        joined = b"\n".join(self._decoded(stream) for stream in streams)
        new = Stream(self.source, b"")
        new.write(zlib.compress(joined, 1), filter=Name.FlateDecode)
        return new

    def _as_it_lies(self, stream: pikepdf.Object) -> Stream:
        """The still compressed bytes with a clean dictionary: a bomb stays a bomb, but nobody here decodes it."""
        new = Stream(self.source, stream.read_raw_bytes())
        for key, kind in (("/Filter", "scalar"), ("/DecodeParms", "parms")):
            value = stream.get(key)
            if isinstance(value, pikepdf.Object) and self.allow.clean(value, kind):
                new[key] = value
        return new

    def _decoded(self, stream: pikepdf.Object) -> bytes:
        budget = MAX_CONTENT - self.decoded
        data = inflated(stream, budget)
        if len(data) > budget:
            raise Refusal("BUDGET_BYTES", "the page contents unpack to more than the budget")
        self.decoded += len(data)
        return data

    def _annotations(self, page: pikepdf.Object) -> Iterator[tuple[pikepdf.Object, Matrix]]:
        """Appearance and place of every annotation that is seen; all of them are counted as removed."""
        for index, annotation in enumerate(_dictionaries(page.get("/Annots"))):
            if index >= MAX_ANNOTATIONS:
                raise Refusal("BUDGET_OBJECTS", "a page has too many annotations")
            widget = annotation.get("/Subtype") == Name.Widget
            self.removed["form_fields" if widget else "annotations"] += 1
            self.removed["actions"] += "/A" in annotation or "/AA" in annotation
            self.removed["rich_media"] += str(annotation.get("/Subtype")) in (
                "/RichMedia",
                "/3D",
                "/Movie",
                "/Screen",
                "/Sound",
            )
            self.removed["embedded_files"] += str(annotation.get("/Subtype")) == "/FileAttachment"
            appearance = _appearance(annotation)
            rectangle = box(annotation.get("/Rect"))
            if appearance is None or rectangle is None:
                continue
            appearance.Type, appearance.Subtype = Name.XObject, Name.Form
            matrix = _placed(appearance, rectangle)
            if matrix is not None and self.allow.clean(appearance, "form"):
                self.removed["flattened"] += 1
                yield appearance, matrix

    def finish(self) -> dict[str, int]:
        """Copy the layers, count what the catalogue loses, and give the whole count without zeros."""
        root = self.source.Root
        layers = root.get("/OCProperties")
        if isinstance(layers, Dictionary) and self.allow.clean(layers, "layers"):
            self.target.Root.OCProperties = self._copied(layers)
        for key, name in _CATALOG.items():
            self.removed[name] += key in root
        names = root.get("/Names")
        for key, name in _NAMES.items():
            self.removed[name] += isinstance(names, Dictionary) and key in names
        form = root.get("/AcroForm")
        self.removed["xfa"] += isinstance(form, Dictionary) and "/XFA" in form
        self.removed["metadata"] += "/Info" in self.source.trailer
        total = self.removed + self.allow.removed
        return {name: count for name, count in sorted(total.items()) if count}


def _identity(value: object) -> object:
    """What two pages must have in common to share a form; None when the value is no object of its own."""
    return value.objgen if isinstance(value, pikepdf.Object) and value.is_indirect else None


def _resources(page: pikepdf.Object) -> pikepdf.Object | None:
    value = inherited(page, "/Resources")
    return value if isinstance(value, Dictionary) else None


def _streams(contents: object) -> Iterator[pikepdf.Object]:
    if isinstance(contents, Array):
        yield from (item for item in contents if isinstance(item, Stream))


def inflated(stream: pikepdf.Object, budget: int) -> bytes:
    """Decode a stream to at most one byte over `budget`. Damage in a stream ends it, as in readers."""
    if (
        stream.get("/Filter") in (Name.FlateDecode, Array([Name.FlateDecode]))
        and "/DecodeParms" not in stream
    ):
        try:
            return zlib.decompressobj().decompress(stream.read_raw_bytes(), budget + 1)
        except zlib.error:
            return b""
    try:
        return stream.read_bytes()
    except pikepdf.PdfError as error:
        raise Refusal("BROKEN", "the contents of a page do not decode") from error


def _appearance(annotation: pikepdf.Object) -> pikepdf.Object | None:
    """The normal appearance that readers show (ISO 32000-2, 12.5.5), or None when nothing is shown."""
    flags = annotation.get("/F", 0)
    hidden = isinstance(flags, int) and bool(flags & (_HIDDEN | _NO_VIEW))
    if hidden or str(annotation.get("/Subtype")) in _NEVER_SEEN:
        return None
    appearances = annotation.get("/AP")
    normal = appearances.get("/N") if isinstance(appearances, Dictionary) else None
    if isinstance(normal, Dictionary):
        state = annotation.get("/AS")
        normal = normal.get(str(state)) if isinstance(state, Name) else None
    return normal if isinstance(normal, Stream) else None


def _placed(appearance: pikepdf.Object, rectangle: Box) -> Matrix | None:
    """The matrix that fits the appearance's box into the annotation's rectangle (ISO 32000-2, 12.5.5, algorithm)."""
    bounds = box(appearance.get("/BBox"))
    if bounds is None:
        return None
    a, b, c, d, e, f = _matrix(appearance.get("/Matrix"))
    corners = [(x, y) for x in bounds[::2] for y in bounds[1::2]]
    xs = [a * x + c * y + e for x, y in corners]
    ys = [b * x + d * y + f for x, y in corners]
    width, height = max(xs) - min(xs), max(ys) - min(ys)
    if width <= 0 or height <= 0:
        return None
    scale_x, scale_y = (rectangle[2] - rectangle[0]) / width, (rectangle[3] - rectangle[1]) / height
    return scale_x, 0.0, 0.0, scale_y, rectangle[0] - min(xs) * scale_x, rectangle[1] - min(ys) * scale_y


def _matrix(value: object) -> Matrix:
    try:
        a, b, c, d, e, f = (float(number) for number in value)  # type: ignore[attr-defined]
    except (TypeError, ValueError):
        return 1.0, 0.0, 0.0, 1.0, 0.0, 0.0
    return a, b, c, d, e, f
