"""Between the ids of the log and what people call things: ledger numbers of objects, names and addresses of people."""

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from gateway.archive.models import Case, Client, Item
from gateway.archive.rules import fold, item_number
from gateway.identity.models import Account, Contact, Organisation
from gateway.sharing.models import Copy, Share
from gateway.signing.models import Agreement
from storage.fields import SearchKey

# Columns only, never whole rows: a guarded row that was tampered with must not keep an auditor from reading the log.
_NUMBERS: Mapping[str, tuple[Any, Any]] = {
    "agreement": (Agreement.id, Agreement.number),
    "case": (Case.id, func.coalesce(Case.number, Case.temp_no)),
    "client": (Client.id, Client.client_no),
    "copy": (Copy.id, Copy.number),
    "share": (Share.id, Share.number),
}
# How a typed number is looked up: one indexed column after the other.
_LOOKUPS: Mapping[str, tuple[Any, tuple[Any, ...]]] = {
    "agreement": (Agreement.id, (Agreement.number,)),
    "case": (Case.id, (Case.number, Case.temp_no)),
    "client": (Client.id, (Client.client_no,)),
    "copy": (Copy.id, (Copy.number,)),
    "organisation": (Organisation.id, (Organisation.name, Organisation.uscc)),
    "share": (Share.id, (Share.number,)),
}
_BATCH = 200


def numbers(session: Session, objects: Iterable[tuple[str, str]]) -> dict[tuple[str, str], str]:
    """The ledger numbers of those objects that have one."""
    found = {}
    wanted = set(objects)
    for kind, (key, number) in _NUMBERS.items():
        for ids in _batches(wanted, kind):
            for row in session.execute(select(key, number).where(key.in_(ids))):
                found[kind, row[0]] = row[1]
    for ids in _batches(wanted, "item"):
        columns = select(Item.id, Case.number, Item.number).join(Case, Case.id == Item.case_id)
        for identifier, case, number in session.execute(columns.where(Item.id.in_(ids))):
            if case:
                found["item", identifier] = item_number(case, number)
    return found


def _batches(wanted: Iterable[tuple[str, str]], kind: str) -> list[list[str]]:
    ids = sorted(identifier for k, identifier in wanted if k == kind)
    return [ids[start : start + _BATCH] for start in range(0, len(ids), _BATCH)]


def found_id(session: Session, kind: str, text: str) -> str | None:
    """The id of the object of that kind with this number (for a partner, its name or credit code); None where none has it."""
    key, columns = _LOOKUPS.get(kind, (None, ()))
    for column in columns:
        for spelled in dict.fromkeys((text, fold(text))):
            found: str | None = session.scalar(select(key).where(column == spelled).limit(1))
            if found is not None:
                return found
    return None


def object_id(session: Session, kind: str, text: str) -> str:
    """The id of the object of that kind with this number; the text itself where no object has it."""
    return (found_item(session, text) if kind == "item" else found_id(session, kind, text)) or text


def found_item(session: Session, text: str) -> str | None:
    """The id of the item with this 件号; None where there is none."""
    case_number, _, number = fold(text).rpartition("-")
    if not (number.isascii() and number.isdigit() and len(number) < 6):
        return None
    query = select(Item.id).join(Case, Case.id == Item.case_id)
    found: str | None = session.scalar(
        query.where(Case.number == case_number, Item.number == int(number)).limit(1)
    )
    return found


def found_file(session: Session, text: str) -> tuple[str, str] | None:
    """The case or the item that a 档号, a 件号 or a temporary number names."""
    case = found_id(session, "case", text)
    if case is not None:
        return "case", case
    item = found_item(session, text)
    return None if item is None else ("item", item)


def label_of(session: Session, text: str) -> str | None:
    """The label of the one person with this address or name; None where nobody has it, or several do."""
    if text.startswith(("staff:", "contact:", "system:")):
        return text
    found = set()
    for prefix, model in (("staff", Account), ("contact", Contact)):
        row: Any = model
        for column, value in ((row.email, text.lower()), (row.name, text)):
            found |= {
                f"{prefix}:{one}" for one in session.scalars(select(row.id).where(column == value).limit(2))
            }
    return found.pop() if len(found) == 1 else None


def found_client(session: Session, text: str, key: SearchKey) -> str | None:
    """The id of the one client with this number or name; None where nobody has it, or several do."""
    by_number = found_id(session, "client", text)
    if by_number is not None:
        return by_number
    digest = key.digest("name", text)
    found = session.scalars(select(Client.id).where(Client.name_hash == digest).limit(2)).all()
    return found[0] if len(found) == 1 else None
