"""The gate and the agreement: no sequence of events opens it without one that both sides signed, in force and covering."""

from __future__ import annotations

import io
import random
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pikepdf
import pytest

from agreements.text import DEFAULT
from agreements.timestamp import Authority
from gateway.errors import Invalid, Refused, Unavailable
from gateway.release import Ask, decide
from gateway.signing import service
from gateway.signing.models import Agreement
from gateway.signing.rules import PAPER_CHECKS
from tests.factories import copy_world
from tests.worlds import Scene

REASON = "双方商定不再继续，另行处理"
CODES = {"NDA", "COVER", "NDAHASH"}
NOBODY = "http://127.0.0.1:9/"
ENDS = {
    "agreement.lapse",
    "agreement.terminate",
    "agreement.partner_terminate",
    "agreement.renew",
    "agreement.void",
    "agreement.demand",
    "agreement.refuse",
}
USUAL = {
    "DRAFT": "send",
    "SENT": "sign",
    "VIEWED": "sign",
    "PARTNER_SIGNED": "countersign",
    "PROCESSING": "retry",
    "PAPER_INTAKE": "check1",
    "CHECK1": "check2",
}


class Walk:
    """One random life of an organisation's agreements, judged after each step by what the log tells of them."""

    def __init__(self, scene: Scene, seed: int) -> None:
        self.scene, self.world, self.dice = scene, scene.world, random.Random(seed)
        self.opened = self.shut = 0
        self.done: list[str] = []
        # The walk begins with an agreement in force, under which the gate stands open.
        self.judge()
        assert self.opened == 1
        self.opened = 0
        self.act("terminate", self.rows()[0])

    def rows(self) -> list[Agreement]:
        with self.world.deps.database.read() as session:
            found = list(session.query(Agreement).order_by(Agreement.created_at))
            session.expunge_all()
        return found

    def step(self) -> None:
        """Mostly what brings some agreement on, otherwise anything at all, by anybody."""
        rows = self.rows()
        row = rows[-1] if self.dice.random() < 0.8 else self.dice.choice(rows)
        event = (
            USUAL.get(row.state) or self.dice.choice(("draft", "draft", "paper"))
            if self.dice.random() < 0.8
            else self.dice.choice(list(self.events(row)))
        )
        self.act(event, row)
        self.judge()

    def act(self, event: str, row: Agreement) -> None:
        self.done.append(event)
        with suppress(Refused, Invalid, Unavailable):
            self.events(row)[event]()

    def who(self, usual: str, *others: str) -> str:
        return usual if self.dice.random() < 0.85 else self.dice.choice(others)

    def digest(self, row: Agreement) -> str:
        other = self.dice.choice(self.rows()).pdf_sha256 or "0" * 64
        return (row.pdf_sha256 or "") if self.dice.random() < 0.85 else other

    def events(self, row: Agreement) -> dict[str, Callable[[], object]]:
        """Every event; a signature may be another's, its digest another agreement's."""
        signature = service.Signature(self.digest(row), "签署人", consent=True)
        world, deps, now = self.world, self.world.deps, self.world.now()

        def by(verb: Callable[..., object], who: str, *given: object) -> Callable[[], object]:
            return lambda: verb(deps, row.id, *given, actor=world.actor(who), now=now)

        return {
            "draft": self.draft,
            "send": by(service.send, self.who("adm", "gm")),
            "view": by(service.view, self.who("s1", "s2", "d1"), ()),
            "sign": lambda: service.sign(
                deps, row.id, signature, actor=world.session(self.who("s1", "s2", "d1", "gm"))[1], now=world.now()
            ),
            "decline": by(service.decline, "s1", REASON),
            "countersign": lambda: service.countersign(
                deps, row.id, pdf_sha256=self.digest(row), actor=world.actor(self.who("gm", "adm", "dgm")), now=now
            ),
            "void": by(service.void, self.who("adm", "gm"), REASON),
            "terminate": by(service.terminate, "gm", REASON),
            "partner_terminate": by(service.partner_terminate, self.who("s1", "d1"), REASON),
            "retry": self.retry,
            "demand": self.demand,
            "paper": self.paper,
            "check1": lambda: self.check(row, 1, self.who("adm", "arc1", "gm")),
            "check2": lambda: self.check(row, 2, self.who("arc1", "adm", "arc2")),
            "refuse": by(service.refuse, "arc1", REASON),
            "sweep": lambda: service.sweep(deps, now=now),
            "time": lambda: world.clock.advance(hours=self.dice.choice((1, 30, 24 * 12))),
            "authority": self.authority,
        }  # fmt: skip

    def draft(self) -> None:
        service.draft(self.world.deps, self.scope(), actor=self.world.actor("adm"), now=self.world.now())

    def scope(self) -> service.Scope:
        world, dice = self.world, self.dice
        today = (world.now() + timedelta(hours=8)).date()
        first = today + timedelta(days=dice.choice((-1, 0, 0, 0, 2)))
        return service.Scope(
            organisation=world.company.organisations["supplier"], signer=world.id("s1"), clients=None,
            classes=dice.choice((("F07",), ("F07", "F08"), ("F08",))), purposes=dice.choice((("P03",), ("P01", "P03"), ("P01",))),
            relation="ENTRUST", valid_from=first, valid_to=first + timedelta(days=dice.choice((3, 40))), contact_list="联系人",
            incident_contact="行政部", liability="赔偿实际损失", forum="甲方所在地人民法院",
        )  # fmt: skip

    def demand(self) -> None:
        """A new text after which everything is signed again."""
        world, text = self.world, DEFAULT
        adm, boss = world.actor("adm"), world.actor(self.who("gm", "adm"))
        now = world.now()
        version = f"NDA-{len(self.done)}"
        made = service.draft_template(world.deps, version, text.zh, text.en, resign=True, actor=adm, now=now)
        service.submit_template(world.deps, made, actor=adm, now=now)
        service.approve_template(world.deps, made, actor=boss, now=now)

    def paper(self) -> None:
        """A scan, never seen before, of an agreement signed on paper."""
        with pikepdf.new() as pdf:
            pdf.add_blank_page()
            pdf.docinfo["/Title"] = f"{len(self.done)}"
            out = io.BytesIO()
            pdf.save(out)
        today = (self.world.now() + timedelta(hours=8)).date()
        scan = service.Scan(self.scope(), "", today, "档案室 3 柜", out.getvalue())
        service.intake(
            self.world.deps, scan, actor=self.world.actor(self.who("adm", "gm")), now=self.world.now()
        )

    def check(self, row: Agreement, stage: int, who: str) -> None:
        points = list(PAPER_CHECKS[stage])[: None if self.dice.random() < 0.85 else 1]
        world = self.world
        service.check(world.deps, row.id, stage, points, actor=world.actor(who), now=world.now())

    def retry(self) -> None:
        self.world.clock.advance(minutes=70)
        service.sweep(self.world.deps, now=self.world.now())
        self.world.drain()

    def authority(self) -> None:
        """From now on a time stamp must be waited for in vain, or none is needed."""
        deps = self.world.deps
        assert deps.sealer is not None
        sealer = replace(deps.sealer, authority=None if deps.sealer.authority else Authority(NOBODY, 0.2))
        self.world.deps = replace(deps, sealer=sealer)
        self.world.deps.queue.bind(self.world.deps)

    def judge(self) -> None:
        world = self.world
        ask = Ask(
            "copy", "reserve", world.actor("s1"), world.now(), share=self.scene.share, contact=world.id("s1"),
            items=((self.scene.items[0], 1),), right="download",
        )  # fmt: skip
        with world.deps.database.read() as session:
            decision = decide(world.deps, session, ask)
        assert {c.code for c in decision.conditions} >= CODES
        opened = not CODES & {c.code for c in decision.missing}
        self.opened, self.shut = self.opened + opened, self.shut + (not opened)
        assert not opened or any(self.governs(row) for row in self.rows()), self.done

    def finish(self) -> None:
        """Whatever happened on the way, an agreement signed by both sides opens the gate again."""
        deps = self.world.deps
        if deps.sealer is not None and deps.sealer.authority is not None:
            self.authority()
        self.world.agreement(classes=("F07", "F08"), purposes=("P01", "P03"))
        self.judge()
        assert self.opened, self.done

    def governs(self, row: Agreement) -> bool:
        """By the log alone: signed by the partner, countersigned, sealed, entered into force, not ended; in time; covering."""
        told = {x.event for x in self.world.leaves() if x.object_id == row.id}
        here = {"agreement.sign", "agreement.countersign", "agreement.complete", "agreement.enter_force"}
        on_paper = {"agreement.intake", "agreement.check1", "agreement.check2", "agreement.enter_force"}
        both = here <= told or (on_paper <= told and self.checked_by_two(row))
        in_time = row.valid_from <= self.world.now() < row.valid_to
        return both and not told & ENDS and in_time and "F07" in row.classes and "P03" in row.purposes

    def checked_by_two(self, row: Agreement) -> bool:
        first, second = (
            {x.actor for x in self.world.leaves(f"agreement.{event}") if x.object_id == row.id}
            for event in ("check1", "check2")
        )
        return bool(first) and bool(second) and not first & second


def walks(scene: Scene, folder: Path, seeds: range, steps: int) -> None:
    opened = shut = 0
    for seed in seeds:
        made = copy_world(scene.world, folder / str(seed))
        walk = Walk(Scene(made, scene.share, list(scene.items)), seed)
        for _ in range(steps):
            walk.step()
        walk.finish()
        opened, shut = opened + walk.opened, shut + walk.shut
        made.deps.database.close()
    # A gate that never opens would prove nothing.
    assert opened and shut, (opened, shut)


def test_no_sequence_opens_the_gate_without_an_agreement(template_scene: Scene, tmp_path: Path) -> None:
    walks(template_scene, tmp_path, range(3), 14)


@pytest.mark.soak
def test_no_long_sequence_opens_the_gate_without_an_agreement(template_scene: Scene, tmp_path: Path) -> None:
    walks(template_scene, tmp_path, range(100, 140), 40)
