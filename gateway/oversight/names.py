"""Between the ids of the log and what people call things: ledger numbers of objects, addresses of accounts."""

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from gateway.archive.models import Case, Client
from gateway.identity.models import Account, Contact
from gateway.sharing.models import Copy, Share
from gateway.signing.models import Agreement

# Columns only, never whole rows: a guarded row that was tampered with must not keep an auditor from reading the log.
_NUMBERS: Mapping[str, tuple[Any, Any]] = {
    "agreement": (Agreement.id, Agreement.number),
    "case": (Case.id, func.coalesce(Case.number, Case.temp_no)),
    "client": (Client.id, Client.client_no),
    "copy": (Copy.id, Copy.number),
    "share": (Share.id, Share.number),
}
_BATCH = 200


def numbers(session: Session, objects: Iterable[tuple[str, str]]) -> dict[tuple[str, str], str]:
    """The ledger numbers of those objects that have one."""
    found = {}
    wanted = set(objects)
    for kind, (key, number) in _NUMBERS.items():
        ids = sorted(identifier for k, identifier in wanted if k == kind)
        for start in range(0, len(ids), _BATCH):
            for row in session.execute(select(key, number).where(key.in_(ids[start : start + _BATCH]))):
                found[kind, row[0]] = row[1]
    return found


def object_id(session: Session, kind: str, text: str) -> str:
    """The id of the object of that kind with this ledger number; the text itself where no object has it."""
    if kind not in _NUMBERS:
        return text
    key, number = _NUMBERS[kind]
    found: str | None = session.scalar(select(key).where(number == text).limit(1))
    return found or text


def actor_label(session: Session, text: str) -> str:
    """The label of whoever has this address or name; the text itself where nobody has."""
    for prefix, model in (("staff", Account), ("contact", Contact)):
        row: Any = model
        found = session.scalar(
            select(row.id).where((row.email == text.lower()) | (row.name == text)).limit(1)
        )
        if found is not None:
            return f"{prefix}:{found}"
    return text
