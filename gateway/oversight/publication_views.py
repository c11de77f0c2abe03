"""The published log under /log/: checkpoint, key and tiles for everybody where the settings say so, entries for auditors only."""

from flask import Blueprint, Response, request

from gateway.audit import publish
from gateway.errors import NotAllowed, NotFound, Unavailable
from gateway.oversight import service
from gateway.principal import Role
from gateway.web.headers import let_caches_keep
from gateway.web.kit import access, actor, deps, is_full, now

AUDITORS = frozenset({Role.AUD})
TEXT = "text/plain; charset=utf-8"
BYTES = "application/octet-stream"
_FOREVER = "public, max-age=31536000, immutable"
_SECONDS = "public, max-age=1"


def add_publication_pages(bp: Blueprint) -> None:
    """Enters the pages of this module into the blueprint of oversight."""
    bp.add_url_rule("/log/checkpoint", view_func=checkpoint, methods=["GET"])
    bp.add_url_rule("/log/key", view_func=checkpoint_key, methods=["GET"])
    bp.add_url_rule("/log/tile/<int:level>/<path:name>", view_func=tile, methods=["GET"])
    bp.add_url_rule("/log/tile/entries/<path:name>", view_func=entry_bundle, methods=["GET"])


def _public() -> bool:
    """Whether the answer is for everybody; raises NotFound, NotAllowed for whoever may not have it."""
    if deps().settings.log_public:
        return True
    # The same door as every page of the auditors': partners and strangers learn nothing, other staff that it is not theirs.
    if actor().kind != "staff" or not is_full():
        raise NotFound
    if actor().roles.isdisjoint(AUDITORS):
        raise NotAllowed
    return False


@access("public")
def checkpoint() -> Response:
    """The last checkpoint as the signed note it is; Unavailable before the first."""
    public, last = _public(), deps().log.latest()
    if last is None:
        raise Unavailable("LOG")
    return _answer(last.note, TEXT, _SECONDS if public else None)


@access("public")
def checkpoint_key() -> Response:
    """The key that verifies checkpoints, as a file for verifiers."""
    answer = _answer(deps().log.vkey + "\n", TEXT, _SECONDS if _public() else None)
    answer.headers["Content-Disposition"] = 'attachment; filename="checkpoint.vkey"'
    return answer


@access("public")
def tile(level: int, name: str) -> Response:
    """Hashes of the tree, full or partial tile; never beyond the last checkpoint."""
    public, found = _public(), publish.parse_number(name)
    # One name for one tile: the converter would take zeros in front.
    if found is None or not request.path.startswith(f"/log/tile/{level}/"):
        raise NotFound
    with deps().database.read() as session:
        content = publish.tile(session, _size(), level, *found)
    return _file(content, _FOREVER if public else None)


@access("staff", roles=AUDITORS)
def entry_bundle(name: str) -> Response:
    """Entries as they were hashed; reading them is itself an entry, written before anything is shown."""
    found, size = publish.parse_number(name), _size()
    if found is None:
        raise NotFound
    service.note_reading(deps(), "entries", None, actor=actor(), now=now(), about=("entries", name))
    with deps().database.read() as session:
        content = publish.entries(session, size, *found)
    return _file(content, None)


def _size() -> int:
    last = deps().log.latest()
    return last.size if last is not None else 0


def _file(content: bytes | None, kept: str | None) -> Response:
    if content is None:
        raise NotFound
    return _answer(content, BYTES, kept)


def _answer(content: bytes | str, mime: str, kept: str | None) -> Response:
    if kept is not None:
        let_caches_keep(kept)
    return Response(content, content_type=mime)
