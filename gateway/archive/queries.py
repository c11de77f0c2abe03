"""What the archive's pages read of clients, cases and items, masked by the reader's scope; foreign things are NotFound."""

from datetime import datetime
from typing import Any

from sqlalchemy import Select, func, or_, select
from sqlalchemy.orm import Session

from gateway.archive.cases import gaps, may_write
from gateway.archive.clients import COLUMNS, may_edit, opened
from gateway.archive.models import Case, Client, Item, ItemVersion, LegalBasis, Proof, Upload
from gateway.archive.registers import account_name, grant_list, grantees, waiting_reviews
from gateway.archive.results import (
    BasisRow,
    CaseFilter,
    CaseList,
    CasePage,
    CaseRow,
    Choice,
    ClientPage,
    ClientRow,
    ItemPage,
    ItemRow,
    SealedField,
    Step,
    VersionRow,
    Viewable,
)
from gateway.archive.rules import CASE, Scope, fold, item_number
from gateway.archive.subjects import mask_address, mask_id, mask_name, mask_phone, mask_title
from gateway.archive.visibility import may_see, seen, visible_cases, visible_clients
from gateway.audit.models import Leaf
from gateway.deps import Deps
from gateway.errors import NotFound
from gateway.identity.models import Department
from gateway.jobs.service import view
from gateway.principal import Actor, Role, Text
from gateway.workflow import Move

__all__ = [
    "CaseFilter",
    "case_list",
    "case_page",
    "client_list",
    "client_page",
    "departments",
    "grant_list",
    "grantees",
    "item_page",
    "version_row",
    "viewable",
    "waiting_reviews",
]

MOST = 200
_MASKS = {"name": mask_name, "phone": mask_phone, "id_no": mask_id, "address": mask_address}


def _department(session: Session, department: str) -> str:
    row = session.get(Department, department)
    return row.name if row is not None else ""


def departments(deps: Deps) -> tuple[Choice, ...]:
    """Every department, by code."""
    with deps.database.read() as session:
        return tuple(
            Choice(d.id, d.name) for d in session.scalars(select(Department).order_by(Department.code))
        )


def _masked(deps: Deps, client: Client, column: str) -> str:
    blob: bytes | None = getattr(client, column)
    if blob is None:
        return ""
    try:
        return _MASKS[column](opened(deps, client.id, column, blob))
    except NotFound:
        # The client's key was destroyed: the row stays as a stub.
        return "****"


def _client_row(deps: Deps, session: Session, client: Client) -> ClientRow:
    name = _masked(deps, client, "name")
    department = _department(session, client.department_id)
    flags = client.id_unverified, client.minors
    return ClientRow(client.id, client.client_no, client.type, name, department, client.status, *flags)


def client_list(deps: Deps, asked: str, *, actor: Actor, now: datetime) -> tuple[ClientRow, ...]:
    """The reader's clients; with `asked`, those whose name, phone, identity number or client number is exactly that."""
    query = select(Client).order_by(Client.client_no.desc()).limit(MOST)
    if asked.strip():
        text, bare = asked.strip(), fold(asked)
        found = (
            Client.client_no == bare,
            Client.name_hash == deps.search.digest("name", text),
            Client.phone_hash.in_(
                [deps.search.digest("phone", bare), deps.search.digest("phone", bare.replace("-", ""))]
            ),
            Client.id_hash == deps.search.digest("id_no", bare),
        )
        query = query.where(or_(*found))
    with deps.database.read() as session:
        rows = session.scalars(query.where(visible_clients(session, actor, now)))
        return tuple(_client_row(deps, session, c) for c in rows)


def client_page(deps: Deps, client_id: str, *, actor: Actor, now: datetime) -> ClientPage:
    """One client; raises NotFound for a client out of the reader's knowledge."""
    with deps.database.read() as session:
        client, scope = seen(session, actor, session.get(Client, client_id), now)
        edit = may_edit(client, actor)
        query = _cases().where(Case.client_id == client.id, visible_cases(session, actor, now))
        return ClientPage(
            row=_client_row(deps, session, client),
            fields=tuple(_sealed(deps, client, column, scope) for column in COLUMNS),
            bases=_bases(session, client),
            cases=tuple(
                _case_row(session, c, actor, now)
                for c in session.scalars(query.order_by(Case.created_at.desc()))
            ),
            id_type=client.id_type or "",
            owner=account_name(session, client.owner),
            may_edit=edit,
            may_add_basis=edit or actor.has(Role.ARC),
            may_open_case=edit or actor.has(Role.ARC),
        )


def _sealed(deps: Deps, client: Client, column: str, scope: Scope) -> SealedField:
    present = getattr(client, column) is not None
    masked = _masked(deps, client, column)
    return SealedField(column, COLUMNS[column], masked, present, present and COLUMNS[column] in scope.reveal)


def _bases(session: Session, client: Client) -> tuple[BasisRow, ...]:
    query = select(LegalBasis).where(LegalBasis.client_id == client.id)
    rows = session.scalars(query.order_by(LegalBasis.field_class, LegalBasis.at))
    return tuple(
        BasisRow(r.id, r.field_class, r.basis, r.purpose, r.notice_version, r.at, r.ended_at) for r in rows
    )


def _cases() -> Select[Case]:
    return select(Case).join(Client, Client.id == Case.client_id)


def _case_row(session: Session, case: Case, actor: Actor, now: datetime) -> CaseRow:
    items = list(session.scalars(select(Item.level).where(Item.case_id == case.id)))
    titled = may_see(session, actor, case, now).titles
    return CaseRow(
        id=case.id,
        number=case.number or case.temp_no,
        filed=case.number is not None,
        title=case.title if titled else mask_title(case.title),
        state=case.state,
        department=_department(session, case.department_id),
        year=case.year,
        level=max(items, default=1),
        items=len(items),
        created_at=case.created_at,
    )


def case_list(deps: Deps, asked: CaseFilter, *, actor: Actor, now: datetime) -> CaseList:
    """The cases that the reader may know of, newest first."""
    query = _cases()
    if asked.state:
        query = query.where(Case.state == asked.state)
    if asked.department:
        query = query.where(Case.department_id == asked.department)
    if asked.year is not None:
        query = query.where(Case.year == asked.year)
    if asked.level is not None:
        query = query.where(_highest_level() == asked.level)
    if asked.number.strip():
        wanted = fold(asked.number)
        query = query.where(
            or_(Case.number.contains(wanted, autoescape=True), Case.temp_no.contains(wanted, autoescape=True))
        )
    with deps.database.read() as session:
        query = query.where(visible_cases(session, actor, now))
        total = session.scalar(select(func.count()).select_from(query.subquery())) or 0
        rows = session.scalars(query.order_by(Case.created_at.desc(), Case.id).limit(MOST))
        return CaseList(tuple(_case_row(session, c, actor, now) for c in rows), total)


def _highest_level() -> Any:
    highest = select(func.max(Item.level)).where(Item.case_id == Case.id).correlate(Case).scalar_subquery()
    return func.coalesce(highest, 1)


def case_page(deps: Deps, case_id: str, *, actor: Actor, now: datetime) -> CasePage:
    """One case; raises NotFound for a case out of the reader's knowledge."""
    with deps.database.read() as session:
        case, scope = seen(session, actor, session.get(Case, case_id), now)
        client = session.get(Client, case.client_id)
        assert client is not None
        items = session.scalars(select(Item).where(Item.case_id == case.id).order_by(Item.number))
        return CasePage(
            row=_case_row(session, case, actor, now),
            temp_no=case.temp_no,
            client=_client_row(deps, session, client),
            category=case.category,
            retention=case.retention,
            media=case.media,
            location=case.location,
            cataloguer=account_name(session, case.catalogued_by),
            reviewer=account_name(session, case.reviewed_by),
            filed_at=case.filed_at,
            items=tuple(_item_row(session, i, case, scope) for i in items),
            gaps=gaps(session, case) if case.state in ("CATALOGUING", "AMENDING", "REVIEW") else (),
            moves=_moves(case, actor),
            writable=may_write(case, scope, actor),
            may_grant=actor.has(Role.HOD) and actor.department == case.department_id,
            history=_history(session, case),
        )


def _moves(case: Case, actor: Actor) -> tuple[Move, ...]:
    offered = CASE.offered(case.state, actor)
    unclaimed = case.catalogued_by is None
    return tuple(m for m in offered if m.event != "claim" or unclaimed)


_WORDS = {move.event: move.button for move in CASE.moves}


def _history(session: Session, case: Case) -> tuple[Step, ...]:
    query = select(Leaf).where(
        Leaf.object_kind == "case", Leaf.object_id == case.id, Leaf.event.startswith("case.")
    )
    acts = {m.event for m in CASE.moves if m.act}
    steps = []
    for leaf in session.scalars(query.order_by(Leaf.at.desc()).limit(50)):
        event = leaf.event.removeprefix("case.")
        text = _WORDS.get(event, Text("修改编目", "Catalogue entry changed"))
        steps.append(Step(text, leaf.at, event in acts, leaf.id[:12]))
    return tuple(steps)


def _item_row(session: Session, item: Item, case: Case, scope: Scope) -> ItemRow:
    states = list(
        session.scalars(
            select(ItemVersion.state).where(ItemVersion.item_id == item.id).order_by(ItemVersion.version)
        )
    )
    return ItemRow(
        id=item.id,
        number=item_number(case.number, item.number) if case.number else f"{item.number:03}",
        title=item.title if scope.titles else mask_title(item.title),
        type=item.type,
        classes=tuple(item.classes),
        level=item.level,
        original=item.original,
        author=item.author if scope.titles else "",
        dated=item.dated,
        version=item.version,
        readable=scope.reads(item.classes),
        state=states[-1] if states else "",
    )


def item_page(deps: Deps, item_id: str, *, actor: Actor, now: datetime) -> ItemPage:
    """One item with its versions; raises NotFound for an item out of the reader's knowledge."""
    with deps.database.read() as session:
        item, scope = seen(session, actor, session.get(Item, item_id), now)
        case = session.get(Case, item.case_id)
        assert case is not None
        query = select(ItemVersion).where(ItemVersion.item_id == item.id).order_by(ItemVersion.version.desc())
        return ItemPage(
            row=_item_row(session, item, case, scope),
            case=_case_row(session, case, actor, now),
            versions=tuple(_version_row(session, v, item, scope, actor) for v in session.scalars(query)),
            writable=may_write(case, scope, actor),
            viewable=scope.reads(item.classes),
        )


def _version_row(session: Session, row: ItemVersion, item: Item, scope: Scope, actor: Actor) -> VersionRow:
    upload = session.scalars(select(Upload).where(Upload.item_version_id == row.id)).first()
    going = upload is not None and upload.state == "OPEN" and upload.owner == actor.id
    proof = session.get(Proof, row.id) if scope.titles else None
    return VersionRow(
        id=row.id,
        version=row.version,
        label=row.label,
        state=row.state,
        file_name=row.file_name if scope.titles else "",
        size=row.size,
        sha256=row.sha256,
        kind=row.kind,
        mime=row.mime,
        pages=row.pages,
        markable=row.markable,
        why_not=row.why_not,
        scan=row.scan,
        uploaded_by=account_name(session, row.uploaded_by),
        created_at=row.created_at,
        newest=row.version == item.version,
        upload=upload.id if upload is not None and going else None,
        job=view(session, upload.job_id)
        if upload is not None and upload.job_id and row.state == "CHECKING"
        else None,
        report=_report(proof),
    )


def _report(proof: Proof | None) -> tuple[tuple[str, str], ...]:
    return (
        tuple((k, str(v)) for k, v in sorted(proof.report.items()) if v is not None)
        if proof is not None
        else ()
    )


def version_row(deps: Deps, item_id: str, version: int, *, actor: Actor, now: datetime) -> VersionRow:
    """One version, for the fragment that shows its progress; NotFound."""
    found = [v for v in item_page(deps, item_id, actor=actor, now=now).versions if v.version == version]
    if not found:
        raise NotFound
    return found[0]


def viewable(deps: Deps, item_id: str, version: int, *, actor: Actor, now: datetime) -> Viewable:
    """What a duty view of a version needs; NotFound unless the reader may read its content and it is ready."""
    with deps.database.read() as session:
        item, scope = seen(session, actor, session.get(Item, item_id), now)
        case = session.get(Case, item.case_id)
        query = select(ItemVersion).where(ItemVersion.item_id == item.id, ItemVersion.version == version)
        row = session.scalars(query).first()
        if (
            case is None
            or row is None
            or row.state != "READY"
            or row.sha256 is None
            or not scope.reads(item.classes)
        ):
            raise NotFound
        number = item_number(case.number or case.temp_no, item.number)
        return Viewable(number, item.title, row.sha256, row.pages, row.markable)
