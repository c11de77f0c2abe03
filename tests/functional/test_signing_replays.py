"""Replays of signatures over HTTP: another's, an old one, an edited one, twice, at once. A conflict, and nothing is changed."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from sqlalchemy import select

from gateway.signing.models import Agreement, AgreementEvent, SignedEvidence
from tests.factories import Browser, World

NAME = "供应商联系人一"


def row(world: World, agreement: str) -> Agreement:
    with world.deps.database.read() as session:
        found = session.get_one(Agreement, agreement)
        session.expunge(found)
    return found


def form(world: World, agreement: str, **changes: str) -> dict[str, str]:
    """What the signer's page posts."""
    return {
        "pdf_sha256": row(world, agreement).pdf_sha256 or "",
        "name": NAME,
        "consent": "y",
        "language": "zh",
        **changes,
    }


def signing(world: World, agreement: str) -> tuple[Any, ...]:
    """All that a signature could change: state, digests, evidence, what happened, the agreement's own log entries."""
    found = row(world, agreement)
    with world.deps.database.read() as session:
        kept = session.scalars(
            select(SignedEvidence.body).where(SignedEvidence.agreement_id == agreement)
        ).all()
        seen = session.scalars(
            select(AgreementEvent.event).where(AgreementEvent.agreement_id == agreement)
        ).all()
    entries = [x.event for x in world.leaves() if x.object_id == agreement and x.event != "refused"]
    return found.state, found.signed_sha256, found.sealed_sha256, found.signed_at, kept, seen, entries


def enter(world: World, name: str) -> Browser:
    """Somebody's browser on the first page after signing in."""
    browser = world.browser(name)
    browser.get("/", follow_redirects=True)
    return browser


def post(browser: Browser, agreement: str, data: dict[str, str]) -> int:
    return browser.post(f"/my/agreements/{agreement}/sign", data).status_code


def test_the_digest_of_another_agreement_is_a_conflict(world: World) -> None:
    mine, other = (world.agreement(until="SENT", classes=c) for c in (("F07",), ("F08",)))
    before = signing(world, mine), signing(world, other)
    digest = row(world, other).pdf_sha256 or ""
    assert post(enter(world, "s1"), mine, form(world, mine, pdf_sha256=digest)) == 409
    assert (signing(world, mine), signing(world, other)) == before


def test_another_partner_s_form_signs_nothing(world: World) -> None:
    agreement = world.agreement(until="SENT")
    before, given = signing(world, agreement), form(world, agreement)
    assert post(enter(world, "d1"), agreement, given) == 404
    assert post(enter(world, "s2"), agreement, given) == 403
    assert signing(world, agreement) == before


def test_an_edited_digest_is_a_conflict(world: World) -> None:
    agreement, s1 = world.agreement(until="SENT"), enter(world, "s1")
    digest = row(world, agreement).pdf_sha256 or ""
    flipped = ("0" if digest[0] != "0" else "1") + digest[1:]
    before = signing(world, agreement)
    for edited in (
        digest.upper() + "A",
        flipped,
        digest[:-1],
        digest + "0",
        "",
        f"{digest[:32]} {digest[32:]}",
    ):
        assert post(s1, agreement, form(world, agreement, pdf_sha256=edited)) == 409, edited
        assert signing(world, agreement) == before, edited


def test_an_old_version_s_page_signs_nothing_of_the_new_one(world: World) -> None:
    old = world.agreement(until="SENT")
    page = form(world, old)
    adm = enter(world, "adm")
    assert adm.post(f"/agreements/{old}/void", {"reason": "范围有误，重新起草后再发送"}).status_code == 302
    new = world.agreement(until="SENT", classes=("F07",))
    before = signing(world, old), signing(world, new)
    s1 = enter(world, "s1")
    assert post(s1, old, page) == 409
    assert post(s1, new, page) == 409
    assert (signing(world, old), signing(world, new)) == before


def test_a_second_tab_and_a_double_click_sign_once(world: World) -> None:
    agreement = world.agreement(until="SENT")
    one, two, given = enter(world, "s1"), enter(world, "s1"), form(world, agreement)
    for browser in (one, two):
        browser.get(f"/my/agreements/{agreement}")
    assert post(one, agreement, given) == 302
    after = signing(world, agreement)
    assert after[0] == "PARTNER_SIGNED" and len(after[4]) == 1
    assert post(one, agreement, given) == 409
    assert post(two, agreement, {**given, "name": "另一个名字"}) == 409
    assert (
        two.post(f"/my/agreements/{agreement}/decline", {"reason": "改变主意，不再签署"}).status_code == 409
    )
    assert signing(world, agreement) == after


def test_a_countersignature_is_given_once(world: World) -> None:
    agreement = world.agreement(until="PARTNER_SIGNED")
    gm = enter(world, "gm")
    shown = {"pdf_sha256": row(world, agreement).pdf_sha256 or ""}
    assert gm.post(f"/agreements/{agreement}/countersign", shown).status_code == 302
    after = signing(world, agreement)
    assert after[0] == "IN_FORCE"
    assert gm.post(f"/agreements/{agreement}/countersign", shown).status_code == 409
    assert post(enter(world, "s1"), agreement, form(world, agreement)) == 409
    assert signing(world, agreement) == after


@pytest.mark.parametrize("event", ["sign", "countersign"])
def test_two_at_once_sign_once(world: World, event: str) -> None:
    """Both pass the door together; the row's lock lets one through, and the other finds it done."""
    agreement = world.agreement(until="SENT" if event == "sign" else "PARTNER_SIGNED")
    who = "s1" if event == "sign" else "gm"
    path = f"/my/agreements/{agreement}/sign" if event == "sign" else f"/agreements/{agreement}/countersign"
    given, answers = form(world, agreement), []
    browsers = [enter(world, who) for _ in range(2)]
    for browser in browsers:
        browser.get(path.rpartition("/")[0])
    start = threading.Barrier(2)

    def click(browser: Browser) -> None:
        start.wait(30)
        answers.append(browser.post(path, given).status_code)

    threads = [threading.Thread(target=click, args=(b,)) for b in browsers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert sorted(answers) == [302, 409]
    after = signing(world, agreement)
    assert len(after[4]) == 1 and after[6].count(f"agreement.{event}") == 1
