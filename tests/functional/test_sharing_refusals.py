"""Every refused way to a file leaves an entry and no byte; looking spends nothing; revocation wins; limits hold."""

from __future__ import annotations

import io
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from PIL import Image
from sqlalchemy import select
from werkzeug.routing import Rule

from gateway.audit.models import StrangerCount
from gateway.errors import Withheld
from gateway.sharing import service as sharing
from gateway.sharing.models import Bundle, Collection, Copy, Counter, RevealedSecret
from gateway.signing import service as signing
from gateway.signing.models import Agreement
from tests.factories import Browser, World

REASON = "供应商变更，不再需要资料"
MIB = 1 << 20


@dataclass(frozen=True)
class Rows:
    """What a refusal, or a look, must leave as it was."""

    counters: tuple[tuple[str, int], ...]
    copies: tuple[tuple[str, str], ...]
    bundles: tuple[tuple[str, str], ...]
    collections: tuple[tuple[str, bool], ...]
    secrets: int


def rows(world: World) -> Rows:
    """The state of everything that a download would change."""
    with world.deps.database.read() as session:
        return Rows(
            tuple(sorted((c.id, c.used) for c in session.scalars(select(Counter)))),
            tuple(sorted((c.number, c.state) for c in session.scalars(select(Copy)))),
            tuple(sorted((b.id, b.state) for b in session.scalars(select(Bundle)))),
            tuple(sorted((c.id, c.secret_shown_at is None) for c in session.scalars(select(Collection)))),
            len(session.scalars(select(RevealedSecret)).all()),
        )


def sent(world: World) -> int:
    """How many transfers the log tells of."""
    return len(world.leaves("release.completed")) + len(world.leaves("release.aborted"))


def collect(browser: Browser, bundle: str) -> str:
    """The ticket of a collection."""
    browser.get(f"/my/bundles/{bundle}")
    answer = browser.post(f"/my/bundles/{bundle}/collect")
    found = re.search(r'href="(/t/[0-9a-f]{64})"', answer.get_data(as_text=True))
    assert found is not None
    return found[1]


def revoke(world: World, share: str) -> None:
    sharing.revoke(world.deps, share, REASON, actor=world.actor("biz.sj"), now=world.now())


def suspend(world: World, share: str) -> None:
    sharing.suspend(world.deps, share, REASON, actor=world.actor("adm"), now=world.now())


def terminate(world: World, share: str) -> None:
    with world.deps.database.read() as session:
        agreement = session.scalars(select(Agreement.id)).one()
    signing.terminate(world.deps, agreement, REASON, actor=world.actor("gm"), now=world.now())


STOPS = (revoke, suspend, terminate)


@pytest.mark.parametrize("stop", STOPS, ids=lambda stop: stop.__name__)
def test_a_stopped_share_refuses_each_step_with_an_entry_and_no_byte(
    world: World, stop: Callable[[World, str], None]
) -> None:
    share, items = world.active_share(2)
    browser = world.browser("s1")
    session = browser.actor
    first = sharing.prepare(world.deps, share, items[:1], wanted=None, actor=session, now=world.now())[0]
    second = sharing.prepare(world.deps, share, items[1:], wanted=None, actor=session, now=world.now())[0]
    world.drain()
    ticket = collect(browser, first)
    stop(world, share)
    before, transfers = rows(world), sent(world)
    tries = (
        lambda: browser.post(f"/my/shares/{share}/prepare", {"items": items, "format": ""}),
        lambda: browser.post(f"/my/bundles/{second}/collect"),
        lambda: browser.get(ticket),
        lambda: browser.get(ticket, headers={"Range": "bytes=0-99"}),
        lambda: browser.client.head(ticket),
        lambda: browser.post(f"/my/bundles/{first}/passphrase"),
    )
    for attempt in tries:
        refusals = len(world.leaves("refused"))
        answer = attempt()
        assert answer.status_code == 409
        assert b"%PDF" not in answer.data and answer.mimetype == "text/html"
        assert len(world.leaves("refused")) == refusals + 1
    assert rows(world) == before and sent(world) == transfers


def test_an_expired_share_gives_nothing(world: World) -> None:
    share, items = world.active_share(1)
    world.clock.advance(days=7, minutes=1)
    browser = world.browser("s1")
    page = browser.get(f"/my/shares/{share}").get_data(as_text=True)
    assert 'aria-disabled="true"' in page
    before = rows(world)
    assert browser.post(f"/my/shares/{share}/prepare", {"items": items, "format": ""}).status_code == 409
    assert b'"VALID"' in world.leaves("refused")[-1].body
    assert rows(world) == before
    sharing.sweep(world.deps, now=world.now())
    assert "下载截止" in browser.get("/my/shares").get_data(as_text=True)


def test_strangers_and_wrong_sessions_learn_nothing_and_are_noted(world: World) -> None:
    share, items = world.active_share(1)
    browser = world.browser("s1")
    bundle = world.ready_bundle(share, items)
    ticket = collect(browser, bundle)
    before, transfers = rows(world), sent(world)
    unknown = browser.get(f"/t/{secrets.token_hex(32)}")
    foreign = world.browser("s1").get(ticket)
    assert unknown.status_code == foreign.status_code == 404
    hide = re.compile(r'content="[^"]*"|value="[^"]*"|<time.*?</time>')
    assert hide.sub("", unknown.get_data(as_text=True)) == hide.sub("", foreign.get_data(as_text=True))
    assert world.leaves("refused")[-1].object_id == "sharing.ticket"
    stranger = world.browser()
    for path in (ticket, f"/my/shares/{share}", f"/my/bundles/{bundle}", f"/shares/{share}"):
        assert stranger.get(path).status_code == 404
    with world.deps.database.read() as session:
        assert sum(session.scalars(select(StrangerCount.count))) >= 4
    assert rows(world) == before and sent(world) == transfers


def paths(rule: Rule, known: dict[str, str]) -> str | None:
    """The rule's path with known ids in it; None for one that is not read."""
    if "GET" not in (rule.methods or ()):
        return None
    return str(rule.build({name: known[name] for name in rule.arguments})[1])  # type: ignore[index]


def test_every_get_is_free_however_often_it_is_asked(world: World) -> None:
    share, items = world.active_share(2)
    browser = world.browser("s1")
    world.ready_bundle(share, items[:1])
    taken = world.ready_bundle(share, items)
    ticket = collect(browser, taken).removeprefix("/t/")
    with world.deps.database.read() as session:
        bundles = list(session.scalars(select(Bundle.id)))
    before = rows(world)
    crawled = set()
    for who in (browser, *(world.browser(name) for name in ("s2", "biz.sj", "arc1", "adm"))):
        for bundle in bundles:
            for name in ("cover.pdf", "collect.tlog-proof"):
                known = {"share_id": share, "bundle_id": bundle, "ticket": ticket, "name": name}
                for rule in world.app.url_map.iter_rules():
                    path = paths(rule, known) if rule.endpoint.startswith("sharing.") else None
                    if path is not None:
                        assert who.get(path).status_code < 500
                        assert who.client.head(path).status_code < 500
                        crawled.add(rule.endpoint)
    rules = [r for r in world.app.url_map.iter_rules() if r.endpoint.startswith("sharing.")]
    assert crawled == {r.endpoint for r in rules if "GET" in (r.methods or ())}
    assert rows(world) == before


def heavy(world: World) -> tuple[str, str]:
    """An active share of one picture of several MiB, and its ready bundle."""
    out = io.BytesIO()
    Image.effect_noise((2400, 2400), 120).convert("RGB").save(out, "JPEG", quality=95)
    items = world.filed_items(1, data=out.getvalue(), name="现场.jpg")
    world.agreement()
    share = world.draft_share(items)
    world.approve_share(share)
    return share, world.ready_bundle(share, items)


def test_revoking_stops_a_running_download_within_a_mebibyte(world: World) -> None:
    share, bundle = heavy(world)
    browser = world.browser("s1")
    ticket = collect(browser, bundle)
    answer = browser.client.get(ticket)
    assert int(answer.headers["Content-Length"]) > 3 * MIB
    pieces = iter(answer.response)
    got = len(next(pieces))
    revoke(world, share)
    with pytest.raises(Withheld) as stopped:
        next(pieces)
    answer.close()
    assert got <= MIB and "STATE" in stopped.value.codes
    assert f'"bytes":{got}'.encode() in world.leaves("release.aborted")[-1].body
    assert not world.leaves("release.completed")


def test_a_reader_who_leaves_is_written_down_at_the_byte(world: World) -> None:
    _, bundle = heavy(world)
    browser = world.browser("s1")
    ticket = collect(browser, bundle)
    answer = browser.client.get(ticket)
    got = len(next(iter(answer.response)))
    answer.close()
    assert f'"bytes":{got}'.encode() in world.leaves("release.aborted")[-1].body
    browser.client.get(ticket).close()
    assert len(world.leaves("release.aborted")) == 2
    rest = browser.get(ticket, headers={"Range": f"bytes={got}-"})
    assert (rest.status_code, len(rest.data)) == (206, int(rest.headers["Content-Length"]))
    assert len(world.leaves("release.completed")) == 1


def test_two_collections_at_once_never_spend_more_than_the_limit(world: World) -> None:
    share, items = world.active_share(1, download_limit=1)
    one, two = world.browser("s1"), world.browser("s1")
    bundle = world.ready_bundle(share, items)
    collect(one, bundle)
    two.get(f"/my/bundles/{bundle}")
    assert two.post(f"/my/bundles/{bundle}/collect").status_code == 409
    with world.deps.database.read() as session:
        assert session.scalars(select(Counter.used)).all() == [1]


def test_the_passphrase_is_bound_to_the_session_that_saw_it(world: World) -> None:
    share, items = world.active_share(1)
    browser = world.browser("s1")
    bundle = world.ready_bundle(share, items)
    collect(browser, bundle)
    shown = browser.post(f"/my/bundles/{bundle}/passphrase")
    assert shown.status_code == 200 and shown.headers["Cache-Control"] == "no-store"
    other = world.browser("s1")
    assert "在另一次登录中显示" in other.get(f"/my/bundles/{bundle}").get_data(as_text=True)
    assert other.post(f"/my/bundles/{bundle}/passphrase").status_code == 404
    assert other.post(f"/my/bundles/{bundle}/acknowledge").status_code == 404
    world.clock.advance(minutes=9, seconds=40)
    world.deps.log.sequence(now=world.now())
    assert browser.post(f"/my/bundles/{bundle}/passphrase").status_code == 200
    world.clock.advance(seconds=30)
    assert browser.post(f"/my/bundles/{bundle}/passphrase", {"otp": world.code("s1")}).status_code == 404
