"""The log's side of witnessing: asks several witnesses at once for their cosignatures, within one deadline.

What a witness answers is hostile until its signature stands: lengths, statuses and times are checked, redirects are not followed.
"""

import http.client
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeAlias
from urllib.parse import urlsplit

import structlog
from sqlalchemy.exc import SQLAlchemyError

from gateway.audit import note, proof
from gateway.audit.asking import post
from gateway.audit.errors import AuditError, BadProof, BadSignature, MalformedNote, WitnessUnavailable
from gateway.audit.witness.cosignature import CosignatureKey, parse_key
from gateway.config import PREFIX, Settings
from gateway.errors import ConfigError

MAX_ANSWER_BYTES = 16 << 10
CLOCK_SLACK = timedelta(hours=24)
_MIME = "text/plain; charset=utf-8"
_CONFLICTS = 3
_IN_FLIGHT = 4
_REST_S = 15.0

Extend: TypeAlias = Callable[[int], Sequence[bytes]]
log = structlog.get_logger()


@dataclass(frozen=True)
class Witness:
    """One witness: the address before `/add-checkpoint`, and the key that its cosignatures are checked with."""

    url: str
    key: CosignatureKey


def parse_witness(text: str) -> Witness:
    """Reads `URL VKEY`; raises MalformedNote when either cannot be used."""
    url, _, vkey = text.strip().partition(" ")
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError as error:
        raise MalformedNote("not a witness's address") from error
    if not usable or parts.query or parts.fragment or "@" in parts.netloc:
        raise MalformedNote("not a witness's address")
    return Witness(url.rstrip("/"), parse_key(vkey))


class Witnesses:
    """Gets the cosignatures of a checkpoint (gateway.audit.cosign.Cosign): all at once, done when `need` of them have answered.

    With `need` 0 it takes what comes within the deadline and never refuses; a witness that failed is then left alone for a while,
    so that releases do not wait for it each time. `clock` tells the time that cosignatures are compared with.
    """

    def __init__(
        self,
        witnesses: Sequence[Witness],
        *,
        need: int,
        deadline_s: float,
        clock: Callable[[], datetime],
    ) -> None:
        if not 0 <= need <= len(witnesses):
            raise ValueError("more cosignatures are needed than there are witnesses")
        self._links = [_Link(witness, clock) for witness in witnesses]
        self._need = need
        self._deadline_s = deadline_s

    @classmethod
    def configured(cls, settings: Settings, clock: Callable[[], datetime]) -> "Witnesses | None":
        """The witnesses that the settings name, None when there are none; raises ConfigError."""
        try:
            named = [parse_witness(text) for text in settings.witnesses]
        except MalformedNote as error:
            raise ConfigError([f"{PREFIX}WITNESSES: {error}; each is ADDRESS VKEY"]) from error
        if len({witness.key.public for witness in named}) < len(named):
            # One witness under two names would count as two.
            raise ConfigError([f"{PREFIX}WITNESSES: the same key twice"])
        need, deadline_s = settings.witnesses_needed, settings.witness_deadline_s
        return cls(named, need=need, deadline_s=deadline_s, clock=clock) if named else None

    def __call__(self, old: int, proof: Sequence[bytes], note: str, *, extend: Extend) -> str:
        """The note with the cosignatures added; raises WitnessUnavailable when fewer than needed came in time."""
        end = time.monotonic() + self._deadline_s
        asked = [link for link in self._links if self._need or link.rested()]
        round_ = _Round(self._need or len(asked), len(asked))
        ask = _Ask(old, proof, note, extend, end)
        for link in asked:
            thread = threading.Thread(target=link.ask, args=(ask, round_), name="witness", daemon=True)
            thread.start()
        lines = round_.wait(end)
        if len(lines) < self._need:
            raise WitnessUnavailable(f"{len(lines)} of {self._need} needed cosignatures came in time")
        return note + "".join(lines)


@dataclass(frozen=True)
class _Ask:
    """What every witness is asked, and until when (monotonic seconds)."""

    old: int
    proof: Sequence[bytes]
    note: str
    extend: Extend
    end: float


class _Round:
    """The answers of one asking: over when enough came, when all have answered, or at its end."""

    def __init__(self, enough: int, asked: int) -> None:
        self._enough, self._open = enough, asked
        self._lines: list[str] = []
        self._changed = threading.Condition()

    def answer(self, line: str | None) -> None:
        """One witness's line, or None when it failed."""
        with self._changed:
            self._open -= 1
            if line is not None:
                self._lines.append(line)
            self._changed.notify_all()

    def wait(self, end: float) -> list[str]:
        """The lines that came in time."""
        with self._changed:
            while self._open and len(self._lines) < self._enough:
                left = end - time.monotonic()
                if left <= 0 or not self._changed.wait(left):
                    break
            return list(self._lines)


class _Link:
    """One witness as this process knows it: the size it cosigned last, and whether it failed of late."""

    def __init__(self, witness: Witness, clock: Callable[[], datetime]) -> None:
        self._witness, self._clock = witness, clock
        self._size: int | None = None
        self._failed_at: float | None = None
        self._places = threading.BoundedSemaphore(_IN_FLIGHT)

    def rested(self) -> bool:
        """Whether it has not failed within the last seconds."""
        return self._failed_at is None or time.monotonic() - self._failed_at > _REST_S

    def ask(self, ask: _Ask, answers: _Round) -> None:
        """Asks and answers the round; never raises."""
        line = None
        try:
            # A witness that hangs holds its places, and is not asked by ever more threads.
            if self._places.acquire(blocking=False):
                try:
                    line = self._cosignature(ask)
                finally:
                    self._places.release()
        except (AuditError, OSError, http.client.HTTPException, ValueError, SQLAlchemyError) as error:
            log.warning("witness gave no cosignature", witness=self._witness.key.name, reason=_reason(error))
        finally:
            self._failed_at = None if line is not None else time.monotonic()
            answers.answer(line)

    def _cosignature(self, ask: _Ask) -> str:
        held = note.parse(ask.note)
        new = note.parse_head(held.text).size
        old = ask.old if self._size is None else min(self._size, new)
        for _ in range(_CONFLICTS):
            path = ask.proof if old == ask.old else ask.extend(old)
            body = proof.Extension(old, path, ask.note).encode()
            url = self._witness.url + "/add-checkpoint"
            status, answer = post(url, body, _MIME, end=ask.end, limit=MAX_ANSWER_BYTES)
            if status == 200:
                line = self._checked(held, answer)
                self._size = new
                return line
            if status != 409:
                raise WitnessUnavailable(f"status {status}")
            old = _other_size(answer, old, new)
        raise WitnessUnavailable("it changes its mind about the last size")

    def _checked(self, held: note.Note, answer: bytes) -> str:
        """The line of the known key in an answer; raises BadSignature, MalformedNote."""
        key = self._witness.key
        answered = note.parse(held.text + "\n" + answer.decode("utf-8"))
        for signature in answered.signatures:
            if key.bears(signature):
                at = key.verify(held.text, signature)
                if abs(at - self._clock()) > CLOCK_SLACK:
                    raise BadSignature("the cosignature's time is far from now")
                return signature.line()
        raise BadSignature("no cosignature of the known key")


def _reason(error: Exception) -> str:
    # Messages of libraries may hold addresses or statements; ours say what was wrong.
    return str(error) if isinstance(error, AuditError) else type(error).__name__


def _other_size(answer: bytes, asked: int, new: int) -> int:
    text = answer.decode("ascii").removesuffix("\n")
    if not text.isdecimal() or len(text) > 19 or int(text) == asked:
        raise WitnessUnavailable("it holds another tree of this size")
    if int(text) > new:
        # Another process was faster, or this log went back: in both cases this checkpoint is not the one to cosign.
        raise BadProof("it has cosigned a larger tree")
    return int(text)
