"""What is special to S3, on real servers: versions, locks, lost answers, broken connections."""

import secrets
import socket
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import boto3
import pytest
from botocore.config import Config

from storage.errors import Conflict, NotFound, Unavailable
from storage.s3 import S3Store, make_client

pytestmark = pytest.mark.services
MIB = 1 << 20


class Proxy:
    """A TCP proxy that spoils the first answer to the first request that begins with `verb`.

    It passes `keep` bytes of that answer on and cuts the connection; with `keep` None the answer never comes.
    """

    def __init__(self, upstream: str) -> None:
        self._target = (urlsplit(upstream).hostname, urlsplit(upstream).port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = [self._listener]
        self._fault: tuple[bytes, int | None] | None = None
        self.spoilt = 0
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def spoil(self, verb: bytes, keep: int | None) -> None:
        self._fault = (verb, keep)

    def close(self) -> None:
        for open_socket in self._open:
            try:
                open_socket.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            open_socket.close()
        for thread in self._threads:
            thread.join()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(self._target)
            self._open += [client, server]
            armed: list[int | None] = []
            pumps = [
                threading.Thread(target=self._requests, args=(client, server, armed)),
                threading.Thread(target=self._answers, args=(server, client, armed)),
            ]
            self._threads += pumps
            for pump in pumps:
                pump.start()

    def _requests(self, client: socket.socket, server: socket.socket, armed: list) -> None:
        while data := received(client):
            if self._fault and data.startswith(self._fault[0]):
                armed.append(self._fault[1])
                self._fault = None
                self.spoilt += 1
            server.sendall(data)
        shut(server)

    def _answers(self, server: socket.socket, client: socket.socket, armed: list) -> None:
        while data := received(server):
            if armed and not data.startswith(b"HTTP/1.1 100"):
                keep = armed[0]
                while keep is not None and keep > len(data):
                    client.sendall(data)
                    keep -= len(data)
                    data = received(server)
                if keep is None:
                    continue
                client.sendall(data[:keep])
                break
            client.sendall(data)
        shut(client)


def received(source: socket.socket) -> bytes:
    try:
        return source.recv(65536)
    except OSError:
        return b""


def shut(end: socket.socket) -> None:
    try:
        end.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass


@pytest.fixture
def proxy(minio_server) -> Iterator[Proxy]:
    proxy = Proxy(minio_server.endpoint)
    yield proxy
    proxy.close()


@pytest.fixture
def prefix() -> str:
    return f"test-{secrets.token_hex(6)}/"


@pytest.fixture
def direct(minio_bucket, prefix) -> S3Store:
    server, bucket = minio_bucket
    client = make_client(server.endpoint, server.access_key, server.secret_key, "us-east-1")
    return S3Store(client, bucket, prefix)


@pytest.fixture
def faulty(minio_bucket, prefix, proxy) -> S3Store:
    """The same store through the proxy, by a client that waits a second only."""
    server, bucket = minio_bucket
    client = boto3.client(
        "s3",
        endpoint_url=proxy.url,
        aws_access_key_id=server.access_key,
        aws_secret_access_key=server.secret_key,
        region_name="us-east-1",
        config=Config(
            read_timeout=1,
            connect_timeout=1,
            retries={"total_max_attempts": 1},
            s3={"addressing_style": "path"},
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        ),
    )
    return S3Store(client, bucket, prefix, deadline_s=8)


FAULTS = [0, 30, None]


@pytest.mark.parametrize("keep", FAULTS)
def test_a_put_whose_answer_is_lost_is_done_once(faulty, direct, proxy, keep):
    proxy.spoil(b"PUT", keep)
    assert faulty.put("k", [b"bytes"]).size == 5
    assert proxy.spoilt == 1
    assert b"".join(direct.open("k")) == b"bytes"
    with pytest.raises(Conflict):
        direct.put("k", [b"other"])


def test_a_lost_answer_does_not_claim_anothers_object(faulty, direct, proxy):
    direct.put("k", [b"first"])
    proxy.spoil(b"PUT", 0)
    with pytest.raises(Conflict):
        faulty.put("k", [b"other"])
    assert b"".join(direct.open("k")) == b"first"


@pytest.mark.parametrize("keep", FAULTS)
def test_an_upload_whose_last_answer_is_lost_is_done_once(faulty, direct, proxy, keep):
    upload = faulty.begin("k")
    parts = [faulty.put_part("k", upload, 1, bytes(5 * MIB)), faulty.put_part("k", upload, 2, b"end")]
    proxy.spoil(b"POST", keep)
    assert faulty.complete("k", upload, parts).size == 5 * MIB + 3
    assert proxy.spoilt == 1
    assert direct.stat("k").size == 5 * MIB + 3


@pytest.mark.parametrize("keep", [0, 30, 500, MIB, 3 * MIB, None])
def test_a_reading_that_breaks_goes_on_where_it_broke(faulty, direct, proxy, keep):
    data = secrets.token_bytes(5 * MIB)
    direct.put("k", [data])
    proxy.spoil(b"GET", keep)
    assert b"".join(faulty.open("k", 7)) == data[7:]
    assert proxy.spoilt == 1


@pytest.mark.parametrize("keep", [0, 17, 30, 400, None])
@pytest.mark.parametrize("ask", ["stat", "list", "delete"])
def test_an_answer_cut_short_is_not_taken_for_an_empty_one(faulty, direct, proxy, ask, keep):
    direct.put("k", [b"x"])
    proxy.spoil(b"HEAD" if ask == "stat" else b"GET", keep)
    if ask == "stat":
        assert faulty.stat("k").size == 1
    elif ask == "list":
        assert [stat.key for stat in faulty.list()] == ["k"]
    else:
        faulty.delete("k")
        assert list(direct.list()) == []
    assert proxy.spoilt == 1


@pytest.mark.parametrize("keep", [0, 17, 30, 100, None])
@pytest.mark.parametrize("verb", [b"PUT", b"POST"])
def test_an_upload_whose_answers_are_cut_goes_on(faulty, direct, proxy, verb, keep):
    proxy.spoil(verb, keep)
    upload = faulty.begin("k")
    part = faulty.put_part("k", upload, 1, b"part")
    assert faulty.complete("k", upload, [part]).size == 4
    assert proxy.spoilt == 1
    assert b"".join(direct.open("k")) == b"part"


@pytest.mark.parametrize("keep", FAULTS)
def test_a_delete_whose_answer_is_lost_is_done(faulty, direct, proxy, keep):
    direct.put("k", [b"x"])
    proxy.spoil(b"DELETE", keep)
    faulty.delete("k")
    assert proxy.spoilt == 1
    with pytest.raises(NotFound):
        direct.stat("k")


def test_a_reading_does_not_go_on_in_another_object(faulty, direct, proxy):
    direct.put("k", [bytes(5 * MIB)])
    proxy.spoil(b"GET", 2 * MIB)
    reading = faulty.open("k")
    next(reading)
    direct.delete("k")
    direct.put("k", [b"\1" * 5 * MIB])
    with pytest.raises(Conflict):
        list(reading)


def test_a_server_that_is_not_there_is_unavailable_within_the_deadline():
    with socket.create_server(("127.0.0.1", 0)) as closed:
        endpoint = f"http://127.0.0.1:{closed.getsockname()[1]}"
    store = S3Store(make_client(endpoint, "key", "secret", "us-east-1"), "bucket", deadline_s=0.5)
    begun = time.monotonic()
    with pytest.raises(Unavailable):
        store.put("k", [b"x"])
    assert time.monotonic() - begun < 5


def test_refusals_are_not_repeated_and_name_nothing(minio_bucket):
    server, bucket = minio_bucket
    for key, name in (("wrong", bucket), (server.access_key, "no-such-bucket")):
        store = S3Store(make_client(server.endpoint, key, server.secret_key, "us-east-1"), name)
        begun = time.monotonic()
        with pytest.raises(Unavailable) as caught:
            store.put("k", [b"x"])
        assert time.monotonic() - begun < 5
        assert name not in str(caught.value)
        assert "127.0.0.1" not in str(caught.value)


@pytest.mark.parametrize("kind", ["minio", "seaweed"])
def test_delete_takes_every_version_and_no_other_key(request, kind, prefix):
    server, bucket = request.getfixturevalue(f"{kind}_bucket")
    raw = make_client(server.endpoint, server.access_key, server.secret_key, "us-east-1")
    store = S3Store(raw, bucket, prefix)
    for body in (b"one", b"two"):
        raw.put_object(Bucket=bucket, Key=f"{prefix}k", Body=body)
    raw.delete_object(Bucket=bucket, Key=f"{prefix}k")
    raw.put_object(Bucket=bucket, Key=f"{prefix}k", Body=b"three")
    store.put("k2", [b"x"])
    store.delete("k")
    left = raw.list_object_versions(Bucket=bucket, Prefix=prefix)
    assert [version["Key"] for version in left["Versions"]] == [f"{prefix}k2"]
    assert "DeleteMarkers" not in left


@pytest.mark.parametrize("kind", ["minio", "seaweed"])
def test_a_bucket_without_versions_keeps_the_contract_too(request, kind):
    server = request.getfixturevalue(f"{kind}_server")
    raw = make_client(server.endpoint, server.access_key, server.secret_key, "us-east-1")
    bucket = f"plain-{secrets.token_hex(6)}"
    raw.create_bucket(Bucket=bucket)
    store = S3Store(raw, bucket)
    store.put("k", [b"one"])
    store.put("large", [bytes(9 * MIB)])
    with pytest.raises(Conflict):
        store.put("k", [b"two"])
    store.delete("k")
    store.delete("large")
    store.delete("k")
    assert list(store.list()) == []
    store.put("k", [b"three"])
    assert b"".join(store.open("k")) == b"three"


def test_a_locked_object_stays(minio_server):
    raw = make_client(minio_server.endpoint, minio_server.access_key, minio_server.secret_key, "us-east-1")
    bucket = f"locked-{secrets.token_hex(6)}"
    raw.create_bucket(Bucket=bucket, ObjectLockEnabledForBucket=True)
    until = datetime.now(UTC) + timedelta(days=1)
    raw.put_object(
        Bucket=bucket, Key="k", Body=b"x", ObjectLockMode="COMPLIANCE", ObjectLockRetainUntilDate=until
    )
    store = S3Store(raw, bucket)
    with pytest.raises(Unavailable):
        store.delete("k")
    assert b"".join(store.open("k")) == b"x"


def test_prefixes_part_a_bucket(minio_bucket, prefix):
    server, bucket = minio_bucket
    client = make_client(server.endpoint, server.access_key, server.secret_key, "us-east-1")
    one, two = S3Store(client, bucket, f"{prefix}one/"), S3Store(client, bucket, f"{prefix}two/")
    one.put("k", [b"1"])
    two.put("k", [b"2"])
    one.delete("k")
    assert [stat.key for stat in two.list()] == ["k"]
    assert list(one.list()) == []


def test_long_lists_come_page_by_page(direct):
    keys = sorted(f"k{number:04d}" for number in range(1003))
    threads = [
        threading.Thread(target=lambda some: [direct.put(key, [b"x"]) for key in some], args=(keys[n::4],))
        for n in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [stat.key for stat in direct.list("k")] == keys


class Notes:
    """A journal that remembers what it was told, and how many uploads the server knew of at that time."""

    def __init__(self, direct: S3Store) -> None:
        self.direct, self.told = direct, []

    def beginning(self, key: str) -> str:
        self.told.append(("beginning", len(list(self.direct.uploads(key)))))
        return "note"

    def begun(self, note: str, upload: str) -> None:
        assert note == "note"
        self.told.append(("begun", [found.upload for found in self.direct.uploads("k")] == [upload]))

    def over(self, key: str, upload: str) -> None:
        self.told.append(("over", len(list(self.direct.uploads(key)))))


@pytest.fixture
def noted(minio_bucket, prefix, direct) -> tuple[S3Store, Notes]:
    server, bucket = minio_bucket
    client = make_client(server.endpoint, server.access_key, server.secret_key, "us-east-1")
    notes = Notes(direct)
    return S3Store(client, bucket, prefix, journal=notes), notes


WHOLE_RECORD = [("beginning", 0), ("begun", True), ("over", 0)]


def test_an_upload_is_on_record_from_before_it_is_begun_until_it_is_over(noted):
    store, notes = noted
    store.put("k", [bytes(9 * MIB)])
    assert notes.told == WHOLE_RECORD
    notes.told.clear()
    store.delete("k")
    store.abort("k", store.begin("k"))
    assert notes.told == WHOLE_RECORD


def test_a_put_whose_source_fails_leaves_no_upload_and_no_record(noted):
    def chunks():
        yield bytes(20 * MIB)
        raise RuntimeError("the source failed")

    store, notes = noted
    with pytest.raises(RuntimeError):
        store.put("k", chunks())
    assert notes.told == WHOLE_RECORD


def test_what_cannot_be_recorded_is_not_begun(noted, direct, monkeypatch):
    def down(key: str) -> str:
        raise Unavailable("down")

    store, notes = noted
    monkeypatch.setattr(notes, "beginning", down)
    with pytest.raises(Unavailable):
        store.put("k", [bytes(9 * MIB)])
    assert list(direct.uploads("k")) == []
