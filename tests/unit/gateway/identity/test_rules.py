"""Pure rules of identity."""

from datetime import UTC, date, datetime
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import Invalid, NotAllowed
from gateway.identity import entries, rules
from gateway.principal import Role

TODAY = date(2026, 11, 23)
USCC = "91350100M000100Y43"


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        (" GM@Example.COM ", "gm@example.com"),
        ("hod.sj@demo.invalid", "hod.sj@demo.invalid"),
        ("re\u0301n@示例.中国", "r\u00e9n@示例.中国"),
        ("a+b@xn--fiqs8s.cn", "a+b@xn--fiqs8s.cn"),
    ],
)
def test_addresses_are_kept_in_one_form(typed: str, kept: str) -> None:
    assert entries.normal_email(typed) == kept
    assert entries.normal_email(kept) == kept


@pytest.mark.parametrize(
    "typed",
    ["", "@", "a@", "@b.cn", "a@b", "a b@c.cn", "a@b..cn", "a@.cn", "a@-b.cn", "a@b.cn-", "a@b@c.cn", "a\0@b.cn", "a\n@b.cn",
     "a\u202e@b.cn", "x" * 65 + "@b.cn", "a@" + "b" * 253 + ".cn", '"a"@b.cn', "a,b@c.cn", "a@[127.0.0.1]", "a@b_c.cn"],
)  # fmt: skip
def test_what_cannot_be_a_mailbox_is_refused(typed: str) -> None:
    with pytest.raises(Invalid) as refused:
        entries.normal_email(typed)
    assert refused.value.field == "email"


@given(st.text(max_size=300))
def test_any_text_is_an_address_or_refused(text: str) -> None:
    try:
        email = entries.normal_email(text)
    except Invalid:
        return
    assert len(email) <= 254 and email.count("@") == 1 and email.isprintable() and email == email.lower()


@pytest.mark.parametrize(
    "password",
    ["correct horse battery", "木匠铺子和雨水桶的故事很长", "            x12345", "aB3$" * 4 + "q"],
)
def test_long_passwords_of_any_composition_are_taken(password: str) -> None:
    assert entries.check_password(password, email="li@example.com", name="李工")


@pytest.mark.parametrize(
    "password",
    ["", "short", "elevenchars", "x" * 257, "password1234", "PASSWORD1234", "1qaz2wsx3edc", "woaini1314520", "aaaaaaaaaaaa",
     "ababababababab",
     "xx li.wei@example.com xx", "my li.wei is long", "李工李工很长很长很长很长"],
)  # fmt: skip
def test_bad_passwords_are_refused(password: str) -> None:
    with pytest.raises(Invalid) as refused:
        entries.check_password(password, email="li.wei@example.com", name="李工")
    assert refused.value.field == "password"


def test_the_same_keys_are_the_same_password() -> None:
    assert entries.normal_password("cafe\u0301 long enough") == entries.normal_password(
        "caf\u00e9 long enough"
    )


@pytest.mark.parametrize("other", sorted(set(Role) - {Role.SYS}))
def test_the_administrator_holds_nothing_else(other: Role) -> None:
    for small in (False, True):
        for held, new in permutations((Role.SYS, other)):
            with pytest.raises(NotAllowed) as refused:
                rules.check_roles([held], new, small=small)
            assert refused.value.code == "SOD-3"


@pytest.mark.parametrize("other", sorted(set(Role) - {Role.AUD}))
def test_the_auditor_writes_nowhere(other: Role) -> None:
    for small in (False, True):
        for held, new in permutations((Role.AUD, other)):
            with pytest.raises(NotAllowed):
                rules.check_roles([held], new, small=small)


def test_permitted_combinations() -> None:
    for other in (Role.ADM, Role.ARC, Role.BIZ):
        rules.check_roles([other], Role.HOD, small=False)
    with pytest.raises(NotAllowed):
        rules.check_roles([Role.DGM], Role.HOD, small=False)
    rules.check_roles([Role.DGM], Role.HOD, small=True)
    rules.check_roles([Role.ADM, Role.HOD], Role.ARC, small=True)
    with pytest.raises(NotAllowed):
        rules.check_roles([Role.ADM, Role.HOD], Role.ARC, small=False)
    for small in (False, True):
        with pytest.raises(NotAllowed):
            rules.check_roles([Role.GM], Role.ADM, small=small)
        with pytest.raises(NotAllowed):
            rules.check_roles([], Role.PTN, small=small)


def test_only_business_staff_is_granted_by_the_office_alone() -> None:
    assert [role for role in rules.STAFF_ROLES if not rules.needs_confirmation(role)] == [Role.BIZ]


@pytest.mark.parametrize("kind", ["PROBATION", "TEMPORARY", "INTERN"])
def test_employment_that_needs_an_end(kind: str) -> None:
    with pytest.raises(Invalid) as refused:
        rules.check_employment(kind, None, TODAY)
    assert refused.value.field == "ends_on"
    rules.check_employment(kind, TODAY, TODAY)
    assert not rules.EMPLOYMENT[kind].external_share


def test_employment_bounds() -> None:
    rules.check_employment("REGULAR", None, TODAY)
    with pytest.raises(Invalid):
        rules.check_employment("REGULAR", date(2026, 11, 22), TODAY)
    with pytest.raises(Invalid):
        rules.check_employment("FRIEND", None, TODAY)
    assert {k: e.level for k, e in rules.EMPLOYMENT.items()} == {
        "REGULAR": 3,
        "PROBATION": 2,
        "TEMPORARY": 1,
        "INTERN": 1,
    }


def test_an_account_ends_at_midnight_of_the_company() -> None:
    # 24:00 on 23 November in Shanghai is 16:00 UTC.
    end = datetime(2026, 11, 23, 16, tzinfo=UTC)
    assert rules.ends_at(TODAY) == end
    assert not rules.has_ended(TODAY, end.replace(hour=15, minute=59, second=59))
    assert rules.has_ended(TODAY, end)
    assert not rules.has_ended(None, end)
    assert rules.local_day(end) == date(2026, 11, 24)


def test_credit_codes() -> None:
    assert entries.check_uscc(f" {USCC.lower()} ") == USCC
    for wrong in ("0" * 18, USCC[:-1] + "5", USCC[:-1], USCC + "1", "I" + USCC[1:], ""):
        with pytest.raises(Invalid) as refused:
            entries.check_uscc(wrong)
        assert refused.value.field == "uscc"


@given(
    st.text("0123456789ABCDEFGHJKLMNPQRTUWXY", min_size=17, max_size=17),
    st.integers(0, 16),
    st.integers(1, 30),
)
def test_one_changed_character_is_found(body: str, place: int, shift: int) -> None:
    alphabet = "0123456789ABCDEFGHJKLMNPQRTUWXY"
    other = alphabet[(alphabet.index(body[place]) + shift) % 31]
    changed = body[:place] + other + body[place + 1 :]
    assert entries.uscc_check_digit(changed) != entries.uscc_check_digit(body)


def test_lock_times_double_up_to_a_day() -> None:
    assert [rules.lockout_minutes(15, n) for n in range(4)] == [15, 30, 60, 120]
    assert rules.lockout_minutes(15, 500) == 1440


def test_names_and_numbers() -> None:
    assert entries.person_name("  某 人 ") == "某 人"
    for bad in ("", " ", "a\nb", "a\u202eb", "x" * 61):
        with pytest.raises(Invalid):
            entries.person_name(bad)
    assert entries.check_mobile(" 100-0000-0001 ") == "100-0000-0001"
    for bad in ("", "12", "call me", "1" * 21):
        with pytest.raises(Invalid):
            entries.check_mobile(bad)


@pytest.mark.parametrize("process", rules.PROCESSES, ids=lambda p: p.name)
def test_processes_lead_only_to_known_states(process) -> None:
    reached = {move.target for move in process.moves}
    for move in process.moves:
        assert set(move.sources) - {""} <= set(process.states) and move.target in process.states
    assert reached == set(process.states)
    for move in process.moves:
        assert not any(process.states[s].final for s in move.sources if s)
        assert move.reason or move.event not in ("suspend", "disable", "resume", "enable")
    assert process.mermaid().startswith("stateDiagram")
