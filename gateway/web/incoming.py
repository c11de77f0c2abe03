"""What arrives: files in a form wait in memory and never in a file of the server (DESIGN.md §2.7)."""

import io
from typing import IO

from flask import Request


class InMemory(Request):
    """A request whose uploaded files are kept in memory; the route's `max_body` bounds them."""

    def _get_file_stream(
        self,
        total_content_length: int | None,
        content_type: str | None,
        filename: str | None = None,
        content_length: int | None = None,
    ) -> IO[bytes]:
        return io.BytesIO()
