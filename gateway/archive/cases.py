"""Jobs on cases 案卷: create, catalogue, review, file, amend, void (policy.md §3.1, §3.2)."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from gateway.archive.models import Case, Client, Item, ItemVersion
from gateway.archive.numbering import COMPANY_ZONE, next_file_number, next_temporary
from gateway.archive.rules import CASE, EDITABLE, Scope
from gateway.archive.subjects import plain
from gateway.archive.visibility import seen
from gateway.archive.vocabulary import CATEGORIES, MEDIA, RETENTION
from gateway.audit.service import record
from gateway.db import locked, new_id
from gateway.deps import Deps, Event
from gateway.errors import Invalid, NotAllowed, WrongState
from gateway.principal import Actor, Role, Text
from gateway.workflow import move

_CHOOSE = Text("请从列表中选择。", "Choose from the list.")


@dataclass(frozen=True)
class CaseEntry:
    """The catalogue entry of a case as typed: title to 100 characters, codes of the vocabulary, where the paper lies."""

    title: str
    category: str = "KH"
    year: int | None = None
    retention: str = "BG1"
    media: str = "ELECTRONIC"
    location: str = ""

    def checked(self, now: datetime) -> "CaseEntry":
        """The entry in its stored form; raises Invalid naming the field. Without a year the company's present one is taken."""
        for name, known in (("category", CATEGORIES), ("retention", RETENTION), ("media", MEDIA)):
            if getattr(self, name) not in known:
                raise Invalid(name, _CHOOSE)
        this_year = now.astimezone(COMPANY_ZONE).year
        year = this_year if self.year is None else self.year
        if not 2000 <= year <= this_year:
            raise Invalid(
                "year",
                Text(f"请填 2000 到 {this_year} 之间的年度。", f"Give a year from 2000 to {this_year}."),
            )
        title = plain(self.title, longest=100, field="title")
        location = plain(self.location, longest=60, shortest=0, field="location")
        return replace(self, title=title, location=location, year=year)


def create_case(deps: Deps, client_id: str, entry: CaseEntry, *, actor: Actor, now: datetime) -> str:
    """A new case of a client with its temporary number; returns the case's id.

    Business staff do it for their own clients, heads for their department's, archivists for any.
    """
    with deps.job(actor, "case.create", ("client", client_id), now) as session:
        client, _ = seen(session, actor, session.get(Client, client_id), now)
        _may_create(client, actor)
        good = entry.checked(now)
        case = Case(
            id=new_id(),
            client_id=client.id,
            department_id=client.department_id,
            created_by=actor.id,
            created_at=now,
        )
        _fill(case, good)
        case.temp_no = next_temporary(session, now)
        move(deps, session, CASE, case, "create", actor=actor, now=now, temp_no=case.temp_no)
        return case.id


def _may_create(client: Client, actor: Actor) -> None:
    own = actor.has(Role.BIZ) and client.owner == actor.id
    headed = actor.has(Role.HOD) and client.department_id == actor.department
    if not (own or headed or actor.has(Role.ARC)):
        raise NotAllowed


def _fill(case: Case, entry: CaseEntry) -> None:
    assert entry.year is not None
    case.title, case.category, case.year = entry.title, entry.category, entry.year
    case.retention, case.media, case.location = entry.retention, entry.media, entry.location


def edit_case(deps: Deps, case_id: str, entry: CaseEntry, *, actor: Actor, now: datetime) -> None:
    """Writes the catalogue entry; category and year stay once a number was given. WrongState outside cataloguing and amending."""
    with deps.job(actor, "case.edit", ("case", case_id), now) as session:
        case = writable_case(session, case_id, actor=actor, now=now)
        good = entry.checked(now)
        if case.number is not None and (good.category, good.year) != (case.category, case.year):
            raise Invalid(
                "year",
                Text("档号已编，类别和年度不能再改。", "The file number is given: category and year stay."),
            )
        _fill(case, good)
        case.leaf = record(session, "case.edited", actor=actor, obj=("case", case.id), now=now)


def writable_case(session: Session, case_id: str, *, actor: Actor, now: datetime) -> Case:
    """The locked case, if the actor may now add to it or change it.

    Before hand-over those who may write; from the claim on the archivist who claimed. Raises NotFound, NotAllowed, WrongState.
    """
    case, scope = seen(session, actor, locked(session, Case, case_id), now)
    if case.state not in EDITABLE:
        raise WrongState
    if not may_write(case, scope, actor):
        raise NotAllowed
    return case


def may_write(case: Case, scope: Scope, actor: Actor) -> bool:
    """Whether the actor is the one who may write in the case's present state."""
    if case.state not in EDITABLE:
        return False
    if case.catalogued_by is not None:
        return case.catalogued_by == actor.id and actor.has(Role.ARC)
    return scope.write and (
        not actor.has(Role.ARC) or actor.has(Role.BIZ, Role.HOD) or case.created_by == actor.id
    )


def _step(
    deps: Deps,
    case_id: str,
    event: str,
    *,
    actor: Actor,
    now: datetime,
    reason: str | None = None,
    **values: Any,
) -> None:
    with deps.job(actor, f"case.{event}", ("case", case_id), now) as session:
        case, _ = seen(session, actor, locked(session, Case, case_id), now)
        move(deps, session, CASE, case, event, actor=actor, now=now, reason=reason)
        for name, value in values.items():
            setattr(case, name, value)


def claim_case(deps: Deps, case_id: str, *, actor: Actor, now: datetime) -> None:
    """The archivist takes the case over for cataloguing: with this the hand-over is done."""
    _step(deps, case_id, "claim", actor=actor, now=now, catalogued_by=actor.id)


def submit_case(deps: Deps, case_id: str, *, actor: Actor, now: datetime) -> None:
    """Sends the entry to review; raises WrongState INCOMPLETE naming what is missing."""
    with deps.job(actor, "case.submit", ("case", case_id), now) as session:
        case, _ = seen(session, actor, locked(session, Case, case_id), now)
        move(deps, session, CASE, case, "submit", actor=actor, now=now, gaps=gaps(session, case))


def file_case(deps: Deps, case_id: str, *, actor: Actor, now: datetime) -> str:
    """The second person confirms: the 档号 is given in this transaction, and returned. Raises NotAllowed SOD-2, StaleFactor."""
    with deps.job(actor, "case.file", ("case", case_id), now) as session:
        case, _ = seen(session, actor, locked(session, Case, case_id), now)
        superseded = _superseded(session, case)
        number = case.number
        if number is None and case.state == "REVIEW":
            number = case.number = next_file_number(session, deps.settings.fonds, case)
        items = len(_items(session, case))
        leaf = move(
            deps,
            session,
            CASE,
            case,
            "file",
            actor=actor,
            now=now,
            number=number,
            items=items,
            gaps=gaps(session, case),
        )
        case.reviewed_by, case.filed_at = actor.id, now
        for item in superseded:
            deps.publish(
                session,
                Event("item.superseded", ("item", item.id), now, actor, leaf, {"version": item.version}),
            )
        assert number is not None
        return number


def _superseded(session: Session, case: Case) -> list[Item]:
    if case.filed_at is None:
        return []
    since = case.filed_at
    return [
        i
        for i in _items(session, case)
        if any(v.created_at > since for v in _versions(session, i) if v.version > 1)
    ]


def return_case(deps: Deps, case_id: str, *, reason: str, actor: Actor, now: datetime) -> None:
    """Back to cataloguing, with a reason."""
    _step(deps, case_id, "return", actor=actor, now=now, reason=reason)


def amend_case(deps: Deps, case_id: str, *, reason: str, actor: Actor, now: datetime) -> None:
    """Opens a filed case for correction; its releases wait until it is confirmed again. Old versions stay."""
    _step(deps, case_id, "amend", actor=actor, now=now, reason=reason, catalogued_by=actor.id)


def void_case(deps: Deps, case_id: str, *, reason: str, actor: Actor, now: datetime) -> None:
    """Voids a case; one that had a number only out of review, so that a second person does it. The number is never used again."""
    _step(deps, case_id, "void", actor=actor, now=now, reason=reason, alive=False)


def _items(session: Session, case: Case) -> list[Item]:
    return list(session.scalars(select(Item).where(Item.case_id == case.id).order_by(Item.number)))


def _versions(session: Session, item: Item) -> list[ItemVersion]:
    return list(
        session.scalars(
            select(ItemVersion).where(ItemVersion.item_id == item.id).order_by(ItemVersion.version)
        )
    )


def gaps(session: Session, case: Case) -> tuple[Text, ...]:
    """What is still missing before the entry can be reviewed or filed; empty when nothing is."""
    found: list[Text] = []
    items = _items(session, case)
    if not items:
        found.append(Text("至少一份卷内文件", "at least one item"))
    if case.media != "ELECTRONIC" and not case.location:
        found.append(Text("存放位置", "the location"))
    for item in items:
        states = {v.state for v in _versions(session, item)}
        if states & {"UPLOADING", "CHECKING"}:
            found.append(
                Text(f"{item.number:03} 号文件尚在上传或检验", f"item {item.number:03} is not checked yet")
            )
        elif "READY" not in states and case.media == "ELECTRONIC":
            found.append(
                Text(f"{item.number:03} 号文件没有可用的版本", f"item {item.number:03} has no usable version")
            )
    return tuple(found)
