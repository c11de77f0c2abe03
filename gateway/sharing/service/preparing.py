"""Making a bundle: reserve numbers under the gate, mark and read back in the worker, commit to the manifest, seal, store."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from gateway.archive.models import Item, ItemVersion
from gateway.archive.service import next_copy_number
from gateway.db import locked, new_id
from gateway.deps import Deps
from gateway.errors import NotFound
from gateway.identity.models import Contact
from gateway.jobs.service import enqueue
from gateway.principal import Actor, Text
from gateway.release import Ask, demand
from gateway.sharing.errors import BadShare
from gateway.sharing.models import Bundle, Copy, Share, ShareContact, ShareItem
from gateway.sharing.rules import BUNDLE, COPY, bundle_format
from gateway.workflow import move
from watermark.bundle import file_name


def prepare(
    deps: Deps, share_id: str, item_ids: Sequence[str], *, wanted: str | None, actor: Actor, now: datetime
) -> list[str]:
    """Reserves copies of the chosen items for the contact who asks and queues their making; returns the bundles' ids.

    `wanted` is pdf (several PDFs are then taken one by one), zip, age or None for the best fit. The same request while one is
    being made or lies ready returns that one. Raises Withheld with the vector when a reserve condition is unmet.
    """
    with deps.job(actor, "bundle.prepare", ("share", share_id), now) as session:
        share = _visible(session, share_id, actor)
        chosen = _chosen(session, share, item_ids)
        kinds = [version.kind or "" for _, version in chosen]
        apart = wanted == "pdf" and len(chosen) > 1 and set(kinds) == {"pdf"}
        groups = [[one] for one in chosen] if apart else [chosen]
        return [_reserve(deps, session, share, group, wanted, actor, now) for group in groups]


def _visible(session: Session, share_id: str, actor: Actor) -> Share:
    share = locked(session, Share, share_id)
    named = select(ShareContact).where(ShareContact.share_id == share_id, ShareContact.contact_id == actor.id)
    if share is None or actor.kind != "contact" or session.scalars(named).first() is None:
        raise NotFound
    return share


def _chosen(session: Session, share: Share, item_ids: Sequence[str]) -> list[tuple[Item, ItemVersion]]:
    listed = {
        row.item_id: row.version
        for row in session.scalars(select(ShareItem).where(ShareItem.share_id == share.id))
    }
    wanted = list(dict.fromkeys(item_ids))
    if not wanted:
        raise BadShare("items", Text("请选择文件。", "Choose at least one file."))
    if any(item_id not in listed for item_id in wanted):
        raise NotFound
    return [(locked(session, Item, i) or _lost(), version_of(session, i, listed[i])) for i in wanted]


def version_of(session: Session, item_id: str, version: int) -> ItemVersion:
    return session.scalars(
        select(ItemVersion).where(ItemVersion.item_id == item_id, ItemVersion.version == version)
    ).one()


def _lost() -> Item:
    raise NotFound


def _reserve(
    deps: Deps,
    session: Session,
    share: Share,
    chosen: list[tuple[Item, ItemVersion]],
    wanted: str | None,
    actor: Actor,
    now: datetime,
) -> str:
    items = tuple((item.id, version.version) for item, version in chosen)
    contact = session.get_one(Contact, actor.id)
    fmt = bundle_format([v.kind or "" for _, v in chosen], wanted, has_key=contact.age_recipient is not None)
    open_one = _open_bundle(session, share.id, actor.id, items, fmt, now)
    if open_one is not None:
        return open_one
    decision = demand(
        deps, session, Ask("copy", "reserve", actor, now, share.id, actor.id, items, "DOWNLOAD")
    )
    hours = deps.parameters(session, now)["copy.abandon_h"]
    bundle = Bundle(
        id=new_id(), state="", share_id=share.id, contact_id=actor.id, format=fmt, prepared_at=now
    )
    bundle.expires_at = now + timedelta(hours=hours)
    numbers = [next_copy_number(session, item) for item, _ in chosen]
    vector = decision.as_json()
    move(
        deps,
        session,
        BUNDLE,
        bundle,
        "prepare",
        actor=actor,
        now=now,
        share=share.id,
        contact=actor.id,
        format=fmt,
        copies=numbers,
        vector=vector,
    )
    for number, (item, version) in zip(numbers, chosen, strict=True):
        _number(deps, session, bundle, number, item, version, vector, actor, now)
    bundle.job_id = enqueue(session, "sharing.prepare", now=now, payload={"bundle": bundle.id})
    return bundle.id


def _number(
    deps: Deps,
    session: Session,
    bundle: Bundle,
    number: str,
    item: Item,
    version: ItemVersion,
    vector: list[dict[str, Any]],
    actor: Actor,
    now: datetime,
) -> None:
    owner = {"share_id": bundle.share_id, "contact_id": bundle.contact_id}
    copy = Copy(
        id=new_id(), state="", number=number, bundle_id=bundle.id, item_id=item.id, created_at=now, **owner
    )
    copy.version, copy.vector, copy.file_name = version.version, vector, file_name(number, version.kind or "")
    about = {"number": number, "share": bundle.share_id, "contact": bundle.contact_id, "item": item.id}
    move(deps, session, COPY, copy, "reserve", actor=actor, now=now, version=version.version, **about)


def _open_bundle(
    session: Session,
    share_id: str,
    contact_id: str,
    items: tuple[tuple[str, int], ...],
    fmt: str,
    now: datetime,
) -> str | None:
    query = select(Bundle).where(
        Bundle.share_id == share_id,
        Bundle.contact_id == contact_id,
        Bundle.format == fmt,
        Bundle.state.in_(("PREPARING", "READY")),
        Bundle.expires_at > now,
    )
    for bundle in session.scalars(query):
        held = {
            (c.item_id, c.version) for c in session.scalars(select(Copy).where(Copy.bundle_id == bundle.id))
        }
        if held == set(items):
            return bundle.id
    return None
