"""The hook of the memory store."""

import pytest

from storage.errors import Unavailable
from storage.memory import MemoryStore


def test_every_operation_asks_the_hook_first():
    asked = []
    store = MemoryStore(lambda operation, key: asked.append((operation, key)))
    store.put("k", [b"x"])
    list(store.open("k"))
    store.stat("k")
    list(store.list("k"))
    upload = store.begin("u")
    part = store.put_part("u", upload, 1, b"x")
    store.complete("u", upload, [part])
    store.abort("u", upload)
    store.delete("k")
    operations = ["put", "open", "read", "stat", "list", "begin", "put_part", "complete", "abort", "delete"]
    assert [operation for operation, _ in asked] == operations
    assert {key for _, key in asked} == {"k", "u"}


def test_a_fault_in_put_keeps_nothing():
    def fault(operation: str, key: str) -> None:
        if operation == "put":
            raise Unavailable("the store did not answer")

    store = MemoryStore(fault)
    with pytest.raises(Unavailable):
        store.put("k", [b"x"])
    assert list(store.list()) == []
