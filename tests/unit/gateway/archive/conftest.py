"""A small installation for the archive's tests: SQLite, local store, real keys, a clock that the test moves."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from flask import Flask
from huey import MemoryHuey
from sqlalchemy import select
from werkzeug.test import TestResponse

from gateway.archive import service
from gateway.audit.models import Leaf
from gateway.audit.service import Log
from gateway.audit.signer import Signer
from gateway.config import Settings, load, write_secret
from gateway.db import Base, Database
from gateway.deps import Deps
from gateway.identity.models import Account, Department, RoleGrant
from gateway.jobs.service import Queue
from gateway.notify.service import Mailer, Outbox
from gateway.principal import Actor, Role
from storage.fields import FieldCipher, SearchKey
from storage.kek import KekFolder
from storage.keyring import SqliteKeyring
from storage.local import LocalStore
from storage.sealed import SealedStore

START = datetime(2026, 11, 23, 1, 0, tzinfo=UTC)


@dataclass
class Clock:
    """The time as the test has it."""

    at: datetime = START

    def __call__(self) -> datetime:
        return self.at

    def forward(self, **span: float) -> datetime:
        """Moves on and gives the new time."""
        self.at += timedelta(**span)
        return self.at


@dataclass
class House:
    """One installation with departments SJ and GC and its people; `actor("biz.sj")` gives them as they sign in."""

    deps: Deps
    clock: Clock
    people: dict[str, tuple[str, frozenset[Role], str | None]] = field(default_factory=dict)
    departments: dict[str, str] = field(default_factory=dict)

    @property
    def now(self) -> datetime:
        """The present moment."""
        return self.clock()

    def actor(self, name: str) -> Actor:
        """Someone with a second factor given just now."""
        account, roles, department = self.people[name]
        return Actor("staff", account, name, roles, department, session="s" * 32, mfa_at=self.now)

    def client(self, who: str = "biz.sj", name: str = "示例客户甲") -> str:
        """A client with a general basis for every class."""
        saved = service.create_client(
            self.deps, service.ClientEntry(name), actor=self.actor(who), now=self.now
        )
        classes = [f"F{n:02}" for n in range(1, 13)]
        service.add_basis(
            self.deps, saved.id, classes, "B2", service.ANY_PURPOSE, actor=self.actor(who), now=self.now
        )
        return saved.id

    def case(self, client: str, who: str = "biz.sj", title: str = "住宅装修", **entry: str) -> str:
        """An electronic case of the client."""
        return service.create_case(
            self.deps, client, service.CaseEntry(title, **entry), actor=self.actor(who), now=self.now
        )

    def item(self, case: str, who: str = "biz.sj", classes: tuple[str, ...] = ("F07",)) -> str:
        """A floor plan in the case, without a file yet."""
        entry = service.ItemEntry("平面图", "PLAN", classes)
        return service.add_item(self.deps, case, entry, actor=self.actor(who), now=self.now)

    def upload(
        self, item: str, data: bytes, who: str = "biz.sj", name: str = "平面图.pdf"
    ) -> service.UploadView:
        """A whole upload with its inspection."""
        actor = self.actor(who)
        view = service.start_upload(
            self.deps, item, file_name=name, size=len(data), actor=actor, now=self.now
        )
        for number in range(1, view.parts + 1):
            part = data[(number - 1) * view.part_size : number * view.part_size]
            service.put_part(self.deps, view.id, number, part, actor=actor, now=self.now)
        service.complete_upload(self.deps, view.id, actor=actor, now=self.now)
        self.deps.queue.drain()
        return view

    def reviewed(self, client: str, data: bytes, classes: tuple[str, ...] = ("F07",)) -> tuple[str, str]:
        """A case with one checked file that waits for review by someone other than arc1; gives case and item."""
        case = self.case(client)
        item = self.item(case, classes=classes)
        self.upload(item, data)
        service.claim_case(self.deps, case, actor=self.actor("arc1"), now=self.now)
        service.submit_case(self.deps, case, actor=self.actor("arc1"), now=self.now)
        return case, item

    def filed(self, client: str, data: bytes, classes: tuple[str, ...] = ("F07",)) -> tuple[str, str]:
        """A filed case with one item."""
        case, item = self.reviewed(client, data, classes)
        service.file_case(self.deps, case, actor=self.actor("arc2"), now=self.now)
        return case, item

    def entries(self, event: str) -> list[dict[str, Any]]:
        """The log's entries of one event, in order."""
        with self.deps.database.read() as session:
            return [
                json.loads(leaf.body)
                for leaf in session.scalars(select(Leaf).where(Leaf.event == event).order_by(Leaf.at))
            ]


PEOPLE: dict[str, tuple[frozenset[Role], str]] = {
    "gm": (frozenset({Role.GM}), "GL"),
    "dgm": (frozenset({Role.DGM}), "GL"),
    "adm": (frozenset({Role.ADM}), "XZ"),
    "hod.sj": (frozenset({Role.HOD}), "SJ"),
    "hod.gc": (frozenset({Role.HOD}), "GC"),
    "biz.sj": (frozenset({Role.BIZ}), "SJ"),
    "biz.sj2": (frozenset({Role.BIZ}), "SJ"),
    "biz.gc": (frozenset({Role.BIZ}), "GC"),
    "arc1": (frozenset({Role.ARC}), "DA"),
    "arc2": (frozenset({Role.ARC}), "DA"),
    "aud": (frozenset({Role.AUD}), "GL"),
    "sys": (frozenset({Role.SYS}), "XZ"),
}


def _settings(home: Path) -> Settings:
    return load(
        {},
        home=home,
        public_origin="http://127.0.0.1:8000",
        company_name="示例云阶装饰公司（虚构）",
        company_uscc="0" * 18,
        fonds="SG01",
    )


def _deps(settings: Settings, clock: Callable[[], datetime]) -> Deps:
    kek = KekFolder(settings.keys / "kek")
    kek.create(1)
    signer = Signer("archive.invalid/log", Ed25519PrivateKey.generate())
    database = Database(settings.database, b"m" * 32)
    Base.metadata.create_all(database.engine)
    keyring = SqliteKeyring(settings.home / "keyring.db", kek)
    stores = {
        n: SealedStore(LocalStore(settings.home / "store" / n), keyring)
        for n in ("objects", "bundles", "evidence")
    }
    deps = Deps(
        settings=settings,
        database=database,
        keyring=keyring,
        fields=FieldCipher(keyring),
        search=SearchKey(b"s" * 32),
        log=Log(database, signer, origin=signer.name),
        queue=Queue(database, MemoryHuey("archive"), clock),
        mailer=Mailer(
            database,
            Outbox(settings.home / "outbox"),
            sender="a@invalid",
            company="示例",
            origin="http://127.0.0.1",
        ),
        manifest_key=Ed25519PrivateKey.generate(),
        evidence_key=Ed25519PrivateKey.generate(),
        clock=clock,
        facts=list(service.FACTS),
        **stores,
    )
    deps.queue.handlers.update(service.HANDLERS)
    deps.queue.failures.update(service.FAILURES)
    deps.queue.bind(deps)
    return deps


def _populate(house: House) -> None:
    with house.deps.database.write() as session:
        for code in ("GL", "XZ", "SJ", "GC", "DA"):
            house.departments[code] = f"{code:0>32}".lower()
            session.add(Department(id=house.departments[code], code=code, name=code))
        session.flush()
        for name, (roles, code) in PEOPLE.items():
            account = f"{name.replace('.', '-'):0>32}"
            row = Account(
                id=account, email=f"{name}@demo.invalid", name=name, department_id=house.departments[code]
            )
            row.state, row.created_at, row.leaf = "ACTIVE", house.now, "0" * 32
            session.add(row)
            session.flush()
            for role in roles:
                session.add(
                    RoleGrant(
                        account_id=account,
                        role=role.value,
                        state="ACTIVE",
                        proposed_by="init",
                        at=house.now,
                        leaf="0" * 32,
                    )
                )
            house.people[name] = (account, roles, house.departments[code])


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """A fresh installation."""
    clock = Clock()
    made = House(_deps(_settings(tmp_path / "home"), clock), clock)
    _populate(made)
    yield made
    made.deps.database.close()
    made.deps.keyring.close()  # type: ignore[attr-defined]


@pytest.fixture
def pdf() -> bytes:
    """A plain PDF of two pages."""
    import io

    import pikepdf

    document = pikepdf.new()
    for _ in range(2):
        document.add_blank_page(page_size=(595, 842))
    out = io.BytesIO()
    document.save(out)
    return out.getvalue()


class HouseGate:
    """Sessions by the name of a person of the house; every session's second factor was given just now."""

    def __init__(self, house: House) -> None:
        self._house = house

    def resolve(self, token: str, *, ip: str, agent: str, now: datetime) -> tuple[Actor, bool] | None:
        """The person of that name."""
        return (self._house.actor(token), True) if token in self._house.people else None

    def confirm(self, actor: Actor, code: str, *, now: datetime) -> Actor:
        """Every code is good here."""
        return actor

    def prefer(self, actor: Actor, language: str, *, now: datetime) -> None:
        """Nothing is kept."""


class Browser:
    """One person's browser: sends the token against forged requests as pages do."""

    def __init__(self, app: Flask, who: str, language: str = "zh-CN") -> None:
        self.http = app.test_client()
        self.http.environ_base["HTTP_HOST"] = "127.0.0.1:8000"
        self.http.set_cookie("lang", language, domain="127.0.0.1")
        with self.http.session_transaction(base_url="http://127.0.0.1:8000") as kept:
            kept["sid"] = who
        self._token = ""

    def get(self, path: str, **values: Any) -> TestResponse:
        """One page."""
        return self.http.get(path, base_url="http://127.0.0.1:8000", **values)

    def post(self, path: str, **fields: Any) -> TestResponse:
        """One form."""
        return self.http.post(
            path, data={"csrf_token": self.token, **fields}, base_url="http://127.0.0.1:8000"
        )

    def put(self, path: str, data: bytes, **headers: str) -> TestResponse:
        """One raw part."""
        sent = {"X-CSRFToken": self.token, "Content-Type": "application/octet-stream", **headers}
        return self.http.put(path, data=data, headers=sent, base_url="http://127.0.0.1:8000")

    @property
    def token(self) -> str:
        """The token, read from a page once."""
        if not self._token:
            text = self.get("/grants").get_data(as_text=True)
            self._token = text.split('name="csrf-token" content="')[1].split('"')[0]
        return self._token


@pytest.fixture
def browse(house: House) -> Callable[..., Browser]:
    """Browsers on the archive's pages: `browse("hod.sj")`."""
    from gateway.app import assemble
    from gateway.archive.views import bp

    write_secret(house.deps.settings.keys / "session.key", b"k" * 64)
    app = assemble(house.deps, HouseGate(house), [bp])
    app.config["RATELIMIT_ENABLED"] = False
    return lambda who, language="zh-CN": Browser(app, who, language)
