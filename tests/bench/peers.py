"""What others do for the same end: the same mark over every page, and AES-256. Installed by `make bench-peers`, never shipped.

Each peer takes a document's path, the mark's own page as a PDF, a passphrase and a path to write to.
"""

import io
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pikepdf
from pikepdf import Pdf

FOLDER = Path(sys.prefix) / "peers"
Peer = Callable[[Path, Path, str, Path], None]


def qpdf(source: Path, over: Path, key: str, out: Path) -> None:
    """qpdf's overlay and encryption, as a command."""
    subprocess.run(
        ["qpdf", source, "--overlay", over, "--repeat=1", "--", "--encrypt", key, "owner", "256", "--", out],
        check=True,
        capture_output=True,
    )


def pikepdf_overlay(source: Path, over: Path, key: str, out: Path) -> None:
    """pikepdf's add_overlay on every page."""
    with Pdf.open(source) as pdf, Pdf.open(over) as mark:
        for page in pdf.pages:
            page.add_overlay(mark.pages[0])
        pdf.save(out, encryption=pikepdf.Encryption(user=key, owner="owner", R=6))


class KeptOpen:
    """pikepdf with the document stamped once and kept open; each copy changes the mark's stream and saves."""

    def __init__(self, source: Path, over: Path) -> None:
        self.pdf = Pdf.open(source)
        with Pdf.open(over) as mark:
            form = self.pdf.copy_foreign(mark.pages[0].as_form_xobject())
            self.words = self.pdf.make_stream(b"0 g 0 0 9 9 re f")
            self.form = form
            for page in self.pdf.pages:
                name = page.add_resource(form, pikepdf.Name.XObject)
                page.contents_add(f"q {name} Do Q".encode())

    def __call__(self, source: Path, over: Path, key: str, out: Path) -> None:
        self.form.write(self.form.read_bytes() + b" ")
        self.pdf.save(
            out,
            compress_streams=False,
            encryption=pikepdf.Encryption(user=key, owner="owner", R=6),
        )


def pymupdf(source: Path, over: Path, key: str, out: Path) -> None:
    """PyMuPDF's show_pdf_page and encryption."""
    import pymupdf as fitz

    with fitz.open(source) as pdf, fitz.open(over) as mark:
        for page in pdf:
            page.show_pdf_page(page.rect, mark, 0)
        pdf.save(out, encryption=fitz.PDF_ENCRYPT_AES_256, user_pw=key, owner_pw="owner")


def pypdf(source: Path, over: Path, key: str, out: Path) -> None:
    """pypdf's merge_page and encryption."""
    import pypdf as library

    mark = library.PdfReader(over).pages[0]
    writer = library.PdfWriter(clone_from=str(source))
    for page in writer.pages:
        page.merge_page(mark)
    writer.encrypt(key, "owner", algorithm="AES-256")
    writer.write(out)


def pdfcpu(source: Path, over: Path, key: str, out: Path) -> None:
    """pdfcpu's stamp and encryption, as two commands."""
    tool, between = str(FOLDER / "bin" / "pdfcpu"), out.with_suffix(".between.pdf")
    subprocess.run(
        [tool, "stamp", "add", str(over), "rot:0, scale:1 abs", source, between, "--mode", "pdf", "--force"],
        check=True,
        capture_output=True,
    )
    subprocess.run(
        [tool, "encrypt", between, out, "--upw", key, "--opw", "owner", "--force"],
        check=True,
        capture_output=True,
    )


def pyzipper(data: bytes, key: str, out: Path) -> None:
    """pyzipper's AES-256 archive of one stored file."""
    import pyzipper as library

    with library.AESZipFile(out, "w", compression=library.ZIP_STORED, encryption=library.WZ_AES) as archive:
        archive.setpassword(key.encode())
        archive.writestr("copy.pdf", data)


def installed() -> dict[str, Peer]:
    """The peers that are here, by name."""
    if FOLDER.is_dir() and str(FOLDER) not in sys.path:
        sys.path.append(str(FOLDER))
    found: dict[str, Peer] = {"pikepdf overlay": pikepdf_overlay}
    if shutil.which("qpdf"):
        found["qpdf"] = qpdf
    if (FOLDER / "pymupdf").is_dir():
        found["PyMuPDF"] = pymupdf
    if (FOLDER / "pypdf").is_dir():
        found["pypdf"] = pypdf
    if (FOLDER / "bin" / "pdfcpu").is_file():
        found["pdfcpu"] = pdfcpu
    return found


def works(peer: Peer, source: Path, over: Path, out: Path) -> bool:
    """Whether a peer's output opens with the key: one that fails is no measure."""
    peer(source, over, "key", out)
    with Pdf.open(io.BytesIO(out.read_bytes()), password="key") as pdf:
        return len(pdf.pages) > 0
