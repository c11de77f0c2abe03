"""Uploads are on record before the server knows of them, and what is abandoned is found by its record."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select, text

from gateway.custody.models import StoreUpload
from gateway.custody.uploads import ABANDONED_AFTER, UploadRecords, sweep
from storage.errors import NotFound, Unavailable
from storage.local import LocalStore
from storage.memory import MemoryStore

NOW = datetime(2026, 11, 20, 8, tzinfo=UTC)
YOUNG, OLD = timedelta(hours=23, minutes=59), timedelta(hours=24, minutes=1)


class Recorded(MemoryStore):
    """A store in memory that forgets nothing by itself, as an S3 server does."""

    def sweep(self, before: datetime) -> int:
        return 0


def records(database) -> list[StoreUpload]:
    with database.read() as session:
        return list(session.scalars(select(StoreUpload).order_by(StoreUpload.begun_at)))


def begin(database, store, key: str, *, at: datetime) -> str:
    """What an S3 store does to begin an upload."""
    journal = UploadRecords(database, "objects", lambda: at)
    note = journal.beginning(key)
    upload = store.begin(key)
    journal.begun(note, upload)
    return upload


def test_a_record_lasts_as_long_as_its_upload(database):
    journal = UploadRecords(database, "objects", lambda: NOW)
    note = journal.beginning("k")
    assert [(row.place, row.key, row.upload) for row in records(database)] == [("objects", "k", None)]
    journal.begun(note, "u1")
    journal.begun(journal.beginning("k"), "u2")
    journal.over("k", "u1")
    journal.over("k", "u1")
    assert [row.upload for row in records(database)] == ["u2"]


def test_an_upload_that_cannot_be_recorded_is_not_begun(database):
    with database.engine.begin() as connection:
        connection.execute(text("DROP TABLE store_upload"))
    journal = UploadRecords(database, "objects", lambda: NOW)
    with pytest.raises(Unavailable):
        journal.beginning("k")
    with pytest.raises(Unavailable):
        journal.begun("note", "u1")
    journal.over("k", "u1")


@pytest.mark.parametrize(("age", "gone"), [(YOUNG, False), (OLD, True)])
def test_abandoned_parts_go_after_a_day_and_never_before(database, age, gone):
    store = Recorded(clock=lambda: NOW - age)
    upload = begin(database, store, "k", at=NOW - age)
    assert sweep(database, {"objects": store}, now=NOW) == gone
    assert [row.upload for row in records(database)] == ([] if gone else [upload])
    if gone:
        with pytest.raises(NotFound):
            store.put_part("k", upload, 1, b"x")
    else:
        store.put_part("k", upload, 1, b"x")


def test_an_upload_that_is_still_being_sent_stays_however_old(database):
    times = iter([NOW - timedelta(days=9), NOW - YOUNG])
    store = Recorded(clock=lambda: next(times))
    upload = begin(database, store, "k", at=NOW - timedelta(days=9))
    store.put_part("k", upload, 1, b"x")
    assert sweep(database, {"objects": store}, now=NOW) == 0
    assert [row.upload for row in records(database)] == [upload]


def test_an_upload_whose_answer_was_lost_is_found_by_its_key(database):
    store = Recorded(clock=lambda: NOW - OLD)
    UploadRecords(database, "objects", lambda: NOW - OLD).beginning("k")
    store.begin("k")
    assert sweep(database, {"objects": store}, now=NOW) == 1
    assert list(store.uploads("k")) == records(database) == []


def test_a_record_without_an_upload_goes(database):
    UploadRecords(database, "objects", lambda: NOW - OLD).beginning("never-begun")
    assert sweep(database, {"objects": Recorded()}, now=NOW) == 0
    assert records(database) == []


def test_a_store_that_does_not_answer_keeps_its_records_and_stops_no_other(database, tmp_path):
    def down(operation: str, key: str) -> None:
        raise Unavailable("down")

    begin(database, Recorded(clock=lambda: NOW - OLD), "k", at=NOW - OLD)
    other = MemoryStore(clock=lambda: NOW - ABANDONED_AFTER - timedelta(seconds=1))
    other.begin("k")
    assert sweep(database, {"objects": Recorded(down), "bundles": other}, now=NOW) == 1
    assert len(records(database)) == 1


def test_the_folder_store_is_swept_without_records(database, tmp_path):
    store = LocalStore(tmp_path / "objects")
    upload = store.begin("k")
    assert sweep(database, {"objects": store}, now=datetime.now(UTC)) == 0
    assert sweep(database, {"objects": store}, now=datetime.now(UTC) + OLD) == 1
    with pytest.raises(NotFound):
        store.put_part("k", upload, 1, b"x")
