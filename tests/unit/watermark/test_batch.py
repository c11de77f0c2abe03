"""The pipeline behind `sealgate mark`."""

import io
import json
import stat
from collections.abc import Callable
from pathlib import Path

import pikepdf
import pyrage
import pytest

from watermark import batch, child
from watermark.batch import MARKED, REFUSED, Seal, run_batch, run_one, seal_from
from watermark.errors import SealError
from watermark.mark import Mark

KEY = "K7QF-M2XN-ABCD-EFGH-2345"


def _report(path: Path) -> dict[str, object]:
    values: dict[str, object] = json.loads(path.read_text("utf-8"))
    return values


def test_a_marked_file_is_written_whole_and_private(tmp_path: Path, a4: bytes, mark: Mark) -> None:
    (tmp_path / "in.pdf").write_bytes(a4)
    code = run_one(tmp_path / "in.pdf", tmp_path / "out.pdf", mark, report_file=tmp_path / "r.json")
    assert code == MARKED == 0
    assert stat.S_IMODE((tmp_path / "out.pdf").stat().st_mode) == 0o600
    report = _report(tmp_path / "r.json")
    assert report["status"] == "marked"
    assert report["pages"] == [
        {"number": 1, "width": 595.0, "height": 842.0, "rotation": 0, "user_unit": 1.0, "marked": True}
    ]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.pdf", "out.pdf", "r.json"]


def test_a_refused_file_leaves_nothing_not_even_an_older_one(
    tmp_path: Path, mark: Mark, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "in.docx").write_bytes(b"\0no document")
    (tmp_path / "out.pdf").write_bytes(b"an older copy")
    code = run_one(tmp_path / "in.docx", tmp_path / "out.pdf", mark, report_file=tmp_path / "r.json")
    assert code == REFUSED == 3
    assert not (tmp_path / "out.pdf").exists()
    assert _report(tmp_path / "r.json")["reason"] == "NOT_MARKABLE"
    assert "NOT_MARKABLE" in capsys.readouterr().err


def test_a_failure_while_writing_leaves_nothing(
    tmp_path: Path, a4: bytes, mark: Mark, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "in.pdf").write_bytes(a4)

    def full(*_: object) -> None:
        raise OSError(28, "no space")

    monkeypatch.setattr(batch.memory, "write_all", full)
    with pytest.raises(OSError, match="no space"):
        batch._mark_to(tmp_path / "in.pdf", tmp_path / "out.pdf", mark, Seal("zip", KEY), 60)
    assert [path.name for path in tmp_path.iterdir()] == ["in.pdf"]


def test_each_seal_opens_with_its_key(tmp_path: Path, a4: bytes, mark: Mark) -> None:
    (tmp_path / "in.pdf").write_bytes(a4)
    (tmp_path / "key").write_text(KEY + "\n")
    identity = pyrage.x25519.Identity.generate()
    for name, seal in (
        ("out.pdf", seal_from("pdf", tmp_path / "key", None)),
        ("out.zip", seal_from("zip", tmp_path / "key", None)),
        ("out.age", seal_from("age", None, str(identity.to_public()))),
    ):
        assert run_one(tmp_path / "in.pdf", tmp_path / name, mark, sealing=seal) == MARKED
    with pikepdf.open(tmp_path / "out.pdf", password=KEY) as pdf:
        assert len(pdf.pages) == 1
    assert (tmp_path / "out.zip").read_bytes().startswith(b"PK")
    plain = pyrage.decrypt((tmp_path / "out.age").read_bytes(), [identity])
    assert b"SG01-KH.2026.SJ-0001-003_F0001.pdf" in plain


def test_only_a_pdf_is_sealed_as_a_pdf(tmp_path: Path, picture: Callable[..., bytes], mark: Mark) -> None:
    (tmp_path / "in.jpg").write_bytes(picture("JPEG"))
    code = run_one(
        tmp_path / "in.jpg", tmp_path / "out", mark, sealing=Seal("pdf", KEY), report_file=tmp_path / "r.json"
    )
    assert code == REFUSED
    assert _report(tmp_path / "r.json")["reason"] == "NOT_SEALED"
    assert not (tmp_path / "out").exists()


def test_seals_that_make_no_sense_are_refused(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(KEY)
    (tmp_path / "empty").write_text("\nsecond line")
    recipient = str(pyrage.x25519.Identity.generate().to_public())
    assert seal_from(None, None, None) is None
    assert seal_from(None, None, recipient) == Seal("age", recipient)
    for kind, key, age in (
        ("pdf", None, None),
        ("zip", None, recipient),
        ("age", tmp_path / "key", None),
        ("age", None, "age1nothing"),
        ("pdf", tmp_path / "key", recipient),
        ("zip", tmp_path / "empty", None),
        (None, tmp_path / "key", None),
    ):
        with pytest.raises(SealError):
            seal_from(kind, key, age)  # type: ignore[arg-type]


def test_a_folder_is_marked_file_by_file_and_goes_on_after_failures(
    tmp_path: Path, a4: bytes, picture: Callable[..., bytes], mark: Mark, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, out = tmp_path / "in", tmp_path / "in" / "out"
    (source / "图纸").mkdir(parents=True)
    (source / "a.pdf").write_bytes(a4)
    (source / "b.pdf").write_bytes(b"%PDF-1.4 broken")
    (source / "c.docx").write_bytes(b"PK")
    (source / "图纸" / "photo.jpg").write_bytes(picture("JPEG"))
    (source / "link.pdf").symlink_to(source / "a.pdf")
    children: list[object] = []
    real = child.ZYGOTE.spawn
    monkeypatch.setattr(child.ZYGOTE, "spawn", lambda *given: children.append(given) or real(*given))
    code = run_batch(source, out, mark, source / "r.jsonl")
    lines = [json.loads(line) for line in (source / "r.jsonl").read_text("utf-8").splitlines()]
    assert code == REFUSED
    assert [(line["file"], line["status"]) for line in lines] == [
        ("a.pdf", "marked"),
        ("b.pdf", "refused"),
        ("c.docx", "refused"),
        ("图纸/photo.jpg", "marked"),
    ]
    assert len(children) == 4
    assert sorted(str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()) == [
        "a.pdf",
        "图纸/photo.jpg",
    ]


def test_a_batch_that_marks_all_ends_well_and_names_sealed_files(
    tmp_path: Path, a4: bytes, mark: Mark
) -> None:
    source = tmp_path / "in"
    source.mkdir()
    (source / "a.pdf").write_bytes(a4)
    assert run_batch(source, tmp_path / "out", mark, tmp_path / "r.jsonl", sealing=Seal("zip", KEY)) == MARKED
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["a.pdf.zip"]
    assert stat.S_IMODE((tmp_path / "r.jsonl").stat().st_mode) == 0o600


def test_a_file_that_cannot_be_written_does_not_stop_the_batch(tmp_path: Path, a4: bytes, mark: Mark) -> None:
    source, out = tmp_path / "in", tmp_path / "out"
    (source / "x").mkdir(parents=True)
    (source / "x" / "a.pdf").write_bytes(a4)
    (source / "y.pdf").write_bytes(a4)
    out.mkdir()
    (out / "x").write_text("a file where a folder should be")
    assert run_batch(source, out, mark, tmp_path / "r.jsonl") == REFUSED
    lines = [json.loads(line) for line in io.StringIO((tmp_path / "r.jsonl").read_text("utf-8"))]
    assert [(line["file"], line["reason"]) for line in lines] == [("x/a.pdf", "NOT_WRITTEN"), ("y.pdf", None)]
