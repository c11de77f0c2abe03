"""A database of its own for what custody remembers."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway import bootstrap
from gateway.db import Database


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    made = Database(f"sqlite:///{tmp_path / 'custody.db'}", bytes(32))
    bootstrap.everything().create_all(made.engine)
    yield made
    made.close()
