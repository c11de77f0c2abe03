"""The main job through the services, on both installations: nothing leaves before the agreement, then exactly what may."""

from __future__ import annotations

import hashlib

import pytest

from gateway.errors import NotFound, Withheld
from gateway.release import release_bytes
from gateway.sharing import service as sharing
from gateway.sharing.models import Bundle
from tests.factories import World, page_count


def test_a_share_is_refused_before_the_agreement_and_carried_out_after_it(portal: World) -> None:
    items = portal.filed_items(1)
    share = portal.draft_share(items)
    with pytest.raises(Withheld) as refusal:
        sharing.submit(portal.deps, share, actor=portal.actor("biz.sj"), now=portal.now())
    assert refusal.value.codes == ("NDA", "COVER")
    assert portal.leaves("refused")[-1].object_id == share

    portal.agreement()
    portal.approve_share(share)
    _, partner = portal.session("s1")
    bundle = sharing.prepare(portal.deps, share, items, wanted=None, actor=partner, now=portal.now())[0]
    portal.drain()
    with portal.deps.database.read() as session:
        row = session.get_one(Bundle, bundle)
    assert row.state == "READY", row.failure

    ticket = sharing.collect(portal.deps, bundle, actor=partner, now=portal.now())
    opened = sharing.open_ticket(portal.deps, ticket, actor=partner, now=portal.now())
    data = b"".join(release_bytes(portal.deps, opened.passage))
    assert hashlib.sha256(data).hexdigest() == opened.etag == row.sha256
    passphrase = sharing.reveal(portal.deps, bundle, actor=partner, now=portal.now())
    assert page_count(data, passphrase) == 2
    sharing.acknowledge(portal.deps, bundle, actor=partner, now=portal.now())
    with pytest.raises(NotFound):
        sharing.reveal(portal.deps, bundle, actor=partner, now=portal.now())

    sharing.revoke(
        portal.deps, share, "供应商变更，不再需要资料", actor=portal.actor("biz.sj"), now=portal.now()
    )
    with pytest.raises(Withheld) as stopped:
        sharing.open_ticket(portal.deps, ticket, actor=partner, now=portal.now())
    assert "STATE" in stopped.value.codes
