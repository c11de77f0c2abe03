"""Handing a bundle over: collect spends and opens a ticket, the ticket streams, the passphrase is shown once."""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from gateway.audit.service import record
from gateway.db import after_commit, locked, new_id
from gateway.deps import Deps
from gateway.errors import NotFound, Withheld, WrongState
from gateway.notify.service import Recipient, tell
from gateway.principal import Actor
from gateway.release import Ask, Passage, demand
from gateway.sharing.models import Bundle, Collection, Copy, Counter, RevealedSecret, Share, Transfer
from gateway.sharing.rules import BUNDLE, COPY
from gateway.sharing.service.sealing import FILE, object_id, secret_owner
from gateway.workflow import move, require_fresh

SHOWN_AGAIN = timedelta(minutes=10)


def collect(deps: Deps, bundle_id: str, *, actor: Actor, now: datetime) -> str:
    """Re-checks everything on locked rows, spends one of each item's counter, all or none, and returns the
    one-time ticket.

    The ticket (256 bits, hex) works only with this session, until the link window closes. Raises Withheld, StaleFactor,
    WrongState or NotFound; then nothing is spent.
    """
    with deps.job(actor, "bundle.collect", ("bundle", bundle_id), now) as session:
        # The share is locked before its bundle, as whoever stops it does: two orders would be a deadlock.
        known = session.get(Bundle, bundle_id)
        share = locked(session, Share, known.share_id) if known is not None else None
        bundle = _mine(session, bundle_id, actor)
        copies = _copies(session, bundle_id)
        decision = demand(deps, session, _ask(bundle, copies, actor, now, "copy"))
        # The deadline is read here; the sweep only moves the state that shows it.
        if now >= bundle.expires_at:
            raise WrongState
        _spend(session, bundle, copies)
        numbers, vector = [c.number for c in copies], decision.as_json()
        leaf = move(
            deps, session, BUNDLE, bundle, "collect", actor=actor, now=now, sha256=bundle.sha256,
            manifest_sha256=bundle.manifest_sha256, copies=numbers, vector=vector, share=bundle.share_id, contact=actor.id,
        )  # fmt: skip
        for copy in copies:
            copy.vector = vector
            move(
                deps,
                session,
                COPY,
                copy,
                "collect",
                actor=actor,
                now=now,
                number=copy.number,
                share=bundle.share_id,
                contact=actor.id,
                item=copy.item_id,
                bundle_sha256=bundle.sha256,
            )
        window = deps.parameters(session, now)["share.link_window_min"]
        ticket = _open(session, bundle, actor, leaf, vector, now, now + timedelta(minutes=window))
        _tell(session, share, bundle, numbers, now)
        return ticket


def _mine(session: Session, bundle_id: str, actor: Actor) -> Bundle:
    bundle = locked(session, Bundle, bundle_id)
    if bundle is None or actor.kind != "contact" or bundle.contact_id != actor.id:
        raise NotFound
    return bundle


def _copies(session: Session, bundle_id: str) -> list[Copy]:
    return list(
        session.scalars(
            select(Copy).where(Copy.bundle_id == bundle_id).order_by(Copy.number).with_for_update()
        )
    )


def _ask(bundle: Bundle, copies: list[Copy], actor: Actor, now: datetime, way: str) -> Ask:
    items = tuple((c.item_id, c.version) for c in copies)
    return Ask(way, "collect", actor, now, bundle.share_id, actor.id, items, "DOWNLOAD", bundle.id)  # type: ignore[arg-type]


def _spend(session: Session, bundle: Bundle, copies: list[Copy]) -> None:
    for copy in copies:
        spend = (
            update(Counter)
            .where(Counter.share_id == bundle.share_id, Counter.contact_id == bundle.contact_id)
            .where(Counter.item_id == copy.item_id, Counter.used < Counter.limit)
            .values(used=Counter.used + 1)
        )
        if session.execute(spend).rowcount != 1:  # type: ignore[attr-defined]
            raise Withheld(["LIMIT"])


def _open(
    session: Session,
    bundle: Bundle,
    actor: Actor,
    leaf: str,
    vector: list[Any],
    now: datetime,
    until: datetime,
) -> str:
    ticket = secrets.token_hex(32)
    row = Collection(
        id=new_id(),
        bundle_id=bundle.id,
        contact_id=actor.id,
        session_id=actor.session or "",
        at=now,
        leaf=leaf,
    )
    row.ticket_hash, row.collect_leaf, row.vector, row.window_until = _hash(ticket), leaf, vector, until
    session.add(row)
    session.flush()
    return ticket


def _hash(ticket: str) -> str:
    return hashlib.sha256(ticket.encode()).hexdigest()


def _tell(session: Session, share: Share | None, bundle: Bundle, numbers: list[str], now: datetime) -> None:
    assert share is not None
    for number in numbers:
        tell(
            session,
            "copy.downloaded",
            [Recipient("account", share.requester)],
            now=now,
            fields={"copy": number},
        )
        tell(
            session,
            "copy.receipt",
            [Recipient("contact", bundle.contact_id)],
            now=now,
            fields={"copy": number},
        )


@dataclass(frozen=True)
class Opened:
    """A ticket that may stream now: the passage for the gate, and the file's name, size and media type."""

    passage: Passage
    name: str
    size: int
    mime: str
    etag: str


MIME = {"pdf": "application/pdf", "zip": "application/zip", "age": "application/octet-stream"}


def open_ticket(
    deps: Deps, ticket: str, *, actor: Actor, now: datetime, start: int = 0, length: int | None = None
) -> Opened:
    """The passage of a ticket; nothing is spent, however often it is asked for within its window.

    Raises NotFound for a ticket that is unknown, of another session or contact, or past its window;
    Withheld when a live
    condition no longer holds.
    """
    with deps.job(actor, "ticket.open", ("ticket", "-"), now) as session:
        found = session.scalars(select(Collection).where(Collection.ticket_hash == _hash(ticket))).first()
        if (
            found is None
            or found.contact_id != actor.id
            or found.session_id != actor.session
            or now >= found.window_until
        ):
            raise NotFound
        bundle = session.get_one(Bundle, found.bundle_id)
        copies = list(session.scalars(select(Copy).where(Copy.bundle_id == bundle.id).order_by(Copy.number)))
        ask = _ask(bundle, copies, actor, now, "copy")
        demand(
            deps,
            session,
            Ask("copy", "live", actor, now, ask.share, ask.contact, ask.items, ask.right, bundle.id),
        )
        transfer = Transfer(id=new_id(), collection_id=found.id, start=start, at=now)
        session.add(transfer)
        done = _Closer(deps, transfer.id)
        passage = Passage(
            ask, found.collect_leaf, deps.bundles, object_id(bundle.id), FILE, start, length, done
        )
        return Opened(passage, bundle.file_name, bundle.size, MIME[bundle.format], bundle.sha256 or "")


@dataclass(frozen=True)
class _Closer:
    """Writes a transfer's outcome when its stream ends."""

    deps: Deps
    transfer: str

    def __call__(self, outcome: str, sent: int) -> None:
        with self.deps.database.write() as session:
            row = session.get(Transfer, self.transfer)
            if row is not None:
                row.outcome, row.sent, row.ended_at = outcome.upper(), sent, self.deps.clock()


def reveal(deps: Deps, bundle_id: str, *, actor: Actor, now: datetime) -> str:
    """The bundle's passphrase, once: after a fresh second factor, through the gate, with an entry of its own
    in a checkpoint.

    Until acknowledged the same session may see it again for 10 minutes.
    Raises NotFound when it is gone or bound elsewhere.
    """
    with deps.job(actor, "bundle.reveal", ("bundle", bundle_id), now) as session:
        bundle = _mine(session, bundle_id, actor)
        require_fresh(deps, session, actor, now)
        collection, secret = _revealable(session, bundle, actor, now)
        demand(deps, session, _ask(bundle, _copies(session, bundle_id), actor, now, "passphrase"))
        leaf = record(session, "bundle.reveal", actor=actor, obj=("bundle", bundle_id), now=now)
        if collection.secret_shown_at is None:
            collection.secret_shown_at, collection.secret_until, collection.secret_session = (
                now,
                now + SHOWN_AGAIN,
                actor.session,
            )
            collection.leaf = leaf
        session.flush()
        blob = secret.blob
    deps.log.await_checkpoint(leaf, now=deps.clock())
    with deps.database.read() as session:
        bundle = session.get_one(Bundle, bundle_id)
        ask = _ask(
            bundle,
            list(session.scalars(select(Copy).where(Copy.bundle_id == bundle_id))),
            actor,
            deps.clock(),
            "passphrase",
        )
        demand(
            deps,
            session,
            Ask(
                "passphrase", "live", actor, ask.now, ask.share, ask.contact, ask.items, ask.right, bundle_id
            ),
        )
    return deps.fields.open(secret_owner(bundle_id), "passphrase", blob)


def _revealable(
    session: Session, bundle: Bundle, actor: Actor, now: datetime
) -> tuple[Collection, RevealedSecret]:
    collection = session.scalars(
        select(Collection).where(Collection.bundle_id == bundle.id).with_for_update()
    ).first()
    secret = session.get(RevealedSecret, bundle.id)
    if collection is None or secret is None or collection.acknowledged_at is not None:
        raise NotFound
    # Only sealed columns decide: `secret_until` repeats them for the sweep's query.
    shown = collection.secret_shown_at
    if shown is not None and (now >= shown + SHOWN_AGAIN or collection.secret_session != actor.session):
        raise NotFound
    return collection, secret


def acknowledge(deps: Deps, bundle_id: str, *, actor: Actor, now: datetime) -> None:
    """The partner has kept the passphrase: its row and its key are deleted for good."""
    with deps.job(actor, "bundle.acknowledge", ("bundle", bundle_id), now) as session:
        bundle = _mine(session, bundle_id, actor)
        collection = session.scalars(
            select(Collection).where(Collection.bundle_id == bundle.id).with_for_update()
        ).first()
        if (
            collection is None
            or collection.secret_shown_at is None
            or collection.secret_session != actor.session
        ):
            raise NotFound
        if collection.acknowledged_at is None:
            leaf = record(session, "bundle.acknowledge", actor=actor, obj=("bundle", bundle_id), now=now)
            collection.acknowledged_at, collection.leaf = now, leaf
            forget_secret(deps, session, bundle_id)


def forget_secret(deps: Deps, session: Session, bundle_id: str) -> None:
    """Deletes a passphrase: the row now, its wrapping key as well; idempotent."""
    row = session.get(RevealedSecret, bundle_id)
    if row is not None:
        session.delete(row)
        session.flush()
    after_commit(session, lambda: deps.keyring.destroy(f"field:{secret_owner(bundle_id)}"))
