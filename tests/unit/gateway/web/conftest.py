"""A portal of the web layer alone: real settings and database, a gate that knows five sessions, a few pages of one room."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from flask import Blueprint, Flask
from flask.testing import FlaskClient
from flask_babel import lazy_gettext
from sqlalchemy import select
from wtforms import IntegerField, StringField

import gateway.audit.models  # noqa: F401 - its tables
from gateway.app import assemble
from gateway.audit.models import Leaf, StrangerCount
from gateway.config import Settings, load, write_secret
from gateway.db import Base, Database
from gateway.deps import Deps
from gateway.errors import (
    Invalid,
    NotFound,
    StaleFactor,
    TamperedRow,
    TooMany,
    Unavailable,
    Withheld,
    WrongState,
)
from gateway.policy.release import Condition, Decision
from gateway.principal import Actor, Role, Text
from gateway.web.kit import Form, access, actor, begin_session, end_session, flash_text, is_fresh, nav, page

NOON = datetime(2026, 11, 23, 4, 0, tzinfo=UTC)
CODE = "123456"
PARAMETERS = {"mfa.fresh_min": 10, "session.idle_staff_min": 30, "session.idle_partner_min": 15}


@dataclass
class FixedGate:
    """Sessions by name; one code is right. `preferred` and `asked` say what the web layer told and asked."""

    people: dict[str, tuple[Actor, bool]] = field(default_factory=dict)
    preferred: list[tuple[str, str]] = field(default_factory=list)
    asked: list[tuple[str, str, str]] = field(default_factory=list)
    broken: Exception | None = None

    def resolve(self, token: str, *, ip: str, agent: str, now: datetime) -> tuple[Actor, bool] | None:
        """The person of that name."""
        self.asked.append((token, ip, agent))
        if self.broken is not None:
            raise self.broken
        return self.people.get(token)

    def confirm(self, actor: Actor, code: str, *, now: datetime) -> Actor:
        """Fresh for the one right code."""
        if code != CODE:
            raise Invalid("otp", Text("口令不对。", "Wrong code."))
        return replace(actor, mfa_at=now)

    def prefer(self, actor: Actor, language: str, *, now: datetime) -> None:
        """Notes the wish."""
        self.preferred.append((actor.id, language))


def people() -> dict[str, tuple[Actor, bool]]:
    """Five sessions: archivist, business staff, an English contact, a half contact, and staff whose second factor is old."""
    fresh, old = NOON - timedelta(minutes=1), NOON - timedelta(hours=1)
    archivist = Actor("staff", "a1", "档案管理员", frozenset({Role.ARC}), mfa_at=fresh)
    contact = Actor(
        "contact", "c1", "某联系人", frozenset({Role.PTN}), organisation="o1", mfa_at=fresh, language="en"
    )
    return {
        "archivist": (archivist, True),
        "business": (replace(archivist, id="b1", roles=frozenset({Role.BIZ})), True),
        "partner": (contact, True),
        "half": (replace(contact, id="c2", mfa_at=None), False),
        "stale": (replace(archivist, id="a2", mfa_at=old), True),
    }


class Days(Form):
    """One number."""

    days = IntegerField("期限")
    secret_password = StringField("密码")


def room(done: list[Any]) -> Blueprint:
    """A room with a page for every kind of answer; `done` collects what its POSTs did."""
    bp = Blueprint("room", __name__)

    def route(
        rule: str,
        kind: str,
        view: Callable[..., Any],
        *,
        name: str,
        methods: tuple[str, ...] = ("GET",),
        **more: Any,
    ) -> None:
        def run(**values: Any) -> Any:
            return view(**values)

        run.__name__ = name
        bp.add_url_rule(rule, name, access(cast(Any, kind), **more)(run), methods=methods)

    def failing(problem: Exception) -> Callable[..., Any]:
        def view() -> Any:
            raise problem

        return view

    def act() -> Any:
        if not is_fresh():
            raise StaleFactor
        done.append(actor().id)
        flash_text(Text("已保存。", "Saved."))
        return "done"

    def form() -> Any:
        given = Days()
        if given.validate_on_submit():
            given.put_error(Invalid("days", Text("超过上限。", "Above the limit.")))
            given.put_error(Invalid("nowhere", Text("整体不行。", "Not as a whole.")))
            return {"field": list(given.days.errors), "form": list(given.form_errors)}
        return {"valid": False}

    def enter(name: str) -> Any:
        begin_session(name)
        return "in"

    def leave() -> Any:
        end_session()
        return "out"

    decision = Decision("copy", "submit", (Condition("NDA", "unmet"), Condition("MASK", "not_enabled")))
    route("/staff", "staff", lambda: page("again.html", kept=[], error=None), name="staff")
    route("/start", "public", lambda: page("again.html", kept=[], error=None), name="start")
    route("/archive", "staff", lambda: "archive", name="archive", roles={Role.ARC})
    route("/mine", "partner", lambda: page("again.html", kept=[], error=None), name="mine")
    route("/both", "any", lambda: actor().label, name="both")
    route("/verify", "half", lambda: "verify", name="verify")
    route("/open", "public", lambda: actor().ip, name="open")
    route("/act", "any", act, name="act", methods=("GET", "POST"))
    route("/form", "any", form, name="form", methods=("GET", "POST"))
    route("/enter/<name>", "public", enter, name="enter", methods=("POST",))
    route("/leave", "public", leave, name="leave", methods=("POST",))
    route(
        "/part",
        "any",
        lambda: done.append("part") or "part",
        name="part",
        methods=("PUT",),
        max_body=1024 * 1024,
    )
    route("/try", "public", lambda: "try", name="try", methods=("POST",), limit="2/minute")
    failures = {
        "gone": NotFound(),
        "held": Withheld(["NDA"], decision),
        "state": WrongState(),
        "many": TooMany(77),
        "bad": Invalid("x", Text("要一个数。", "A number is wanted.")),
        "down": Unavailable(),
        "tampered": TamperedRow(),
        "boom": RuntimeError("secret-in-message"),
    }
    for name, problem in failures.items():
        route(f"/{name}", "any", failing(problem), name=name)
    nav(bp, lazy_gettext("档案"), "archive", group="archive", roles={Role.ARC})
    nav(bp, lazy_gettext("待办"), "staff", group="todo")
    nav(bp, lazy_gettext("分享"), "mine", kind="partner")
    return bp


@dataclass
class Portal:
    """The application, what it is made of, and ways to look at what it did."""

    app: Flask
    database: Database
    gate: FixedGate
    done: list[Any]
    settings: Settings

    def client(self, who: str | None = None, **cookies: str) -> FlaskClient:
        """A browser with a session of that name."""
        browser = self.app.test_client()
        base = self.settings.public_origin
        if who is not None:
            with browser.session_transaction(base_url=base) as kept:
                kept["sid"] = who
        for name, value in cookies.items():
            browser.set_cookie(name, value, domain=self.settings.hosts[0])
        browser.environ_base["HTTP_HOST"] = self.settings.hosts[0]
        browser.environ_base["wsgi.url_scheme"] = base.split(":")[0]
        return browser

    def refusals(self) -> list[tuple[str, str | None, str]]:
        """(code, actor, page) of every refusal entry, oldest first."""
        import json

        with self.database.read() as session:
            rows = session.scalars(select(Leaf).where(Leaf.event == "refused").order_by(Leaf.at)).all()
            return [(json.loads(row.body)["data"]["code"], row.actor, row.object_id) for row in rows]

    def strangers(self) -> dict[str, int]:
        """How often each code was counted for strangers."""
        with self.database.read() as session:
            return {row.code: row.count for row in session.scalars(select(StrangerCount))}


def token_of(browser: FlaskClient, path: str = "/start") -> str:
    """The token against forged requests of a browser's session, read from a page as a browser would."""
    text = browser.get(path).get_data(as_text=True)
    return text.split('name="csrf-token" content="')[1].split('"')[0]


@pytest.fixture
def build(tmp_path: Path) -> Any:
    """Builds a portal; settings and rooms can be given."""
    opened: list[Database] = []

    def make(rooms: list[Blueprint] | None = None, **overrides: Any) -> Portal:
        given = {
            "home": str(tmp_path),
            "public_origin": "http://localhost",
            "company_name": "某装饰公司",
            "company_uscc": "9" * 18,
            "fonds": "SG01",
            "demo": True,
        }
        settings = load({}, **{**given, **overrides})
        if not (settings.keys / "session.key").exists():
            write_secret(settings.keys / "session.key", b"k" * 64)
        database = Database(f"sqlite:///{tmp_path / 'web.db'}", b"m" * 32)
        Base.metadata.create_all(database.engine)
        opened.append(database)
        done: list[Any] = []
        parts = SimpleNamespace(
            settings=settings,
            database=database,
            clock=lambda: NOON,
            parameters=lambda session, now: PARAMETERS,
        )
        gate = FixedGate(people())
        app = assemble(cast(Deps, parts), gate, [room(done)] if rooms is None else rooms)
        return Portal(app, database, gate, done, settings)

    yield make
    for database in opened:
        database.close()


@pytest.fixture
def portal(build: Any) -> Portal:
    """The portal as most tests want it."""
    return cast(Portal, build())


@pytest.fixture(name="token_of")
def _token_of() -> Callable[..., str]:
    return token_of
