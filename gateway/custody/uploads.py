"""Uploads in parts, recorded in the database before the server is asked, so that abandoned parts are found and forgotten."""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

import structlog
from sqlalchemy import delete, select
from sqlalchemy.exc import SQLAlchemyError

from gateway.custody.models import StoreUpload
from gateway.db import Database, new_id
from storage.errors import StorageError, Unavailable
from storage.store import ObjectStore

# Nothing younger is ever swept (DESIGN.md §2.7): an upload may be slow, and a writer may be stopped and go on.
ABANDONED_AFTER = timedelta(hours=24)

log = structlog.get_logger()


class UploadRecords:
    """The journal of one store (storage.store.UploadJournal): a row for each upload that is neither joined nor forgotten.

    A row written inside somebody's transaction shares its fate; stores are asked outside transactions.
    """

    def __init__(self, database: Database, place: str, clock: Callable[[], datetime]) -> None:
        self._database, self._place, self._clock = database, place, clock

    def beginning(self, key: str) -> str:
        """Record that an upload of the key is about to begin; Unavailable when the database does not take it."""
        row = StoreUpload(id=new_id(), place=self._place, key=key, begun_at=self._clock())
        try:
            with self._database.write() as session:
                session.add(row)
        except SQLAlchemyError:
            raise Unavailable("the upload could not be recorded") from None
        return row.id

    def begun(self, note: str, upload: str) -> None:
        """Add the server's id of the upload."""
        try:
            with self._database.write() as session:
                row = session.get(StoreUpload, note)
                if row is not None:
                    row.upload = upload
        except SQLAlchemyError:
            raise Unavailable("the upload could not be recorded") from None

    def over(self, key: str, upload: str) -> None:
        """Remove the row; what cannot be removed now is found by the sweep."""
        mine = delete(StoreUpload).where(
            StoreUpload.place == self._place, StoreUpload.key == key, StoreUpload.upload == upload
        )
        try:
            with self._database.write() as session:
                session.execute(mine)
        except SQLAlchemyError:
            log.warning("upload record not removed", place=self._place)


def sweep(database: Database, stores: Mapping[str, ObjectStore], *, now: datetime) -> int:
    """Forget what crashes left in the stores and nobody has touched for 24 hours; return how many pieces.

    A store that does not answer keeps its leftovers, and its records, until the next time.
    """
    swept = 0
    for place, store in stores.items():
        try:
            swept += store.sweep(now - ABANDONED_AFTER)
            swept += _sweep_recorded(database, place, store, now - ABANDONED_AFTER)
        except StorageError:
            log.warning("leftovers not swept", place=place)
    return swept


def _sweep_recorded(database: Database, place: str, store: ObjectStore, before: datetime) -> int:
    query = select(StoreUpload).where(StoreUpload.place == place, StoreUpload.begun_at < before)
    with database.read() as session:
        old = list(session.scalars(query))
    return sum(_sweep_key(database, store, row, before) for row in old)


def _sweep_key(database: Database, store: ObjectStore, row: StoreUpload, before: datetime) -> int:
    """Forget the key's untouched uploads, then the record, unless its own upload is still being worked on."""
    swept, alive = 0, False
    for found in list(store.uploads(row.key)):
        if found.touched < before:
            store.abort(row.key, found.upload)
            swept += 1
        else:
            alive = alive or found.upload == row.upload
    if not alive:
        with database.write() as session:
            session.execute(delete(StoreUpload).where(StoreUpload.id == row.id))
    return swept
