"""Jobs on clients: register and edit, legal bases, revealing a sealed field (policy.md §2.3, §2.7)."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from gateway.archive import subjects
from gateway.archive.models import Client, LegalBasis
from gateway.archive.numbering import next_client_number
from gateway.archive.visibility import seen
from gateway.archive.vocabulary import ALL_CLASSES, BASES, CLIENT_STATES, CLIENT_TYPES, ID_TYPES, PURPOSES
from gateway.audit.service import record
from gateway.db import locked, new_id
from gateway.deps import Deps, require_reason
from gateway.errors import Invalid, NotAllowed, NotFound, Unavailable, WrongState
from gateway.identity.models import Account
from gateway.principal import Actor, Role, Text
from storage.errors import KeyGone, StorageError

# Which field class each sealed column belongs to.
COLUMNS = {"name": "F01", "phone": "F02", "id_no": "F03", "address": "F05"}
# A basis for every purpose: the contract's own, as the notice describes it.
ANY_PURPOSE = "ALL"
_CHOOSE = Text("请从列表中选择。", "Choose from the list.")


@dataclass(frozen=True)
class ClientEntry:
    """A client as typed. `owner` is the account in charge (None: the actor); `reason` explains a failing identity number."""

    name: str
    type: str = "PERSON"
    phone: str = ""
    id_type: str = ""
    id_no: str = ""
    address: str = ""
    status: str = "INTENT"
    minors: bool = False
    owner: str | None = None
    reason: str | None = None


@dataclass(frozen=True)
class Saved:
    """What became of an entry. `duplicates` are numbers of clients that look the same, "" for one the actor may not know of."""

    id: str
    client_no: str
    id_unverified: bool
    duplicates: tuple[str, ...]


@dataclass(frozen=True)
class _Checked:
    values: dict[str, str]
    unverified: bool
    reason: str | None


def owner_label(client_id: str) -> str:
    """The owner under whose key a client's fields are sealed."""
    return f"client:{client_id}"


def create_client(deps: Deps, entry: ClientEntry, *, actor: Actor, now: datetime) -> Saved:
    """Registers a client of the actor's department; business staff own what they register, heads may name the owner.

    Raises Invalid naming the field; an identity number that fails GB 11643 is taken only with a reason, and marked 校验未通过.
    """
    client_id = new_id()
    with deps.job(actor, "client.create", ("client", client_id), now) as session:
        if not actor.has(Role.BIZ, Role.HOD) or actor.department is None:
            raise NotAllowed
        checked = _checked(entry, sample=deps.settings.demo)
        client = Client(id=client_id, department_id=actor.department, created_at=now)
        client.owner = _owner(session, entry, actor)
        client.client_no = next_client_number(session, now)
        duplicates = _fill(deps, session, client, entry, checked)
        session.add(client)
        _record(session, "client.created", client, checked, actor, now, duplicates=len(duplicates))
        return Saved(
            client.id,
            client.client_no,
            client.id_unverified,
            _visible_numbers(session, duplicates, actor, now),
        )


def edit_client(deps: Deps, client_id: str, entry: ClientEntry, *, actor: Actor, now: datetime) -> Saved:
    """Writes a client anew. A sensitive field left empty keeps what is stored, for whoever may not read it back."""
    with deps.job(actor, "client.edit", ("client", client_id), now) as session:
        client, _ = seen(session, actor, locked(session, Client, client_id), now)
        if not may_edit(client, actor):
            raise NotAllowed
        checked = _checked(entry, sample=deps.settings.demo, named=True)
        if entry.owner is not None:
            client.owner = _owner(session, entry, actor)
        duplicates = _fill(deps, session, client, entry, checked)
        _record(session, "client.edited", client, checked, actor, now, duplicates=len(duplicates))
        return Saved(
            client.id,
            client.client_no,
            client.id_unverified,
            _visible_numbers(session, duplicates, actor, now),
        )


def may_edit(client: Client, actor: Actor) -> bool:
    """Whether the actor registers and edits this client: its owner, or the head of its department."""
    own = actor.has(Role.BIZ) and client.owner == actor.id
    return own or (actor.has(Role.HOD) and client.department_id == actor.department)


def _owner(session: Session, entry: ClientEntry, actor: Actor) -> str:
    if entry.owner is None or entry.owner == actor.id:
        return actor.id
    account = session.get(Account, entry.owner)
    if (
        not actor.has(Role.HOD)
        or account is None
        or account.state != "ACTIVE"
        or account.department_id != actor.department
    ):
        raise Invalid(
            "owner", Text("经办人须是本部门在用账号。", "Choose an active account of the department.")
        )
    return account.id


def _checked(entry: ClientEntry, *, sample: bool, named: bool = False) -> _Checked:
    for name, known in (("type", CLIENT_TYPES), ("status", CLIENT_STATES)):
        if getattr(entry, name) not in known:
            raise Invalid(name, _CHOOSE)
    values: dict[str, str] = {}
    if entry.name.strip() or not named:
        values["name"] = subjects.plain(entry.name, longest=60, field="name")
    if entry.phone.strip():
        values["phone"] = subjects.phone(entry.phone, sample=sample)
    if entry.address.strip():
        values["address"] = subjects.plain(entry.address, longest=200, field="address")
    unverified, reason = False, None
    if entry.id_no.strip():
        values["id_no"], unverified = _identity_number(entry)
        reason = require_reason(entry.reason) if unverified else None
    return _Checked(values, unverified, reason)


def _identity_number(entry: ClientEntry) -> tuple[str, bool]:
    if entry.id_type not in ID_TYPES:
        raise Invalid("id_type", _CHOOSE)
    number = subjects.digits_folded(subjects.plain(entry.id_no, longest=40, field="id_no"))
    if entry.id_type != "RESIDENT":
        return number, False
    if len(number) != 18:
        raise Invalid(
            "id_no", Text("居民身份证号码为 18 位。", "A resident identity number has 18 characters.")
        )
    return number, not subjects.resident_number_valid(number)


def _fill(
    deps: Deps, session: Session, client: Client, entry: ClientEntry, checked: _Checked
) -> list[Client]:
    client.type, client.status, client.minors = entry.type, entry.status, entry.minors
    try:
        for column, value in checked.values.items():
            setattr(client, column, deps.fields.seal(owner_label(client.id), column, value))
    except StorageError as error:
        raise Unavailable from error
    for column, digest in (("name", "name_hash"), ("phone", "phone_hash"), ("id_no", "id_hash")):
        if column in checked.values:
            setattr(client, digest, deps.search.digest(column, checked.values[column]))
    if "id_no" in checked.values:
        client.id_type, client.id_unverified = entry.id_type, checked.unverified
    return _duplicates(session, client)


def _duplicates(session: Session, client: Client) -> list[Client]:
    same: list[Any] = []
    if client.id_hash is not None:
        same.append(Client.id_hash == client.id_hash)
    if client.phone_hash is not None:
        same.append((Client.phone_hash == client.phone_hash) & (Client.name_hash == client.name_hash))
    if not same:
        return []
    with session.no_autoflush:
        return list(
            session.scalars(
                select(Client).where(or_(*same), Client.id != client.id).order_by(Client.client_no)
            )
        )


def _visible_numbers(session: Session, found: list[Client], actor: Actor, now: datetime) -> tuple[str, ...]:
    # A duplicate elsewhere is told as a fact without its number, so that registering is no way to search other departments.
    session.flush()
    numbers = []
    for client in found:
        try:
            seen(session, actor, client, now)
        except NotFound:
            numbers.append("")
        else:
            numbers.append(client.client_no)
    return tuple(numbers)


def _record(
    session: Session,
    event: str,
    client: Client,
    checked: _Checked,
    actor: Actor,
    now: datetime,
    *,
    duplicates: int,
) -> None:
    written = tuple(sorted(COLUMNS[c] for c in checked.values))
    record(
        session,
        event,
        actor=actor,
        obj=("client", client.id),
        now=now,
        reason=checked.reason,
        client_no=client.client_no,
        classes=written,
        id_unverified=client.id_unverified or False,
        duplicates=duplicates,
    )


def reveal_field(
    deps: Deps, client_id: str, column: str, purpose: str, *, actor: Actor, now: datetime
) -> str:
    """One sealed field in clear, for a purpose, with an entry of its own that is committed before the text is returned.

    Raises NotFound for a client out of the actor's knowledge or an empty field, NotAllowed when the class may not be decrypted.
    """
    if column not in COLUMNS:
        raise NotFound
    if purpose not in PURPOSES:
        raise Invalid("purpose", Text("请选择用途。", "Choose a purpose."))
    with deps.job(actor, "client.reveal", ("client", client_id), now) as session:
        client, scope = seen(session, actor, session.get(Client, client_id), now)
        blob: bytes | None = getattr(client, column)
        if blob is None:
            raise NotFound
        if COLUMNS[column] not in scope.reveal:
            raise NotAllowed
        text = opened(deps, client.id, column, blob)
        held = COLUMNS[column]
        record(
            session,
            "client.revealed",
            actor=actor,
            obj=("client", client.id),
            now=now,
            field_class=held,
            purpose=purpose,
        )
    return text


def opened(deps: Deps, client_id: str, column: str, blob: bytes) -> str:
    """A sealed field's text; raises NotFound when the client's key was destroyed, Unavailable when it cannot be read now."""
    try:
        return deps.fields.open(owner_label(client_id), column, blob)
    except KeyGone as error:
        raise NotFound from error
    except StorageError as error:
        raise Unavailable from error


def add_basis(
    deps: Deps,
    client_id: str,
    field_classes: list[str],
    basis: str,
    purpose: str,
    *,
    notice_version: str = "",
    actor: Actor,
    now: datetime,
) -> list[str]:
    """Registers the legal basis of field classes of a client for one purpose, or for all (`ALL`); returns the new rows' ids.

    Consent (B1) names the version of the notice that the client was given.
    """
    if basis not in BASES:
        raise Invalid("basis", _CHOOSE)
    if purpose not in PURPOSES and purpose != ANY_PURPOSE:
        raise Invalid("purpose", Text("请选择用途。", "Choose a purpose."))
    classes = sorted(set(field_classes))
    if not classes or not ALL_CLASSES.issuperset(classes):
        raise Invalid("field_classes", Text("请选择至少一个信息类别。", "Choose at least one field class."))
    notice = subjects.plain(
        notice_version, longest=20, shortest=1 if basis == "B1" else 0, field="notice_version"
    )
    with deps.job(actor, "basis.add", ("client", client_id), now) as session:
        client, _ = seen(session, actor, session.get(Client, client_id), now)
        if not (may_edit(client, actor) or actor.has(Role.ARC)):
            raise NotAllowed
        return [_basis(session, client, c, basis, purpose, notice, actor, now).id for c in classes]


def _basis(
    session: Session,
    client: Client,
    field_class: str,
    basis: str,
    purpose: str,
    notice: str,
    actor: Actor,
    now: datetime,
) -> LegalBasis:
    row = LegalBasis(id=new_id(), client_id=client.id, field_class=field_class, basis=basis, purpose=purpose)
    row.notice_version, row.at = notice, now
    data: dict[str, Any] = {
        "client": client.id,
        "field_class": field_class,
        "basis": basis,
        "purpose": purpose,
        "notice": notice,
    }
    row.leaf = record(session, "basis.added", actor=actor, obj=("basis", row.id), now=now, **data)
    session.add(row)
    session.flush()
    return row


def end_basis(deps: Deps, basis_id: str, *, reason: str, actor: Actor, now: datetime) -> None:
    """Ends a basis: a withdrawn consent, a purpose fulfilled. Use that rests on it stops at once."""
    with deps.job(actor, "basis.end", ("basis", basis_id), now) as session:
        row = locked(session, LegalBasis, basis_id)
        client, _ = seen(session, actor, session.get(Client, row.client_id) if row is not None else None, now)
        if row is None or not (may_edit(client, actor) or actor.has(Role.ARC)):
            raise NotAllowed
        why = require_reason(reason)
        if row.ended_at is not None:
            raise WrongState
        row.leaf = record(
            session, "basis.ended", actor=actor, obj=("basis", row.id), now=now, reason=why, client=client.id
        )
        row.ended_at = now
