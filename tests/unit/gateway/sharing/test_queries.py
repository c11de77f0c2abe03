"""Who may know of a share, who decides, and what a share's page offers; on rows alone."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from gateway.archive.models import Client
from gateway.bootstrap import everything
from gateway.db import Database, new_id
from gateway.identity.models import Account, Department, RoleGrant
from gateway.principal import Actor, Role
from gateway.sharing.models import Approval, Share
from gateway.sharing.queries import reach
from gateway.sharing.queries.partner import parts
from gateway.sharing.queries.timeline import WORDS, proof_of
from gateway.sharing.rules import BUNDLE, SHARE

NOW = datetime(2026, 11, 23, 4, 0, tzinfo=UTC)
LEAF = "0" * 32


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """An empty database with every room's tables."""
    made = Database(f"sqlite:///{tmp_path / 'test.db'}", b"k" * 32)
    everything().create_all(made.engine)
    with made.write() as session:
        session.add(Department(id="sj", code="SJ", name="设计部"))
        session.add(Department(id="gc", code="GC", name="工程部"))
        session.flush()
        session.add(
            Account(
                id="head",
                email="head@demo.invalid",
                name="设计部负责人",
                department_id="sj",
                state="ACTIVE",
                created_at=NOW,
                leaf=LEAF,
            )
        )
        session.flush()
        session.add(
            RoleGrant(
                id=new_id(),
                account_id="head",
                role="HOD",
                state="ACTIVE",
                proposed_by="adm",
                at=NOW,
                leaf=LEAF,
            )
        )
    yield made
    made.close()


def staff(name: str, *roles: Role, department: str | None = "sj") -> Actor:
    return Actor("staff", name, name, frozenset(roles), department)


def put(
    database: Database,
    state: str,
    *,
    requester: str = "biz",
    department: str = "sj",
    major: tuple[str, ...] = (),
) -> str:
    """A share's row in a state."""
    row = Share(
        id=new_id(), number=new_id(), title="施工图", state=state, purpose="P03", client_id="c", requester=requester,
        department_id=department, rights=["DOWNLOAD"], valid_days=7, download_limit=3, version_hash="v" * 64,
        major=list(major), created_at=NOW, leaf=LEAF, starts=None, ends=NOW + timedelta(days=7),
    )  # fmt: skip
    with database.write() as session:
        session.add(row)
        session.flush()
        return row.id


def decider(database: Database, share: str, actor: Actor) -> bool:
    with database.read() as session:
        return reach.decides(session, session.get_one(Share, share), actor, NOW)


@pytest.mark.parametrize(
    ("actor", "seen"),
    [
        (staff("biz", Role.BIZ), True),
        (staff("other", Role.BIZ), False),
        (staff("head", Role.HOD), True),
        (staff("head2", Role.HOD, department="gc"), False),
        (staff("head3", Role.HOD, department=None), False),
        (staff("arc", Role.ARC, department="da"), True),
        (staff("gm", Role.GM), True),
        (staff("dgm", Role.DGM), True),
        (staff("adm", Role.ADM), True),
        (staff("aud", Role.AUD), True),
        (staff("sys", Role.SYS), False),
        (staff("biz"), False),
        (Actor("contact", "biz", "x", frozenset({Role.PTN})), False),
        (Actor("stranger", ""), False),
    ],
    ids=lambda value: value.id if isinstance(value, Actor) else str(value),
)
def test_who_knows_of_a_share(database: Database, actor: Actor, seen: bool) -> None:
    share = put(database, "ACTIVE")
    with database.read() as session:
        assert reach.may_see(session.get_one(Share, share), actor) is seen
        listed = list(session.scalars(select(Share.id).where(reach.visible_shares(actor))))
    assert (share in listed) is seen


def test_each_stage_waits_for_its_own_people(database: Database) -> None:
    head, dgm = staff("head", Role.HOD), staff("dgm", Role.DGM)
    arc, gm = staff("arc", Role.ARC), staff("gm", Role.GM)
    at_department = put(database, "DEPT_REVIEW")
    assert [decider(database, at_department, a) for a in (head, dgm, arc, gm)] == [True, False, False, False]
    assert [decider(database, put(database, "ARC_REVIEW"), a) for a in (head, dgm, arc, gm)] == [
        False,
        False,
        True,
        False,
    ]
    assert [decider(database, put(database, "GM_REVIEW"), a) for a in (head, dgm, arc, gm)] == [
        False,
        False,
        False,
        True,
    ]


def test_the_deputy_decides_for_the_head_and_where_there_is_none(database: Database) -> None:
    head, dgm = staff("head", Role.HOD), staff("dgm", Role.DGM)
    of_the_head = put(database, "DEPT_REVIEW", requester="head")
    assert [decider(database, of_the_head, a) for a in (head, dgm)] == [False, True]
    headless = put(database, "DEPT_REVIEW", department="gc")
    assert [decider(database, headless, a) for a in (staff("x", Role.HOD, department="gc"), dgm)] == [
        False,
        True,
    ]


def test_nobody_decides_twice_or_on_their_own(database: Database) -> None:
    share = put(database, "ARC_REVIEW", requester="arc")
    assert not decider(database, share, staff("arc", Role.ARC))
    with database.write() as session:
        session.add(
            Approval(
                id=new_id(),
                share_id=share,
                stage="DEPT",
                decision="CONSENT",
                approver="arc2",
                version_hash="v" * 64,
                at=NOW,
                leaf=LEAF,
            )
        )
    assert not decider(database, share, staff("arc2", Role.ARC, Role.HOD))
    assert decider(database, share, staff("arc3", Role.ARC))


def test_titles_are_plain_for_those_who_work_with_them(database: Database) -> None:
    share = put(database, "GM_REVIEW")
    plain = [staff("biz", Role.BIZ), staff("head", Role.HOD), staff("arc", Role.ARC), staff("gm", Role.GM)]
    masked = [staff("adm", Role.ADM), staff("aud", Role.AUD), staff("dgm", Role.DGM)]
    with database.read() as session:
        row = session.get_one(Share, share)
        assert [reach.is_masked(session, row, a, NOW) for a in plain] == [False] * 4
        assert [reach.is_masked(session, row, a, NOW) for a in masked] == [True] * 3
    with database.read() as session:
        assert reach.is_masked(
            session, session.get_one(Share, put(database, "ACTIVE")), staff("gm", Role.GM), NOW
        )


@pytest.mark.parametrize(
    ("state", "actor", "offered"),
    [
        ("DRAFT", staff("biz", Role.BIZ), {"submit", "edit", "cancel"}),
        ("DRAFT", staff("head", Role.HOD), set()),
        ("DEPT_REVIEW", staff("biz", Role.BIZ), {"take_back", "cancel"}),
        ("DEPT_REVIEW", staff("head", Role.HOD), {"decide", "consent"}),
        ("DEPT_REVIEW", staff("adm", Role.ADM), set()),
        ("ARC_REVIEW", staff("arc", Role.ARC), {"decide", "consent"}),
        ("ACTIVE", staff("biz", Role.BIZ), {"revoke"}),
        ("ACTIVE", staff("adm", Role.ADM), {"suspend", "revoke"}),
        ("SUSPENDED", staff("adm", Role.ADM), {"resume", "revoke"}),
        ("ACTIVE", staff("aud", Role.AUD), set()),
        ("REVOKED", staff("adm", Role.ADM), set()),
    ],
)
def test_what_a_page_offers(database: Database, state: str, actor: Actor, offered: set[str]) -> None:
    share = put(database, state)
    with database.read() as session:
        found = reach.acts(session, session.get_one(Share, share), actor, NOW)
    names = ("submit", "edit", "take_back", "cancel", "decide", "consent", "suspend", "resume", "revoke")
    assert {name for name in names if getattr(found, name)} == offered


def test_a_major_share_says_where_the_archives_consent_leads(database: Database) -> None:
    arc = staff("arc", Role.ARC)
    with database.read() as session:
        plain = reach.acts(session, session.get_one(Share, put(database, "ARC_REVIEW")), arc, NOW)
    major = put(database, "ARC_REVIEW", major=("M9",))
    with database.read() as session:
        found = reach.acts(session, session.get_one(Share, major), arc, NOW)
    assert plain.consent is not None and plain.consent.zh == "同意"
    assert found.consent is not None and "总经理" in found.consent.zh


def test_every_move_of_a_share_and_a_bundle_has_its_words() -> None:
    moves = {f"{process.name}.{move.event}" for process in (SHARE, BUNDLE) for move in process.moves}
    assert moves <= WORDS.keys()


def test_a_copy_number_in_its_two_parts() -> None:
    assert parts("SG01-KH·2026·SJ-0007-003_F0012") == ("SG01-KH·2026·SJ-0007-003", "_F0012")
    assert parts("plain") == ("plain", "")


def test_a_proof_is_never_claimed_before_its_checkpoint() -> None:
    assert proof_of(None, None).zh == "待检查点"
    assert "待检查点" in proof_of(5, None).zh
    assert proof_of(5, 8).zh == "条目 5，已入检查点 8"


def test_a_client_of_another_owner_is_not_stopped_by_business_staff(database: Database) -> None:
    share = put(database, "ACTIVE", requester="somebody")
    with database.read() as session:
        assert session.get(Client, "c") is None
        assert not reach.acts(session, session.get_one(Share, share), staff("biz", Role.BIZ), NOW).revoke
