"""What an employment type allows to be read, whatever the role says (policy.md §1, 用工类型)."""

from __future__ import annotations

import pytest

from gateway.archive.models import Item
from gateway.archive.service import may_see
from gateway.audit.service import record
from gateway.identity.models import Account
from tests.factories import World


@pytest.mark.parametrize(
    ("kind", "readable"),
    [
        ("REGULAR", {"F06", "F07", "F11"}),
        ("PROBATION", {"F06", "F07"}),
        ("TEMPORARY", {"F06"}),
        ("INTERN", {"F06"}),
    ],
)
def test_an_employment_type_caps_what_a_role_may_read(world: World, kind: str, readable: set[str]) -> None:
    case = world.case()
    items = {c: world.item(case, f"文件{c}", classes=(c,)) for c in ("F06", "F07", "F11")}
    with world.deps.database.write() as session:
        account = session.get_one(Account, world.id("hod.sj"))
        target = ("account", account.id)
        leaf = record(session, "account.employment", actor=world.actor("adm"), obj=target, now=world.now())
        account.employment, account.leaf = kind, leaf
    head = world.actor("hod.sj")
    with world.deps.database.read() as session:
        scopes = {c: may_see(session, head, session.get_one(Item, i), world.now()) for c, i in items.items()}
    assert {c for c, scope in scopes.items() if scope.reads([c])} == readable
    assert all(scope.listed for scope in scopes.values())


def test_an_item_raised_above_the_cap_is_not_read_either(world: World) -> None:
    case = world.case()
    item = world.item(case, "平面图", classes=("F06",))
    with world.deps.database.write() as session:
        session.get_one(Item, item).level = 3
        account = session.get_one(Account, world.id("hod.sj"))
        target = ("account", account.id)
        leaf = record(session, "account.employment", actor=world.actor("adm"), obj=target, now=world.now())
        account.employment, account.leaf = "PROBATION", leaf
    with world.deps.database.read() as session:
        scope = may_see(session, world.actor("hod.sj"), session.get_one(Item, item), world.now())
    assert scope.listed and not scope.reads(["F06"])
