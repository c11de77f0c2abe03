"""From what a reader typed to the terms that the log is searched by."""

from collections.abc import Iterator

from sqlalchemy.orm import Session

from gateway.audit.search import Search
from gateway.oversight import names
from gateway.oversight.filters import Wanted
from gateway.oversight.indexing import Vocabulary
from storage.fields import SearchKey

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
