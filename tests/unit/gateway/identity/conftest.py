"""A portal's parts in memory and a file database, with its first day done and a clock that tests move."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyotp
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from huey import MemoryHuey
from sqlalchemy import select

from gateway.audit.models import Leaf
from gateway.audit.service import Log
from gateway.audit.signer import Signer
from gateway.config import load
from gateway.db import Base, Database
from gateway.deps import Deps
from gateway.identity import service
from gateway.jobs.service import Queue
from gateway.notify.models import Message
from gateway.notify.service import Mailer, Outbox
from gateway.principal import Actor, Role
from storage.fields import FieldCipher, SearchKey
from storage.keyring import KekFolder, SqliteKeyring
from storage.memory import MemoryStore
from storage.sealed import SealedStore

START = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
PASSWORD = "木匠铺子-rain-barrel-42"
IP = "192.0.2.7"


@dataclass
class Clock:
    """The time of a test."""

    now: datetime = START

    def __call__(self) -> datetime:
        return self.now

    def pass_(self, **span: float) -> datetime:
        self.now += timedelta(**span)
        return self.now


@dataclass
class World:
    """Everything a test touches: the parts, the clock, and the people enrolled so far with their authenticators."""

    deps: Deps
    clock: Clock
    seeds: dict[str, str] = field(default_factory=dict)
    emails: dict[str, str] = field(default_factory=dict)
    recovery: dict[str, tuple[str, ...]] = field(default_factory=dict)
    readbacks: dict[str, str] = field(default_factory=dict)

    @property
    def now(self) -> datetime:
        return self.clock.now

    def code(self, label: str, steps: int = 0) -> str:
        return pyotp.TOTP(self.seeds[label]).at(self.now + timedelta(seconds=30 * steps))

    def enrol(self, token: str, password: str = PASSWORD) -> str:
        """Completes an invitation and moves on to the next code; returns the label."""
        begun = service.begin_enrolment(self.deps, token, now=self.now)
        assert begun.seed is not None
        code = pyotp.TOTP(begun.seed.secret).at(self.now)
        done = service.complete_enrolment(
            self.deps,
            token,
            begun.seed.pending,
            password=password,
            code=code,
            ip=IP,
            agent="test",
            now=self.now,
        )
        self.seeds[done.principal], self.emails[done.principal] = begun.seed.secret, begun.email
        self.recovery[done.principal] = done.recovery_codes
        if done.readback is not None:
            self.readbacks[done.principal] = done.readback
        self.clock.pass_(seconds=30)
        return done.principal

    def half(self, label: str, password: str = PASSWORD) -> str:
        return service.sign_in(self.deps, self.emails[label], password, ip=IP, agent="test", now=self.now)

    def resolve(self, token: str) -> tuple[Actor, bool] | None:
        return service.resolve(self.deps, token, ip=IP, agent="test", now=self.now)

    def who(self, token: str) -> Actor:
        found = self.resolve(token)
        assert found is not None
        return found[0]

    def whole(self, label: str, password: str = PASSWORD) -> str:
        """The token of a session with both factors; a later code each time, since codes work once."""
        half = self.who(self.half(label, password))
        token = service.finish_sign_in(self.deps, half, self.code(label), now=self.now)
        self.clock.pass_(seconds=30)
        return token

    def signed_in(self, label: str) -> Actor:
        return self.who(self.whole(label))

    def events(self, name: str | None = None) -> list[str]:
        with self.deps.database.read() as session:
            found = list(session.scalars(select(Leaf.event).order_by(Leaf.arrival)))
        return [e for e in found if name is None or e == name]

    def messages(self, event: str) -> list[Message]:
        with self.deps.database.read() as session:
            return list(session.scalars(select(Message).where(Message.event == event)))

    def execute(self, statement: str, *values: object) -> int:
        """Changes the database behind the product's back."""
        with self.deps.database.engine.connect() as connection:
            result = connection.exec_driver_sql(statement, tuple(values))
            connection.commit()
            return result.rowcount


def build(folder: Path, clock: Clock) -> Deps:
    settings = load(
        {}, home=folder, public_origin="https://files.example.com", company_name="示例云阶装饰公司（虚构）",
        company_uscc="0" * 18, fonds="SG01",
    )  # fmt: skip
    database = Database(f"sqlite:///{folder / 'test.db'}", b"m" * 32)
    Base.metadata.create_all(database.engine)
    keks = KekFolder(folder / "keks")
    if not keks.epochs:
        keks.create(1)
    keyring = SqliteKeyring(folder / "keyring.db", keks)
    mailer = Mailer(
        database,
        Outbox(folder / "mail"),
        sender="a@example.com",
        company="示例",
        origin=settings.public_origin,
    )
    mailer.resolve = service.addresses
    stores = [SealedStore(MemoryStore(), keyring) for _ in range(3)]
    return Deps(
        settings=settings,
        database=database,
        keyring=keyring,
        fields=FieldCipher(keyring),
        search=SearchKey(b"s" * 32),
        objects=stores[0],
        bundles=stores[1],
        evidence=stores[2],
        log=Log(database, Signer("log.example.com", Ed25519PrivateKey.generate()), origin="log.example.com"),
        queue=Queue(database, MemoryHuey(immediate=False), clock),
        mailer=mailer,
        manifest_key=Ed25519PrivateKey.generate(),
        evidence_key=Ed25519PrivateKey.generate(),
        clock=clock,
    )


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    clock = Clock()
    deps = build(tmp_path, clock)
    yield (made := World(deps, clock))
    close(made)


First = tuple[World, dict[Role, Actor]]
Office = tuple[World, dict[Role, Actor], str]


def close(world: World) -> None:
    world.deps.database.close()
    world.deps.keyring.close()  # type: ignore[attr-defined]


@pytest.fixture(scope="session")
def first_day(
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[Path, World, dict[Role, Actor], str]:
    """Made once and copied for each test: hashing passwords is slow on purpose."""
    folder = tmp_path_factory.mktemp("first-day")
    world = World(build(folder, clock := Clock()), clock)
    people = {r: (f"{r.value.lower()}@example.com", f"{r.value} 某") for r in (Role.SYS, Role.GM, Role.ADM)}
    tokens = service.first_day(world.deps, people, now=world.now)
    actors = {role: world.signed_in(world.enrol(token)) for role, token in tokens.items()}
    org = service.propose_organisation(
        world.deps,
        name="示例建材供应商（虚构）",
        uscc="91310000132206289R",
        category="SUPPLIER",
        actor=actors[Role.ADM],
        now=world.now,
    )
    service.verify_organisation(
        world.deps, org, how="营业执照原件", abroad=False, actor=actors[Role.ADM], now=world.now
    )
    close(world)
    return folder, world, actors, org


@pytest.fixture
def office(first_day: tuple[Path, World, dict[Role, Actor], str], tmp_path: Path) -> Iterator[Office]:
    """The first day done, SYS, GM and ADM signed in, and one verified organisation; its id is the third value."""
    folder, made, people, org = first_day
    copy = shutil.copytree(folder, tmp_path / "portal")
    clock = Clock(made.now)
    world = World(build(copy, clock), clock, dict(made.seeds), dict(made.emails), dict(made.recovery))
    yield world, people, org
    close(world)


@pytest.fixture
def staffed(office: Office) -> First:
    """As `office`, without the organisation's id."""
    return office[:2]


def refreshed(world: World, actor: Actor) -> Actor:
    """The same person with a second factor of this very moment."""
    return replace(actor, mfa_at=world.now)
