"""Everything a service needs besides its arguments, in one frozen object (DESIGN.md §1); tests build their own."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy.orm import Session

from agreements.signature import Sealer
from gateway.audit.service import Log, record_refusal
from gateway.config import Settings
from gateway.db import Database
from gateway.errors import Invalid, Refused
from gateway.jobs.service import Queue
from gateway.notify.service import Mailer
from gateway.policy.parameters import Parameters, current
from gateway.principal import Actor, Text
from storage.fields import FieldCipher, SearchKey
from storage.keyring import Keyring
from storage.sealed import SealedStore
from storage.store import ObjectStore


@dataclass(frozen=True)
class Event:
    """Something that happened, told to subscribers inside the same transaction: `agreement.lapsed`, `contact.suspended` …"""

    name: str
    object: tuple[str, str]
    at: datetime
    actor: Actor
    leaf: str
    data: Mapping[str, Any] = field(default_factory=dict)


Subscriber = Callable[["Deps", Session, Event], None]


@dataclass(frozen=True)
class Deps:
    """The parts of one running portal. `facts` and `subscribers` are filled by bootstrap, each room adding its own.

    Stores: `objects` for archived items, `bundles` for sealed copies, `evidence` for agreements; `stores` holds the four
    below them (with `audit`) as they keep ciphertext, by name, for custody only. `facts` are the sources
    of the release decision (gateway/release.py FactSource), `handlers` the job kinds. `sealer` seals agreements; without one
    none comes into force.
    """

    settings: Settings
    database: Database
    keyring: Keyring
    fields: FieldCipher
    search: SearchKey
    objects: SealedStore
    bundles: SealedStore
    evidence: SealedStore
    log: Log
    queue: Queue
    mailer: Mailer
    manifest_key: Ed25519PrivateKey
    evidence_key: Ed25519PrivateKey
    clock: Callable[[], datetime]
    sealer: Sealer | None = None
    stores: Mapping[str, ObjectStore] = field(default_factory=dict)
    facts: list[Any] = field(default_factory=list)
    subscribers: dict[str, list[Subscriber]] = field(default_factory=dict)

    @contextmanager
    def job(self, actor: Actor, verb: str, obj: tuple[str, str], now: datetime) -> Iterator[Session]:
        """The write transaction of one verb. A refusal that ends the outermost one is recorded after the rollback, then goes on.

        `obj` is (kind, id) of what the verb is about; `verb` stands in the refusal's entry, e.g. `share.submit`.
        """
        outermost = not self.database.writing
        try:
            with self.database.write() as session:
                yield session
        except Refused as refusal:
            if outermost:
                self.refuse(refusal, actor, verb, obj, now)
            raise

    def refuse(self, refusal: Refused, actor: Actor, verb: str, obj: tuple[str, str], now: datetime) -> None:
        """Writes the entry of a refusal: its code, the verb, and the unmet conditions if it was the release decision's."""
        codes = list(getattr(refusal, "codes", ()))
        record_refusal(
            self.database, refusal.code, actor=actor, obj=obj, now=now, verb=verb, conditions=codes
        )
        refusal.recorded = True

    def parameters(self, session: Session, now: datetime, version: int | None = None) -> Parameters:
        """The parameters in force, or of a pinned version."""
        # A changed guarded row waits for its entry; reading parameters must not push it into the database before.
        with session.no_autoflush:
            return current(session, now, version=version)

    def publish(self, session: Session, event: Event) -> None:
        """Tells every subscriber of the event, in the running transaction."""
        for subscriber in self.subscribers.get(event.name, ()):
            subscriber(self, session, event)

    def on(self, name: str, subscriber: Subscriber) -> None:
        """Adds a subscriber; called by bootstrap only."""
        self.subscribers.setdefault(name, []).append(subscriber)


def require_reason(reason: str | None) -> str:
    """The trimmed reason of R+ steps: 10 to 500 characters (policy.md conventions); raises Invalid otherwise."""
    text = (reason or "").strip()
    if not 10 <= len(text) <= 500:
        raise Invalid("reason", Text("请写明理由，10 到 500 字。", "Give a reason of 10 to 500 characters."))
    return text
