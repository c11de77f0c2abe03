"""The gate: the entry is in a signed checkpoint before the first byte, and every stream ends in exactly one entry."""

from __future__ import annotations

import hashlib

from tests.worlds import Scene


def test_a_whole_stream_ends_in_one_completed_entry(scene: Scene) -> None:
    partner = scene.partner()
    ticket = scene.collect(partner)
    data = b"".join(scene.stream(ticket, partner))
    assert hashlib.sha256(data).hexdigest() == scene.bundle_row().sha256
