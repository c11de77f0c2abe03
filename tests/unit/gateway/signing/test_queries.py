"""What the pages read."""

from datetime import timedelta

import pytest

from gateway.errors import NotAllowed, NotFound
from gateway.signing import queries, service
from gateway.signing.results import LedgerFilter


def ledger(room, who="adm", **asked):
    return queries.ledger(room.deps, LedgerFilter(**asked), actor=room.world.actor(who), now=room.now)


def page(room, agreement, who):
    return queries.agreement_page(room.deps, agreement, actor=room.world.actor(who), now=room.now)


def test_the_ledger_filters_and_says_who_has_not_signed(room) -> None:
    supplier, studio = (room.world.company.organisations[k] for k in ("supplier", "studio"))
    done, draft = room.in_force(valid_to=room.scope().valid_from + timedelta(days=20)), room.draft()
    found = ledger(room)
    assert {r.id for r in found.rows} == {done, draft}
    assert [(u.id, u.pending) for u in found.unsigned] == [(studio, None)]
    assert [r.id for r in ledger(room, state="DRAFT").rows] == [draft]
    assert ledger(room, organisation=studio).rows == ()
    assert len(ledger(room, organisation=supplier).rows) == 2
    assert [r.id for r in ledger(room, ending=30).rows] == [done]
    assert ledger(room, ending=7).rows == ()


def test_an_agreement_that_has_run_out_counts_as_unsigned_before_the_sweep(room) -> None:
    room.in_force()
    room.world.clock.advance(days=101)
    assert len(ledger(room).unsigned) == 2


def test_what_is_on_its_way_stands_beside_the_name(room) -> None:
    agreement = room.sent()
    pending = {u.name: u.pending.id if u.pending else None for u in ledger(room).unsigned}
    assert agreement in pending.values()


@pytest.mark.parametrize("who", ["biz.sj", "hod.sj", "sys", "s1"])
def test_the_ledger_is_for_the_companys_readers(room, who) -> None:
    with pytest.raises(NotAllowed):
        ledger(room, who)


def test_a_renewed_agreement_names_its_successor(room) -> None:
    old = room.in_force()
    new = room.in_force(valid_to=room.scope().valid_to + timedelta(days=5))
    assert {r.id: r.successor for r in ledger(room).rows} == {old: room.row(new).number, new: ""}


def test_the_signer_may_sign_and_a_colleague_may_read(room) -> None:
    agreement = room.sent()
    mine, theirs = page(room, agreement, "s1"), page(room, agreement, "s2")
    assert {"sign", "decline"} <= mine.events
    assert (theirs.events, theirs.named_signer) == (frozenset(), False)
    assert mine.pages == 3
    assert mine.zh[0].text == "客户信息保密协议"
    assert (theirs.history, theirs.drafter) == ((), "")
    room.world.clock.advance(days=15)
    assert "sign" not in page(room, agreement, "s1").events


def test_pages_show_what_roles_may_do(room) -> None:
    agreement = room.draft()
    assert page(room, agreement, "adm").events == {"send", "void"}
    assert page(room, agreement, "gm").events == frozenset()
    with pytest.raises(NotFound):
        page(room, agreement, "s1")
    service.send(room.deps, agreement, actor=room.world.actor("adm"), now=room.now)
    room.sign(agreement, name="王小明")
    assert page(room, agreement, "gm").events == {"countersign", "void"}
    assert page(room, agreement, "aud").events == frozenset()
    assert page(room, agreement, "aud").signed_name == "王小明"
    with pytest.raises(NotFound):
        page(room, agreement, "d1")


def test_the_history_comes_from_the_log_newest_first(room) -> None:
    agreement = room.sent()
    room.sign(agreement)
    history = page(room, agreement, "adm").history
    assert [h.text.zh.rpartition(" ")[2] for h in history] == ["签署", "打开协议", "发送", "起草协议"]
    assert [h.act for h in history] == [True, False, False, False]
    assert history[0].text.zh.startswith("供应商联系人一")


def test_partners_see_their_own_in_groups(room) -> None:
    waiting, done, ended, hidden = room.sent(), room.in_force(), room.sent(), room.draft()
    service.void(room.deps, ended, "范围写错，重新起草一份", actor=room.world.actor("adm"), now=room.now)
    mine = queries.own_agreements(room.deps, actor=room.world.actor("s2"), now=room.now)
    assert [[r.id for r in group] for group in (mine.waiting, mine.current, mine.ended)] == [
        [waiting],
        [done],
        [ended],
    ]
    assert mine.pledges == 1
    theirs = queries.own_agreements(room.deps, actor=room.world.actor("d1"), now=room.now)
    assert (theirs.waiting, theirs.current, theirs.ended, theirs.pledges) == ((), (), (), 0)
    assert hidden not in [r.id for group in (mine.waiting, mine.current, mine.ended) for r in group]


def test_a_lost_document_is_said_to_be_unreadable(room) -> None:
    agreement = room.sent()
    room.deps.evidence.delete(f"agreement-{agreement}", 1)
    found = page(room, agreement, "s1")
    assert (found.readable, found.pages) == (False, 0)


def test_the_form_offers_signers_and_starts_with_the_usual_term(room) -> None:
    given = queries.draft_choices(room.deps, actor=room.world.actor("adm"), now=room.now)
    assert {s.name for s in given.signers} == {"供应商联系人一", "工作室联系人一"}
    assert (given.last - given.first).days + 1 == 365
    assert given.contacts[room.world.company.organisations["supplier"]] == "供应商联系人一、供应商联系人二"
    with pytest.raises(NotAllowed):
        queries.draft_choices(room.deps, actor=room.world.actor("gm"), now=room.now)


def test_a_successor_starts_from_the_earlier_scope(room) -> None:
    old = room.in_force()
    start = queries.start_from(room.deps, old, actor=room.world.actor("adm"), now=room.now)
    assert start["classes"] == ["F07", "F08"]
    assert start["valid_to"] == room.scope().valid_to + timedelta(days=100)
