"""Roles, and what people change about themselves."""

import pyotp
import pyrage
import pytest

from gateway.errors import Invalid, NotAllowed, NotFound, StaleFactor, WrongState
from gateway.identity import queries, service
from gateway.identity.errors import WrongCode, WrongSignIn
from gateway.notify.service import Recipient
from gateway.principal import Role

PASSWORD = "木匠铺子-rain-barrel-42"
NEW = "another long phrase 9"
REASON = "岗位调整，不再担任这一角色"


def new_account(world, people, **more):
    fields = {
        "email": "new@example.com", "name": "新同事", "department": None, "employment": "REGULAR", "ends_on": None,
        "actor": people[Role.ADM], "now": world.now, **more,
    }  # fmt: skip
    return service.enrol_account(world.deps, **fields)


def verified_contact(world, people, org) -> str:
    made = service.invite_contact(
        world.deps,
        org,
        name="联系人甲",
        email="s1@demo.invalid",
        mobile="100-0000-0001",
        actor=people[Role.ADM],
        now=world.now,
    )
    label = world.enrol(made.token)
    adm = world.signed_in(people[Role.ADM].label)
    service.confirm_contact(
        world.deps, made.id, world.readbacks[label], identity_check="IN_PERSON", actor=adm, now=world.now
    )
    return label


# ── Roles ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_role_takes_two_people(staffed) -> None:
    world, people = staffed
    made = new_account(world, people)
    label = world.enrol(made.token)
    grant = service.propose_role(world.deps, made.id, Role.ARC, actor=people[Role.ADM], now=world.now)
    assert world.messages("approval.waiting")
    assert world.signed_in(label).roles == frozenset()
    with pytest.raises(NotAllowed):
        service.confirm_role(world.deps, grant, actor=people[Role.ADM], now=world.now)
    gm = world.signed_in(people[Role.GM].label)
    late = world.clock.pass_(minutes=11)
    with pytest.raises(StaleFactor):
        service.confirm_role(world.deps, grant, actor=gm, now=late)
    gm = world.signed_in(people[Role.GM].label)
    service.confirm_role(world.deps, grant, actor=gm, now=world.now)
    assert world.signed_in(label).roles == {Role.ARC}
    with pytest.raises(WrongState):
        service.confirm_role(world.deps, grant, actor=gm, now=world.now)
    service.end_role(world.deps, grant, reason=REASON, actor=people[Role.ADM], now=world.now)
    assert world.signed_in(label).roles == frozenset()


def test_business_staff_at_once(staffed) -> None:
    world, people = staffed
    made = new_account(world, people)
    service.propose_role(world.deps, made.id, Role.BIZ, actor=people[Role.ADM], now=world.now)
    assert world.signed_in(world.enrol(made.token)).roles == {Role.BIZ}


@pytest.mark.parametrize("role", [Role.SYS, Role.AUD, Role.GM, Role.PTN])
def test_roles_that_exclude_each_other(staffed, role: Role) -> None:
    world, people = staffed
    made = new_account(world, people)
    service.propose_role(world.deps, made.id, Role.ARC, actor=people[Role.ADM], now=world.now)
    with pytest.raises(NotAllowed) as refused:
        service.propose_role(world.deps, made.id, role, actor=people[Role.ADM], now=world.now)
    assert refused.value.code == "SOD-3" and refused.value.recorded


def test_nobody_grants_to_themselves(staffed) -> None:
    world, people = staffed
    adm = people[Role.ADM]
    with pytest.raises(NotAllowed) as refused:
        service.propose_role(world.deps, adm.id, Role.HOD, actor=adm, now=world.now)
    assert refused.value.code == "SOD-1"
    for role in (Role.GM, Role.SYS):
        with pytest.raises(NotAllowed):
            service.propose_role(world.deps, people[Role.GM].id, Role.BIZ, actor=people[role], now=world.now)


def test_heads_have_a_department(staffed) -> None:
    world, people = staffed
    adm = people[Role.ADM]
    made = new_account(world, people)
    with pytest.raises(Invalid):
        service.propose_role(world.deps, made.id, Role.HOD, actor=adm, now=world.now)
    dept = service.add_department(world.deps, code="SJ", name="设计部", actor=adm, now=world.now)
    service.change_employment(
        world.deps, made.id, department=dept, employment="REGULAR", ends_on=None, actor=adm, now=world.now
    )
    grant = service.propose_role(world.deps, made.id, Role.HOD, actor=adm, now=world.now)
    service.confirm_role(world.deps, grant, actor=world.signed_in(people[Role.GM].label), now=world.now)
    world.enrol(made.token)
    service.change_department(world.deps, dept, name="设计部", head=made.id, actor=adm, now=world.now)
    (row,) = queries.department_list(world.deps, actor=adm, now=world.now)
    assert row.head == made.id and row.candidates == ((made.id, "新同事"),)
    with world.deps.database.read() as session:
        assert service.holders(session, Role.HOD, world.now, department=dept) == [made.id]
        assert service.holders(session, Role.HOD, world.now, department="0" * 32) == []
    service.end_role(world.deps, grant, reason=REASON, actor=adm, now=world.now)
    assert queries.department_list(world.deps, actor=adm, now=world.now)[0].head is None


def test_declined_and_last_holders(staffed) -> None:
    world, people = staffed
    adm, gm = people[Role.ADM], people[Role.GM]
    made = new_account(world, people)
    grant = service.propose_role(world.deps, made.id, Role.AUD, actor=adm, now=world.now)
    assert [g.id for g in queries.grants_waiting(world.deps, actor=gm, now=world.now)] == [grant]
    with pytest.raises(NotAllowed):
        service.decline_role(world.deps, grant, reason=REASON, actor=people[Role.SYS], now=world.now)
    service.decline_role(world.deps, grant, reason=REASON, actor=gm, now=world.now)
    assert queries.grants_waiting(world.deps, actor=gm, now=world.now) == []
    page = queries.account_page(world.deps, gm.id, actor=adm, now=world.now)
    with pytest.raises(NotAllowed) as refused:
        service.end_role(world.deps, page.row.roles[0].id, reason=REASON, actor=adm, now=world.now)
    assert refused.value.code == "LAST_HOLDER"


# ── Password, authenticator, recovery codes ──────────────────────────────────────────────────────────────────────────


def test_a_new_password_ends_other_sessions(staffed) -> None:
    world, people = staffed
    label = people[Role.GM].label
    other, mine = world.whole(label), world.whole(label)
    actor = world.who(mine)
    fields = {"actor": actor, "now": world.now}
    with pytest.raises(Invalid) as refused:
        service.change_password(world.deps, current="wrong", password=NEW, **fields)
    assert refused.value.field == "current_password"
    with pytest.raises(Invalid) as refused:
        service.change_password(world.deps, current=PASSWORD, password="short", **fields)
    assert refused.value.field == "password"
    service.change_password(world.deps, current=PASSWORD, password=NEW, **fields)
    assert world.resolve(other) is None and world.resolve(mine) is not None
    with pytest.raises(WrongSignIn):
        world.half(label)
    assert world.half(label, NEW)
    assert len(world.messages("credential.changed")) == 1


def test_credentials_need_a_fresh_factor(office) -> None:
    world, people, org = office
    actor = world.signed_in(verified_contact(world, people, org))
    world.clock.pass_(minutes=11)
    key = str(pyrage.x25519.Identity.generate().to_public())
    for act in (
        lambda: service.change_password(
            world.deps, current=PASSWORD, password=NEW, actor=actor, now=world.now
        ),
        lambda: service.begin_totp(world.deps, actor=actor, now=world.now),
        lambda: service.change_totp(world.deps, "", code="", actor=actor, now=world.now),
        lambda: service.renew_recovery_codes(world.deps, actor=actor, now=world.now),
        lambda: service.register_age_recipient(world.deps, key, actor=actor, now=world.now),
        lambda: service.remove_age_recipient(world.deps, actor=actor, now=world.now),
    ):
        with pytest.raises(StaleFactor) as refused:
            act()
        assert refused.value.recorded
    assert not world.messages("credential.changed")


def test_a_new_authenticator(staffed) -> None:
    world, people = staffed
    label = people[Role.GM].label
    other, actor = world.whole(label), world.signed_in(label)
    begun = service.begin_totp(world.deps, actor=actor, now=world.now)
    assert service.begin_totp(world.deps, actor=actor, now=world.now, pending=begun.pending) == begun
    assert begun.uri.startswith("otpauth://totp/")
    with pytest.raises(WrongCode):
        service.change_totp(world.deps, begun.pending, code=world.code(label), actor=actor, now=world.now)
    foreign = service.begin_totp(world.deps, actor=world.signed_in(people[Role.ADM].label), now=world.now)
    with pytest.raises(Invalid):
        service.change_totp(
            world.deps,
            foreign.pending,
            code=pyotp.TOTP(foreign.secret).at(world.now),
            actor=actor,
            now=world.now,
        )
    old = world.recovery[label][0]
    codes = service.change_totp(
        world.deps, begun.pending, code=pyotp.TOTP(begun.secret).at(world.now), actor=actor, now=world.now
    )
    assert len(set(codes)) == 10 and old not in codes
    assert world.resolve(other) is None
    world.clock.pass_(seconds=30)
    half = world.who(world.half(label))
    for code, factor in ((world.code(label), "totp"), (old, "recovery")):
        with pytest.raises(WrongCode):
            service.finish_sign_in(world.deps, half, code, now=world.now, factor=factor)
    assert service.finish_sign_in(world.deps, half, pyotp.TOTP(begun.secret).at(world.now), now=world.now)


def test_recovery_codes_are_renewed(staffed) -> None:
    world, people = staffed
    actor = world.signed_in(people[Role.GM].label)
    codes = service.renew_recovery_codes(world.deps, actor=actor, now=world.now)
    assert len(set(codes)) == 10 and all(len(c.replace("-", "")) == 15 for c in codes)
    assert queries.own_page(world.deps, actor=actor, now=world.now).recovery_left == 10
    half = world.who(world.half(actor.label))
    with pytest.raises(WrongCode):
        service.finish_sign_in(
            world.deps, half, world.recovery[actor.label][0], now=world.now, factor="recovery"
        )
    service.finish_sign_in(world.deps, half, codes[0], now=world.now, factor="recovery")
    assert queries.own_page(world.deps, actor=actor, now=world.now).recovery_left == 9


# ── age key, settings, addresses ─────────────────────────────────────────────────────────────────────────────────────


def test_age_keys_are_checked_and_told(office) -> None:
    world, people, org = office
    actor = world.signed_in(verified_contact(world, people, org))
    identity = pyrage.x25519.Identity.generate()
    key = str(identity.to_public())
    for bad in (
        "",
        "age1",
        key[:-1],
        key.upper() + "x",
        str(identity),
        "ssh-ed25519 AAAA",
        key + " " + key,
        "é" * 10,
        "x" * 500,
    ):
        with pytest.raises(Invalid) as refused:
            service.register_age_recipient(world.deps, bad, actor=actor, now=world.now)
        assert refused.value.field == "key"
    service.register_age_recipient(world.deps, f" {key}\n", actor=actor, now=world.now)
    assert queries.own_page(world.deps, actor=actor, now=world.now).age_recipient == key
    service.remove_age_recipient(world.deps, actor=actor, now=world.now)
    assert queries.own_page(world.deps, actor=actor, now=world.now).age_recipient is None
    assert len(world.messages("credential.changed")) == 2
    with pytest.raises(NotAllowed):
        service.register_age_recipient(
            world.deps, key, actor=world.signed_in(people[Role.ADM].label), now=world.now
        )


def test_settings(staffed) -> None:
    world, people = staffed
    token = world.whole(people[Role.GM].label)
    actor = world.who(token)
    service.set_language(world.deps, "en", actor=actor, now=world.now)
    service.set_timezone(world.deps, "Europe/Berlin", actor=actor, now=world.now)
    assert (world.who(token).language, world.who(token).timezone) == ("en", "Europe/Berlin")
    with pytest.raises(Invalid):
        service.set_language(world.deps, "fr", actor=actor, now=world.now)
    for zone in ("", "Mars/Base", "../../etc/passwd"):
        with pytest.raises(Invalid):
            service.set_timezone(world.deps, zone, actor=actor, now=world.now)


def test_where_messages_go(office) -> None:
    world, people, org = office
    label = verified_contact(world, people, org)
    key = label.partition(":")[2]
    with world.deps.database.read() as session:
        assert [a.email for a in service.addresses(session, Recipient("role", "GM"))] == ["gm@example.com"]
        assert [a.email for a in service.addresses(session, Recipient("account", people[Role.ADM].id))] == [
            "adm@example.com"
        ]
        assert [a.email for a in service.addresses(session, Recipient("contact", key))] == ["s1@demo.invalid"]
        assert service.addresses(session, Recipient("contact", "0" * 32)) == []
    assert queries.addresses is service.addresses


# ── Pages ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_who_reads_what(office) -> None:
    world, people, org = office
    gm, adm, sys = people[Role.GM], people[Role.ADM], people[Role.SYS]
    contact = world.signed_in(verified_contact(world, people, org))
    assert len(queries.account_list(world.deps, actor=sys, now=world.now)) == 3
    assert [o.contacts for o in queries.organisation_list(world.deps, actor=gm, now=world.now)] == [1]
    shown = queries.organisation_page(world.deps, org, actor=adm, now=world.now)
    assert [m.event for m in shown.moves] == ["suspend", "disable"]
    assert [c.state_name for c in shown.contacts] == ["ACTIVE"]
    assert queries.organisation_page(world.deps, org, actor=gm, now=world.now).moves == ()
    found = queries.contact_page(world.deps, contact.id, actor=adm, now=world.now)
    assert found.row.verified_by == "ADM 某" and not found.row.age_key
    for act in (queries.account_list, queries.grants_waiting, queries.organisation_list):
        with pytest.raises(NotAllowed):
            act(world.deps, actor=contact, now=world.now)
    with pytest.raises(NotAllowed):
        queries.organisation_list(world.deps, actor=sys, now=world.now)
    for act in (queries.account_page, queries.organisation_page, queries.contact_page):
        with pytest.raises(NotFound):
            act(world.deps, "0" * 32, actor=adm, now=world.now)
