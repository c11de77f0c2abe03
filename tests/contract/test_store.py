"""The contract of ObjectStore, the same for every store."""

import gc
import hashlib
import threading
from datetime import UTC, datetime, timedelta

import pytest

from storage.errors import Conflict, InvalidKey, NotFound
from storage.store import PIECE, Part

MIB = 1 << 20


def content(size: int, seed: str = "") -> bytes:
    return hashlib.shake_128(f"{size}{seed}".encode()).digest(size)


def read(store, key: str, *range_: int) -> bytes:
    return b"".join(store.open(key, *range_))


@pytest.mark.parametrize("size", [0, 1, MIB - 1, MIB, MIB + 1, 8 * MIB, 8 * MIB + 1, 20 * MIB])
def test_put_then_open_gives_the_same_bytes(store, size):
    data = content(size)
    stat = store.put("a/object-1.bin", (data[at : at + 700_001] for at in range(0, size, 700_001)))
    assert (stat.key, stat.size) == ("a/object-1.bin", size)
    pieces = list(store.open("a/object-1.bin"))
    assert b"".join(pieces) == data
    assert all(0 < len(piece) <= PIECE for piece in pieces)
    assert store.stat("a/object-1.bin").size == size


def test_put_reads_its_chunks_once_and_as_it_goes(store):
    taken = iter([b"one", b"", b"two"])
    store.put("k", taken)
    assert read(store, "k") == b"onetwo"
    assert next(taken, None) is None


@pytest.mark.parametrize(
    ("start", "length"),
    [(0, 1), (0, 10), (3, 4), (9, 1), (9, 5), (10, None), (10, 1), (40, 2), (4, None), (4, 0)],
)
def test_ranges_are_cut_at_the_end(store, start, length):
    store.put("k", [b"0123456789"])
    end = None if length is None else start + length
    assert b"".join(store.open("k", start, length)) == b"0123456789"[start:end]


def test_ranges_of_an_empty_object(store):
    store.put("k", [])
    assert read(store, "k") == read(store, "k", 0, 5) == read(store, "k", 3) == b""


@pytest.mark.parametrize(("start", "length"), [(-1, None), (0, -1)])
def test_negative_ranges_are_refused(store, start, length):
    store.put("k", [b"0123456789"])
    with pytest.raises(ValueError):
        list(store.open("k", start, length))


def test_put_never_overwrites(store):
    store.put("k", [b"first"])
    with pytest.raises(Conflict):
        store.put("k", [b"second"])
    with pytest.raises(Conflict):
        store.put("k", [b"x" * (9 * MIB)])
    assert read(store, "k") == b"first"


def test_of_many_writers_one_wins(store):
    outcomes, gate = [], threading.Barrier(6)

    def write(number: int) -> None:
        gate.wait()
        try:
            store.put("k", [b"%d" % number])
            outcomes.append(number)
        except Conflict:
            outcomes.append(None)

    writers = [threading.Thread(target=write, args=(number,)) for number in range(6)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    winners = [number for number in outcomes if number is not None]
    assert len(outcomes) == 6
    assert len(winners) == 1
    assert read(store, "k") == b"%d" % winners[0]


@pytest.mark.parametrize("before", [3, 20 * MIB])
def test_a_source_that_fails_leaves_nothing(store, before):
    def chunks():
        yield b"x" * before
        raise RuntimeError("the source failed")

    with pytest.raises(RuntimeError):
        store.put("k", chunks())
    with pytest.raises(NotFound):
        store.stat("k")
    assert list(store.list()) == []
    store.put("k", [b"again"])
    assert read(store, "k") == b"again"


def test_what_is_not_there_is_refused_by_the_call(store):
    for ask in (store.stat, store.open, lambda key: store.open(key, 3, 4), lambda key: store.open(key, 0, 0)):
        with pytest.raises(NotFound):
            ask("absent")
    store.put("folder/k", [b"x"])
    for ask in (store.stat, store.open):
        with pytest.raises(NotFound):
            ask("folder")


def test_delete_is_final_and_can_be_repeated(store):
    store.put("k", [b"x"])
    store.put("k2", [b"y"])
    store.delete("k")
    store.delete("k")
    store.delete("never")
    with pytest.raises(NotFound):
        store.stat("k")
    assert [stat.key for stat in store.list()] == ["k2"]
    store.put("k", [b"new"])
    assert read(store, "k") == b"new"


def test_list_by_prefix_in_order(store):
    for key in ("b/2", "a", "b/1", "b.1", "bc/1", "b/1.v2"):
        store.put(key, [key.encode()])
    assert [stat.key for stat in store.list()] == ["a", "b.1", "b/1", "b/1.v2", "b/2", "bc/1"]
    assert [(stat.key, stat.size) for stat in store.list("b/1")] == [("b/1", 3), ("b/1.v2", 6)]
    assert [stat.key for stat in store.list("b/")] == ["b/1", "b/1.v2", "b/2"]
    assert list(store.list("none/")) == list(store.list("z")) == []


BAD_KEYS = [
    "",
    "/a",
    "a/",
    "a//b",
    "..",
    "a/../b",
    ".hidden",
    "a/.new-1",
    "A",
    "档案",
    "a b",
    "a\n",
    "a\0",
    "-a",
    "a" * 300,
]


@pytest.mark.parametrize("key", BAD_KEYS, ids=ascii)
def test_only_server_made_keys(store, key):
    refused = (
        lambda: store.put(key, [b"x"]),
        lambda: store.open(key),
        lambda: store.stat(key),
        lambda: store.delete(key),
        lambda: store.begin(key),
        lambda: store.put_part(key, "u", 1, b"x"),
        lambda: store.complete(key, "u", [Part(1, "e", 1)]),
        lambda: store.abort(key, "u"),
    )
    for ask in refused:
        with pytest.raises(InvalidKey):
            ask()


@pytest.mark.parametrize("prefix", ["/", "../", "a/../", "A", "a//"])
def test_only_prefixes_of_such_keys(store, prefix):
    with pytest.raises(InvalidKey):
        list(store.list(prefix))


def test_parts_in_any_order_with_one_sent_again(store):
    first, second, third = content(5 * MIB, "1"), content(5 * MIB, "2"), content(77, "3")
    upload = store.begin("k")
    parts = {3: store.put_part("k", upload, 3, third), 1: store.put_part("k", upload, 1, second)}
    parts[2] = store.put_part("k", upload, 2, second)
    parts[1] = store.put_part("k", upload, 1, first)
    with pytest.raises(NotFound):
        store.stat("k")
    stat = store.complete("k", upload, [parts[1], parts[2], parts[3]])
    assert stat.size == 10 * MIB + 77
    assert read(store, "k") == first + second + third
    assert read(store, "k", 5 * MIB - 1, 2) == first[-1:] + second[:1]


def test_complete_can_be_repeated(store):
    upload = store.begin("k")
    parts = [store.put_part("k", upload, 1, content(5 * MIB)), store.put_part("k", upload, 2, b"end")]
    assert store.complete("k", upload, parts).size == store.complete("k", upload, parts).size == 5 * MIB + 3
    store.abort("k", upload)
    assert store.stat("k").size == 5 * MIB + 3


def test_an_upload_is_over_once_completed(store):
    upload = store.begin("k")
    parts = [store.put_part("k", upload, 1, b"only")]
    store.complete("k", upload, parts)
    with pytest.raises(NotFound):
        store.put_part("k", upload, 2, b"more")


def test_complete_never_overwrites(store):
    upload = store.begin("k")
    parts = [store.put_part("k", upload, 1, b"late")]
    store.put("k", [b"first"])
    with pytest.raises(Conflict):
        store.complete("k", upload, parts)
    assert read(store, "k") == b"first"


def test_complete_takes_only_the_parts_that_are_there(store):
    upload = store.begin("k")
    good = store.put_part("k", upload, 1, b"good")
    other = Part(1, hashlib.md5(b"other").hexdigest(), 5)
    for wrong in ([], [good, good], [Part(2, good.etag, 4)], [other], [Part(0, good.etag, 4)]):
        with pytest.raises(Conflict):
            store.complete("k", upload, wrong)
    with pytest.raises(NotFound):
        store.stat("k")
    assert store.complete("k", upload, [good]).size == 4


@pytest.mark.parametrize("number", [0, -1, 10_001])
def test_part_numbers_have_a_range(store, number):
    upload = store.begin("k")
    with pytest.raises(Conflict):
        store.put_part("k", upload, number, b"x")


def test_abort_forgets_and_can_be_repeated(store):
    upload = store.begin("k")
    part = store.put_part("k", upload, 1, b"x")
    store.abort("k", upload)
    store.abort("k", upload)
    with pytest.raises(NotFound):
        store.put_part("k", upload, 2, b"x")
    with pytest.raises(NotFound):
        store.complete("k", upload, [part])
    assert list(store.list()) == []


def test_an_upload_belongs_to_its_key(store):
    upload = store.begin("k")
    part = store.put_part("k", upload, 1, b"x")
    with pytest.raises(NotFound):
        store.put_part("other", upload, 1, b"x")
    with pytest.raises(NotFound):
        store.complete("other", upload, [part])
    store.abort("other", upload)
    assert store.complete("k", upload, [part]).size == 1


def test_uploads_of_one_key_do_not_mix(store):
    one, two = store.begin("k"), store.begin("k")
    first = store.put_part("k", one, 1, b"one")
    store.put_part("k", two, 1, b"two")
    store.complete("k", one, [first])
    assert read(store, "k") == b"one"


def test_a_reader_that_stops_or_never_starts_leaves_nothing_open(store):
    store.put("k", [b"x" * (3 * MIB)])
    reading = store.open("k")
    assert next(reading)
    del reading
    store.open("k")
    # An unclosed file or socket is a ResourceWarning here, and warnings are errors.
    gc.collect()
    assert len(read(store, "k")) == 3 * MIB


def test_open_uploads_are_known_by_their_key(store):
    begun = datetime.now(UTC) - timedelta(seconds=5)
    one, two, other = store.begin("k"), store.begin("k"), store.begin("k.v2")
    part = store.put_part("k", one, 1, b"x")
    assert {found.upload for found in store.uploads("k")} == {one, two}
    assert [found.upload for found in store.uploads("k.v2")] == [other]
    assert all(begun < found.touched < begun + timedelta(minutes=1) for found in store.uploads("k"))
    store.abort("k", two)
    store.complete("k", one, [part])
    assert list(store.uploads("k")) == []
    assert list(store.uploads("never")) == []


def test_a_sweep_takes_nothing_that_is_young_or_whole(store):
    store.put("k", [b"whole"])
    upload = store.begin("k2")
    part = store.put_part("k2", upload, 1, b"part")
    assert store.sweep(datetime.now(UTC) - timedelta(hours=24)) == 0
    assert store.complete("k2", upload, [part]).size == 4
    store.sweep(datetime.now(UTC) + timedelta(hours=1))
    assert read(store, "k") == b"whole"
    assert read(store, "k2") == b"part"
