"""Preparing behind the walls, and copies of what came out."""

import io
import os
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pikepdf
import pytest

from watermark import child, memory, worker
from watermark.errors import BadPrepared
from watermark.mark import Mark
from watermark.prepared import build
from watermark.prepared.format import Kind
from watermark.prepared.issue import issue
from watermark.prepared.worker import Job, prepare, read
from watermark.profiles import HARDENED, VECTOR


@pytest.fixture
def source(document: bytes) -> Any:
    """The document as a memory file."""
    fd = memory.create("source", document)
    yield fd
    os.close(fd)


@pytest.mark.parametrize("kind", list(Kind))
def test_a_document_is_prepared_in_the_child_and_issued_here(
    kind: Kind, source: int, recipient_mark: Mark
) -> None:
    prepared, report = prepare(source, Job(VECTOR, kind))
    assert prepared is not None, report
    assert [page.marked for page in report.pages] == [True] * 4
    assert report.pages[0].rotation == 90
    out = os.memfd_create("copy")
    issue(prepared, recipient_mark, "KEY", out, kind=None)
    with pikepdf.open(io.BytesIO(memory.read(out)), password="KEY" if kind else "") as pdf:
        assert len(pdf.pages) == 4
    os.close(out)
    os.close(prepared)


def test_what_cannot_be_prepared_is_refused_with_its_reason() -> None:
    fd = memory.create("source", b"nothing")
    made, report = prepare(fd, Job(VECTOR, Kind.R6))
    os.close(fd)
    assert (made, report.status, report.reason) == (None, "refused", "BROKEN")
    assert report.sha256_in


def test_a_hardened_document_is_not_prepared(source: int) -> None:
    made, report = prepare(source, Job(HARDENED, Kind.R6))
    assert (made, report.reason) == (None, "NOT_MARKABLE")


@pytest.mark.parametrize(
    "spoilt",
    [
        lambda data: data[:-1],
        lambda data: data + b"x",
        lambda data: b"SGPX" + data[4:],
        lambda data: data[:8] + bytes(32) + data[40:],
        lambda data: b"",
    ],
)
def test_a_child_that_lies_is_not_believed(
    spoilt: Callable[[bytes], bytes],
    source: int,
    prepared_bytes: dict[Kind, bytes],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = child.run

    def lying(fd: int, job: dict[str, Any], deadline_s: float) -> tuple[int, dict[str, Any] | str]:
        out, done = run(fd, job, deadline_s)
        data = spoilt(memory.read(out))
        os.close(out)
        return memory.create("out", data), done

    monkeypatch.setattr(child, "run", lying)
    made, report = prepare(source, Job(VECTOR, Kind.R6))
    assert (made, report.reason) == (None, "CRASHED")


def test_a_prepared_document_is_known_by_its_key(document: bytes, prepared: dict[Kind, int]) -> None:
    digest = memory.sha256(fd := memory.create("source", document))
    os.close(fd)
    header, index = read(prepared[Kind.PLAIN])
    assert header.key == build.key(digest, VECTOR, Kind.PLAIN)
    assert header.key != build.key(digest, replace(VECTOR, opacity=0.2), Kind.PLAIN)
    assert len(index.pages) == 4
    os.ftruncate(prepared[Kind.PLAIN], 100)
    with pytest.raises(BadPrepared):
        read(prepared[Kind.PLAIN])


def test_names_in_other_scripts_are_drawn_behind_the_walls(source: int) -> None:
    """Every face is open before the walls stand."""
    words = ("شركة ไทย 한국어 שלום देवनागरी 𠮷 ᠮᠣᠩᠭᠣᠯ",)
    out, report = worker.mark(source, Mark(words, "C-1"))
    assert out is not None, report
    os.close(out)


def test_a_file_is_hardened_in_the_child(source: int, recipient_mark: Mark) -> None:
    out, report = worker.mark(source, recipient_mark, profile=HARDENED)
    assert out is not None, report
    with pikepdf.open(io.BytesIO(memory.read(out))) as pdf:
        assert all(list(page.obj.Resources.keys()) == ["/XObject"] for page in pdf.pages)
        assert all(page.obj.Resources.XObject.P.Width > 1000 for page in pdf.pages)
    os.close(out)
