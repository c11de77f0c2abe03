"""Objects carried elsewhere: resumed after what was proved, read back, followed when they change, and never switched to half."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.custody import copy
from gateway.custody.copy import Move, begin, carry, read_move, require_settled, settle
from gateway.custody.errors import Incomplete
from gateway.errors import ConfigError
from storage.errors import Unavailable
from storage.local import LocalStore
from storage.memory import MemoryStore
from tests.factories import settings_at

ROOT = Path(__file__).parents[4]
PLACES = ("objects", "bundles")


def content(key: str) -> bytes:
    return hashlib.shake_128(key.encode()).digest(3000)


def stores(make=MemoryStore) -> dict:
    return {place: make() for place in PLACES}


@pytest.fixture
def sources() -> dict:
    made = stores()
    for place in PLACES:
        for number in range(4):
            made[place].put(f"item-{number}.v1", [content(f"{place}{number}")])
    return made


def same(sources: dict, targets: dict) -> bool:
    def all_of(store) -> dict:
        return {stat.key: b"".join(store.open(stat.key)) for stat in store.list()}

    return all(all_of(sources[place]) == all_of(targets[place]) for place in PLACES)


def test_all_is_carried_once(sources, tmp_path):
    targets, sizes, total = stores(), [], []
    done = carry(tmp_path, sources, targets, total=total.append, seen=sizes.append)
    assert (done.objects, done.carried, done.bytes) == (8, 8, 24_000)
    assert same(sources, targets)
    assert total == [24_000] == [sum(sizes)]
    again = carry(tmp_path, sources, targets)
    assert (again.objects, again.carried, again.bytes) == (8, 0, 0)


def test_a_second_pass_follows_what_changed(sources, tmp_path):
    targets = stores()
    carry(tmp_path, sources, targets)
    sources["objects"].delete("item-1.v1")
    sources["objects"].delete("item-2.v1")
    sources["objects"].put("item-2.v1", [content("written anew")])
    sources["bundles"].put("late.v1", [content("late")])
    assert carry(tmp_path, sources, targets).carried == 2
    assert same(sources, targets)


@pytest.mark.parametrize("after", range(0, 60, 7))
def test_a_target_that_fails_half_way_is_gone_on_with(sources, tmp_path, after):
    calls, armed = iter(range(10_000)), True

    def fault(operation: str, key: str) -> None:
        if next(calls) == after and armed:
            raise Unavailable("down")

    targets = {"objects": MemoryStore(fault), "bundles": MemoryStore()}
    try:
        carry(tmp_path, sources, targets)
    except Unavailable:
        carry(tmp_path, sources, targets)
    armed = False
    assert same(sources, targets)


def test_what_is_not_read_back_as_sent_ends_the_pass(sources, tmp_path):
    class Flipping(MemoryStore):
        def put(self, key, chunks):
            data = bytearray(b"".join(chunks))
            data[-1] ^= 1
            return super().put(key, [bytes(data)])

    with pytest.raises(Incomplete) as caught:
        carry(tmp_path, sources, {"objects": Flipping(), "bundles": MemoryStore()})
    assert caught.value.findings == ("objects/item-0.v1: not read back as it was sent",)


def test_what_changed_at_the_target_is_seen_by_its_head(sources, tmp_path):
    targets = stores()
    carry(tmp_path, sources, targets)
    targets["objects"].delete("item-0.v1")
    targets["objects"].put("item-0.v1", [content("another's")])
    assert carry(tmp_path, sources, targets).carried == 1
    assert same(sources, targets)


def test_what_the_target_has_of_others_is_named_and_left(sources, tmp_path):
    targets = stores()
    targets["bundles"].put("foreign.v1", [b"x"])
    with pytest.raises(Incomplete) as caught:
        carry(tmp_path, sources, targets)
    assert caught.value.findings == ("bundles/foreign.v1: at the new place, but not here",)
    assert targets["bundles"].stat("foreign.v1").size == 1


def test_a_journal_line_cut_short_counts_for_nothing(sources, tmp_path):
    targets = stores()
    carry(tmp_path, sources, targets)
    journal = tmp_path / copy._JOURNAL
    journal.write_bytes(journal.read_bytes()[:-30])
    assert carry(tmp_path, sources, targets) == copy.Carried(8, 0, 0)
    assert carry(tmp_path, sources, targets) == copy.Carried(8, 0, 0)


def test_a_start_is_refused_until_the_move_is_settled(tmp_path):
    old = settings_at(tmp_path)
    new = old.model_copy(update={"store_folder": tmp_path / "other"})
    require_settled(new)
    move = begin(tmp_path, copy.address(old), copy.address(new))
    assert read_move(tmp_path) == Move(copy.address(old), copy.address(new), settled=False)
    require_settled(old)
    with pytest.raises(ConfigError, match="not everything was carried"):
        require_settled(new)
    settle(tmp_path, move)
    # What the old stores take from now on is missing at the new ones.
    require_settled(old)
    with pytest.raises(ConfigError):
        require_settled(new)
    settle(tmp_path, begin(tmp_path, copy.address(old), copy.address(new)))
    third = old.model_copy(update={"store_folder": tmp_path / "third"})
    with pytest.raises(ConfigError):
        require_settled(third)
    require_settled(new)
    assert read_move(tmp_path) is None
    require_settled(new)


def test_a_pass_unsettles_and_another_target_begins_anew(tmp_path):
    settle(tmp_path, begin(tmp_path, "a", "b"))
    assert not begin(tmp_path, "a", "b").settled
    (tmp_path / copy._JOURNAL).write_text("[]\n")
    begin(tmp_path, "a", "b")
    assert (tmp_path / copy._JOURNAL).exists()
    begin(tmp_path, "a", "c")
    assert not (tmp_path / copy._JOURNAL).exists()


def test_a_damaged_note_of_the_move_stops_the_start(tmp_path):
    (tmp_path / copy.MOVE).write_text("{")
    with pytest.raises(Incomplete):
        require_settled(settings_at(tmp_path))


KILLED = """
import os, signal, sys
from pathlib import Path
from gateway.custody.copy import carry
from storage.local import LocalStore
base, left = Path(sys.argv[1]), int(sys.argv[2])
places = ("objects", "bundles")
class Dying(LocalStore):
    def put(self, key, chunks):
        global left
        left -= 1
        if left == 0:
            def half():
                yield next(iter(chunks))[:100]
                os.kill(os.getpid(), signal.SIGKILL)
            return super().put(key, half())
        return super().put(key, chunks)
carry(base, {p: LocalStore(base / "old" / p) for p in places}, {p: Dying(base / "new" / p) for p in places})
"""


@pytest.mark.parametrize("when", [1, 4, 8])
def test_a_kill_in_the_middle_of_an_object_costs_that_object_only(tmp_path, when):
    sources = {place: LocalStore(tmp_path / "old" / place) for place in PLACES}
    for place in PLACES:
        for number in range(4):
            sources[place].put(f"item-{number}.v1", [content(f"{place}{number}")])
    command = [sys.executable, "-c", KILLED, str(tmp_path), str(when)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    assert subprocess.run(command, env=environment, check=False).returncode == -9
    targets = {place: LocalStore(tmp_path / "new" / place) for place in PLACES}
    assert sum(1 for place in PLACES for _ in targets[place].list()) == when - 1
    assert carry(tmp_path, sources, targets).carried == 8 - (when - 1)
    assert same(sources, targets)
    assert len([json.loads(line) for line in (tmp_path / copy._JOURNAL).read_text().split("\n") if line]) == 8
