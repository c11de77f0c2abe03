"""A keyring with its first epoch, for the tests of this package."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from storage.keyring import KekFolder, SqliteKeyring


@pytest.fixture
def keks(tmp_path: Path) -> KekFolder:
    folder = KekFolder(tmp_path / "keks")
    folder.create(1)
    return folder


@pytest.fixture
def keyring(tmp_path: Path, keks: KekFolder) -> Iterator[SqliteKeyring]:
    ring = SqliteKeyring(tmp_path / "ring" / "keyring.db", keks)
    yield ring
    ring.close()
