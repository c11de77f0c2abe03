"""What the archive tells the release decision, and which items may be put into a share (policy.md §4)."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from gateway.archive.clients import ANY_PURPOSE
from gateway.archive.models import Case, Client, Item, ItemVersion, LegalBasis
from gateway.archive.rules import item_number
from gateway.archive.subjects import mask_title
from gateway.archive.visibility import may_see, visible_cases
from gateway.archive.vocabulary import PURPOSES
from gateway.deps import Deps
from gateway.policy.facts import ItemFact
from gateway.principal import Actor, Role
from gateway.release import Ask


def item_facts(deps: Deps, session: Session, ask: Ask) -> Mapping[str, Any]:
    """`items` for every item asked for, and `duty` for a duty view. An unknown item empties `items`: nothing is met."""
    found: list[ItemFact] = []
    for item_id, version in ask.items:
        fact = _fact(session, item_id, version, ask)
        if fact is None:
            return {"items": (), "duty": False}
        found.append(fact)
    offered: dict[str, Any] = {"items": tuple(found)}
    if ask.exit == "duty_view":
        offered["duty"] = _on_duty(session, ask)
    return offered


FACTS = (item_facts,)


def _fact(session: Session, item_id: str, version: int, ask: Ask) -> ItemFact | None:
    item = session.get(Item, item_id, populate_existing=True)
    case = session.get(Case, item.case_id, populate_existing=True) if item is not None else None
    query = select(ItemVersion).where(ItemVersion.item_id == item_id, ItemVersion.version == version)
    row = session.scalars(query.execution_options(populate_existing=True)).first()
    if item is None or case is None or row is None:
        return None
    ready = row.state == "READY" and row.sha256 is not None
    bases = _live_bases(session, case.client_id)
    return ItemFact(
        id=item.id,
        version=version,
        client=case.client_id,
        classes=frozenset(item.classes),
        level=item.level,
        filed=case.state == "FILED" and case.number is not None,
        alive=case.alive and case.state != "VOID",
        markable=ready and row.markable,
        scan=row.scan.lower(),
        intact=ready,
        # Looking at one's own archive serves what it was collected for: any live basis will do there.
        basis=_covers(bases, item.classes, None if ask.exit == "duty_view" else ANY_PURPOSE),
        newest=version == item.version,
        purposes=frozenset(p for p in PURPOSES if _covers(bases, item.classes, p)),
    )


def has_basis(session: Session, client_id: str, classes: Iterable[str], purpose: str | None) -> bool:
    """Whether every class has a live legal basis for the purpose, or a general one; purpose None asks for any live basis."""
    return _covers(_live_bases(session, client_id), classes, purpose)


def _live_bases(session: Session, client_id: str) -> Sequence[LegalBasis]:
    query = select(LegalBasis).where(LegalBasis.client_id == client_id, LegalBasis.ended_at.is_(None))
    return session.scalars(query.execution_options(populate_existing=True)).all()


def _covers(bases: Sequence[LegalBasis], classes: Iterable[str], purpose: str | None) -> bool:
    held = {b.field_class for b in bases if purpose is None or b.purpose in (purpose, ANY_PURPOSE)}
    wanted = set(classes)
    return bool(wanted) and wanted <= held


def _on_duty(session: Session, ask: Ask) -> bool:
    if ask.duty_purpose not in PURPOSES or not ask.items:
        return False
    for item_id, _ in ask.items:
        item = session.get(Item, item_id)
        if item is None or not may_see(session, ask.actor, item, ask.now).reads(item.classes):
            return False
    return ask.actor.has(Role.HOD, Role.ARC, Role.BIZ, Role.DGM)


@dataclass(frozen=True)
class ShareableItem:
    """A filed item's newest version, as someone who prepares a share may see it; `title` is masked where they may not read it."""

    id: str
    version: int
    number: str
    case_id: str
    client_id: str
    title: str
    type: str
    classes: frozenset[str]
    level: int
    pages: int
    size: int
    file_name: str
    markable: bool
    why_not: str | None


def items_for_share(
    deps: Deps, *, actor: Actor, now: datetime, client_id: str | None = None
) -> list[ShareableItem]:
    """Filed items that the actor may share: heads their department's, business staff their own clients' (policy.md §1)."""
    if not actor.has(Role.HOD, Role.BIZ):
        return []
    query = (
        select(Item, Case, Client)
        .join(Case, Case.id == Item.case_id)
        .join(Client, Client.id == Case.client_id)
        .where(Case.state == "FILED", Case.alive, Item.version > 0)
        .order_by(Case.number, Item.number)
        .limit(2000)
    )
    if client_id is not None:
        query = query.where(Case.client_id == client_id)
    with deps.database.read() as session:
        rows = session.execute(query.where(visible_cases(session, actor, now))).all()
        return [_shareable(session, i, c, actor, now) for i, c, client in rows if may_share(c, client, actor)]


def may_share(case: Case, client: Client, actor: Actor) -> bool:
    """Whether the actor may ask for a share of this case's items."""
    own = actor.has(Role.BIZ) and client.owner == actor.id
    return own or (
        actor.has(Role.HOD) and actor.department is not None and case.department_id == actor.department
    )


def shareable_item(session: Session, item_id: str, *, actor: Actor, now: datetime) -> ShareableItem | None:
    """One item, if the actor may share it; None otherwise, whatever the reason."""
    item = session.get(Item, item_id)
    case = session.get(Case, item.case_id) if item is not None else None
    client = session.get(Client, case.client_id) if case is not None else None
    if item is None or case is None or client is None or not may_share(case, client, actor):
        return None
    return (
        _shareable(session, item, case, actor, now)
        if case.state == "FILED" and case.alive and item.version
        else None
    )


def _shareable(session: Session, item: Item, case: Case, actor: Actor, now: datetime) -> ShareableItem:
    query = select(ItemVersion).where(ItemVersion.item_id == item.id, ItemVersion.version == item.version)
    row = session.scalars(query).one()
    readable = may_see(session, actor, item, now).titles
    return ShareableItem(
        id=item.id,
        version=item.version,
        number=item_number(case.number or case.temp_no, item.number),
        case_id=case.id,
        client_id=case.client_id,
        title=item.title if readable else mask_title(item.title),
        type=item.type,
        classes=frozenset(item.classes),
        level=item.level,
        pages=row.pages,
        size=row.size,
        file_name=row.file_name if readable else "",
        markable=row.markable,
        why_not=row.why_not,
    )
