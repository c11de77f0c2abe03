"""Opening an account as its holder would: the one-time link, a password, an authenticator."""

import secrets
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import pyotp
from sqlalchemy import select

from gateway.deps import Deps
from gateway.identity.models import Credential
from gateway.identity.principals import find
from gateway.identity.service import begin_enrolment, complete_enrolment
from gateway.principal import Actor


@dataclass(frozen=True)
class Person:
    """Someone who can sign in: `label` is `staff:<id>` or `contact:<id>`; `secret` is the authenticator's seed."""

    label: str
    email: str
    password: str
    secret: str
    readback: str | None = None

    @property
    def id(self) -> str:
        """The row's id."""
        return self.label.partition(":")[2]

    def code(self, at: datetime) -> str:
        """The one-time code at a time."""
        return pyotp.TOTP(self.secret).at(at)


def enrol(deps: Deps, token: str, email: str, *, now: datetime) -> Person:
    """Uses an invitation as its holder would and returns what they keep."""
    password = "demo-" + secrets.token_urlsafe(12)
    begun = begin_enrolment(deps, token, now=now)
    assert begun.seed is not None
    # The code of the step before leaves the present one free for signing in.
    code = pyotp.TOTP(begun.seed.secret).at(now - timedelta(seconds=30))
    done = complete_enrolment(
        deps, token, begun.seed.pending, password=password, code=code, ip="127.0.0.1", agent="demo", now=now
    )
    return Person(done.principal, email, password, begun.seed.secret, done.readback)


def acting(deps: Deps, person: Person, *, now: datetime) -> Actor:
    """The person as an actor with a fresh second factor, for jobs the loader does in their name."""
    with deps.database.read() as session:
        found = find(session, person.label, now)
        assert found is not None, person.email
        assert session.scalar(select(Credential.id).where(Credential.principal == person.label)) is not None
    return replace(found.actor, mfa_at=now, ip="127.0.0.1", agent="demo", session="loader")
