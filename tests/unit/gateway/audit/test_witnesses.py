"""The log's side of witnessing, against real witnesses and against liars, each behind a real socket."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.audit import note
from gateway.audit.errors import MalformedNote, WitnessUnavailable
from gateway.audit.service import Log
from gateway.audit.signer import Signer
from gateway.audit.witness import cosignature
from gateway.audit.witness.keyfile import Cosigner
from gateway.audit.witness.records import Records
from gateway.audit.witness.rules import Witness as Program
from gateway.audit.witness.server import Server
from gateway.audit.witnesses import MAX_ANSWER_BYTES, Witness, Witnesses, parse_witness
from gateway.config import Settings, load
from gateway.db import Database
from gateway.errors import ConfigError, Unavailable

NOW = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
DEADLINE_S = 0.8


@dataclass
class Running:
    """A witness program in a thread, and how the log is told of it."""

    witness: Witness
    records: Records
    told: list[str]


@contextmanager
def witness_program(home: Path, name: str, signer: Signer, port: int = 0) -> Iterator[Running]:
    home.mkdir(exist_ok=True)
    if not (home / "records.json").exists():
        Records.create(home)
    cosigner = Cosigner(name, Ed25519PrivateKey.from_private_bytes(name.encode().ljust(32, b"x")[-32:]))
    records, told = Records(home), []
    program = Program(cosigner, {signer.name: [signer.key]}, records)
    with Server(("127.0.0.1", port), program, clock=lambda: NOW, tell=told.append) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield Running(
                Witness(f"http://127.0.0.1:{server.server_address[1]}", cosigner.key), records, told
            )
        finally:
            server.shutdown()
            thread.join()
            records.close()


@pytest.fixture
def program(tmp_path: Path, signer: Signer) -> Iterator[Callable[[str], Running]]:
    with ExitStack() as stack:
        yield lambda name: stack.enter_context(witness_program(tmp_path / name[-2:], name, signer))


def asking(*witnesses: Witness, need: int = 1, deadline_s: float = 5.0) -> Witnesses:
    return Witnesses(witnesses, need=need, deadline_s=deadline_s, clock=lambda: NOW)


def lines(view_note: str) -> list[str]:
    return [signature.name for signature in note.parse(view_note).signatures]


# --- honest witnesses -------------------------------------------------------------------------------------------


def test_a_log_is_cosigned_as_it_grows(
    database: Database, signer: Signer, write: Callable[..., str], program: Callable[[str], Running]
) -> None:
    one = program("witness.example/w1")
    log = Log(database, signer, origin=signer.name, cosign=asking(one.witness))
    for count in (1, 3, 300):
        for _ in range(count):
            leaf = write()
        view = log.await_checkpoint(leaf, now=NOW)
        assert cosignature.cosigned(note.parse(view.note), [one.witness.key]) == {one.witness.key: NOW}
        receipt = log.receipt(leaf).decode()
        assert f"\u2014 {one.witness.key.name} " in receipt
    assert log.heartbeat(now=NOW) is not None
    assert set(one.told) == {"200 cosigned"}


def test_a_new_process_learns_the_witnesss_size(
    database: Database, signer: Signer, write: Callable[..., str], program: Callable[[str], Running]
) -> None:
    """The log's idea of the last size and the witness's differ; one conflict settles it."""
    one = program("witness.example/w1")
    write()
    Log(database, signer, origin=signer.name).sequence(now=NOW)
    leaf = write()
    Log(database, signer, origin=signer.name, cosign=asking(one.witness)).await_checkpoint(leaf, now=NOW)
    assert one.told == ["409 another size was cosigned last", "200 cosigned"]
    assert one.records.latest(signer.name)[0] == 2


def test_two_of_three_are_enough_and_one_is_not(
    database: Database, signer: Signer, write: Callable[..., str], program: Callable[[str], Running]
) -> None:
    running = [program(f"witness.example/w{i}").witness for i in (1, 2)]
    gone = Witness("http://127.0.0.1:9", running[0].key)
    leaf = write()
    enough = asking(*running, gone, need=2)
    view = Log(database, signer, origin=signer.name, cosign=enough).await_checkpoint(leaf, now=NOW)
    assert sorted(lines(view.note)[1:]) == ["witness.example/w1", "witness.example/w2"]
    leaf = write()
    lacking = Log(database, signer, origin=signer.name, cosign=asking(*running, gone, need=3))
    with pytest.raises(Unavailable):
        lacking.await_checkpoint(leaf, now=NOW)


def test_it_recovers_unaided(
    database: Database, signer: Signer, write: Callable[..., str], tmp_path: Path
) -> None:
    with witness_program(tmp_path / "w", "witness.example/w1", signer) as one:
        port = int(one.witness.url.rpartition(":")[2])
        log = Log(database, signer, origin=signer.name, cosign=asking(one.witness))
        log.await_checkpoint(write(), now=NOW)
    leaf = write()
    with pytest.raises(Unavailable):
        log.await_checkpoint(leaf, now=NOW)
    with pytest.raises(Unavailable):
        log.receipt(leaf)
    with witness_program(tmp_path / "w", "witness.example/w1", signer, port):
        view = log.await_checkpoint(leaf, now=NOW)
    assert lines(view.note) == [signer.name, "witness.example/w1"]


def test_a_log_that_went_back_is_not_cosigned(
    database: Database,
    signer: Signer,
    write: Callable[..., str],
    program: Callable[[str], Running],
    tmp_path: Path,
) -> None:
    """An older copy of the database, continued otherwise: what the witness holds stops it."""
    one = program("witness.example/w1")
    write()
    Log(database, signer, origin=signer.name, cosign=asking(one.witness)).sequence(now=NOW)
    path = Path(str(database.engine.url.database))
    with database.engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    (tmp_path / "old.db").write_bytes(path.read_bytes())
    for _ in range(3):
        write()
    Log(database, signer, origin=signer.name, cosign=asking(one.witness)).sequence(now=NOW)
    old = Database(f"sqlite:///{tmp_path / 'old.db'}", b"m" * 32)
    try:
        with old.write() as session:
            from gateway.audit.service import record
            from gateway.principal import SYSTEM

            leaf = record(session, "share.revoke", actor=SYSTEM, obj=("share", "s1"), now=NOW)
        forked = Log(old, signer, origin=signer.name, cosign=asking(one.witness))
        with pytest.raises(Unavailable):
            forked.await_checkpoint(leaf, now=NOW)
        for _ in range(3):
            with old.write() as session:
                record(session, "share.revoke", actor=SYSTEM, obj=("share", "s1"), now=NOW)
        with pytest.raises(WitnessUnavailable):
            forked.sequence(now=NOW)
    finally:
        old.close()
    assert one.records.latest(signer.name)[0] == 4
    assert "422" in " ".join(one.told)


# --- liars ------------------------------------------------------------------------------------------------------


@dataclass
class Liar:
    """A raw HTTP server whose answer a function makes of the request's body; it counts what it was asked."""

    answer: Callable[[bytes], Iterator[bytes]]
    asked: int = 0
    over: threading.Event = field(default_factory=threading.Event)

    def serve(self, listener: socket.socket) -> None:
        while not self.over.is_set():
            try:
                link, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._one, args=(link,), daemon=True).start()

    def _one(self, link: socket.socket) -> None:
        self.asked += 1
        with link, link.makefile("rb") as lines_in:
            length = 0
            while (line := lines_in.readline()) not in (b"\r\n", b""):
                if line.lower().startswith(b"content-length:"):
                    length = int(line.split(b":")[1])
            body = lines_in.read(length)
            try:
                for piece in self.answer(body):
                    link.sendall(piece)
            except OSError:
                return


KEY = Ed25519PrivateKey.from_private_bytes(b"k" * 32)
NAME = "witness.example/w1"


def text_of(body: bytes) -> str:
    return note.parse(body.decode().partition("\n\n")[2]).text


def http(status: str, body: bytes, headers: str = "") -> Iterator[bytes]:
    yield f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{headers}\r\n".encode() + body


def signed(text: str, key: Ed25519PrivateKey = KEY, name: str = NAME, at: datetime = NOW) -> bytes:
    return cosignature.sign(text, name, key, at).line().encode()


def spoilt(body: bytes) -> Iterator[bytes]:
    made = cosignature.sign(text_of(body), NAME, KEY, NOW)
    wrong = note.Signature(NAME, made.key_id, made.value[:-1] + bytes([made.value[-1] ^ 1]))
    return http("200 OK", wrong.line().encode())


def dripping(body: bytes) -> Iterator[bytes]:
    yield b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"
    pause = threading.Event()
    while True:
        yield b"x"
        pause.wait(0.05)


def silent(body: bytes) -> Iterator[bytes]:
    threading.Event().wait(DEADLINE_S * 3)
    yield b""


def huge(body: bytes) -> Iterator[bytes]:
    yield b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"
    while True:
        yield b"x" * MAX_ANSWER_BYTES


OTHER = Ed25519PrivateKey.from_private_bytes(b"o" * 32)
LIES: dict[str, Callable[[bytes], Iterator[bytes]]] = {
    "wrong cosignature": spoilt,
    "foreign key": lambda b: http("200 OK", signed(text_of(b), OTHER)),
    "foreign name": lambda b: http("200 OK", signed(text_of(b), name="witness.example/w2")),
    "cosignature of another text": lambda b: http("200 OK", signed("files.example/log\n1\nAAAA\n")),
    "plain note signature": lambda b: http("200 OK", note.sign(text_of(b), NAME, KEY).line().encode()),
    "old time": lambda b: http("200 OK", signed(text_of(b), at=NOW - timedelta(days=2))),
    "future time": lambda b: http("200 OK", signed(text_of(b), at=NOW + timedelta(days=2))),
    "nothing": lambda b: http("200 OK", b""),
    "not text": lambda b: http("200 OK", b"\xff\xfe\n"),
    "same size again": lambda b: http("409 Conflict", b"0\n"),
    "larger size": lambda b: http("409 Conflict", b"99\n"),
    "size that is none": lambda b: http("409 Conflict", b"-1\n"),
    "size past every integer": lambda b: http("409 Conflict", b"9" * 5000),
    "redirect": lambda b: http("302 Found", b"", "Location: http://127.0.0.1:9/add-checkpoint\r\n"),
    "refusal": lambda b: http("403 Forbidden", b"no\n"),
    "created": lambda b: http("201 Created", signed(text_of(b))),
    "broken protocol": lambda b: iter([b"SSH-2.0-OpenSSH\r\n"]),
    "cut off": lambda b: iter([b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\nabc"]),
    "dripping": dripping,
    "silent": silent,
    "huge": huge,
}


@contextmanager
def liar(answer: Callable[[bytes], Iterator[bytes]]) -> Iterator[tuple[Liar, Witness]]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        one = Liar(answer)
        threading.Thread(target=one.serve, args=(listener,), daemon=True).start()
        key = cosignature.CosignatureKey(NAME, KEY.public_key().public_bytes_raw())
        try:
            yield one, Witness(f"http://127.0.0.1:{listener.getsockname()[1]}", key)
        finally:
            one.over.set()
            listener.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize("lie", LIES)
def test_a_lie_is_refused_within_the_deadline(
    database: Database, signer: Signer, write: Callable[..., str], lie: str
) -> None:
    leaf = write()
    with liar(LIES[lie]) as (_, witness):
        log = Log(database, signer, origin=signer.name, cosign=asking(witness, deadline_s=DEADLINE_S))
        begun = time.monotonic()
        with pytest.raises(Unavailable):
            log.await_checkpoint(leaf, now=NOW)
        assert time.monotonic() - begun < DEADLINE_S + 1
    assert log.latest() is None
    with pytest.raises(Unavailable):
        log.receipt(leaf)


def test_the_truth_in_the_same_words_is_taken(
    database: Database, signer: Signer, write: Callable[..., str]
) -> None:
    leaf = write()
    with liar(lambda b: http("200 OK", signed(text_of(b), OTHER, "else") + signed(text_of(b)))) as (
        _,
        witness,
    ):
        log = Log(database, signer, origin=signer.name, cosign=asking(witness))
        view = log.await_checkpoint(leaf, now=NOW)
    # What an unknown key wrote is left behind.
    assert lines(view.note) == [signer.name, NAME]


def test_conflicts_come_to_an_end(database: Database, signer: Signer, write: Callable[..., str]) -> None:
    for _ in range(9):
        leaf = write()
    sizes = iter(range(1, 9))
    with liar(lambda b: http("409 Conflict", f"{next(sizes)}\n".encode())) as (one, witness):
        log = Log(database, signer, origin=signer.name, cosign=asking(witness))
        with pytest.raises(Unavailable):
            log.await_checkpoint(leaf, now=NOW)
        assert one.asked == 3


# --- where no witness is required -------------------------------------------------------------------------------


def test_best_effort_takes_what_comes_and_never_refuses(
    database: Database, signer: Signer, write: Callable[..., str], program: Callable[[str], Running]
) -> None:
    one = program("witness.example/w1").witness
    gone = Witness("http://127.0.0.1:9", one.key)
    for asked, expected in (([one, gone], 2), ([gone], 1)):
        cosign = asking(*asked, need=0, deadline_s=1)
        log = Log(database, signer, origin=signer.name, cosign=cosign, cosign_required=False)
        view = log.await_checkpoint(write(), now=NOW)
        assert len(lines(view.note)) == expected


def test_best_effort_waits_once_for_a_silent_witness(
    database: Database, signer: Signer, write: Callable[..., str]
) -> None:
    with liar(silent) as (one, witness):
        cosign = asking(witness, need=0, deadline_s=0.3)
        log = Log(database, signer, origin=signer.name, cosign=cosign, cosign_required=False)
        begun = time.monotonic()
        log.await_checkpoint(write(), now=NOW)
        assert time.monotonic() - begun < 1.5
        deadline = time.monotonic() + 5
        pause = threading.Event()
        while cosign._links[0].rested() and time.monotonic() < deadline:
            pause.wait(0.02)
        for _ in range(3):
            log.await_checkpoint(write(), now=NOW)
        assert one.asked == 1


# --- settings ---------------------------------------------------------------------------------------------------


def test_a_witness_is_read_from_its_line() -> None:
    key = cosignature.CosignatureKey(NAME, KEY.public_key().public_bytes_raw())
    assert parse_witness(f"https://w.example/prefix/ {key.text}") == Witness("https://w.example/prefix", key)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "w.example",
        "ftp://w.example",
        "http://",
        "http://u:p@w.example",
        "http://w.example?x=1",
        "http://[x",
    ],
)
def test_an_address_that_is_none_is_refused(url: str) -> None:
    key = cosignature.CosignatureKey(NAME, KEY.public_key().public_bytes_raw())
    with pytest.raises(MalformedNote):
        parse_witness(f"{url} {key.text}")


def test_more_than_all_cannot_be_needed() -> None:
    with pytest.raises(ValueError):
        asking(need=1)


def settings(tmp_path: Path, **more: str) -> Settings:
    given = {"HOME": str(tmp_path), "PUBLIC_ORIGIN": "http://localhost", "COMPANY_NAME": "x", "FONDS": "SG01"}
    return load({f"SEALGATE_{n}": v for n, v in {**given, "COMPANY_USCC": "0" * 18, **more}.items()})


def test_witnesses_are_taken_from_the_settings(tmp_path: Path) -> None:
    publics = [key.public_key().public_bytes_raw() for key in (KEY, OTHER)]
    keys = [cosignature.CosignatureKey(f"witness.example/w{i}", p).text for i, p in enumerate(publics)]
    renamed = cosignature.CosignatureKey("witness.example/w9", publics[0]).text
    named = ", ".join(f"https://w{i}.example {key}" for i, key in enumerate(keys))
    made = Witnesses.configured(settings(tmp_path, WITNESSES=named, WITNESSES_NEEDED="2"), lambda: NOW)
    assert made is not None and len(made._links) == 2
    assert Witnesses.configured(settings(tmp_path), lambda: NOW) is None
    with pytest.raises(ConfigError, match="WITNESSES_NEEDED"):
        settings(tmp_path, WITNESSES=named, WITNESSES_NEEDED="3")
    for wrong in (
        "https://w.example",
        f"w.example {keys[0]}",
        f"https://a.example {keys[0]}, https://b.example {keys[0]}",
        f"https://a.example {keys[0]}, https://b.example {renamed}",
    ):
        with pytest.raises(ConfigError, match="SEALGATE_WITNESSES"):
            Witnesses.configured(settings(tmp_path, WITNESSES=wrong), lambda: NOW)
