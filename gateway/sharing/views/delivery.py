"""The stream behind a ticket: whole or one range, through the gate, and closed with an entry whatever happens."""

import re
import unicodedata
from collections.abc import Generator, Iterator
from urllib.parse import quote

from flask import Response, request

from gateway.release import release_bytes
from gateway.sharing import queries, service
from gateway.sharing.views.room import bp
from gateway.web.kit import access, actor, deps, now

RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.ASCII)


@bp.get("/t/<ticket>")
@access("partner")
def ticket(ticket: str) -> Response:
    """The sealed file. Spends nothing; HEAD passes the same checks and opens nothing."""
    file = queries.ticket_file(deps(), ticket, actor=actor(), now=now())
    head = request.method == "HEAD"
    wanted = (
        None
        if head
        else asked_range(request.headers.get("Range"), request.headers.get("If-Range"), file.size, file.etag)
    )
    if wanted == UNSATISFIABLE:
        return Response(status=416, headers={"Content-Range": f"bytes */{file.size}"})
    start, length = wanted or (0, None)
    opened = service.open_ticket(deps(), ticket, actor=actor(), now=now(), start=start, length=length)
    if head:
        opened.passage.done("head", 0)
        answer = Response()
    else:
        answer = Response(Outgoing(release_bytes(deps(), opened.passage)), direct_passthrough=True)
    answer.content_type = opened.mime
    answer.headers["Content-Length"] = str(opened.size if length is None else length)
    answer.headers["Content-Disposition"] = disposition(opened.name)
    answer.headers["Accept-Ranges"] = "bytes"
    answer.headers["ETag"] = f'"{opened.etag}"'
    if wanted is not None and length is not None:
        answer.status_code = 206
        answer.headers["Content-Range"] = f"bytes {start}-{start + length - 1}/{opened.size}"
    return answer


UNSATISFIABLE = (-1, -1)


def asked_range(header: str | None, condition: str | None, size: int, etag: str) -> tuple[int, int] | None:
    """(start, length) of the one range asked for, UNSATISFIABLE, or None for the whole file.

    Several ranges, another unit, a malformed header and an If-Range that names another file all give the whole (RFC 9110, 14).
    """
    found = RANGE.fullmatch(header.strip()) if header else None
    if found is None or (condition is not None and condition.strip() != f'"{etag}"'):
        return None
    first, last = found.groups()
    if not first and not last:
        return None
    if not first:
        start, end = max(0, size - int(last)), size - 1
        return (start, end - start + 1) if int(last) and size else UNSATISFIABLE
    start, end = int(first), min(int(last) if last else size - 1, size - 1)
    if last and int(last) < start:
        return None
    return (start, end - start + 1) if start < size else UNSATISFIABLE


def disposition(name: str) -> str:
    """`attachment` with any name: an ASCII form, and the whole in UTF-8 (RFC 6266)."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    plain = re.sub(r"[^A-Za-z0-9._-]+", "_", plain).strip("._") or "copy"
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"


class Outgoing:
    """A stream that is begun at once, so that closing it early runs its last words even before the first byte went."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._first: bytes | None = next(pieces, None)

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        if self._first is not None:
            piece, self._first = self._first, None
            return piece
        return next(self._pieces)

    def close(self) -> None:
        """Called by the server when the answer is over or the reader is gone."""
        if isinstance(self._pieces, Generator):
            self._pieces.close()
