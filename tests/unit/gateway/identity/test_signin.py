"""Signing in, sessions, lock-out, one-time codes, and rows changed behind the product's back."""

import threading
from collections.abc import Callable
from datetime import timedelta

import pytest

from gateway.errors import Invalid, NotFound, TamperedRow, TooMany
from gateway.identity import service
from gateway.identity.errors import WrongCode, WrongSignIn
from gateway.identity.gate import Gate
from gateway.identity.service import factors, sessions
from gateway.principal import Role

IP = "192.0.2.7"
PASSWORD = "木匠铺子-rain-barrel-42"


def in_parallel(count: int, act: Callable[[], object]) -> tuple[list[object], list[BaseException]]:
    """What `count` threads that start together give and raise."""
    given: list[object] = []
    raised: list[BaseException] = []
    gate = threading.Barrier(count)

    def run() -> None:
        gate.wait()
        try:
            given.append(act())
        except (Invalid, NotFound, TooMany) as problem:
            raised.append(problem)

    threads = [threading.Thread(target=run) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return given, raised


def try_password(
    world, email: str, password: str = "wrong", ip: str = IP, verify=lambda stored, given: False
) -> str:
    return service.sign_in(world.deps, email, password, ip=ip, agent="test", now=world.now, verify=verify)


def test_a_half_session_is_nobody_until_the_code(staffed) -> None:
    world, people = staffed
    token = world.half(people[Role.GM].label)
    found = world.resolve(token)
    assert found is not None
    actor, full = found
    assert not full and actor.mfa_at is None
    whole = service.finish_sign_in(world.deps, actor, world.code(actor.label), now=world.now)
    assert whole != token
    assert world.resolve(token) is None
    resolved = world.resolve(whole)
    assert resolved is not None and resolved[1] and resolved[0].roles == {Role.GM}


def test_a_half_session_can_do_nothing(staffed) -> None:
    world, people = staffed
    half = world.who(world.half(people[Role.ADM].label))
    from gateway.errors import StaleFactor

    for act in (
        lambda: service.renew_recovery_codes(world.deps, actor=half, now=world.now),
        lambda: service.begin_totp(world.deps, actor=half, now=world.now),
        lambda: service.change_password(
            world.deps, current=PASSWORD, password="x", actor=half, now=world.now
        ),
    ):
        with pytest.raises(StaleFactor):
            act()
    world.clock.pass_(minutes=10)
    assert world.resolve("x") is None


def test_a_half_session_lasts_ten_minutes(staffed) -> None:
    world, people = staffed
    token = world.half(people[Role.ADM].label)
    world.clock.pass_(minutes=9, seconds=59)
    assert world.resolve(token) is not None
    world.clock.pass_(seconds=1)
    assert world.resolve(token) is None


def test_only_hashes_are_stored(staffed) -> None:
    world, people = staffed
    token = world.whole(people[Role.GM].label)
    with world.deps.database.engine.connect() as connection:
        dump = str(
            [
                list(connection.exec_driver_sql(f"SELECT * FROM {t}"))
                for t in ("login_session", "invitation", "credential", "recovery_code")
            ]
        )
    assert token not in dump and PASSWORD not in dump
    assert world.seeds[people[Role.GM].label] not in dump
    assert sessions.token_hash(token) in dump


# ── The same answer for everyone ─────────────────────────────────────────────────────────────────────────────────────


def test_unknown_accounts_cost_a_password_check(staffed) -> None:
    world, people = staffed
    asked: list[str] = []

    def verify(stored: str, password: str) -> bool:
        asked.append(stored)
        return False

    for email in ("nobody@example.com", "not an address", world.emails[people[Role.GM].label]):
        with pytest.raises(WrongSignIn) as refused:
            try_password(world, email, verify=verify)
        assert (refused.value.field, refused.value.code) == ("password", "WRONG_SIGN_IN")
    assert asked[0] == asked[1] == factors.NOBODY and asked[2] != factors.NOBODY


def test_the_stand_in_hash_costs_what_real_ones_cost() -> None:
    real = factors.hash_password("whatever it is")
    assert real.split("$")[1:4] == factors.NOBODY.split("$")[1:4] == ["argon2id", "v=19", "m=65536,t=3,p=4"]
    assert not factors.verify_password(factors.NOBODY, "")
    assert factors.verify_password(real, "whatever it is")
    assert not factors.verify_password("not a hash", "x")


def test_whoever_may_not_sign_in_gets_the_same_answer(staffed) -> None:
    world, people = staffed
    label = people[Role.GM].label
    service.disable_account(
        world.deps,
        people[Role.GM].id,
        reason="离职交接已经完成，停用账号",
        actor=people[Role.SYS],
        now=world.now,
    )
    with pytest.raises(WrongSignIn):
        world.half(label)


def test_old_hashes_are_renewed(staffed) -> None:
    world, people = staffed
    import argon2
    from sqlalchemy import select

    from gateway.audit.service import record
    from gateway.identity.models import Credential

    label = people[Role.GM].label
    old = argon2.PasswordHasher(time_cost=1, memory_cost=8192, parallelism=1).hash(PASSWORD)
    with world.deps.database.write() as session:
        row = session.scalars(select(Credential).where(Credential.principal == label)).one()
        leaf = record(session, "test", actor=people[Role.GM], obj=("x", "x"), now=world.now)
        row.password_hash, row.leaf = old, leaf
    world.half(label)
    with world.deps.database.read() as session:
        row = session.scalars(select(Credential).where(Credential.principal == label)).one()
        assert row.password_hash != old and "m=65536" in row.password_hash
    world.half(label)
    assert len(world.events("credential.rehash")) == 1


# ── Lock-out ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("email", ["gm@example.com", "nobody@example.com"])
def test_five_failures_stop_an_account_known_or_not(staffed, email: str) -> None:
    world, _ = staffed
    for _ in range(5):
        with pytest.raises(WrongSignIn):
            try_password(world, email)
    with pytest.raises(TooMany) as stopped:
        try_password(world, email)
    assert 0 < stopped.value.wait_s <= 15 * 60 and stopped.value.recorded
    with pytest.raises(TooMany):
        service.sign_in(world.deps, email, PASSWORD, ip="198.51.100.1", agent="", now=world.now)


def test_the_stop_doubles_each_round(staffed) -> None:
    world, _ = staffed
    waits = []
    for _ in range(3):
        for _ in range(5):
            with pytest.raises(WrongSignIn):
                try_password(world, "gm@example.com")
        with pytest.raises(TooMany) as stopped:
            try_password(world, "gm@example.com")
        waits.append(stopped.value.wait_s)
        world.clock.pass_(seconds=stopped.value.wait_s)
    assert waits == [900, 1800, 3600]


def test_signing_in_clears_the_account(staffed) -> None:
    world, people = staffed
    for _ in range(2):
        for _ in range(4):
            with pytest.raises(WrongSignIn):
                try_password(world, "gm@example.com")
        assert world.whole(people[Role.GM].label)


def test_one_address_is_stopped_over_many_accounts(staffed) -> None:
    world, _ = staffed
    for n in range(20):
        with pytest.raises(WrongSignIn):
            try_password(world, f"n{n}@example.com", ip="203.0.113.9")
    with pytest.raises(TooMany):
        try_password(world, "fresh@example.com", ip="203.0.113.9")
    with pytest.raises(WrongSignIn):
        try_password(world, "fresh@example.com", ip="203.0.113.10")


def test_parallel_guesses_do_not_slip_by(staffed) -> None:
    world, _ = staffed
    judged: list[int] = []

    def verify(stored: str, password: str) -> bool:
        judged.append(1)
        return False

    _, raised = in_parallel(30, lambda: try_password(world, "gm@example.com", verify=verify))
    assert len(raised) == 30 and len(judged) == 5


def test_codes_are_counted_like_passwords(staffed) -> None:
    world, people = staffed
    half = world.who(world.half(people[Role.GM].label))
    for _ in range(5):
        with pytest.raises(WrongCode):
            service.finish_sign_in(world.deps, half, "12345", now=world.now)
    with pytest.raises(TooMany):
        service.finish_sign_in(world.deps, half, world.code(half.label), now=world.now)
    with pytest.raises(TooMany):
        world.half(half.label)


def test_failures_of_strangers_are_counted_and_not_logged_one_by_one(staffed) -> None:
    world, _ = staffed
    before = len(world.events())
    for n in range(10):
        with pytest.raises(WrongSignIn):
            try_password(world, f"n{n}@example.com")
    assert len(world.events()) == before
    with world.deps.database.engine.connect() as connection:
        counted = dict(
            list(connection.exec_driver_sql("SELECT code, sum(count) FROM audit_stranger GROUP BY code"))
        )
    assert counted["WRONG_SIGN_IN"] == 10


# ── One-time codes ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_one_code_fifty_times_at_once_is_accepted_once(staffed) -> None:
    world, people = staffed
    label, code = people[Role.GM].label, world.code(people[Role.GM].label)

    def spend() -> bool:
        with world.deps.database.write() as session:
            return factors.spend_code(world.deps, session, label, code, world.now)

    given, raised = in_parallel(50, spend)
    assert not raised and given.count(True) == 1 and given.count(False) == 49


def test_one_code_opens_one_session(staffed) -> None:
    world, people = staffed
    half = world.who(world.half(people[Role.GM].label))
    code = world.code(half.label)
    given, raised = in_parallel(4, lambda: service.finish_sign_in(world.deps, half, code, now=world.now))
    assert len(given) == 1 and len(raised) == 3


def test_the_window_is_one_step_to_either_side(staffed) -> None:
    world, people = staffed
    secret = world.seeds[people[Role.GM].label]
    for steps, fits in ((-2, False), (-1, True), (0, True), (1, True), (2, False)):
        assert (
            factors.matching_step(secret, world.code(people[Role.GM].label, steps), world.now) is not None
        ) is fits
    for text in ("", "12345", "1234567", "१२३४५६", "12345a", "²23456"):
        assert factors.matching_step(secret, text, world.now) is None
    code = world.code(people[Role.GM].label)
    assert factors.matching_step(secret, f" {code[:3]} {code[3:]} ", world.now) is not None


def test_an_older_code_than_the_last_is_refused(staffed) -> None:
    world, people = staffed
    actor = world.signed_in(people[Role.GM].label)
    later = world.code(actor.label, 1)
    assert service.confirm(world.deps, actor, later, now=world.now).mfa_at == world.now
    with pytest.raises(WrongCode):
        service.confirm(world.deps, actor, world.code(actor.label), now=world.now)
    with pytest.raises(WrongCode):
        service.confirm(world.deps, actor, later, now=world.now)


def test_recovery_codes_work_once_and_tell(staffed) -> None:
    world, people = staffed
    label = people[Role.GM].label
    code = world.recovery[label][3]
    half = world.who(world.half(label))
    token = service.finish_sign_in(world.deps, half, f" {code.lower()} ", now=world.now, factor="recovery")
    assert world.who(token).mfa_at == world.now
    assert len(world.messages("credential.changed")) == 1
    half = world.who(world.half(label))
    with pytest.raises(WrongCode) as refused:
        service.finish_sign_in(world.deps, half, code, now=world.now, factor="recovery")
    assert refused.value.field == "recovery"
    # Another person's code fits nobody else.
    with pytest.raises(WrongCode):
        service.finish_sign_in(
            world.deps, half, world.recovery[people[Role.ADM].label][0], now=world.now, factor="recovery"
        )


# ── Sessions ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_idle_and_absolute_ends(staffed) -> None:
    world, people = staffed
    token = world.whole(people[Role.GM].label)
    world.clock.pass_(minutes=29)
    assert world.resolve(token) is not None
    world.clock.pass_(minutes=29)
    assert world.resolve(token) is not None
    world.clock.pass_(minutes=30)
    assert world.resolve(token) is None
    token = world.whole(people[Role.GM].label)
    for _ in range(30):
        world.clock.pass_(minutes=24)
        found = world.resolve(token)
    assert found is None


def test_seen_is_written_once_a_minute(staffed) -> None:
    world, people = staffed
    token = world.whole(people[Role.GM].label)
    actor = world.who(token)

    def seen():
        return next(
            s.seen_at for s in service.own_sessions(world.deps, actor=actor, now=world.now) if s.current
        )

    before = seen()
    world.clock.pass_(seconds=20)
    world.who(token)
    assert seen() == before
    world.clock.pass_(seconds=40)
    world.who(token)
    assert seen() == world.now


def test_own_sessions_only(staffed) -> None:
    world, people = staffed
    mine, theirs = world.signed_in(people[Role.GM].label), world.signed_in(people[Role.ADM].label)
    with pytest.raises(NotFound):
        service.revoke_session(world.deps, mine.session, actor=theirs, now=world.now)
    assert all(s.id != mine.session for s in service.own_sessions(world.deps, actor=theirs, now=world.now))
    token = world.whole(people[Role.GM].label)
    service.revoke_other_sessions(world.deps, actor=mine, now=world.now)
    assert world.resolve(token) is None
    assert [s.id for s in service.own_sessions(world.deps, actor=mine, now=world.now)] == [mine.session]


def test_signing_out_ends_the_row(staffed) -> None:
    world, people = staffed
    token = world.whole(people[Role.GM].label)
    actor = world.who(token)
    service.sign_out(world.deps, actor=actor, now=world.now)
    service.sign_out(world.deps, actor=actor, now=world.now)
    assert world.resolve(token) is None
    with pytest.raises(NotFound):
        service.confirm(world.deps, actor, world.code(actor.label), now=world.now)


def test_the_gate_answers_for_the_web(staffed) -> None:
    world, people = staffed
    gate, token = Gate(world.deps), world.whole(people[Role.GM].label)
    found = gate.resolve(token, ip="198.51.100.3", agent="x", now=world.now)
    assert found is not None and found[1] and found[0].ip == "198.51.100.3"
    world.clock.pass_(minutes=11)
    fresh = gate.confirm(found[0], world.code(found[0].label), now=world.now)
    again = gate.resolve(token, ip="", agent="", now=world.now)
    assert again is not None and again[0].mfa_at == fresh.mfa_at == world.now
    with pytest.raises(WrongCode) as refused:
        gate.confirm(found[0], "000000", now=world.now)
    assert refused.value.field == "otp"
    gate.prefer(found[0], "en", now=world.now)
    assert world.who(token).language == "en"
    assert gate.resolve("", ip="", agent="", now=world.now) is None


def test_an_account_past_its_last_day_is_nobody(staffed) -> None:
    world, people = staffed
    made = service.enrol_account(
        world.deps, email="t@example.com", name="临时人员", department=None, employment="TEMPORARY", ends_on=world.now.date(),
        actor=people[Role.ADM], now=world.now,
    )  # fmt: skip
    token = world.whole(world.enrol(made.token))
    # The day ends at 16:00 UTC; the clock began at 08:00.
    assert world.resolve(token) is not None
    world.clock.now = world.now.replace(hour=15, minute=40)
    token = world.whole(f"staff:{made.id}")
    world.clock.now = world.now.replace(hour=16, minute=0)
    assert world.resolve(token) is None
    with pytest.raises(WrongSignIn):
        world.half(f"staff:{made.id}")
    heard = []
    world.deps.on("account.ended", lambda deps, session, event: heard.append(event.object))
    assert service.end_due_accounts(world.deps, now=world.now) == 1
    assert service.end_due_accounts(world.deps, now=world.now) == 0
    assert heard == [("account", made.id)]


# ── Rows changed from outside ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE login_session SET revoked_at = NULL WHERE token_hash = ?",
        "UPDATE login_session SET principal = 'staff:0' WHERE token_hash = ?",
        "UPDATE login_session SET mfa_at = '2026-11-23 12:00:00.000000' WHERE token_hash = ?",
        "UPDATE login_session SET created_at = '2026-11-23 12:00:00.000000' WHERE token_hash = ?",
        "UPDATE login_session SET mac = '' WHERE token_hash = ?",
    ],
)
def test_a_changed_session_opens_nothing(staffed, change: str) -> None:
    world, people = staffed
    token = world.whole(people[Role.GM].label)
    if "revoked_at" in change:
        service.sign_out(world.deps, actor=world.who(token), now=world.now)
    assert world.execute(change, sessions.token_hash(token)) == 1
    with pytest.raises(TamperedRow):
        world.resolve(token)


def test_a_planted_session_opens_nothing(staffed) -> None:
    world, people = staffed
    world.whole(people[Role.GM].label)
    world.execute(
        "INSERT INTO login_session (id, token_hash, principal, created_at, seen_at, mfa_at, revoked_at, ip, agent, leaf, mac) "
        "SELECT 'x' || substr(id, 2), ?, principal, created_at, seen_at, mfa_at, NULL, ip, agent, leaf, mac "
        "FROM login_session LIMIT 1",
        sessions.token_hash("mine"),
    )
    with pytest.raises(TamperedRow):
        world.resolve("mine")


def test_a_planted_or_raised_role_opens_nothing(staffed) -> None:
    world, people = staffed
    token = world.whole(people[Role.SYS].label)
    world.execute("UPDATE role_grant SET role = 'GM' WHERE role = 'SYS'")
    with pytest.raises(TamperedRow):
        world.resolve(token)
    world.execute("UPDATE role_grant SET role = 'SYS' WHERE account_id = ?", people[Role.SYS].id)
    assert world.resolve(token) is not None
    world.execute(
        "INSERT INTO role_grant (id, account_id, role, state, proposed_by, confirmed_by, at, leaf, mac) "
        "SELECT 'x' || substr(id, 2), ?, 'GM', state, proposed_by, confirmed_by, at, leaf, mac FROM role_grant LIMIT 1",
        people[Role.SYS].id,
    )
    with pytest.raises(TamperedRow):
        world.resolve(token)


@pytest.mark.parametrize(
    "change",
    [
        "state = 'ACTIVE'",
        "email = 'thief@example.com'",
        "verified_at = '2026-11-23 08:00:00.000000'",
        "signer = 1",
    ],
)
def test_a_changed_contact_is_refused(office, change: str) -> None:
    world, people, org = office
    made = service.invite_contact(
        world.deps,
        org,
        name="联系人甲",
        email="s1@demo.invalid",
        mobile="100-0000-0001",
        actor=people[Role.ADM],
        now=world.now,
    )
    token = world.half(world.enrol(made.token))
    assert world.resolve(token) is not None
    world.execute(f"UPDATE contact SET {change} WHERE id = ?", made.id)
    with pytest.raises(TamperedRow):
        world.resolve(token)


def test_a_changed_password_hash_lets_nobody_in(staffed) -> None:
    world, people = staffed
    world.execute(
        "UPDATE credential SET password_hash = ? WHERE principal = ?",
        factors.hash_password("x" * 12),
        people[Role.GM].label,
    )
    with pytest.raises(TamperedRow):
        world.half(people[Role.GM].label, "x" * 12)


def test_session_times_are_bounded_by_parameters(staffed) -> None:
    world, people = staffed
    token = world.whole(people[Role.GM].label)
    actor = world.who(token)
    assert actor.mfa_at is not None and world.now - actor.mfa_at < timedelta(minutes=1)
