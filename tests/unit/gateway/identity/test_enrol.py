"""Invitations, the first day, staff accounts, partners and the read-back code."""

from datetime import timedelta

import pyotp
import pytest

from gateway.errors import Invalid, NotAllowed, NotFound, StaleFactor, TamperedRow, TooMany, WrongState
from gateway.identity import service
from gateway.identity.errors import CodeSpent, NotFirstDay, WrongCode, WrongSignIn
from gateway.identity.service import sessions
from gateway.principal import Role
from gateway.release import Ask

PASSWORD = "木匠铺子-rain-barrel-42"
REASON = "收到举报，先暂停使用等待核实"


def new_account(world, people, **more):
    fields = {
        "email": "biz@example.com", "name": "业务员甲", "department": None, "employment": "REGULAR", "ends_on": None,
        "actor": people[Role.ADM], "now": world.now, **more,
    }  # fmt: skip
    return service.enrol_account(world.deps, **fields)


def new_contact(world, people, org, **more):
    fields = {
        "name": "联系人甲", "email": "s1@demo.invalid", "mobile": "100-0000-0001",
        "actor": people[Role.ADM], "now": world.now, **more,
    }  # fmt: skip
    return service.invite_contact(world.deps, org, **fields)


def complete(world, token: str, *, code: str | None = None, password: str = PASSWORD):
    begun = service.begin_enrolment(world.deps, token, now=world.now)
    code = pyotp.TOTP(begun.seed.secret).at(world.now) if code is None else code
    return service.complete_enrolment(
        world.deps, token, begun.seed.pending, password=password, code=code, ip="", agent="", now=world.now
    )


def confirm(world, people, contact_id: str, code: str) -> None:
    adm = world.signed_in(people[Role.ADM].label)
    service.confirm_contact(
        world.deps, contact_id, code, identity_check="IN_PERSON", actor=adm, now=world.now
    )


# ── The first day ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_first_day_happens_once(world) -> None:
    people = {r: (f"{r.value}@example.com", "某人") for r in (Role.SYS, Role.GM, Role.ADM)}
    with pytest.raises(NotFirstDay):
        service.first_day(world.deps, {r: people[r] for r in (Role.SYS, Role.GM)}, now=world.now)
    with pytest.raises(NotFirstDay):
        service.first_day(world.deps, {**people, Role.ARC: ("arc@example.com", "某人")}, now=world.now)
    tokens = service.first_day(world.deps, people, now=world.now)
    assert set(tokens) == set(people) and len(set(tokens.values())) == 3
    with pytest.raises(NotFirstDay):
        service.first_day(world.deps, people, now=world.now)
    for role, token in tokens.items():
        assert world.signed_in(world.enrol(token)).roles == {role}
    assert not world.messages("invitation")


# ── Invitations ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_invitation_works_once(staffed) -> None:
    world, people = staffed
    made = new_account(world, people)
    assert made.link == f"https://files.example.com/enrol/{made.token}"
    assert len(world.messages("invitation")) == 1
    world.enrol(made.token)
    for call in (service.look, service.begin_enrolment):
        with pytest.raises(NotFound):
            call(world.deps, made.token, now=world.now)


def test_an_invitation_lasts_72_hours(staffed) -> None:
    world, people = staffed
    made = new_account(world, people)
    world.clock.pass_(hours=71, minutes=59)
    assert service.look(world.deps, made.token, now=world.now).email == "biz@example.com"
    world.clock.pass_(minutes=1)
    with pytest.raises(NotFound):
        service.look(world.deps, made.token, now=world.now)


def test_a_new_link_ends_the_old_one(staffed) -> None:
    world, people = staffed
    made = new_account(world, people)
    again = service.reinvite_account(world.deps, made.id, actor=people[Role.ADM], now=world.now, mail=False)
    with pytest.raises(NotFound):
        service.look(world.deps, made.token, now=world.now)
    world.enrol(again.token)
    with pytest.raises(WrongState):
        service.reinvite_account(world.deps, made.id, actor=people[Role.ADM], now=world.now)


def test_what_fails_spends_nothing(staffed) -> None:
    world, people = staffed
    made = new_account(world, people)
    with pytest.raises(WrongCode):
        complete(world, made.token, code="000000")
    with pytest.raises(Invalid) as refused:
        complete(world, made.token, password="short")
    assert refused.value.field == "password"
    assert world.enrol(made.token) == f"staff:{made.id}"


def test_a_seed_of_another_invitation_is_refused(staffed) -> None:
    world, people = staffed
    one, two = new_account(world, people), new_account(world, people, email="biz2@example.com")
    foreign = service.begin_enrolment(world.deps, one.token, now=world.now).seed
    for pending in (foreign.pending, "", "nonsense", "AAAA"):
        with pytest.raises(Invalid) as refused:
            service.complete_enrolment(
                world.deps,
                two.token,
                pending,
                password=PASSWORD,
                code=pyotp.TOTP(foreign.secret).at(world.now),
                ip="",
                agent="",
                now=world.now,
            )
        assert refused.value.field == "code"


def test_the_enrolment_code_does_not_sign_in(staffed) -> None:
    world, people = staffed
    made = new_account(world, people)
    begun = service.begin_enrolment(world.deps, made.token, now=world.now)
    code = pyotp.TOTP(begun.seed.secret).at(world.now)
    service.complete_enrolment(
        world.deps,
        made.token,
        begun.seed.pending,
        password=PASSWORD,
        code=code,
        ip="",
        agent="",
        now=world.now,
    )
    half = world.who(service.sign_in(world.deps, "biz@example.com", PASSWORD, ip="", agent="", now=world.now))
    with pytest.raises(WrongCode):
        service.finish_sign_in(world.deps, half, code, now=world.now)


@pytest.mark.parametrize(
    "change", ["expires_at = '2030-01-01 00:00:00.000000'", "principal = 'staff:0'", "mac = ''"]
)
def test_a_changed_invitation_is_refused(staffed, change: str) -> None:
    world, people = staffed
    made = new_account(world, people)
    assert (
        world.execute(f"UPDATE invitation SET {change} WHERE token_hash = ?", sessions.token_hash(made.token))
        == 1
    )
    with pytest.raises(TamperedRow):
        service.look(world.deps, made.token, now=world.now)


# ── Staff ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_only_the_office_enrols(staffed) -> None:
    world, people = staffed
    for role in (Role.GM, Role.SYS):
        with pytest.raises(NotAllowed):
            new_account(world, people, actor=people[role])
    assert world.events("refused")
    for more, field in (
        ({"email": "gm@example.com"}, "email"),
        ({"email": "bad"}, "email"),
        ({"name": ""}, "name"),
        ({"department": "0" * 32}, "department"),
        ({"employment": "INTERN"}, "ends_on"),
        ({"employment": "?"}, "employment"),
    ):
        with pytest.raises(Invalid) as refused:
            new_account(world, people, **more)
        assert refused.value.field == field


def test_disabling_ends_sessions_and_says_so(staffed) -> None:
    world, people = staffed
    made = new_account(world, people)
    label = world.enrol(made.token)
    token, heard = world.whole(label), []
    world.deps.on("account.ended", lambda deps, session, event: heard.append((event.object, event.actor.id)))
    with pytest.raises(NotAllowed):
        service.disable_account(world.deps, made.id, reason=REASON, actor=people[Role.ADM], now=world.now)
    with pytest.raises(NotAllowed):
        service.disable_account(
            world.deps, people[Role.SYS].id, reason=REASON, actor=people[Role.SYS], now=world.now
        )
    with pytest.raises(Invalid):
        service.disable_account(world.deps, made.id, reason="短", actor=people[Role.SYS], now=world.now)
    assert world.resolve(token) is not None
    service.disable_account(world.deps, made.id, reason=REASON, actor=people[Role.SYS], now=world.now)
    assert world.resolve(token) is None
    assert heard == [(("account", made.id), people[Role.SYS].id)]
    with pytest.raises(WrongSignIn):
        world.half(label)
    again = service.enable_account(world.deps, made.id, reason=REASON, actor=people[Role.SYS], now=world.now)
    with pytest.raises(WrongSignIn):
        world.half(label)
    world.enrol(again.token, "another long phrase 9")
    assert world.half(label, "another long phrase 9")


def test_departments_and_heads(staffed) -> None:
    world, people = staffed
    adm = people[Role.ADM]
    dept = service.add_department(world.deps, code="sj", name="设计部", actor=adm, now=world.now)
    for code in ("SJ", "S", "123"):
        with pytest.raises(Invalid):
            service.add_department(world.deps, code=code, name="设计部", actor=adm, now=world.now)
    with pytest.raises(NotAllowed):
        service.add_department(world.deps, code="GC", name="工程部", actor=people[Role.GM], now=world.now)
    made = new_account(world, people, department=dept)
    with pytest.raises(Invalid):
        service.change_department(world.deps, dept, name="设计部", head=made.id, actor=adm, now=world.now)
    service.change_employment(
        world.deps,
        made.id,
        department=dept,
        employment="PROBATION",
        ends_on=world.now.date() + timedelta(30),
        actor=adm,
        now=world.now,
    )
    with pytest.raises(NotAllowed):
        service.change_employment(
            world.deps, adm.id, department=dept, employment="REGULAR", ends_on=None, actor=adm, now=world.now
        )


# ── Partners ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_organisations_are_proposed_and_verified(staffed) -> None:
    world, people = staffed
    adm = people[Role.ADM]
    fields = {"name": "示例设计工作室（虚构）", "category": "DESIGN", "now": world.now}
    with pytest.raises(NotAllowed):
        service.propose_organisation(world.deps, uscc="91440300708461136T", actor=people[Role.GM], **fields)
    for code in ("0" * 18, "91440300708461136A"):
        with pytest.raises(Invalid):
            service.propose_organisation(world.deps, uscc=code, actor=adm, demo=True, **fields)
    org = service.propose_organisation(world.deps, uscc="91440300708461136T", actor=adm, **fields)
    with pytest.raises(Invalid):
        service.propose_organisation(world.deps, uscc="91440300708461136T", actor=adm, **fields)
    with pytest.raises(WrongState):
        new_contact(world, people, org)
    service.verify_organisation(world.deps, org, how="营业执照原件", abroad=True, actor=adm, now=world.now)
    with pytest.raises(WrongState):
        service.change_organisation_state(world.deps, org, "verify", reason=REASON, actor=adm, now=world.now)
    service.change_organisation_state(world.deps, org, "disable", reason=REASON, actor=adm, now=world.now)
    with pytest.raises(WrongState):
        service.change_organisation_state(world.deps, org, "resume", reason=REASON, actor=adm, now=world.now)


def test_a_contact_counts_only_after_the_code_was_read_back(office) -> None:
    world, people, org = office
    made = new_contact(world, people, org)
    label = world.enrol(made.token)
    token = world.whole(label)
    found = world.resolve(token)
    assert found is not None and not found[1] and found[0].roles == frozenset()
    assert world.messages("contact.enrolled")
    confirm(world, people, made.id, world.readbacks[label])
    found = world.resolve(token)
    assert found is not None and found[1] and found[0].roles == {Role.PTN} and found[0].organisation == org
    with pytest.raises(WrongState):
        confirm(world, people, made.id, world.readbacks[label])


def test_wrong_codes_are_counted_and_end_it(office) -> None:
    world, people, org = office
    made = new_contact(world, people, org)
    label = world.enrol(made.token)
    right = world.readbacks[label]
    wrong = f"{(int(right) + 1) % 10**6:06}"
    adm = world.signed_in(people[Role.ADM].label)
    for _ in range(5):
        with pytest.raises(WrongCode) as refused:
            service.confirm_contact(
                world.deps, made.id, wrong, identity_check="IN_PERSON", actor=adm, now=world.now
            )
        assert refused.value.field == "code"
    assert len(world.events("contact.code_wrong")) == 5
    with pytest.raises(CodeSpent):
        service.confirm_contact(
            world.deps, made.id, right, identity_check="IN_PERSON", actor=adm, now=world.now
        )


def test_the_code_is_over_after_ten_minutes_and_can_be_renewed(office) -> None:
    world, people, org = office
    made = new_contact(world, people, org)
    label = world.enrol(made.token)
    contact = world.signed_in(label)
    world.clock.now = world.now.replace(second=0)
    with pytest.raises(TooMany):
        service.new_readback_code(world.deps, actor=contact, now=world.now - timedelta(seconds=30))
    world.clock.pass_(minutes=10)
    with pytest.raises(CodeSpent):
        confirm(world, people, made.id, world.readbacks[label])
    code = service.new_readback_code(world.deps, actor=contact, now=world.now)
    confirm(world, people, made.id, code)
    with pytest.raises(WrongState):
        service.new_readback_code(world.deps, actor=contact, now=world.now)


def test_who_may_confirm_and_how(office) -> None:
    world, people, org = office
    made = new_contact(world, people, org)
    code = world.readbacks[world.enrol(made.token)]
    adm = world.signed_in(people[Role.ADM].label)
    fields = {"identity_check": "IN_PERSON", "now": world.now}
    with pytest.raises(NotAllowed):
        service.confirm_contact(
            world.deps, made.id, code, actor=world.signed_in(people[Role.GM].label), **fields
        )
    with pytest.raises(Invalid):
        service.confirm_contact(world.deps, made.id, code, identity_check="LUCK", actor=adm, now=world.now)
    late = world.clock.pass_(minutes=9, seconds=50)
    with pytest.raises((StaleFactor, CodeSpent)):
        service.confirm_contact(
            world.deps, made.id, code, identity_check="IN_PERSON", actor=adm, now=late + timedelta(minutes=1)
        )
    with pytest.raises(NotFound):
        service.confirm_contact(world.deps, "0" * 32, code, actor=adm, **fields)


def test_the_code_is_stored_under_a_key(office) -> None:
    world, people, org = office
    made = new_contact(world, people, org)
    label = world.enrol(made.token)
    with world.deps.database.engine.connect() as connection:
        stored = [
            row[0]
            for row in connection.exec_driver_sql(
                "SELECT code_hash FROM invitation WHERE code_hash IS NOT NULL"
            )
        ]
    assert len(stored) == 1 and len(stored[0]) == 64 and world.readbacks[label] not in stored[0]


def test_suspension_ends_sessions_and_says_so(office) -> None:
    world, people, org = office
    adm, heard = people[Role.ADM], []
    for name in ("contact.suspended", "contact.disabled", "organisation.suspended"):
        world.deps.on(name, lambda deps, session, event: heard.append(event.name))
    made = new_contact(world, people, org)
    label = world.enrol(made.token)
    confirm(world, people, made.id, world.readbacks[label])
    token = world.whole(label)
    with pytest.raises(WrongState):
        service.change_contact_state(world.deps, made.id, "confirm", reason=REASON, actor=adm, now=world.now)
    service.change_contact_state(world.deps, made.id, "suspend", reason=REASON, actor=adm, now=world.now)
    assert world.resolve(token) is None
    with pytest.raises(WrongSignIn):
        world.half(label)
    service.change_contact_state(world.deps, made.id, "resume", reason=REASON, actor=adm, now=world.now)
    token = world.whole(label)
    service.change_organisation_state(world.deps, org, "suspend", reason=REASON, actor=adm, now=world.now)
    assert world.resolve(token) is None
    with pytest.raises(WrongSignIn):
        world.half(label)
    service.change_organisation_state(world.deps, org, "resume", reason=REASON, actor=adm, now=world.now)
    assert world.whole(label)
    service.change_contact_state(world.deps, made.id, "disable", reason=REASON, actor=adm, now=world.now)
    assert heard == ["contact.suspended", "organisation.suspended", "contact.disabled"]


def test_an_unverified_contact_is_not_resumed(office) -> None:
    world, people, org = office
    made = new_contact(world, people, org)
    adm = people[Role.ADM]
    service.change_contact_state(world.deps, made.id, "suspend", reason=REASON, actor=adm, now=world.now)
    with pytest.raises(NotFound):
        service.look(world.deps, made.token, now=world.now)
    with pytest.raises(WrongState):
        service.change_contact_state(world.deps, made.id, "resume", reason=REASON, actor=adm, now=world.now)


def test_inviting_again_starts_anew(office) -> None:
    world, people, org = office
    made = new_contact(world, people, org)
    label = world.enrol(made.token)
    confirm(world, people, made.id, world.readbacks[label])
    token = world.whole(label)
    again = service.reinvite_contact(world.deps, made.id, actor=people[Role.ADM], now=world.now, mail=False)
    assert world.resolve(token) is None
    with pytest.raises(WrongSignIn):
        world.half(label)
    world.enrol(again.token)
    found = world.resolve(world.whole(label))
    assert found is not None and not found[1]
    confirm(world, people, made.id, world.readbacks[label])


def test_a_contact_ends_with_its_dates(office) -> None:
    world, people, org = office
    made = new_contact(world, people, org, valid_to=world.now + timedelta(minutes=8))
    label = world.enrol(made.token)
    confirm(world, people, made.id, world.readbacks[label])
    token = world.whole(label)
    world.clock.pass_(minutes=8)
    assert world.resolve(token) is None
    with pytest.raises(Invalid):
        new_contact(world, people, org, email="s9@demo.invalid", valid_to=world.now)


def test_addresses_are_used_once(office) -> None:
    world, people, org = office
    new_contact(world, people, org)
    for email in ("S1@demo.invalid", "adm@example.com"):
        with pytest.raises(Invalid) as refused:
            new_contact(world, people, org, email=email)
        assert refused.value.field == "email"
    with pytest.raises(Invalid):
        new_account(world, people, email="s1@demo.invalid")


# ── Facts ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def facts(world, actor, contact: str | None, stage: str = "collect") -> dict:
    ask = Ask("copy", stage, actor, world.now, contact=contact)
    found: dict = {}
    with world.deps.database.read() as session:
        for source in service.FACTS:
            found.update(source(world.deps, session, ask))
    return found


def test_facts_follow_what_happens(office) -> None:
    world, people, org = office
    made = new_contact(world, people, org)
    label = world.enrol(made.token)
    assert not facts(world, people[Role.ADM], made.id)["contact"].active
    confirm(world, people, made.id, world.readbacks[label])
    actor = world.signed_in(label)
    found = facts(world, actor, made.id)
    assert found["session"].live and found["session"].mfa_at == actor.mfa_at
    assert found["contact"].active and found["contact"].verified
    assert found["organisation"].active and found["organisation"].abroad is False
    world.clock.pass_(minutes=15)
    assert not facts(world, actor, made.id)["session"].live
    # A running download is its session's activity.
    assert facts(world, actor, made.id, "live")["session"].live
    service.change_contact_state(
        world.deps, made.id, "suspend", reason=REASON, actor=people[Role.ADM], now=world.now
    )
    stopped = facts(world, actor, made.id, "live")
    assert not stopped["session"].live and not stopped["contact"].active
    assert facts(world, people[Role.ADM], None).get("contact") is None


def test_issuer_is_active_until_the_end_date(staffed) -> None:
    world, people = staffed
    made = new_account(world, people, employment="TEMPORARY", ends_on=world.now.date())
    with world.deps.database.read() as session:
        assert not service.account_active(session, made.id, world.now)
    world.enrol(made.token)
    end = world.now.replace(hour=16, minute=0, second=0)
    with world.deps.database.read() as session:
        assert service.account_active(session, made.id, end - timedelta(seconds=1))
        assert not service.account_active(session, made.id, end)
        assert not service.account_active(session, "0" * 32, end)
