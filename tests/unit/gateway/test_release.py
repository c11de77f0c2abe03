"""The gate: the entry is in a signed checkpoint before the first byte, and every stream ends in exactly one entry."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import event, func, select
from sqlalchemy.orm import Session

from agreements.text import DEFAULT
from gateway.audit.models import Checkpoint, Leaf
from gateway.errors import TamperedRow, Unavailable, Withheld
from gateway.identity.models import LoginSession
from gateway.identity.service import change_contact_state, change_organisation_state, revoke_session
from gateway.principal import Actor
from gateway.release import PIECE, Passage, release_bytes
from gateway.sharing import service as sharing
from gateway.sharing.models import Collection, Transfer
from gateway.signing import service as signing
from storage.errors import StorageError
from tests.factories import World, copy_world
from tests.worlds import Scene, noisy_pdf, shared

WHY = "因合作安排变更，停止提供资料"


@pytest.fixture(scope="module")
def template_large(template: World, tmp_path_factory: pytest.TempPathFactory) -> Scene:
    """A ready bundle of more than 4 MiB that does not compress."""
    world = copy_world(template, tmp_path_factory.mktemp("large") / "home")
    made = shared(world, items=world.filed_items(1, data=noisy_pdf(9 << 19)), download_limit=3)
    made.bundle = made.prepare()
    return made


@pytest.fixture
def large(template_large: Scene, tmp_path: Any) -> Iterator[Scene]:
    """A ready bundle of more than 4 MiB, for this test alone."""
    made = copy_world(template_large.world, tmp_path / "home")
    made.deps.log.sequence(now=made.now())
    yield replace(template_large, world=made)
    made.deps.database.close()


def closing(scene: Scene) -> list[tuple[str, dict[str, Any]]]:
    """The closing entries so far: their event and data."""
    found = [leaf for leaf in scene.world.leaves() if leaf.event.startswith("release.")]
    return [(leaf.event, json.loads(leaf.body)["data"]) for leaf in found]


def test_a_whole_stream_ends_in_one_completed_entry(scene: Scene) -> None:
    partner = scene.partner()
    ticket = scene.collect(partner)
    data = b"".join(scene.stream(ticket, partner))
    assert hashlib.sha256(data).hexdigest() == scene.bundle_row().sha256
    [(name, entry)] = closing(scene)
    assert (name, entry["bytes"], entry["start"]) == ("release.completed", len(data), 0)
    assert entry["opened_by"] == scene.world.leaves("bundle.collect")[0].id
    with scene.deps.database.read() as session:
        transfer = session.scalars(select(Transfer)).one()
    assert (transfer.outcome, transfer.sent) == ("COMPLETED", len(data))


def test_the_collect_entry_is_in_a_signed_checkpoint_before_the_first_byte(scene: Scene) -> None:
    """The store is asked only when the checkpoint stands; a portal that reads first is caught by order of calls."""
    partner = scene.partner()
    opened = sharing.open_ticket(scene.deps, scene.collect(partner), actor=partner, now=scene.world.now())
    covered: list[bool] = []

    class Watched:
        def open(self, *place: Any) -> Iterator[bytes]:
            with scene.deps.database.read() as session:
                leaf = session.get_one(Leaf, opened.passage.leaf)
                signed = session.scalar(select(func.max(Checkpoint.size))) or 0
                covered.append(leaf.seq is not None and leaf.seq < signed)
            return opened.passage.store.open(*place)

    pieces = release_bytes(scene.deps, replace(opened.passage, store=Watched()))  # type: ignore[arg-type]
    assert next(pieces)
    assert covered == [True]


def test_a_log_that_cannot_be_signed_lets_no_byte_out(scene: Scene) -> None:
    partner = scene.partner()
    opened = sharing.open_ticket(scene.deps, scene.collect(partner), actor=partner, now=scene.world.now())
    table = Checkpoint.__tablename__
    scene.sql(f"UPDATE {table} SET root = :r WHERE size = (SELECT MAX(size) FROM {table})", r=b"\0" * 32)
    with pytest.raises(Unavailable):
        release_bytes(scene.deps, opened.passage)
    assert [(name, data["bytes"]) for name, data in closing(scene)] == [("release.aborted", 0)]


def test_a_log_that_cannot_be_written_lets_no_byte_out_and_spends_nothing(scene: Scene) -> None:
    partner = scene.partner()

    def broken(connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        if statement.startswith(f"INSERT INTO {Leaf.__tablename__}"):
            cursor.execute("INSERT INTO no_such_table VALUES (1)")

    event.listen(scene.deps.database.engine, "before_cursor_execute", broken)
    with pytest.raises(Exception, match="no_such_table"):
        scene.collect(partner)
    event.remove(scene.deps.database.engine, "before_cursor_execute", broken)
    assert scene.used() == 0 and scene.bundle_row().state == "READY"
    assert scene.sql("SELECT COUNT(*) FROM collection")[0][0] == 0


def test_an_entry_that_cannot_be_numbered_holds_the_stream_back(scene: Scene) -> None:
    partner = scene.partner()
    opened = sharing.open_ticket(scene.deps, scene.collect(partner), actor=partner, now=scene.world.now())
    with pytest.raises(Unavailable):
        release_bytes(scene.deps, replace(opened.passage, leaf="0" * 32))


def test_a_store_that_fails_ends_in_an_aborted_entry(scene: Scene) -> None:
    partner = scene.partner()
    opened = sharing.open_ticket(scene.deps, scene.collect(partner), actor=partner, now=scene.world.now())
    scene.deps.bundles.delete(opened.passage.object_id, 1)
    with pytest.raises(Unavailable):
        release_bytes(scene.deps, opened.passage)
    assert [(name, data["bytes"]) for name, data in closing(scene)] == [("release.aborted", 0)]


def test_a_store_that_fails_midway_ends_the_stream_short(large: Scene) -> None:
    partner = large.partner()
    opened = sharing.open_ticket(large.deps, large.collect(partner), actor=partner, now=large.world.now())

    class Failing:
        def open(self, *place: Any) -> Iterator[bytes]:
            yield next(opened.passage.store.open(*place))
            raise StorageError("gone")

    pieces = release_bytes(large.deps, replace(opened.passage, store=Failing()))  # type: ignore[arg-type]
    first = next(pieces)
    with pytest.raises(StorageError):
        next(pieces)
    assert [(name, data["bytes"]) for name, data in closing(large)] == [("release.aborted", len(first))]


def test_a_reader_who_leaves_is_recorded_with_what_was_handed_over(large: Scene) -> None:
    partner = large.partner()
    pieces = large.stream(large.collect(partner), partner)
    got = len(next(pieces)) + len(next(pieces))
    pieces.close()  # type: ignore[attr-defined]
    assert [(name, data["bytes"]) for name, data in closing(large)] == [("release.aborted", got)]


def test_pieces_are_of_at_most_one_mebibyte_and_ranges_join_up(large: Scene) -> None:
    partner = large.partner()
    ticket = large.collect(partner)
    whole = list(large.stream(ticket, partner))
    assert len(whole) > 4 and max(map(len, whole)) <= PIECE
    data = b"".join(whole)
    cut = PIECE + 12_345
    assert b"".join(large.stream(ticket, partner, length=cut)) == data[:cut]
    assert b"".join(large.stream(ticket, partner, start=cut)) == data[cut:]
    assert large.used() == 1
    assert [(d["start"], d["bytes"]) for _, d in closing(large)] == [
        (0, len(data)), (0, cut), (cut, len(data) - cut),
    ]  # fmt: skip


def _revoke(scene: Scene, partner: Actor) -> None:
    sharing.revoke(scene.deps, scene.share, WHY, actor=scene.world.actor("biz.sj"), now=scene.world.now())


def _suspend(scene: Scene, partner: Actor) -> None:
    sharing.suspend(scene.deps, scene.share, WHY, actor=scene.world.actor("adm"), now=scene.world.now())


def _expire(scene: Scene, partner: Actor) -> None:
    scene.world.clock.advance(days=7, seconds=1)


def _lapse(scene: Scene, partner: Actor) -> None:
    scene.world.clock.advance(days=301)


def _agreement(scene: Scene) -> str:
    return str(scene.sql("SELECT id FROM agreement")[0][0])


def _terminate(scene: Scene, partner: Actor) -> None:
    signing.terminate(
        scene.deps, _agreement(scene), WHY, actor=scene.world.actor("gm"), now=scene.world.now()
    )


def _demand(scene: Scene, partner: Actor) -> None:
    deps = scene.deps
    adm, gm = scene.world.actor("adm"), scene.world.actor("gm")
    now = scene.world.now()
    made = signing.draft_template(deps, "NDA-2", DEFAULT.zh, DEFAULT.en, resign=True, actor=adm, now=now)
    signing.submit_template(deps, made, actor=adm, now=now)
    signing.approve_template(deps, made, actor=gm, now=now)


def _contact(scene: Scene, partner: Actor) -> None:
    change_contact_state(
        scene.deps, partner.id, "suspend", reason=WHY, actor=scene.world.actor("adm"), now=scene.world.now()
    )


def _organisation(scene: Scene, partner: Actor) -> None:
    organisation = scene.world.company.organisations["supplier"]
    adm = scene.world.actor("adm")
    change_organisation_state(
        scene.deps, organisation, "suspend", reason=WHY, actor=adm, now=scene.world.now()
    )


def _session(scene: Scene, partner: Actor) -> None:
    revoke_session(scene.deps, partner.session or "", actor=partner, now=scene.world.now())


def _destroyed(scene: Scene, partner: Actor) -> None:
    scene.sql("UPDATE case_file SET alive = 0")


ENDINGS: dict[str, Callable[[Scene, Actor], None]] = {
    "revoked": _revoke,
    "suspended": _suspend,
    "expired": _expire,
    "agreement lapsed": _lapse,
    "agreement terminated": _terminate,
    "agreement to be signed again": _demand,
    "contact suspended": _contact,
    "organisation suspended": _organisation,
    "session revoked": _session,
    "destroyed": _destroyed,
}
CODES = {
    "revoked": "STATE",
    "suspended": "STATE",
    "expired": "VALID",
    "agreement lapsed": "NDA",
    "agreement terminated": "NDA",
    "agreement to be signed again": "NDA",
    "contact suspended": "CONTACT",
    "organisation suspended": "ORG",
    "session revoked": "SESS",
    "destroyed": "ALIVE",
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_what_ends_a_share_stops_a_running_stream_within_one_piece(large: Scene, ending: str) -> None:
    partner = large.partner()
    ticket = large.collect(partner)
    pieces = large.stream(ticket, partner)
    got = len(next(pieces))
    ENDINGS[ending](large, partner)
    with pytest.raises(Withheld) as stopped:
        next(pieces)
    assert CODES[ending] in stopped.value.codes
    assert got <= PIECE
    assert [(name, data["bytes"]) for name, data in closing(large)] == [("release.aborted", got)]
    assert list(pieces) == []


@pytest.mark.parametrize("ending", ENDINGS)
def test_what_ended_after_collecting_lets_no_first_byte_out(scene: Scene, ending: str) -> None:
    partner = scene.partner()
    opened = sharing.open_ticket(scene.deps, scene.collect(partner), actor=partner, now=scene.world.now())
    ENDINGS[ending](scene, partner)
    with pytest.raises(Withheld) as stopped:
        release_bytes(scene.deps, opened.passage)
    assert CODES[ending] in stopped.value.codes
    assert [data["bytes"] for _, data in closing(scene)] == [0]


def test_a_row_altered_while_bytes_run_stops_them_and_is_recorded(large: Scene) -> None:
    partner = large.partner()
    pieces = large.stream(large.collect(partner), partner)
    got = len(next(pieces))
    large.sql("UPDATE share SET ends = '2099-01-01 00:00:00'")
    with pytest.raises(TamperedRow):
        next(pieces)
    assert [(name, data["bytes"]) for name, data in closing(large)] == [("release.aborted", got)]


def test_a_row_altered_before_the_first_byte_closes_the_passage_too(scene: Scene) -> None:
    partner = scene.partner()
    opened = sharing.open_ticket(scene.deps, scene.collect(partner), actor=partner, now=scene.world.now())
    scene.sql("UPDATE share SET ends = '2099-01-01 00:00:00'")
    with pytest.raises(TamperedRow):
        release_bytes(scene.deps, opened.passage)
    assert [data["bytes"] for _, data in closing(scene)] == [0]


def test_a_running_download_is_activity_but_not_for_ever(large: Scene) -> None:
    """Idle time does not count while bytes run; the session's own end does."""
    partner = large.partner()
    pieces = large.stream(large.collect(partner), partner)
    next(pieces)
    large.world.clock.advance(minutes=20)
    assert next(pieces)
    large.world.clock.advance(hours=23)
    with pytest.raises(Withheld) as stopped:
        next(pieces)
    assert stopped.value.codes == ("SESS",)


def test_every_guarded_row_of_a_session_is_read_anew(large: Scene) -> None:
    """The epoch that is read per piece is the database's, not a row kept from before."""
    partner = large.partner()
    pieces = large.stream(large.collect(partner), partner)
    next(pieces)
    large.sql("DELETE FROM login_session WHERE id = :i", i=partner.session)
    with pytest.raises(Withheld):
        next(pieces)
    with large.deps.database.read() as session:
        assert session.get(LoginSession, partner.session) is None
        assert _count(session) == 1


def _count(session: Session) -> int:
    return session.scalar(select(func.count()).select_from(Collection)) or 0


def test_a_passage_says_by_default_nothing_to_nobody(scene: Scene) -> None:
    """A passage without `done` may stream as well: what counts is the entry."""
    partner = scene.partner()
    opened = sharing.open_ticket(
        scene.deps, scene.collect(partner), actor=partner, now=scene.world.now()
    ).passage
    bare = Passage(opened.ask, opened.leaf, opened.store, opened.object_id)
    assert b"".join(release_bytes(scene.deps, bare))
    assert closing(scene)[0][0] == "release.completed"
    assert timedelta(0) <= scene.world.now() - scene.world.leaves("release.completed")[0].at
