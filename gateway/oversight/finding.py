"""From what a reader typed to the terms that the log is searched by."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from gateway.audit.models import Term
from gateway.audit.search import Search
from gateway.oversight import names
from gateway.oversight.filters import Wanted
from gateway.oversight.indexing import Vocabulary
from storage.fields import SearchKey


@dataclass(frozen=True)
class Understood:
    """What was asked for, as the entry of a reading keeps it: `clear` ids and facts, `named` texts, and whose texts they are."""

    clear: dict[str, Any]
    named: dict[str, str]
    subject: str | None


_NAMING = ("person", "partner", "client", "value")
# The kinds whose numbers a reader may type without saying which kind it is.
_NUMBERED = ("copy", "case", "share", "agreement", "client")


def searched(session: Session, wanted: Wanted, key: SearchKey) -> Search:
    """The search for what is wanted. What names nothing known becomes a term that no entry has: nothing is found, never more."""
    return Search(tuple(_terms(session, wanted, key)), wanted.since, wanted.until)


def _terms(session: Session, wanted: Wanted, key: SearchKey) -> Iterator[bytes]:
    words = Vocabulary(key)
    if wanted.client:
        yield words.about(("client", names.found_client(session, wanted.client, key) or wanted.client))
    for kind in ("partner", "copy"):
        typed = getattr(wanted, kind)
        if typed:
            known = "organisation" if kind == "partner" else kind
            yield words.about((known, names.object_id(session, known, typed)))
    if wanted.file:
        yield words.about(names.found_file(session, wanted.file) or ("case", wanted.file))
    if wanted.person:
        label = names.label_of(session, wanted.person)
        yield words.value(wanted.person) if label is None else words.person(label)
    if wanted.value:
        yield _anything(session, wanted.value, words)
    yield from _plain(session, wanted, words)


def _anything(session: Session, typed: str, words: Vocabulary) -> bytes:
    for kind in _NUMBERED:
        found = names.found_id(session, kind, typed)
        if found is not None:
            return words.about((kind, found))
    item = names.found_item(session, typed)
    return words.value(typed) if item is None else words.about(("item", item))


def _plain(session: Session, wanted: Wanted, words: Vocabulary) -> Iterator[bytes]:
    if wanted.event:
        whole = not wanted.event.endswith(".")
        yield words.event(wanted.event) if whole else words.process(wanted.event[:-1])
    if wanted.kind and wanted.object:
        yield words.about((wanted.kind, names.object_id(session, wanted.kind, wanted.object)))
    elif wanted.kind:
        yield words.kind(wanted.kind)
    if wanted.refusals:
        yield words.refusals()


def understood(session: Session, wanted: Wanted, key: SearchKey) -> Understood:
    """Objects by their ids; a name as a commitment of the person whom it names, so that it goes when that person is erased.

    A name that nobody known has is not kept at all, since it might be an erased person's: only that one was asked for. Where two
    persons are named at once, the second is not kept either.
    """
    clear: dict[str, Any] = {}
    for name, found in (
        ("partner", wanted.partner and names.found_id(session, "organisation", wanted.partner)),
        ("client", wanted.client and names.found_client(session, wanted.client, key)),
    ):
        if found:
            clear[f"wanted_{name}"] = found
    if wanted.value and any(names.found_id(session, kind, wanted.value) for kind in _NUMBERED):
        clear["wanted_value"] = wanted.value
    owners = {n: _owner(session, t, key) for n in ("person", "value") if (t := getattr(wanted, n))}
    subject = next((owner for owner in owners.values() if owner), None)
    named = {n: getattr(wanted, n) for n, owner in owners.items() if owner and owner == subject}
    lost = [n for n in _NAMING if getattr(wanted, n) and n not in named and f"wanted_{n}" not in clear]
    return Understood({**clear, "unknown": lost} if lost else clear, named, subject)


def _owner(session: Session, typed: str, key: SearchKey) -> str | None:
    """Whose name or address this is, of those that the portal or the log knows."""
    value = Vocabulary(key).value(typed)
    return names.label_of(session, typed) or session.scalar(
        select(Term.subject).where(Term.term == value, Term.subject.is_not(None)).limit(1)
    )
