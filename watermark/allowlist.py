"""What may stay in a rebuilt PDF, type by type (ISO 32000-2), and the walk that takes away everything else.

A key that no table names is removed. Tables and not a list of forbidden keys: a resource may be called /JS, and tomorrow's active
key has a name nobody knows today.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import pikepdf

from watermark.errors import Refusal

MAX_DEPTH = 96
MAX_NODES = 2_000_000


def _plain(names: str, kind: str = "scalar") -> dict[str, str]:
    """A table whose keys all hold one type."""
    return dict.fromkeys(names.split(), kind)


_STREAM = {"Length": "scalar", "Filter": "scalar", "DecodeParms": "parms"}
_FUNCTION = _plain("FunctionType Domain Range Size BitsPerSample Order Encode Decode C0 C1 N Bounds") | {
    "Functions": "function"
}

# Type → key → type of the value. "scalar" is a number, name, string, boolean, or an array of such.
# "*X" is a dictionary with free names (resource names) whose values are of type X.
TABLES: dict[str, dict[str, str]] = {
    "parms": _plain(
        "Predictor Colors BitsPerComponent Columns EarlyChange K EndOfLine EncodedByteAlign Rows EndOfBlock BlackIs1 "
        "DamagedRowsBeforeError ColorTransform"
    )
    | {"JBIG2Globals": "data"},
    "data": _STREAM,
    "function": _STREAM | _FUNCTION,
    "resources": {
        "ExtGState": "*gstate",
        "ColorSpace": "*colour",
        "Pattern": "*pattern",
        "Shading": "*shading",
        "XObject": "*xobject",
        "Font": "*font",
        "ProcSet": "scalar",
        "Properties": "*property",
    },
    "image": _STREAM
    | _plain(
        "Type Subtype Width Height BitsPerComponent Intent ImageMask Decode Interpolate SMaskInData Matte Name"
    )
    | {"ColorSpace": "colour", "Mask": "image", "SMask": "image", "OC": "oc"},
    "form": _STREAM
    | _plain("Type Subtype FormType BBox Matrix Name")
    | {"Resources": "resources", "Group": "group", "OC": "oc"},
    "group": {"Type": "scalar", "S": "scalar", "CS": "colour", "I": "scalar", "K": "scalar"},
    "gstate": _plain("Type LW LC LJ ML D RI OP op OPM FL SM SA BM CA ca AIS TK UseBlackPtComp")
    | _plain("BG BG2 UCR UCR2 TR TR2", "function")
    | {"Font": "font", "SMask": "softmask"},
    "softmask": {"Type": "scalar", "S": "scalar", "G": "form", "BC": "scalar", "TR": "function"},
    "pattern": _STREAM
    | _plain("Type PatternType PaintType TilingType BBox XStep YStep Matrix")
    | {"Resources": "resources", "Shading": "shading", "ExtGState": "gstate"},
    "shading": _STREAM
    | _plain(
        "ShadingType Background BBox AntiAlias Domain Coords Extend Matrix BitsPerCoordinate BitsPerComponent BitsPerFlag "
        "Decode VerticesPerRow"
    )
    | {"ColorSpace": "colour", "Function": "function"},
    # An array of a colour space holds a profile, a calibration, attributes, a function or another space: one table for all.
    "colour": _STREAM
    | _FUNCTION
    | _plain("WhitePoint BlackPoint Gamma Matrix Subtype Components")
    | {"Alternate": "colour", "Colorants": "*colour", "Process": "colour", "ColorSpace": "colour"},
    "font": _plain("Type Subtype Name BaseFont FirstChar LastChar Widths W DW W2 DW2 FontBBox FontMatrix")
    | {
        "FontDescriptor": "descriptor",
        "Encoding": "encoding",
        "ToUnicode": "encoding",
        "DescendantFonts": "font",
        "CIDSystemInfo": "flat",
        "CIDToGIDMap": "data",
        "CharProcs": "*data",
        "Resources": "resources",
    },
    "descriptor": _plain(
        "Type FontName FontFamily FontStretch FontWeight Flags FontBBox ItalicAngle Ascent Descent Leading "
        "CapHeight XHeight StemV StemH AvgWidth MaxWidth MissingWidth CharSet Lang"
    )
    | {
        "FontFile": "fontfile",
        "FontFile2": "fontfile",
        "FontFile3": "fontfile",
        "CIDSet": "data",
        "Style": "flat",
        "FD": "*descriptor",
    },
    "fontfile": _STREAM | _plain("Length1 Length2 Length3 Subtype"),
    "encoding": _STREAM
    | _plain("Type BaseEncoding Differences CMapName WMode")
    | {"CIDSystemInfo": "flat", "UseCMap": "encoding"},
    "oc": {
        "Type": "scalar",
        "Name": "scalar",
        "Intent": "scalar",
        "Usage": "*flat",
        "OCGs": "oc",
        "P": "scalar",
        "VE": "oc",
    },
    "layers": {"OCGs": "oc", "D": "layerconfig"},
    "layerconfig": _plain("Name BaseState Intent ListMode")
    | _plain("ON OFF Order RBGroups Locked", "oc")
    | {"AS": "layeruse"},
    "layeruse": {"Event": "scalar", "OCGs": "oc", "Category": "scalar"},
}

# Keys whose loss is worth a line of its own in the report; the rest is counted as other_keys or not at all.
NAMED = {
    "A": "actions",
    "AA": "actions",
    "JS": "javascript",
    "Metadata": "metadata",
    "PieceInfo": "piece_info",
    "Thumb": "thumbnails",
    "Ref": "reference_xobjects",
    "OPI": "opi_references",
    "Alternates": "alternate_images",
    "AF": "embedded_files",
    "EF": "embedded_files",
    "F": "external_streams",
    "FFilter": "external_streams",
}
_SILENT = frozenset({"StructParent", "StructParents", "LastModified", "HT", "HTP", "MixingHints", "ID"})


@dataclass
class Allowlist:
    """One walk over one document; `removed` counts what it took away, `nodes` what it saw."""

    removed: Counter[str] = field(default_factory=Counter)
    nodes: int = 0
    _seen: set[tuple[tuple[int, int], str]] = field(default_factory=set)

    def clean(self, value: object, kind: str, depth: int = 0) -> bool:
        """Take from `value`, in place, all that `kind` does not name; False when the value itself may not stay.

        Raises Refusal BUDGET_OBJECTS for structures too deep or too many.
        """
        self.nodes += 1
        if depth > MAX_DEPTH or self.nodes > MAX_NODES:
            raise Refusal("BUDGET_OBJECTS", "the document's structure is too deep or too large")
        if isinstance(value, pikepdf.Array):
            return self._array(value, kind, depth)
        if not isinstance(value, pikepdf.Dictionary | pikepdf.Stream):
            return True
        if kind == "scalar":
            return False
        if value.is_indirect and (value.objgen, kind) in self._seen:
            return True
        if value.is_indirect:
            self._seen.add((value.objgen, kind))
        chosen = _CHOOSE[kind](value) if kind in _CHOOSE else kind
        return chosen is not None and self._dictionary(value, chosen, depth)

    def _array(self, value: pikepdf.Array, kind: str, depth: int) -> bool:
        if value.is_indirect and (value.objgen, kind) in self._seen:
            return True
        if value.is_indirect:
            self._seen.add((value.objgen, kind))
        for index, item in enumerate(value):
            if not self.clean(item, kind, depth + 1):
                value[index] = pikepdf.Dictionary() if kind != "scalar" else 0
        return True

    def _dictionary(self, value: pikepdf.Object, kind: str, depth: int) -> bool:
        table = TABLES.get(kind)
        for key in list(value.keys()):
            name = key[1:]
            wanted = kind[1:] if kind.startswith("*") else "scalar" if table is None else table.get(name)
            if wanted is None:
                self._count(name)
                del value[key]
                continue
            if not self.clean(value[key], wanted, depth + 1):
                self.removed["other_objects"] += 1
                del value[key]
        return True

    def _count(self, name: str) -> None:
        if name not in _SILENT:
            self.removed[NAMED.get(name, "other_keys")] += 1


def _xobject(value: pikepdf.Object) -> str | None:
    """Images and forms stay; PostScript and unknown kinds go."""
    if not isinstance(value, pikepdf.Stream):
        return None
    return {"/Image": "image", "/Form": "form"}.get(str(value.get("/Subtype")))


def _property(value: pikepdf.Object) -> str | None:
    """Of the property lists only layers change what is seen."""
    return "oc" if str(value.get("/Type")) in ("/OCG", "/OCMD") else None


_CHOOSE: dict[str, Callable[[pikepdf.Object], str | None]] = {"xobject": _xobject, "property": _property}
