"""The tree of errors is the one that is drawn."""

import pytest

from storage import errors


@pytest.mark.parametrize(
    "kind",
    [
        errors.NotFound,
        errors.Unavailable,
        errors.Corrupt,
        errors.Conflict,
        errors.InvalidKey,
        errors.KeyExposed,
    ],
)
def test_one_base(kind):
    assert kind.__bases__ == (errors.StorageError,)


def test_a_destroyed_key_is_something_not_found():
    assert issubclass(errors.KeyGone, errors.NotFound)
