"""Archives and messages: hostile names, bombs, and every item marked or the whole refused."""

import io
import struct
import zipfile
from collections.abc import Callable
from email.message import EmailMessage

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from watermark import archives, mails
from watermark.errors import Refusal
from watermark.report import Report

Marked = Callable[..., tuple[bytes | None, Report]]


def _zip(items: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, data in items.items():
            archive.writestr(name, data)
    return out.getvalue()


def test_every_item_is_marked_and_keeps_its_name(
    marked: Marked, a4: bytes, picture: Callable[..., bytes]
) -> None:
    inner = _zip({"说明.txt": "内容\n".encode()})
    out, report = marked(
        _zip({"图纸/平面.pdf": a4, "照片.jpg": picture("JPEG"), "里层.zip": inner, "__MACOSX/x": b"x"})
    )
    assert out is not None
    assert (report.kind, report.source_kind, len(report.pages)) == ("zip", "zip", 3)
    assert [(item.name, item.kind, item.pages) for item in report.items] == [
        ("图纸/平面.pdf", "pdf", 1),
        ("照片.jpg", "jpeg", 1),
        ("里层.zip/说明.txt.pdf", "pdf", 1),
    ]
    with zipfile.ZipFile(io.BytesIO(out)) as archive:
        assert archive.namelist() == ["图纸/平面.pdf", "照片.jpg", "里层.zip"]
        assert archive.read("图纸/平面.pdf") != a4


def test_one_item_that_cannot_be_marked_refuses_the_whole(marked: Marked, a4: bytes) -> None:
    out, report = marked(_zip({"a.pdf": a4, "film.mp4": b"\0\0\0\x18ftypmp42"}))
    assert (out, report.reason) == (None, "ITEM_REFUSED")
    assert "film.mp4: NOT_MARKABLE" in report.detail


@pytest.mark.parametrize("items", [{}, {"__MACOSX/x": b"x"}], ids=["empty", "litter"])
def test_an_archive_of_nothing_is_refused_and_no_empty_one_comes_out(
    items: dict[str, bytes], marked: Marked
) -> None:
    out, report = marked(b"PK\x03\x04" + _zip(items))
    assert (out, report.status) == (None, "refused")
    assert report.reason in ("NOT_MARKABLE", "BROKEN")


def test_containers_too_deep_in_each_other_are_refused(marked: Marked) -> None:
    data = _zip({"a.txt": b"x"})
    for _ in range(4):
        data = _zip({"inner.zip": data})
    out, report = marked(data)
    assert out is None
    assert "BUDGET_OBJECTS" in report.detail


def test_names_lead_nowhere() -> None:
    for name in (
        "../../etc/passwd",
        "/etc/passwd",
        "C:\\x\\..\\y",
        "a/./b",
        "\0\n",
        "..",
        "a" * 500 + ".pdf",
    ):
        shown = archives.harmless(name)
        assert not shown.startswith("/")
        assert ".." not in shown.split("/")
        assert all(0 < len(part) <= 120 for part in shown.split("/"))
    taken: set[str] = set()
    assert [archives.unique("A.pdf", taken), archives.unique("a.PDF", taken)] == ["A.pdf", "a (2).PDF"]


def test_names_are_read_as_they_were_written() -> None:
    raw = _zip({"aa.txt": b"x"}).replace(b"aa.txt", "图.txt".encode("gbk"))
    assert [item.name for item in archives.items(raw)] == ["图.txt"]
    assert [item.name for item in archives.items(_zip({"图.txt": b"x"}))] == ["图.txt"]


def _overlapping() -> bytes:
    """Two entries of the directory that name the same member."""
    data = bytearray(_zip({"a": b"x" * 100, "b": b"y" * 100}, zipfile.ZIP_STORED))
    second = data.rfind(b"PK\x01\x02")
    struct.pack_into("<I", data, second + 42, 1)
    return bytes(data)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (_zip({"bomb": bytes(64 << 20)}), "BUDGET_BYTES"),
        (_zip(dict.fromkeys((str(n) for n in range(archives.MAX_MEMBERS + 1)), b"")), "BUDGET_OBJECTS"),
        (_overlapping(), "BUDGET_BYTES"),
        (_zip({"a": b"x"}, zipfile.ZIP_LZMA), "NOT_MARKABLE"),
        (b"PK\x03\x04", "BROKEN"),
    ],
    ids=["ratio", "members", "overlap", "method", "broken"],
)
def test_bombs_are_refused_before_they_are_unpacked(data: bytes, reason: str) -> None:
    with pytest.raises(Refusal) as refused:
        list(archives.items(data))
    assert refused.value.code == reason


def test_a_member_longer_than_its_entry_says_is_refused() -> None:
    data = bytearray(_zip({"a": b"x" * 100}, zipfile.ZIP_STORED))
    struct.pack_into("<I", data, data.rfind(b"PK\x01\x02") + 24, 10)
    with pytest.raises(Refusal, match="BROKEN"):
        list(archives.items(bytes(data)))


def _mail() -> EmailMessage:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "a@example.com", "b@example.com", "图纸 报价"
    message.set_content("正文第一行\n")
    message.add_alternative("<script>x</script><p>正文</p>", subtype="html")
    return message


def test_a_message_becomes_its_body_and_its_attachments(marked: Marked, a4: bytes) -> None:
    message, inner = _mail(), _mail()
    message.add_attachment(a4, maintype="application", subtype="pdf", filename="../平面.pdf")
    message.add_attachment(inner)
    out, report = marked(bytes(message))
    assert out is not None
    assert (report.kind, report.source_kind) == ("zip", "eml")
    assert [item.name for item in report.items] == [
        "message.txt.pdf",
        "_平面.pdf",
        "part-2.eml.zip/message.txt.pdf",
    ]


def test_a_message_of_a_page_alone_is_shown_as_its_words() -> None:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "a@example.com", "b@example.com", "x"
    message.set_content(
        "<head><title>t</title></head><p>一</p><script>alert(1)</script><img src='http://x'>二",
        subtype="html",
    )
    body = next(iter(mails.items(bytes(message)))).data.decode()
    assert "一\n\n二" in body or "一二" in body
    assert "alert" not in body


@given(st.binary(max_size=600), st.integers(0, 400), st.integers(0, 255))
@settings(deadline=None)
def test_any_bytes_are_items_or_a_refusal(data: bytes, at: int, value: int) -> None:
    real = bytearray(_zip({"a.txt": b"x" * 50, "b/c.txt": b"y" * 80}))
    real[at % len(real)] = value
    for given_bytes in (data, b"PK\x03\x04" + data, bytes(real), bytes(_mail())[:at] + data):
        for reader in (archives.items, mails.items):
            try:
                found = list(reader(given_bytes))
            except Refusal:
                continue
            assert all(not item.name.startswith("/") and ".." not in item.name.split("/") for item in found)
