"""Worlds for tests: a portal with the demo company in it, built through the product's own jobs."""

from __future__ import annotations

import hashlib
import html
import io
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pikepdf
import pypdfium2
from flask import Flask
from PIL import Image
from sqlalchemy import select
from werkzeug.test import TestResponse

from gateway import bootstrap
from gateway.app import create_app
from gateway.archive import service as archive
from gateway.archive.cases import CaseEntry
from gateway.archive.items import ItemEntry
from gateway.audit.models import Leaf
from gateway.config import Settings, load
from gateway.demo.company import Company, add_partner, demo_settings, load_company
from gateway.demo.people import acting
from gateway.deps import Deps
from gateway.identity.service.sessions import open_session, resolve
from gateway.principal import Actor
from gateway.sharing import service as sharing
from gateway.sharing.models import Share
from gateway.sharing.service.drafting import Wish
from gateway.signing import service as signing
from gateway.web.visitor import TOKEN

ORIGIN = "http://localhost"


@dataclass
class Clock:
    """The wall clock plus an offset that a test moves."""

    offset: timedelta = timedelta(0)

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.offset

    def advance(self, **by: float) -> None:
        """Moves the clock forward."""
        self.offset += timedelta(**by)


def settings_at(home: Path, **more: Any) -> Settings:
    """Settings of a demo company whose state lies in `home`."""
    base = {
        "home": home,
        "public_origin": ORIGIN,
        "company_name": "x",
        "company_uscc": "0" * 18,
        "fonds": "SG01",
        **more,
    }
    return demo_settings(load({}, **base))


def build_world(home: Path, **more: Any) -> World:
    """A portal with keys, an empty database and the demo company, both partners included."""
    settings = settings_at(home, **more)
    bootstrap.make_keys(settings)
    metadata = bootstrap.everything()
    clock = Clock()
    deps = bootstrap.build(settings, clock=clock)
    metadata.create_all(deps.database.engine)
    company = load_company(deps, now=clock())
    for partner in ("supplier", "studio"):
        add_partner(deps, company, partner, now=clock())
    return World(deps, company, clock)


def copy_world(world: World, home: Path, **more: Any) -> World:
    """The same world in another folder (embedded installation), so that a test may change it."""
    world.deps.database.close()
    shutil.copytree(world.deps.settings.home, home, dirs_exist_ok=True)
    clock = Clock()
    deps = bootstrap.build(settings_at(home, **more), clock=clock)
    return World(deps, world.company, clock)


@dataclass
class World:
    """One portal and its people. `actor` gives somebody with a fresh second factor, `browser` somebody's signed-in browser."""

    deps: Deps
    company: Company
    clock: Clock
    _app: Flask | None = field(default=None, repr=False)

    @property
    def app(self) -> Flask:
        """The Flask application, made once."""
        if self._app is None:
            self._app = create_app(self.deps)
        return self._app

    def now(self) -> datetime:
        """The world's time."""
        return self.clock()

    def id(self, name: str) -> str:
        """A person's row id by account name (biz.sj, s1 …)."""
        return self.company.people[name].id

    def actor(self, name: str) -> Actor:
        """Somebody with a fresh second factor, outside any session."""
        return acting(self.deps, self.company.people[name], now=self.now())

    def session(self, name: str) -> tuple[str, Actor]:
        """A whole session: its cookie token and the actor it resolves to."""
        self.tick()
        with self.deps.database.write() as session:
            person = self.actor(name)
            token = open_session(session, person, mfa_at=self.now(), now=self.now())
        found = resolve(self.deps, token, ip="127.0.0.1", agent="test", now=self.now())
        assert found is not None
        return token, found[0]

    def browser(self, name: str | None = None, *, language: str | None = None) -> Browser:
        """A browser, signed in as somebody or as a stranger."""
        return Browser(self, name, language)

    def code(self, name: str) -> str:
        """A one-time code that somebody's authenticator shows, later than any used before."""
        self.clock.advance(seconds=31)
        return self.company.people[name].code(self.now())

    def tick(self) -> None:
        """What the engine's sequencer does every second, so that a slow machine does not let the log fall behind."""
        self.deps.log.sequence(now=self.now())

    def drain(self) -> int:
        """Runs waiting jobs."""
        return self.deps.queue.drain()

    def leaves(self, event: str | None = None) -> list[Leaf]:
        """Log entries in order of arrival, all or of one event."""
        with self.deps.database.read() as session:
            query = select(Leaf).order_by(Leaf.arrival)
            return list(session.scalars(query if event is None else query.where(Leaf.event == event)))

    def item(
        self,
        case: str,
        title: str = "平面图",
        *,
        data: bytes | None = None,
        classes: tuple[str, ...] = ("F07",),
        name: str = "平面图.pdf",
        kind: str = "PLAN",
    ) -> str:
        """An item of an open case with one uploaded and inspected version."""
        actor, content = self.actor("biz.sj"), data if data is not None else pdf()
        item = archive.add_item(
            self.deps, case, ItemEntry(title=title, type=kind, classes=classes), actor=actor, now=self.now()
        )
        upload = archive.start_upload(
            self.deps, item, file_name=name, size=len(content), actor=actor, now=self.now()
        )
        for number, start in enumerate(range(0, len(content), upload.part_size), 1):
            archive.put_part(
                self.deps,
                upload.id,
                number,
                content[start : start + upload.part_size],
                actor=actor,
                now=self.now(),
            )
        archive.complete_upload(self.deps, upload.id, actor=actor, now=self.now())
        self.drain()
        return item

    def case(self, client: str = "示例客户甲") -> str:
        """An open case of a client."""
        entry = CaseEntry(title="施工案卷", location="DA-01-1")
        return archive.create_case(
            self.deps, self.company.clients[client], entry, actor=self.actor("biz.sj"), now=self.now()
        )

    def file(self, case: str) -> str:
        """Catalogues and files a case; returns its 档号."""
        archive.claim_case(self.deps, case, actor=self.actor("arc1"), now=self.now())
        archive.submit_case(self.deps, case, actor=self.actor("arc1"), now=self.now())
        return archive.file_case(self.deps, case, actor=self.actor("arc2"), now=self.now())

    def filed_items(self, count: int = 2, *, spare: int = 1, **more: Any) -> list[str]:
        """Items of one filed case; `spare` further ones stay unshared, so that no share is of the whole case."""
        case = self.case()
        items = [self.item(case, f"图纸{n + 1}", **more) for n in range(count + spare)]
        self.file(case)
        return items[:count]

    def agreement(
        self,
        partner: str = "supplier",
        signer: str = "s1",
        *,
        classes: tuple[str, ...] = ("F07", "F08"),
        purposes: tuple[str, ...] = ("P01", "P03"),
        days: int = 300,
        until: str = "IN_FORCE",
        pledges: tuple[str, ...] = ("s1", "s2"),
    ) -> str:
        """An agreement taken as far as SENT, VIEWED, PARTNER_SIGNED or IN_FORCE; in force, its contacts have pledged."""
        today = (self.now() + timedelta(hours=8)).date()
        scope = signing.Scope(
            organisation=self.company.organisations[partner],
            signer=self.id(signer),
            clients=None,
            classes=classes,
            purposes=purposes,
            relation="ENTRUST",
            valid_from=today - timedelta(days=1),
            valid_to=today + timedelta(days=days),
            contact_list="联系人",
            incident_contact="行政部 100-0000-0000",
            liability="赔偿实际损失",
            forum="甲方所在地人民法院",
        )
        made = signing.draft(self.deps, scope, actor=self.actor("adm"), now=self.now())
        signing.send(self.deps, made, actor=self.actor("adm"), now=self.now())
        steps: list[tuple[str, Callable[[], None]]] = [
            ("SENT", lambda: None),
            ("VIEWED", lambda: signing.view(self.deps, made, (1,), actor=self.actor(signer), now=self.now())),
            ("PARTNER_SIGNED", lambda: self._sign(made, signer)),
            ("IN_FORCE", lambda: self._countersign(made, pledges)),
        ]
        for state, step in steps:
            step()
            if state == until:
                break
        return made

    def _digest(self, agreement: str) -> str:
        return hashlib.sha256(
            signing.pdf_bytes(self.deps, agreement, actor=self.actor("gm"), now=self.now())
        ).hexdigest()

    def _sign(self, agreement: str, signer: str) -> None:
        given = signing.Signature(self._digest(agreement), "供应商联系人一", consent=True)
        _, actor = self.session(signer)
        signing.sign(self.deps, agreement, given, actor=actor, now=self.now())

    def _countersign(self, agreement: str, pledges: tuple[str, ...]) -> None:
        signing.countersign(
            self.deps, agreement, pdf_sha256=self._digest(agreement), actor=self.actor("gm"), now=self.now()
        )
        for name in pledges:
            signing.accept_pledge(self.deps, agreement, consent=True, actor=self.actor(name), now=self.now())

    def draft_share(self, items: list[str], contacts: tuple[str, ...] = ("s1",), **more: Any) -> str:
        """A draft by biz.sj."""
        wish = replace(Wish("平面图", tuple(items), tuple(self.id(c) for c in contacts), "P03"), **more)
        return sharing.draft(self.deps, wish, actor=self.actor("biz.sj"), now=self.now())

    def approve_share(self, share: str) -> None:
        """Submits a draft and takes it through every stage it needs."""
        sharing.submit(self.deps, share, actor=self.actor("biz.sj"), now=self.now())
        for approver in ("hod.sj", "arc1", "gm"):
            row = self.share(share)
            if row.state != "ACTIVE":
                sharing.consent(
                    self.deps,
                    share,
                    version_hash=row.version_hash,
                    actor=self.actor(approver),
                    now=self.now(),
                )

    def share(self, share: str) -> Share:
        """A share's row."""
        with self.deps.database.read() as session:
            return session.get_one(Share, share)

    def active_share(
        self, count: int = 1, contacts: tuple[str, ...] = ("s1",), **more: Any
    ) -> tuple[str, list[str]]:
        """An agreement in force, filed items and an active share of them; returns share and items."""
        items = self.filed_items(count)
        self.agreement()
        share = self.draft_share(items, contacts, **more)
        self.approve_share(share)
        return share, items

    def ready_bundle(self, share: str, items: list[str], name: str = "s1", wanted: str | None = None) -> str:
        """A bundle that was prepared and made."""
        _, actor = self.session(name)
        bundle = sharing.prepare(self.deps, share, items, wanted=wanted, actor=actor, now=self.now())[0]
        self.drain()
        return bundle


_CSRF = re.compile(r'name="csrf_token"[^>]*value="([^"]+)"')


class Browser:
    """A Flask test client that keeps the CSRF token of the last page it saw."""

    def __init__(self, world: World, name: str | None, language: str | None) -> None:
        self.world, self.name = world, name
        self.client = world.app.test_client()
        self._headers = {"Accept-Language": language} if language else {}
        self._token = ""
        if name is not None:
            token, self.actor = world.session(name)
            with self.client.session_transaction() as cookie:
                cookie[TOKEN] = token

    def get(self, path: str, **more: Any) -> TestResponse:
        """GET; remembers the page's CSRF token."""
        self.world.tick()
        return self._seen(self.client.get(path, headers={**self._headers, **more.pop("headers", {})}, **more))

    def post(self, path: str, data: dict[str, Any] | None = None, **more: Any) -> TestResponse:
        """POST a form with the last token; looks at the start page first when there is none."""
        self.world.tick()
        if not self._token:
            self.get("/")
        body = {"csrf_token": self._token, **(data or {})}
        return self._seen(
            self.client.post(path, data=body, headers={**self._headers, **more.pop("headers", {})}, **more)
        )

    def put(self, path: str, data: bytes, **more: Any) -> TestResponse:
        """PUT raw bytes with the token in its header."""
        if not self._token:
            self.get("/")
        return self.client.put(
            path, data=data, headers={"X-CSRFToken": self._token, **more.pop("headers", {})}, **more
        )

    def _seen(self, response: TestResponse) -> TestResponse:
        if response.mimetype == "text/html":
            found = _CSRF.search(response.get_data(as_text=True))
            if found is not None:
                self._token = html.unescape(found[1])
        return response


def pdf(pages: int = 2, size: tuple[float, float] = (595, 842)) -> bytes:
    """A small PDF of plain pages with a line drawn on each."""
    made = pikepdf.new()
    for number in range(pages):
        made.add_blank_page(page_size=size)
        made.pages[-1].Contents = made.make_stream(f"1 w 60 {80 + number} m 400 500 l S".encode())
    out = io.BytesIO()
    made.save(out, deterministic_id=True)
    return out.getvalue()


def photo(width: int = 640, height: int = 480, mode: str = "JPEG") -> bytes:
    """A picture with a gradient, so that a mark shows against it."""
    picture = Image.linear_gradient("L").resize((width, height)).convert("RGB")
    out = io.BytesIO()
    picture.save(out, mode)
    return out.getvalue()


def page_count(data: bytes, password: str | None = None) -> int:
    """How many pages a PDF has for pdfium."""
    return len(pypdfium2.PdfDocument(data, password=password))
