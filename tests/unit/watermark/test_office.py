"""Office files: converted as they look, nothing fetched, nothing run, refused where LibreOffice is not."""

import io
import os
import shutil
import socket
import subprocess
import threading
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image

from watermark import memory, office, packages, worker
from watermark.errors import Refusal
from watermark.report import Report

Marked = Callable[..., tuple[bytes | None, Report]]
_W = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
_R = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_TYPES = "application/vnd.openxmlformats-officedocument.wordprocessingml"

pytestmark = pytest.mark.tools


def _picture(rid: str, how: str) -> str:
    a = "http://schemas.openxmlformats.org/drawingml/2006"
    return (
        f'<w:p><w:r><w:drawing><wp:inline xmlns:wp="{a}/wordprocessingDrawing"><wp:extent cx="1800000" cy="1080000"/>'
        f'<wp:docPr id="1" name="p"/><a:graphic xmlns:a="{a}/main"><a:graphicData uri="{a}/picture">'
        f'<pic:pic xmlns:pic="{a}/picture"><pic:nvPicPr><pic:cNvPr id="1" name="p"/><pic:cNvPicPr/></pic:nvPicPr>'
        f'<pic:blipFill><a:blip xmlns:r="{_R}" r:{how}="{rid}"/><a:stretch><a:fillRect/></a:stretch></pic:blipFill>'
        '<pic:spPr><a:xfrm><a:off x="0" y="0"/><a:ext cx="1800000" cy="1080000"/></a:xfrm>'
        '<a:prstGeom prst="rect"><a:avLst/></a:prstGeom></pic:spPr></pic:pic></a:graphicData></a:graphic></wp:inline>'
        "</w:drawing></w:r></w:p>"
    )


def _table() -> str:
    rows = (("材料", "数量"), ("瓷砖 骨", "120 片"))
    sides = "".join(
        f'<w:{side} w:val="single" w:sz="4"/>'
        for side in ("top", "left", "bottom", "right", "insideH", "insideV")
    )
    cells = "".join(
        "<w:tr>"
        + "".join(f"<w:tc><w:p><w:r><w:t>{text}</w:t></w:r></w:p></w:tc>" for text in row)
        + "</w:tr>"
        for row in rows
    )
    return f"<w:tbl><w:tblPr><w:tblBorders>{sides}</w:tblBorders></w:tblPr>{cells}</w:tbl>"


def docx(links: tuple[str, ...] = (), *, macro: bool = False) -> bytes:
    """A letter with Chinese, a table, a picture and a header; `links` are pictures that lie outside it."""
    red = io.BytesIO()
    Image.new("RGB", (200, 120), (200, 40, 40)).save(red, "PNG")
    rels = f'<Relationship Id="r1" Type="{_R}/header" Target="header1.xml"/>'
    rels += f'<Relationship Id="r2" Type="{_R}/image" Target="a.png"/>'
    body = "<w:p><w:r><w:t>装修工程预算书 门骨直角</w:t></w:r></w:p>" + _table() + _picture("r2", "embed")
    for number, link in enumerate(links, start=3):
        rels += f'<Relationship Id="r{number}" Type="{_R}/image" Target="{link}" TargetMode="External"/>'
        body += _picture(f"r{number}", "link")
    package = "http://schemas.openxmlformats.org/package/2006"
    parts = {
        "[Content_Types].xml": f'<Types xmlns="{package}/content-types"><Default Extension="rels" '
        'ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        '<Default Extension="xml" ContentType="application/xml"/><Default Extension="png" ContentType="image/png"/>'
        f'<Override PartName="/word/document.xml" ContentType="{_TYPES}.document.main+xml"/>'
        f'<Override PartName="/word/header1.xml" ContentType="{_TYPES}.header+xml"/></Types>',
        "_rels/.rels": f'<Relationships xmlns="{package}/relationships"><Relationship Id="rId1" Type="{_R}/officeDocument" '
        'Target="word/document.xml"/></Relationships>',
        "word/_rels/document.xml.rels": f'<Relationships xmlns="{package}/relationships">{rels}</Relationships>',
        "word/document.xml": f'<w:document xmlns:w="{_W}" xmlns:r="{_R}"><w:body>{body}<w:sectPr>'
        '<w:headerReference w:type="default" r:id="r1"/><w:pgSz w:w="11906" w:h="16838"/></w:sectPr></w:body></w:document>',
        "word/header1.xml": f'<w:hdr xmlns:w="{_W}"><w:p><w:r><w:t>页眉 Header</w:t></w:r></w:p></w:hdr>',
    }
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in parts.items():
            archive.writestr(name, text)
        archive.writestr("word/a.png", red.getvalue())
        if macro:
            archive.writestr("word/vbaProject.bin", b"\xd0\xcf\x11\xe0")
    return out.getvalue()


@pytest.fixture
def heard() -> Iterator[tuple[int, list[bytes]]]:
    """A server's port, and what came in."""
    server, calls = socket.create_server(("127.0.0.1", 0)), list[bytes]()

    def listen() -> None:
        while True:
            try:
                caller, _ = server.accept()
            except OSError:
                return
            calls.append(b"a call")
            caller.close()

    thread = threading.Thread(target=listen)
    thread.start()
    yield server.getsockname()[1], calls
    server.shutdown(socket.SHUT_RDWR)
    server.close()
    thread.join(10)


def _pictures(pdf: bytes, folder: Path) -> int:
    (folder / "look.pdf").write_bytes(pdf)
    listed = subprocess.run(
        ["pdfimages", "-list", str(folder / "look.pdf")], check=True, capture_output=True, text=True
    )
    return len(listed.stdout.splitlines()) - 2


@pytest.fixture
def linked(tmp_path: Path, heard: tuple[int, list[bytes]]) -> bytes:
    """A letter that links a picture on a server and one in a file that anyone may read."""
    Image.new("RGB", (300, 200), (0, 200, 0)).save(tmp_path / "canary.png")
    for path in (tmp_path / "canary.png", tmp_path, *tmp_path.parents[:2]):
        path.chmod(0o755)
    return docx((f"http://127.0.0.1:{heard[0]}/x.png", f"file://{tmp_path}/canary.png"))


def test_linked_pictures_are_not_fetched_behind_the_walls(
    linked: bytes, heard: tuple[int, list[bytes]], tmp_path: Path
) -> None:
    fd = memory.create("source", linked)
    made = office.convert(fd, "docx")
    assert _pictures(memory.read(made), tmp_path) == 1
    assert heard[1] == []
    os.close(made)
    os.close(fd)


@pytest.mark.parametrize("kept", [True, False], ids=["settings", "defaults"])
def test_linked_pictures_are_not_fetched_with_the_settings_alone(
    kept: bool, linked: bytes, heard: tuple[int, list[bytes]], tmp_path: Path
) -> None:
    """Without walls; the second run shows that without the settings the same file does fetch both."""
    program, profile = office.found(), tmp_path / "profile" / "user"
    assert program is not None
    profile.mkdir(parents=True)
    (profile / "registrymodifications.xcu").write_text(
        office.settings() if kept else office.settings().partition("<item")[0] + "</oor:items>"
    )
    (tmp_path / "source.docx").write_bytes(linked)
    for _ in range(2):
        command = office._program(program, tmp_path, "docx")
        subprocess.run(
            command, env=office._environment(tmp_path), check=False, capture_output=True, timeout=120
        )
        if (tmp_path / "out" / "source.pdf").exists():
            break
    fetched = (len(heard[1]) > 0, _pictures((tmp_path / "out" / "source.pdf").read_bytes(), tmp_path))
    assert fetched == ((False, 1) if kept else (True, 2))


def test_a_letter_looks_as_it_was_written_and_is_marked(marked: Marked, tmp_path: Path) -> None:
    out, report = marked(docx(macro=True))
    assert out is not None
    assert (report.kind, report.source_kind, report.notes, len(report.pages)) == (
        "pdf",
        "docx",
        ("CONVERTED",),
        1,
    )
    assert report.removed["macros"] == 1
    (tmp_path / "out.pdf").write_bytes(out)
    text = subprocess.run(
        ["pdftotext", str(tmp_path / "out.pdf"), "-"], check=True, capture_output=True, text=True
    ).stdout
    for words in ("装修工程预算书", "瓷砖", "页眉 Header"):
        assert words in text
    fonts = subprocess.run(
        ["pdffonts", str(tmp_path / "out.pdf")], check=True, capture_output=True, text=True
    ).stdout
    assert "SC-Regular" in fonts
    assert not list(Path("/dev/shm").glob("sealgate-*"))


def test_without_libreoffice_office_files_are_refused(
    marked: Marked, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(office, "PROGRAMS", ("/nowhere/soffice.bin",))
    fd = memory.create("source", docx())
    assert worker.inspect(fd).treatment == "refuse"
    os.close(fd)
    out, report = marked(docx())
    assert (out, report.reason) == (None, "CONVERTER")


def test_what_cannot_be_converted_is_refused_whatever_the_exit_code(
    marked: Marked, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(docx())) as whole, zipfile.ZipFile(broken, "w") as archive:
        for name in whole.namelist():
            archive.writestr(name, b"<broken" if name == "word/document.xml" else whole.read(name))
    out, report = marked(broken.getvalue())
    assert (out, report.reason) == (None, "BROKEN")
    monkeypatch.setattr(office, "FILTERS", {"docx": ("writer8", "writer_pdf_Export")})
    out, report = marked(docx())
    assert (out, report.reason) == (None, "NOT_CONVERTED")


def test_a_link_in_the_place_of_the_pdf_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"%PDF- of someone else")
    (tmp_path / "source.pdf").symlink_to(tmp_path / "secret")
    assert office._taken(tmp_path / "source.pdf") is None
    os.mkfifo(tmp_path / "pipe")
    assert office._taken(tmp_path / "pipe") is None


def test_a_conversion_that_takes_too_long_is_killed_and_leaves_nothing() -> None:
    fd = memory.create("source", docx())
    with pytest.raises(Refusal, match="TIMEOUT"):
        office.convert(fd, "docx", deadline_s=0.05)
    os.close(fd)
    assert not list(Path("/dev/shm").glob("sealgate-*"))


def test_compound_files_are_proved_by_their_streams() -> None:
    assert packages.compound_code(_compound("WordDocument")) == "doc"
    assert packages.compound_code(_compound("Workbook")) == "xls"
    with pytest.raises(Refusal, match="ENCRYPTED"):
        packages.compound_code(_compound("EncryptedPackage"))
    with pytest.raises(Refusal, match="NOT_MARKABLE"):
        packages.compound_code(_compound("Something"))
    with pytest.raises(Refusal, match="BROKEN"):
        packages.compound_code(_compound("WordDocument")[:600])


def _compound(name: str) -> bytes:
    """A compound file of a header, one sector of the table and one of the directory."""
    header = bytearray(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(504))
    header[30:32] = (9).to_bytes(2, "little")
    header[48:52] = (1).to_bytes(4, "little")
    header[68:72] = (0xFFFFFFFE).to_bytes(4, "little")
    header[76:512] = (0).to_bytes(4, "little") + b"\xff" * 432
    table = (0xFFFFFFFD).to_bytes(4, "little") + (0xFFFFFFFE).to_bytes(4, "little") + b"\xff" * 504
    entry = bytearray(128)
    raw = name.encode("utf-16-le")
    entry[: len(raw)] = raw
    entry[64:66] = (len(raw) + 2).to_bytes(2, "little")
    return bytes(header) + table + bytes(entry) + bytes(384)


def test_the_program_is_there_for_these_tests() -> None:
    assert office.found() is not None
    assert shutil.which("pdfimages")
