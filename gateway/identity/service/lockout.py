"""Stopping guesses: tries are counted before they are judged, per account and per address, for unknown accounts alike.

A try is taken in its own committed transaction first, so that a hundred parallel guesses cannot all slip by one check.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from gateway.db import new_id
from gateway.deps import Deps
from gateway.errors import TooMany
from gateway.identity import rules
from gateway.identity.models import Lockout


@dataclass(frozen=True)
class Counter:
    """What tries are counted against: a keyed hash, and how often it may fail."""

    key: str
    factor: int = 1


def counters(deps: Deps, email: str, ip: str) -> list[Counter]:
    """The counter of an account's address and that of the network address, in the order in which they are locked."""
    found = [Counter("account:" + deps.search.digest("identity.lockout", email))]
    if ip:
        found.append(Counter("address:" + deps.search.digest("identity.lockout", ip), rules.ADDRESS_FACTOR))
    return found


def take_try(deps: Deps, against: Sequence[Counter], now: datetime) -> None:
    """Counts one try against each counter before it is judged; raises TooMany with the seconds to wait, counting nothing then."""
    with deps.database.write() as session:
        limits = deps.parameters(session, now)
        tries, minutes = limits["lockout.tries"], limits["lockout.minutes"]
        rows = [_row(deps, session, counter, now) for counter in against]
        for row, counter in zip(rows, against, strict=True):
            _calm(row, minutes, now)
            wait = _wait(row, tries * counter.factor, minutes, now)
            if wait > 0:
                raise TooMany(wait)
        for row in rows:
            row.failures += 1
            row.last_at = now


def failed(deps: Deps, against: Sequence[Counter], now: datetime) -> int:
    """Keeps the try as failed and locks what has used up its tries; returns how many tries the account has left."""
    with deps.database.write() as session:
        limits = deps.parameters(session, now)
        left = 0
        for counter in against:
            row, allowed = _row(deps, session, counter, now), limits["lockout.tries"] * counter.factor
            if counter is against[0]:
                left = max(0, allowed - row.failures)
            if row.failures >= allowed:
                row.until = now + timedelta(
                    minutes=rules.lockout_minutes(limits["lockout.minutes"], row.rounds)
                )
                row.rounds, row.failures = row.rounds + 1, 0
        return left


def give_back(deps: Deps, session: Session, against: Sequence[Counter], now: datetime) -> None:
    """Takes back the try that turned out right; what failed before it still counts."""
    for counter in against:
        row = _row(deps, session, counter, now)
        row.failures = max(0, row.failures - 1)


def forgive(deps: Deps, session: Session, against: Sequence[Counter], now: datetime) -> None:
    """Clears the account's counter after both factors were right; the network address only gets its try back."""
    give_back(deps, session, against, now)
    own = _row(deps, session, against[0], now)
    own.failures, own.rounds, own.until = 0, 0, None


def _wait(row: Lockout, allowed: int, minutes: int, now: datetime) -> int:
    if row.until is not None and row.until > now:
        return max(1, round((row.until - now).total_seconds()))
    # Every allowed try is being judged at this moment, or was never judged because a process died.
    return minutes * 60 if row.failures >= allowed else 0


def _calm(row: Lockout, minutes: int, now: datetime) -> None:
    quiet = now - row.last_at
    if quiet >= timedelta(minutes=minutes):
        row.failures = 0
    if quiet >= timedelta(days=1) and (row.until is None or row.until <= now):
        row.rounds, row.until = 0, None


def _row(deps: Deps, session: Session, counter: Counter, now: datetime) -> Lockout:
    insert = sqlite.insert if deps.database.is_sqlite else postgresql.insert
    fresh = insert(Lockout).values(id=new_id(), key=counter.key, failures=0, rounds=0, last_at=now)
    session.execute(fresh.on_conflict_do_nothing(index_elements=["key"]))
    query = (
        select(Lockout)
        .where(Lockout.key == counter.key)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    return session.scalars(query).one()
