"""What the child process does with one file, once its walls stand."""

import codecs
import errno
import io
import secrets
import warnings
from contextlib import closing
from dataclasses import asdict, replace
from typing import Any

import pikepdf

from watermark import (
    archives,
    attempts,
    drawings,
    harden,
    images,
    kinds,
    layout,
    mails,
    memory,
    pictures,
    redact,
    sanitize,
    stamp,
    texts,
    typesetting,
    vectors,
    verify,
)
from watermark.errors import BadMark, Refusal
from watermark.mark import Mark
from watermark.prepared.task import do_prepare
from watermark.profiles import VECTOR, Profile
from watermark.report import Report, refused

MAX_SOURCE = 512 << 20
MAX_PREVIEW = 24_000_000  # Pixels.


def preload() -> None:
    """Bring in what would be read from disk later: plug-ins, codecs, the font. Afterwards no file can be opened."""
    from PIL import (  # noqa: F401  # noqa: F401
        BmpImagePlugin,
        GifImagePlugin,
        ImageCms,
        JpegImagePlugin,
        MpoImagePlugin,
        PngImagePlugin,
        TiffImagePlugin,
        WebPImagePlugin,
    )

    for name in _CODECS:
        codecs.lookup(name)  # Python loads codecs when they are first asked for, as by the names in a ZIP.
    drawings.preload()
    mails.preload()
    typesetting.preload()
    layout.preload()
    images.veil((256, 256), Mark(("准备 ready",), "0"), layout.words(Mark(("准备 ready",), "0")))


_CODECS = (
    "cp437 utf-16 utf-16-le utf-16-be utf-32 latin-1 cp1252 shift_jis gb18030 gbk gb2312 big5 hz euc_kr koi8-r idna punycode "
    "base64 quopri uu iso-8859-2 iso-8859-15 cp936 cp950 cp1251"
).split()


def seed() -> None:
    """Let qpdf open its source of random numbers; in each child anew, for children of one zygote would share its buffer.

    Revision 5 draws its keys as revision 6 does and is 60 times faster; nothing of this document is kept.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # It is called out of date, which is why nothing else here uses it.
        pikepdf.Pdf.new().save(io.BytesIO(), encryption=pikepdf.Encryption(user="0", owner="0", R=5))


def run(job: dict[str, Any], source: int, out: int) -> dict[str, Any]:
    """Do one task on the file behind descriptor `source`; bytes go to `out`, the result is plain values for JSON.

    Never raises for a bad file: a refusal is a result. What no budget foresaw is refused as BROKEN, with the error's type.
    """
    if memory.size(source) > MAX_SOURCE:
        return _too_large(job, memory.read(source, 1 << 16))
    try:
        return _TASKS[job["task"]](job, memory.read(source), out)
    except Refusal as refused_:
        return refusal(refused_.code, refused_.detail, job.get("kind", "unknown"))
    except MemoryError:
        return refusal("BUDGET_MEMORY", "the file needs more memory than the budget")
    except RecursionError:
        return refusal("BUDGET_OBJECTS", "the document's structure is too deep")
    except OSError as error:
        return refusal(
            "BUDGET_BYTES" if error.errno == errno.EFBIG else "BROKEN",
            f"the job failed: {type(error).__name__}",
        )
    except BadMark:
        return refusal("BAD_MARK", "the words of the mark cannot be drawn")
    except Exception as error:  # noqa: BLE001  # The libraries raise what they like for hostile bytes; all of it refuses.
        return refusal("BROKEN", f"the file cannot be processed: {type(error).__name__}")


def _too_large(job: dict[str, Any], head: bytes) -> dict[str, Any]:
    """A film of a gigabyte is still a film: what would be refused anyway is named by its head, the rest is over the budget."""
    code = kinds.family(head)
    markable = code == "pdf" or code in images.FORMATS or code in kinds.ROUTES
    reason = "BUDGET_BYTES" if markable else "NOT_MARKABLE"
    if job["task"] == "inspect":
        return kinds.refused_kind(code, reason).as_dict()
    return refusal(
        reason,
        "the file is larger than the budget" if markable else f"files of kind {code} cannot carry a mark",
        code,
    )


def refusal(code: str, detail: str, kind: str = "unknown") -> dict[str, Any]:
    """A refusal as the plain values of a result."""
    return asdict(refused(code, detail, kind))


def _mark(values: dict[str, Any]) -> Mark:
    return Mark(**{**values, "lines": tuple(values["lines"])})


def _family(job: dict[str, Any], data: bytes) -> str:
    """The kind to be marked; any other raises Refusal NOT_MARKABLE. Kept in the job, so that later refusals name it."""
    code = kinds.family(data)
    job["kind"] = code
    if code == "dwg":
        raise Refusal("NOT_MARKABLE", "DWG cannot carry a mark; export a PDF or a DXF in the CAD program")
    if code != "pdf" and code not in images.FORMATS and code not in kinds.ROUTES:
        raise Refusal("NOT_MARKABLE", f"files of kind {code} cannot carry a mark; ask for a PDF or a picture")
    return code


def _do_inspect(job: dict[str, Any], data: bytes, out: int) -> dict[str, Any]:
    return kinds.identify(data, job.get("password", "")).as_dict()


def _do_mark(job: dict[str, Any], data: bytes, out: int) -> dict[str, Any]:
    """The marked file, or for what has to be converted first the way that leads there: `route`, `kind`, `removed`."""
    mark, code = _mark(job["mark"]), _family(job, data)
    if code in kinds.ROUTES:
        return _route(code, data)
    words = layout.words(mark)
    if code == "pdf":
        marked, report = _marked_pdf(data, mark, words, job)
    else:
        marked, pages, removed = images.mark_image(data, code, mark, words)
        became = images.BECOMES.get(code, code)
        report = Report(
            became, "marked", pages=pages, removed=removed, source_kind=code if became != code else ""
        )
    memory.write_all(out, marked)
    return asdict(replace(report, detail=_spelled(words)))


def _route(code: str, data: bytes) -> dict[str, Any]:
    return {"route": kinds.ROUTES[code], "kind": code, "removed": kinds.prove(code, data)}


def _do_set(job: dict[str, Any], data: bytes, out: int) -> dict[str, Any]:
    """A text, a table or a drawing as PDF; behind the walls that let fonts be read."""
    code = _family(job, data)
    removed: dict[str, int] = {}
    if code == "svg":
        made, removed = vectors.svg_pdf(data)
    elif code == "dxf":
        made = drawings.dxf_pdf(data)
    else:
        made = texts.table_pdf(data) if code == "csv" else texts.text_pdf(data)
    memory.write_all(out, made)
    return {"kind": code, "removed": removed}


def _do_unpack(job: dict[str, Any], data: bytes, out: int) -> dict[str, Any]:
    """The items of a container one after the other, and where each begins."""
    found, taken, offset = [], set[str](), 0
    for item in mails.items(data) if _family(job, data) == "eml" else archives.items(data):
        found.append({"name": archives.unique(item.name, taken), "offset": offset, "size": len(item.data)})
        memory.write_all(out, item.data)
        offset += len(item.data)
    if not found:
        raise Refusal("NOT_MARKABLE", "the container holds no file")
    return {"items": found}


def _do_redact(job: dict[str, Any], data: bytes, out: int) -> dict[str, Any]:
    """A document without what its regions and words showed; see redact.py."""
    code = _family(job, data)
    regions = [redact.Region(**region) for region in job["regions"]]
    if code in images.FORMATS and not job["terms"]:
        memory.write_all(out, redact.redact_frames(data, code, regions))
        return {
            "kind": code,
            "pages": sorted({region.page for region in regions}),
            "found": {},
            "removed": {},
        }
    if code != "pdf":
        raise Refusal("NOT_MARKABLE", f"words and regions cannot be taken out of {code}; convert it first")
    loss = bool(job.get("signature_loss"))
    made = redact.redact_pdf(
        data, regions, job["terms"], password=str(job.get("password", "")), signature_loss=loss
    )
    memory.write_all(out, made.data)
    return {"kind": code, "pages": list(made.pages), "found": made.found, "removed": made.removed}


def _do_probe(job: dict[str, Any], data: bytes, out: int) -> dict[str, Any]:
    return attempts.tried()


def _spelled(words: layout.Words) -> str:
    return f"spelled out for want of a glyph: {' '.join(words.spelled)}" if words.spelled else ""


def _marked_pdf(data: bytes, mark: Mark, words: layout.Words, job: dict[str, Any]) -> tuple[bytes, Report]:
    password, loss = str(job.get("password", "")), bool(job.get("signature_loss"))
    profile = Profile.from_json(job["profile"]) if "profile" in job else VECTOR
    try:
        source = sanitize.open_pdf(data, password=password, signature_loss=loss)
    except Refusal as refusal_:
        if refusal_.code != "BROKEN":
            raise
        data = pictures.drawn_pdf(data, password)
        made, report = _marked_pdf(data, mark, words, {"profile": profile.as_json()})
        return made, replace(report, notes=("DRAWN_AS_PICTURES",))
    with source:
        notes = ("SIGNATURE_LOST",) if loss and sanitize.signed(source) else ()
        rebuilt = sanitize.rebuild(source)
        with rebuilt.pdf as pdf:
            unmarked = stamp.save(pdf)
            stamp.stamp_all(pdf, rebuilt.geometries, mark, words, profile)
            marked = stamp.save(pdf)
    seen = data if not password else unmarked
    verify.check_pdf(seen, unmarked, marked, mark.opacity, profile)
    if profile.hardened:
        pages = rebuilt.geometries
        marked = harden.marked_and_hardened(seen, unmarked, marked, pages, profile, mark.copy_number)
    return marked, Report(
        "pdf",
        "marked",
        pages=stamp.reports(rebuilt.geometries, True),
        removed=rebuilt.removed,
        notes=notes,
    )


def _do_preview(job: dict[str, Any], data: bytes, out: int) -> dict[str, Any]:
    """One marked page as WebP; the whole chain runs on that page alone, verification included."""
    mark, code = _mark(job["mark"]), _family(job, data)
    if code in kinds.ROUTES:
        return _route(code, data)
    words = layout.words(mark)
    number = int(job["page"])
    if code == "pdf":
        marked, report = _marked_pdf(_single_page(data, number), mark, words, job)
        with closing(verify.open_document(marked)) as document, closing(document[0]) as page:
            width, height = page.get_size()
            scale = min(job["dpi"] / 72, (MAX_PREVIEW / (width * height)) ** 0.5)
            picture = verify.draw(page, scale, grey=False)
    else:
        marked, pages, removed = images.mark_image(data, code, mark, words)
        report = Report(code, "marked", pages=pages, removed=removed)
        picture = _frame(marked, images.BECOMES.get(code, code), number)
    memory.write_all(out, _webp(picture))
    return asdict(
        replace(
            report,
            detail=_spelled(words),
            pages=tuple(replace(page, number=number) for page in report.pages[:1]),
        )
    )


def _single_page(data: bytes, number: int) -> bytes:
    """The source cut down to one page; the others are dropped before anything looks at them."""
    with sanitize.open_pdf(data) as pdf:
        if not 1 <= number <= len(pdf.pages):
            raise Refusal("NO_SUCH_PAGE", f"the file has no page {number}")
        for index in reversed(range(len(pdf.pages))):
            if index != number - 1:
                del pdf.pages[index]
        return stamp.save(pdf)


def _frame(marked: bytes, code: str, number: int) -> Any:
    opened = images.open_image(marked, code)
    if not 1 <= number <= opened.frames:
        raise Refusal("NO_SUCH_PAGE", f"the file has no frame {number}")
    opened.image.seek(number - 1)
    return opened.image.convert("RGB")


def _webp(picture: Any) -> bytes:
    """WebP, at most 2400 pixels on the longer side."""
    picture.thumbnail((2400, 2400))
    encoded = io.BytesIO()
    picture.save(encoded, "WEBP", quality=82, method=2)
    return encoded.getvalue()


def _do_seal(job: dict[str, Any], data: bytes, out: int) -> dict[str, Any]:
    """Encrypt a marked PDF: R6, AES-256, a fresh file key, an owner password that nobody learns."""
    with pikepdf.Pdf.open(io.BytesIO(data), suppress_warnings=True) as pdf:
        memory.write_all(out, _encrypted(pdf, job["passphrase"]))
    return asdict(Report("pdf", "marked"))


def _encrypted(pdf: pikepdf.Pdf, passphrase: str) -> bytes:
    """pikepdf refuses a decode level beside encryption; with compress_streams off qpdf leaves compressed streams alone too."""
    sealed = io.BytesIO()
    pdf.save(
        sealed,
        encryption=pikepdf.Encryption(
            user=passphrase, owner=secrets.token_urlsafe(32), R=6, aes=True, metadata=True, allow=_RIGHTS
        ),
        compress_streams=False,
        object_stream_mode=pikepdf.ObjectStreamMode.disable,
    )
    return sealed.getvalue()


_RIGHTS = pikepdf.Permissions(
    accessibility=True,
    extract=False,
    modify_annotation=False,
    modify_assembly=False,
    modify_form=False,
    modify_other=False,
    print_lowres=True,
    print_highres=True,
)
_TASKS = {
    "inspect": _do_inspect,
    "mark": _do_mark,
    "preview": _do_preview,
    "seal": _do_seal,
    "set": _do_set,
    "unpack": _do_unpack,
    "probe": _do_probe,
    "redact": _do_redact,
    "prepare": do_prepare,
}
