"""Canaries: what a document says and what a passphrase is never lie in the open, in any file of the installation."""

from __future__ import annotations

import gzip
import io
import re
import secrets
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import pikepdf
import pytest

from gateway.sharing import service as sharing
from tests.factories import World, page_count
from tests.worlds import Scene, shared


def marked_pdf(canary: bytes) -> bytes:
    """A PDF that carries the canary in its text, its title and an uncompressed stream."""
    made = pikepdf.new()
    made.add_blank_page(page_size=(595, 842))
    made.pages[0].Contents = made.make_stream(b"BT /F1 12 Tf 60 700 Td (" + canary + b") Tj ET")
    made.pages[0].Resources = pikepdf.Dictionary(
        Font=pikepdf.Dictionary(
            F1=pikepdf.Dictionary(
                Type=pikepdf.Name.Font, Subtype=pikepdf.Name.Type1, BaseFont=pikepdf.Name.Helvetica
            )
        )
    )
    made.docinfo["/Title"] = canary.decode()
    out = io.BytesIO()
    made.save(out, compress_streams=False, object_stream_mode=pikepdf.ObjectStreamMode.disable)
    assert canary in out.getvalue()
    return out.getvalue()


def files(*roots: Path) -> Iterator[Path]:
    """Every regular file below the folders, which may change while they are read."""
    for root in roots:
        yield from (path for path in sorted(root.rglob("*")) if path.is_file())


def spellings(canary: bytes) -> list[bytes]:
    """How the same words could lie there: as they are, in hex, in UTF-16."""
    text = canary.decode()
    return [
        canary,
        canary.hex().encode(),
        canary.hex().upper().encode(),
        text.encode("utf-16-be"),
        text.encode("utf-16-le"),
    ]


def lying_open(canary: bytes, *roots: Path) -> list[Path]:
    """The files that hold the canary in any spelling, also inside deflated or gzipped parts."""
    wanted = spellings(canary)
    return [path for path in files(*roots) if any(w in part for part in _readings(path) for w in wanted)]


def _readings(path: Path) -> Iterator[bytes]:
    try:
        data = path.read_bytes()
    except OSError:
        return
    yield data
    for start in re.finditer(rb"\x1f\x8b\x08|x[\x01\x5e\x9c\xda]", data[: 1 << 20]):
        wrapped = data[start.start() :]
        try:
            yield (
                gzip.decompress(wrapped)
                if wrapped[:2] == b"\x1f\x8b"
                else zlib.decompressobj().decompress(wrapped)
            )
        except (OSError, EOFError, zlib.error):
            continue


@pytest.fixture
def private_tmp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The system's temporary folder, for this test alone, here and in every child."""
    place = tmp_path / "system-tmp"
    place.mkdir()
    monkeypatch.setenv("TMPDIR", str(place))
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    return place


def test_the_scan_itself_finds_what_lies_open(tmp_path: Path) -> None:
    canary = b"CANARY0123456789"
    made = {
        "plain": b"x" + canary, "hex": canary.hex().encode(), "wide": canary.decode().encode("utf-16-le"),
        "gz": gzip.compress(b"abc" + canary), "deflated": b"head" + zlib.compress(canary * 3), "clean": b"nothing",
    }  # fmt: skip
    for name, data in made.items():
        (tmp_path / name).write_bytes(data)
    assert {path.name for path in lying_open(canary, tmp_path)} == set(made) - {"clean"}


def test_no_word_of_a_document_lies_in_the_open(world: World, private_tmp: Path) -> None:
    """Upload, inspection, preparing, collecting, streaming: after each, home, queue and temporary folder are scanned."""

    canary = b"CANARY" + secrets.token_hex(12).encode()
    home = world.deps.settings.home
    items = world.filed_items(1, data=marked_pdf(canary))
    assert lying_open(canary, home, private_tmp) == []
    made = shared(world, items=items, download_limit=3)
    for wanted in (None, "zip"):
        made.bundle = made.prepare(wanted=wanted)
        assert made.bundle_row().state == "READY"
        assert lying_open(canary, home, private_tmp) == []
        partner = made.partner()
        assert b"".join(made.stream(made.collect(partner), partner))
        assert lying_open(canary, home, private_tmp) == []
    assert [path for path in files(private_tmp) if path.stat().st_size] == []
    assert (home / "queue.db").exists() and (home / "keyring.db").exists()


def test_a_passphrase_is_nowhere_but_on_its_page(
    scene: Scene, private_tmp: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Not in database, write-ahead log, queue, keyring, objects, mail or output: neither before it is shown nor after."""
    partner = scene.partner()
    data = b"".join(scene.stream(scene.collect(partner), partner))
    shown = sharing.reveal(scene.deps, scene.bundle, actor=partner, now=scene.world.now())
    assert page_count(data, shown) == 2 and len(shown) == 24
    scene.deps.mailer.flush(now=scene.world.now())
    home = scene.deps.settings.home
    assert [path for path in files(home / "outbox") if path.suffix == ".eml"]
    for secret in (shown.encode(), shown.replace("-", "").encode()):
        assert lying_open(secret, home, private_tmp) == []
    sharing.acknowledge(scene.deps, scene.bundle, actor=partner, now=scene.world.now())
    for secret in (shown.encode(), shown.replace("-", "").encode()):
        assert lying_open(secret, home, private_tmp) == []
    said = capfd.readouterr()
    assert shown not in said.out + said.err


def test_no_entry_of_the_log_holds_ticket_or_passphrase(scene: Scene) -> None:
    partner = scene.partner()
    ticket = scene.collect(partner)
    shown = sharing.reveal(scene.deps, scene.bundle, actor=partner, now=scene.world.now())
    for leaf in scene.world.leaves():
        assert ticket.encode() not in leaf.body and shown.encode() not in leaf.body
    assert lying_open(ticket.encode(), scene.deps.settings.home) == []


def test_mail_to_partners_holds_number_and_link_only(scene: Scene) -> None:
    """No title, client, file name or copy content in any message to a contact."""
    scene.collect(scene.partner())
    scene.deps.mailer.flush(now=scene.world.now())
    for path in files(scene.deps.settings.home / "outbox"):
        from email import message_from_bytes, policy

        mail = message_from_bytes(path.read_bytes(), policy=policy.default)
        if not str(mail["To"]).startswith(("s1@", "s2@")):
            continue
        words = str(mail["Subject"]) + mail.get_body().get_content()  # type: ignore[union-attr]
        assert "示例客户" not in words and "平面图" not in words and "图纸1" not in words


def test_the_worker_s_sources_are_in_memory_only(scene: Scene) -> None:
    """A source is handed to the worker as a memory file: it has no name in any file system."""
    from gateway.release import source_into_memory

    handle = source_into_memory(scene.deps, scene.items[0], 1, sha256=None)
    try:
        assert "memfd" in str(Path(f"/proc/self/fd/{handle}").readlink())
    finally:
        import os

        os.close(handle)
