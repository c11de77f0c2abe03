"""Jobs on items 卷内文件: add and describe (policy.md §2.1, §2.4). What an item is made of comes by gateway.archive.uploads."""

from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from gateway.archive.cases import writable_case
from gateway.archive.models import Case, Item
from gateway.archive.rules import known_classes, raised_level
from gateway.archive.subjects import plain
from gateway.archive.vocabulary import ITEM_TYPES, ORIGINALS
from gateway.audit.service import record
from gateway.db import locked, new_id
from gateway.deps import Deps
from gateway.errors import Invalid, NotFound
from gateway.principal import Actor, Text


@dataclass(frozen=True)
class ItemEntry:
    """An item as typed: `classes` of F01–F12, `level` 1–3 or None for that of the highest class."""

    title: str
    type: str
    classes: tuple[str, ...]
    level: int | None = None
    original: str = "ORIGINAL"
    author: str = ""
    dated: date | None = None

    def checked(self, now: datetime) -> "ItemEntry":
        """The entry in its stored form, its level settled; raises Invalid naming the field."""
        for name, known in (("type", ITEM_TYPES), ("original", ORIGINALS)):
            if getattr(self, name) not in known:
                raise Invalid(name, Text("请从列表中选择。", "Choose from the list."))
        if self.dated is not None and not date(1950, 1, 1) <= self.dated <= now.date():
            raise Invalid(
                "dated", Text("日期须在 1950 年与今天之间。", "The date lies between 1950 and today.")
            )
        classes = tuple(known_classes(self.classes))
        title = plain(self.title, longest=100, field="title")
        author = plain(self.author, longest=60, shortest=0, field="author")
        return replace(
            self, title=title, author=author, classes=classes, level=raised_level(classes, self.level)
        )


def add_item(deps: Deps, case_id: str, entry: ItemEntry, *, actor: Actor, now: datetime) -> str:
    """A new item at the end of a case that is being catalogued or amended; returns its id."""
    with deps.job(actor, "item.add", ("case", case_id), now) as session:
        case = writable_case(session, case_id, actor=actor, now=now)
        item = Item(id=new_id(), case_id=case.id, number=_next_number(session, case))
        _fill(item, entry.checked(now))
        session.add(item)
        _record(session, "item.added", item, actor, now)
        return item.id


def edit_item(deps: Deps, item_id: str, entry: ItemEntry, *, actor: Actor, now: datetime) -> None:
    """Describes an item anew. Once the case has its number, neither level nor classes shrink: 降低密级 takes two people."""
    with deps.job(actor, "item.edit", ("item", item_id), now) as session:
        item = locked(session, Item, item_id)
        if item is None:
            raise NotFound
        case = writable_case(session, item.case_id, actor=actor, now=now)
        good = entry.checked(now)
        if case.number is not None:
            _not_lowered(item, good)
        _fill(item, good)
        _record(session, "item.edited", item, actor, now)


def _not_lowered(item: Item, entry: ItemEntry) -> None:
    if not set(item.classes) <= set(entry.classes):
        raise Invalid(
            "classes", Text("已归档文件的信息类别只能增加。", "A filed item's classes may only grow.")
        )
    if entry.level is None or entry.level < item.level:
        raise Invalid(
            "level", Text("已归档文件的密级不能降低。", "A filed item's level is not lowered here.")
        )


def _next_number(session: Session, case: Case) -> int:
    last = session.scalar(select(func.max(Item.number)).where(Item.case_id == case.id))
    number = (last or 0) + 1
    if number > 9999:
        raise Invalid("title", Text("一卷最多 9999 份文件。", "A case holds at most 9999 items."))
    return number


def _fill(item: Item, entry: ItemEntry) -> None:
    assert entry.level is not None
    item.title, item.type, item.classes, item.level = (
        entry.title,
        entry.type,
        list(entry.classes),
        entry.level,
    )
    item.original, item.author, item.dated = entry.original, entry.author, entry.dated


def _record(session: Session, event: str, item: Item, actor: Actor, now: datetime) -> None:
    data: dict[str, Any] = {"case": item.case_id, "number": item.number, "type": item.type}
    data |= {"classes": sorted(item.classes), "level": item.level}
    record(session, event, actor=actor, obj=("item", item.id), now=now, **data)
