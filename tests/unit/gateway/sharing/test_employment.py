"""Employment types that may not share with the outside (policy.md §1)."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from gateway.audit.service import record
from gateway.identity.models import Account
from gateway.sharing import service as sharing
from gateway.sharing.errors import NotForStaff
from gateway.sharing.models import Share
from tests.factories import World


def _employ(world: World, kind: str) -> None:
    with world.deps.database.write() as session:
        account = session.get_one(Account, world.id("biz.sj"))
        adm = world.actor("adm")
        leaf = record(session, "account.employment", actor=adm, obj=("account", account.id), now=world.now())
        account.employment, account.leaf = kind, leaf


@pytest.mark.parametrize("kind", ["PROBATION", "TEMPORARY", "INTERN"])
def test_whoever_is_not_regular_staff_drafts_no_share(world: World, kind: str) -> None:
    items = world.filed_items(1)
    _employ(world, kind)
    with pytest.raises(NotForStaff):
        world.draft_share(items)
    with world.deps.database.read() as session:
        assert session.scalar(select(Share.id)) is None
    assert world.leaves("refused")[-1].object_kind == "share"


def test_a_draft_is_not_submitted_by_someone_who_may_no_longer_share(world: World) -> None:
    world.agreement()
    share = world.draft_share(world.filed_items(1))
    _employ(world, "PROBATION")
    with pytest.raises(NotForStaff):
        sharing.submit(world.deps, share, actor=world.actor("biz.sj"), now=world.now())
    assert world.share(share).state == "DRAFT"
