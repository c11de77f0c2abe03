"""The log as files: their names, their content, and that the verifier accepts the published and the anchored folder."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text

from gateway.audit import anchors, folder, layout, publish
from gateway.audit.errors import AuditError, LogDamaged
from gateway.audit.service import Log
from gateway.audit.signer import Signer
from gateway.db import Database
from storage.local import LocalStore

Write = Callable[..., str]


@given(st.integers(0, 10**12), st.integers(1, 256))
def test_a_name_is_read_as_it_is_written(index: int, width: int) -> None:
    name = layout.entries_path(index, width).removeprefix("tile/entries/")
    assert publish.parse_number(name) == (index, width)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "0",
        "00",
        "0000",
        "x000/000",
        "000.p/",
        "000.p/0",
        "000.p/256",
        "000.p/07",
        "000/",
        "001/000",
        "٠٠٠",
    ],
)
def test_a_second_name_is_none(name: str) -> None:
    assert publish.parse_number(name) is None


@given(st.text(alphabet="x0123456789/.p", max_size=24))
def test_any_text_is_the_one_name_or_none(name: str) -> None:
    found = publish.parse_number(name)
    assert found is None or layout.entries_path(*found) == f"tile/entries/{name}"


def test_the_export_is_what_the_verifier_takes(
    write: Write, log: Log, database: Database, signer: Signer, now: datetime, tmp_path: Path
) -> None:
    for _ in range(600):
        write()
    size = publish.export(database, log, tmp_path / "out", now=now)
    assert size == 601
    found = folder.verify(tmp_path / "out", [signer.key], full=True)
    assert (found.head.size, found.tiles) == (601, 4)
    (tmp_path / "out" / "tile" / "0" / "001").write_bytes(bytes(8192))
    with pytest.raises(AuditError):
        folder.verify(tmp_path / "out", [signer.key])


def test_the_anchors_are_what_the_verifier_takes(
    write: Write, log: Log, database: Database, signer: Signer, now: datetime, tmp_path: Path
) -> None:
    bucket = LocalStore(tmp_path / "anchors")
    for count in (3, 300, 1):
        for _ in range(count):
            write()
        anchors.beat(log, database, bucket, now=now)
    found = folder.verify(tmp_path / "anchors", [signer.key], full=True)
    assert (found.head.size, found.older) == (304, 2)


def test_a_tile_that_lost_its_end_is_noticed(
    write: Write, log: Log, database: Database, now: datetime
) -> None:
    for _ in range(3):
        write()
    log.sequence(now=now)
    with database.engine.connect() as behind:
        behind.execution_options(sealgate_write=True)
        behind.execute(text("UPDATE audit_tile SET hashes = substr(hashes, 1, 32)"))
        behind.commit()
    with database.read() as session:
        assert publish.tile(session, 3, 0, 0, 1) is not None
        with pytest.raises(LogDamaged):
            publish.tile(session, 3, 0, 0, 3)


def test_nothing_beyond_the_tree(write: Write, log: Log, database: Database, now: datetime) -> None:
    for _ in range(3):
        write()
    log.sequence(now=now)
    write()
    with database.read() as session:
        assert publish.entries(session, 3, 0, 4) is None
        assert publish.tile(session, 3, 0, 0, 4) is None
        assert publish.tile(session, 3, 1, 0, 1) is None
        assert publish.tile(session, 3, 64, 0, 1) is None
        assert len(layout.entries(publish.entries(session, 3, 0, 3) or b"")) == 3
