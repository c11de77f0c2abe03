"""Uploads in parts: resumed, replaced, refused, abandoned; and nothing of them in clear on any disk."""

import hashlib
import secrets

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from gateway.archive import service, uploads
from gateway.archive.models import Item, ItemVersion, Proof, Upload
from gateway.errors import Invalid, NotAllowed, NotFound, Unavailable, WrongState
from storage.memory import MemoryStore
from storage.sealed import PART_SIZE, SealedStore


def start(house, item, size, who="biz.sj", name="影像.bin"):
    return service.start_upload(
        house.deps, item, file_name=name, size=size, actor=house.actor(who), now=house.now
    )


def put(house, upload, number, data, who="biz.sj", **more):
    service.put_part(house.deps, upload, number, data, actor=house.actor(who), now=house.now, **more)


def complete(house, upload, who="biz.sj"):
    return service.complete_upload(house.deps, upload, actor=house.actor(who), now=house.now)


def version(house, item):
    with house.deps.database.read() as session:
        row = session.scalars(
            select(ItemVersion).where(ItemVersion.item_id == item).order_by(ItemVersion.version.desc())
        ).first()
        session.expunge_all()
        return row


@pytest.fixture
def item(house):
    return house.item(house.case(house.client()))


def test_a_broken_upload_goes_on_where_it_stopped(house, item):
    data = secrets.token_bytes(PART_SIZE + 1000)
    first = start(house, item, len(data))
    put(house, first.id, 2, data[PART_SIZE:])
    again = start(house, item, len(data))
    assert (again.id, again.have, again.parts) == (first.id, (2,), 2)
    with pytest.raises(Invalid):
        complete(house, first.id)
    put(house, first.id, 1, data[:PART_SIZE])
    complete(house, first.id)
    house.deps.queue.drain()
    row = version(house, item)
    assert row.sha256 == hashlib.sha256(data).hexdigest()
    assert b"".join(house.deps.objects.open(service.object_id(item), 1)) == data


def test_a_part_sent_again_replaces_the_first(house, item, pdf):
    upload = start(house, item, len(pdf)).id
    put(house, upload, 1, b"x" * len(pdf))
    put(house, upload, 1, pdf)
    put(house, upload, 1, pdf)
    job = complete(house, upload)
    assert complete(house, upload) == job
    house.deps.queue.drain()
    assert version(house, item).sha256 == hashlib.sha256(pdf).hexdigest()


@pytest.mark.parametrize(("number", "size"), [(1, 9), (1, 11), (1, 0), (0, 10), (2, 10), (-1, 10)])
def test_parts_of_a_wrong_size_or_number_are_refused(house, item, number, size):
    upload = start(house, item, 10).id
    with pytest.raises(Invalid):
        put(house, upload, number, b"x" * size)
    assert service.upload_state(house.deps, upload, actor=house.actor("biz.sj"), now=house.now).have == ()


def test_a_digest_sent_along_must_fit(house, item):
    upload = start(house, item, 10).id
    with pytest.raises(Invalid):
        put(house, upload, 1, b"x" * 10, sha256=hashlib.sha256(b"y" * 10).hexdigest())
    put(house, upload, 1, b"x" * 10, sha256=hashlib.sha256(b"x" * 10).hexdigest().upper())


@pytest.mark.parametrize("size", [0, -1, (2 << 30) + 1])
def test_empty_and_too_large_files_are_refused_at_once(house, item, size):
    with pytest.raises(Invalid):
        start(house, item, size)
    assert version(house, item) is None


def test_two_gibibytes_may_begin(house, item):
    assert start(house, item, 2 << 30).parts == 256


def test_an_upload_belongs_to_whoever_began_it(house, item):
    upload = start(house, item, 10).id
    for who in ("biz.sj2", "hod.sj", "arc1", "sys"):
        with pytest.raises(NotFound):
            put(house, upload, 1, b"x" * 10, who=who)
        with pytest.raises(NotFound):
            service.upload_state(house.deps, upload, actor=house.actor(who), now=house.now)


def test_who_may_not_write_may_not_upload(house, item):
    for who, refusal in (
        ("biz.gc", NotFound),
        ("hod.gc", NotFound),
        ("adm", NotAllowed),
        ("arc1", NotAllowed),
        ("sys", NotFound),
    ):
        with pytest.raises(refusal):
            start(house, item, 10, who=who)


def test_nothing_more_is_taken_after_the_end(house, item):
    upload = start(house, item, 10).id
    put(house, upload, 1, b"x" * 10)
    complete(house, upload)
    with pytest.raises(WrongState):
        put(house, upload, 1, b"y" * 10)
    with pytest.raises(WrongState):
        service.abort_upload(house.deps, upload, actor=house.actor("biz.sj"), now=house.now)


def test_a_day_without_a_part_abandons_an_upload(house, item):
    upload = start(house, item, PART_SIZE + 1).id
    house.clock.forward(hours=20)
    put(house, upload, 1, b"x" * PART_SIZE)
    house.clock.forward(hours=23)
    assert service.sweep_uploads(house.deps, house.now) == 0
    house.clock.forward(hours=2)
    assert service.sweep_uploads(house.deps, house.now) == 1
    assert service.sweep_uploads(house.deps, house.now) == 0
    with house.deps.database.read() as session:
        assert session.get(Upload, upload).state == "ABORTED"
    assert (version(house, item).state, version(house, item).why_not) == ("REFUSED", "ABANDONED")
    with pytest.raises(WrongState):
        put(house, upload, 2, b"x")
    assert start(house, item, PART_SIZE + 1).version == 2


def test_an_upload_given_up_frees_the_next_version(house, item):
    upload = start(house, item, 10).id
    service.abort_upload(house.deps, upload, actor=house.actor("biz.sj"), now=house.now)
    assert version(house, item).why_not == "CANCELLED"
    assert start(house, item, 10).version == 2


def test_a_store_that_fails_leaves_the_part_to_be_sent_again(house, item, monkeypatch):
    from dataclasses import replace

    from storage.errors import Unavailable as Down

    broken = []

    def fault(operation, key):
        if operation == "put_part" and not broken:
            broken.append(key)
            raise Down("down")

    house.deps = replace(house.deps, objects=SealedStore(MemoryStore(fault), house.deps.keyring))
    house.deps.queue.bind(house.deps)
    upload = start(house, item, 10).id
    with pytest.raises(Unavailable):
        put(house, upload, 1, b"x" * 10)
    put(house, upload, 1, b"x" * 10)
    complete(house, upload)
    house.deps.queue.drain()
    assert version(house, item).state == "READY"


@pytest.mark.parametrize(
    ("data", "state", "kind", "markable"),
    [
        (b"%PDF-1.7\nnothing follows", "REFUSED", "pdf", False),
        (b"\xff\xd8\xff\xe0 no picture", "REFUSED", "jpeg", False),
        (b"PK\x03\x04 no archive", "REFUSED", "zip", False),
        ("一段文字".encode(), "READY", "text", False),
    ],
)
def test_the_kind_is_what_its_parser_proves(house, item, data, state, kind, markable):
    house.upload(item, data, name="假名.pdf")
    row = version(house, item)
    assert (row.state, row.kind, row.markable) == (state, kind, markable)
    assert row.why_not
    with house.deps.database.read() as session:
        assert session.get(Item, item).version == (1 if state == "READY" else 0)
        assert session.get(Proof, row.id).report["code"] == kind


def test_a_check_that_never_ends_refuses_and_can_be_had_again(house, item, pdf):
    upload = start(house, item, len(pdf)).id
    put(house, upload, 1, pdf)
    complete(house, upload)
    whole = house.deps.objects._store
    house.deps.objects._store = MemoryStore()
    house.deps.queue.drain()
    row = version(house, item)
    assert (row.state, row.why_not) == ("REFUSED", "CHECK_FAILED")
    house.deps.objects._store = whole
    with pytest.raises(NotFound):
        service.check_again(house.deps, row.id, actor=house.actor("biz.sj"), now=house.now)
    service.check_again(house.deps, row.id, actor=house.actor("arc1"), now=house.now)
    house.deps.queue.drain()
    assert version(house, item).state == "READY"


def test_an_inspection_done_twice_changes_nothing(house, item, pdf):
    house.upload(item, pdf)
    before = version(house, item).leaf
    with house.deps.database.write() as session:
        from gateway.jobs.service import enqueue

        enqueue(session, service.INSPECT, now=house.now, payload={"version": version(house, item).id})
    house.deps.queue.drain()
    assert version(house, item).leaf == before


def test_no_plaintext_of_an_upload_is_on_disk(house, item, tmp_path):
    canary = b"canary-" + secrets.token_hex(24).encode()
    data = canary + secrets.token_bytes(PART_SIZE) + canary
    upload = start(house, item, len(data)).id
    put(house, upload, 1, data[:PART_SIZE])
    _nowhere(canary, tmp_path)
    put(house, upload, 2, data[PART_SIZE:])
    complete(house, upload)
    house.deps.queue.drain()
    assert version(house, item).state == "READY"
    _nowhere(canary, tmp_path)


def _nowhere(canary, folder):
    seen = 0
    for path in folder.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            seen += len(content)
            assert canary not in content, path.name
    assert seen > PART_SIZE


@given(st.text(max_size=400))
def test_shown_names_can_stand_in_headers_and_pages(name):
    shown = uploads.shown_name(name)
    assert 1 <= len(shown) <= 200
    assert not set(shown) & set("/\\\r\n\0\u202e\u200f")
    assert shown.isprintable()
    assert shown == uploads.shown_name(shown)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\图纸\\平面图.pdf", "平面图.pdf"),
        ("a\r\nSet-Cookie: x", "a__Set-Cookie: x"),
        ("图\u202efdp.exe", "图_fdp.exe"),
        ("", "未命名"),
        ("..", "未命名"),
    ],
)
def test_hostile_names_are_cleaned(name, shown):
    assert uploads.shown_name(name) == shown
