"""Sessions: opaque tokens of 256 bits, kept as hashes in guarded rows; idle and absolute ends; listing and revoking."""

import hashlib
import secrets
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from gateway.audit.service import record
from gateway.audit.standing import require_newest
from gateway.db import new_id
from gateway.deps import Deps, Event
from gateway.errors import NotFound, TamperedRow
from gateway.identity import principals, rules
from gateway.identity.models import LoginSession
from gateway.principal import Actor

TOUCH = timedelta(minutes=1)
TOKEN_BYTES = 32


# Every entry that a session's row is written with.
EVENTS = ("session.begin", "session.fresh", "session.end")


def token_hash(token: str) -> str:
    """How a token is stored: SHA-256, hex. The token has 256 random bits, so nothing slower is needed."""
    return hashlib.sha256(token.encode()).hexdigest()


def open_session(session: Session, actor: Actor, *, mfa_at: datetime | None, now: datetime) -> str:
    """Makes a session for a person, half (mfa_at None) or whole, and returns its token, which is stored nowhere.

    `actor` carries the address and browser it was made from.
    """
    token, row_id = secrets.token_urlsafe(TOKEN_BYTES), new_id()
    factor = "password" if mfa_at is None else "second"
    leaf = record(session, "session.begin", actor=actor, obj=("session", row_id), now=now, factor=factor)
    row = LoginSession(
        id=row_id,
        token_hash=token_hash(token),
        principal=actor.label,
        created_at=now,
        seen_at=now,
        mfa_at=mfa_at,
        revoked_at=None,
        ip=actor.ip[:45],
        agent=actor.agent[:300],
        leaf=leaf,
    )
    session.add(row)
    session.flush()
    return token


def resolve(deps: Deps, token: str, *, ip: str, agent: str, now: datetime) -> tuple[Actor, bool] | None:
    """The person behind a token, and whether the session is whole; None for any token that is not live.

    A contact whose identity is not verified yet stays half, whatever it typed. Raises TamperedRow when the session, or a row
    behind the person, was changed from outside.
    """
    with deps.database.read() as session:
        row = session.scalar(select(LoginSession).where(LoginSession.token_hash == token_hash(token)))
        if row is None or not is_live(deps, session, row, now):
            return None
        person = principals.find(session, row.principal, now)
        if person is None or not person.known:
            return None
        actor = replace(person.actor, session=row.id, mfa_at=row.mfa_at, ip=ip, agent=agent)
        full = row.mfa_at is not None and person.ready
        idle = now - row.seen_at
    if idle >= TOUCH:
        _touch(deps, row.id, now)
    return actor, full


def is_live(deps: Deps, session: Session, row: LoginSession, now: datetime, *, moving: bool = False) -> bool:
    """Whether a session has not been revoked, idled out, or reached its absolute end.

    `moving`: a download of this session is running, which counts as activity. Raises TamperedRow for a row that was put back.
    """
    require_newest(session, ("session", row.id), EVENTS, row.leaf)
    life = rules.SESSION_LIFE if row.mfa_at is not None else rules.HALF_LIFE
    if row.revoked_at is not None or not row.created_at <= now + TOUCH or now >= row.created_at + life:
        return False
    kind = "staff" if row.principal.startswith("staff:") else "partner"
    idle = timedelta(minutes=deps.parameters(session, now)[f"session.idle_{kind}_min"])
    return moving or now < row.seen_at + idle


def _touch(deps: Deps, row_id: str, now: datetime) -> None:
    with deps.database.write() as session:
        session.execute(
            update(LoginSession)
            .where(LoginSession.id == row_id, LoginSession.seen_at < now)
            .values(seen_at=now)
        )


def refresh_factor(session: Session, actor: Actor, now: datetime) -> Actor:
    """Notes in the actor's session that a second factor was accepted now; raises NotFound when the session is gone."""
    row = principals.obtain(session, LoginSession, actor.session or "")
    if row.revoked_at is not None or row.principal != actor.label:
        raise NotFound
    with session.no_autoflush:
        row.mfa_at = now
        row.leaf = record(session, "session.fresh", actor=actor, obj=("session", row.id), now=now)
    session.flush()
    return replace(actor, mfa_at=now)


def end(session: Session, row: LoginSession, *, actor: Actor, now: datetime, cause: str) -> None:
    """Revokes one session; `cause` is a word for the log: sign_out, revoked, credential, disabled …"""
    with session.no_autoflush:
        row.revoked_at = now
        row.leaf = record(session, "session.end", actor=actor, obj=("session", row.id), now=now, cause=cause)
    session.flush()


def end_all(
    session: Session, label: str, *, actor: Actor, now: datetime, cause: str, keep: str | None = None
) -> int:
    """Revokes every session of a principal that could still be live, but the one to keep; returns how many."""
    rows = [row for row in _unended(session, label, now) if row.id != keep]
    for row in rows:
        end(session, row, actor=actor, now=now, cause=cause)
    return len(rows)


def end_after_restore(deps: Deps, session: Session, event: Event) -> None:
    """Ends every session that a restored backup brought back: whoever it was has to sign in again."""
    query = select(LoginSession.id).where(LoginSession.revoked_at.is_(None)).order_by(LoginSession.id)
    for row_id in session.scalars(query).all():
        with suppress(TamperedRow):  # Such a one opens nothing anyhow.
            row = session.get_one(LoginSession, row_id, with_for_update=True)
            end(session, row, actor=event.actor, now=event.at, cause="restore")


def _unended(session: Session, label: str, now: datetime) -> list[LoginSession]:
    query = (
        select(LoginSession)
        .where(
            LoginSession.principal == label,
            LoginSession.revoked_at.is_(None),
            LoginSession.created_at > now - rules.SESSION_LIFE,
        )
        .order_by(LoginSession.seen_at.desc())
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    return list(session.scalars(query))


@dataclass(frozen=True)
class SessionView:
    """One live session for the list of one's own."""

    id: str
    created_at: datetime
    seen_at: datetime
    ip: str
    agent: str
    whole: bool
    current: bool


def own_sessions(deps: Deps, *, actor: Actor, now: datetime) -> list[SessionView]:
    """The actor's live sessions, the one used last first."""
    with deps.database.read() as session:
        query = select(LoginSession).where(
            LoginSession.principal == actor.label, LoginSession.revoked_at.is_(None)
        )
        rows = [
            r
            for r in session.scalars(query.order_by(LoginSession.seen_at.desc()))
            if is_live(deps, session, r, now)
        ]
        return [
            SessionView(
                r.id, r.created_at, r.seen_at, r.ip, r.agent, r.mfa_at is not None, r.id == actor.session
            )
            for r in rows
        ]


def revoke_session(deps: Deps, session_id: str, *, actor: Actor, now: datetime) -> None:
    """Ends one of the actor's own sessions; raises NotFound for anybody else's."""
    with deps.job(actor, "session.revoke", ("session", session_id), now) as session:
        row = principals.obtain(session, LoginSession, session_id)
        if row.principal != actor.label or row.revoked_at is not None:
            raise NotFound
        end(session, row, actor=actor, now=now, cause="sign_out" if row.id == actor.session else "revoked")


def revoke_other_sessions(deps: Deps, *, actor: Actor, now: datetime) -> int:
    """Ends every session of the actor but the present one; returns how many."""
    with deps.job(actor, "session.revoke", (actor.kind, actor.id), now) as session:
        return end_all(session, actor.label, actor=actor, now=now, cause="revoked", keep=actor.session)
