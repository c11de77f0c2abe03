"""The person behind a request: resolved once, from the opaque token in the signed cookie."""

from datetime import datetime, timedelta
from typing import Any, cast

from flask import Flask, Request, current_app, g, request, session
from flask_login import LoginManager, UserMixin, current_user

from gateway.deps import Deps
from gateway.principal import Actor
from gateway.web.gate import SessionGate

TOKEN = "sid"  # noqa: S105 - the name of the cookie's one entry, not a secret
DEPS = "sealgate.deps"
GATE = "sealgate.gate"
AGENT_CHARS = 200


class Visitor(UserMixin):  # type: ignore[misc]
    """Flask-Login's user around an Actor; `full` once the second factor was given in this session."""

    def __init__(self, actor: Actor, *, full: bool) -> None:
        self.actor = actor
        self.full = full

    def get_id(self) -> str:
        """`kind:id`; never written to the cookie, which holds the session's token only."""
        return self.actor.label


def install(app: Flask, deps: Deps, gate: SessionGate) -> None:
    """Puts the parts where requests find them and lets Flask-Login ask the gate."""
    app.extensions[DEPS], app.extensions[GATE] = deps, gate
    manager = LoginManager()
    manager.session_protection = (
        None  # The gate binds sessions to what it chooses; a second opinion in the cookie helps nobody.
    )
    manager.request_loader(_load)
    manager.init_app(app)


def deps() -> Deps:
    """The parts of the running portal."""
    return cast(Deps, current_app.extensions[DEPS])


def gate() -> SessionGate:
    """Whoever keeps the sessions."""
    return cast(SessionGate, current_app.extensions[GATE])


def now() -> datetime:
    """The present moment, aware UTC, the same throughout one request."""
    if "sealgate_now" not in g:
        g.sealgate_now = deps().clock()
    return cast(datetime, g.sealgate_now)


def stranger() -> Actor:
    """Someone without a session, as seen by the trusted front."""
    return Actor(kind="stranger", id="", ip=request.remote_addr or "", agent=_agent())


def _agent() -> str:
    return request.user_agent.string[:AGENT_CHARS]


def _load(asked: Request) -> Visitor | None:
    if "sealgate_visitor" not in g:
        # Set first: if the lookup itself fails, the error page is drawn for a stranger instead of asking again.
        g.sealgate_visitor = None
        token = session.get(TOKEN)
        if isinstance(token, str) and token:
            found = gate().resolve(token, ip=asked.remote_addr or "", agent=_agent(), now=now())
            g.sealgate_visitor = Visitor(found[0], full=found[1]) if found else None
    return cast(Visitor | None, g.sealgate_visitor)


def actor() -> Actor:
    """Who asks: a person with a session, or a stranger."""
    user: Any = current_user
    return cast(Actor, user.actor) if user.is_authenticated else stranger()


def is_full() -> bool:
    """Whether the second factor was given in this session."""
    user: Any = current_user
    return bool(user.is_authenticated and user.full)


def confirm(code: str) -> None:
    """Makes the second factor of this request's person fresh; raises what the gate raises for a wrong code."""
    user: Any = current_user
    user.actor = gate().confirm(user.actor, code, now=now())
    g.pop("sealgate_fresh", None)


def is_fresh() -> bool:
    """Whether the second factor is at most mfa.fresh_min old."""
    if "sealgate_fresh" not in g:
        with deps().database.read() as rows:
            limit = timedelta(minutes=deps().parameters(rows, now())["mfa.fresh_min"])
        given = actor().mfa_at
        g.sealgate_fresh = given is not None and timedelta(0) <= now() - given <= limit
    return bool(g.sealgate_fresh)


def idle_s() -> int:
    """Seconds of inactivity after which this person's session ends; 0 for strangers."""
    person = actor()
    if person.kind == "stranger":
        return 0
    key = "session.idle_staff_min" if person.kind == "staff" else "session.idle_partner_min"
    with deps().database.read() as rows:
        return 60 * deps().parameters(rows, now())[key]


def begin_session(token: str) -> None:
    """Binds the browser to a new session: nothing of the old cookie survives, so a planted one is worthless."""
    end_session()
    session[TOKEN] = token


def forget() -> None:
    """Treats the rest of this request as a stranger's, without asking anyone."""
    g.sealgate_visitor = None
    g.pop("_login_user", None)


def end_session() -> None:
    """Empties the cookie; the row of the session is ended by whoever keeps it."""
    session.clear()
    for key in ("sealgate_visitor", "_login_user", "csrf_token", "sealgate_fresh"):
        g.pop(key, None)
