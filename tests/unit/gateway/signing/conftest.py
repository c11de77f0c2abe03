"""A portal with the demo company, its people, and ways to look at what a job left behind."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from PIL import Image, ImageDraw
from sqlalchemy import select

from agreements.render import digest
from agreements.text import DEFAULT
from gateway.audit.models import Leaf
from gateway.notify.models import Message
from gateway.signing import service
from gateway.signing.models import Agreement, SignedEvidence, Template
from gateway.signing.rules import PAPER_CHECKS
from tests.factories import World, build_world, copy_world


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> World:
    """One loaded company per worker, copied for each test."""
    return build_world(tmp_path_factory.mktemp("template") / "home")


@pytest.fixture
def world(template: World, tmp_path: Path) -> Iterator[World]:
    """The portal of one test."""
    made = copy_world(template, tmp_path / "home")
    yield made
    made.deps.database.close()


class Room:
    """The room of signing in one portal: its rows, what it recorded, whom it told."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.deps = world.deps

    @property
    def now(self):
        return self.world.now()

    def row(self, agreement: str) -> Agreement:
        with self.deps.database.read() as session:
            row = session.get_one(Agreement, agreement)
            session.expunge(row)
        return row

    def evidence(self, agreement: str) -> SignedEvidence:
        with self.deps.database.read() as session:
            row = session.scalars(
                select(SignedEvidence).where(SignedEvidence.agreement_id == agreement)
            ).one()
            session.expunge(row)
        return row

    def template_state(self, template: str) -> str:
        with self.deps.database.read() as session:
            return session.get_one(Template, template).state

    def scope(self, **changes) -> service.Scope:
        today = (self.now + timedelta(hours=8)).date()
        scope = service.Scope(
            organisation=self.world.company.organisations["supplier"], signer=self.world.id("s1"), clients=None,
            classes=("F07", "F08"), purposes=("P01", "P03"), relation="ENTRUST",
            valid_from=today, valid_to=today + timedelta(days=99),
            contact_list="供应商联系人一\n供应商联系人二", incident_contact="行政部 100-0000-0000", liability="赔偿实际损失",
            forum="甲方所在地人民法院",
        )  # fmt: skip
        return replace(scope, **changes)

    def draft(self, actor: str = "adm", **changes) -> str:
        return service.draft(self.deps, self.scope(**changes), actor=self.world.actor(actor), now=self.now)

    def sent(self, **changes) -> str:
        made = self.draft(**changes)
        service.send(self.deps, made, actor=self.world.actor("adm"), now=self.now)
        return made

    def sign(self, agreement: str, who: str = "s1", **changes) -> None:
        given = service.Signature(self.row(agreement).pdf_sha256 or "", "供应商联系人一", consent=True)
        service.sign(
            self.deps, agreement, replace(given, **changes), actor=self.world.actor(who), now=self.now
        )

    def countersign(self, agreement: str, who: str = "gm", pdf_sha256: str | None = None) -> None:
        shown = self.row(agreement).pdf_sha256 if pdf_sha256 is None else pdf_sha256
        service.countersign(
            self.deps, agreement, pdf_sha256=shown or "", actor=self.world.actor(who), now=self.now
        )

    def scan(self, words: str = "纸质协议扫描件") -> bytes:
        """A scanned page, as PDF; other words give other bytes."""
        out = io.BytesIO()
        picture = Image.new("L", (620, 877), 255)
        ImageDraw.Draw(picture).text((60, 60), words.encode("unicode_escape").decode(), fill=0)
        picture.save(out, "PDF")
        return out.getvalue()

    def paper(self, actor: str = "adm", **changes) -> str:
        """A paper agreement, registered."""
        scope = {k: changes.pop(k) for k in list(changes) if k in self.scope().__dataclass_fields__}
        given = service.Scan(
            self.scope(**scope), "", self.scope().valid_from, "档案室 3 柜 2 盒", self.scan()
        )
        return service.intake(
            self.deps, replace(given, **changes), actor=self.world.actor(actor), now=self.now
        )

    def check(self, agreement: str, stage: int, who: str | None = None, ticked=None) -> None:
        points = tuple(PAPER_CHECKS[stage]) if ticked is None else ticked
        actor = self.world.actor(who or {1: "adm", 2: "arc1"}[stage])
        service.check(self.deps, agreement, stage, points, actor=actor, now=self.now)

    def in_force(self, **changes) -> str:
        made = self.sent(**changes)
        self.sign(made)
        self.countersign(made)
        return made

    def sweep(self, _: str = "") -> int:
        return service.sweep(self.deps, now=self.now)

    def stored(self, agreement: str) -> bytes:
        return b"".join(self.deps.evidence.open(f"agreement-{agreement}", 1))

    def swap(self, agreement: str, data: bytes) -> str:
        """Puts other bytes in the place of the stored document, as whoever holds store and keys could."""
        self.deps.evidence.delete(f"agreement-{agreement}", 1)
        self.deps.evidence.put(f"agreement-{agreement}", 1, iter([data]))
        return digest(data)

    def everything(self) -> str:
        """A digest of every row but the log's own, of stored evidence and of mails: equal means that nothing changed."""
        found = hashlib.sha256()
        with self.deps.database.engine.connect() as connection:
            names = connection.exec_driver_sql(
                "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name"
            )
            for (name,) in names.all():
                if not name.startswith(("audit_", "sqlite_")):
                    rows = connection.exec_driver_sql(f'SELECT * FROM "{name}"').all()
                    found.update(repr((name, sorted(map(repr, rows)))).encode())
        store = self.deps.settings.home / "store"
        for path in sorted(p for p in store.rglob("*") if p.is_file()):
            found.update(path.name.encode() + path.read_bytes())
        return found.hexdigest()

    def leaves(self, agreement: str) -> list[str]:
        with self.deps.database.read() as session:
            query = select(Leaf.event).where(Leaf.object_id == agreement).order_by(Leaf.arrival)
            return list(session.scalars(query))

    def refusals(self) -> list[tuple[str, str]]:
        """(verb, code) of every refusal entry, oldest first."""
        bodies = [json.loads(leaf.body)["data"] for leaf in self.world.leaves("refused")]
        return [(data["verb"], data["code"]) for data in bodies]

    def told(self, event: str) -> list[tuple[str, str]]:
        """(kind, id) of everyone told of an event."""
        with self.deps.database.read() as session:
            found = session.scalars(
                select(Message).where(Message.event == event).order_by(Message.created_at)
            )
            return [(m.recipient_kind, m.recipient) for m in found]


@pytest.fixture
def room(world: World) -> Room:
    return Room(world)


@pytest.fixture
def at_state(room: Room) -> Callable[[str], str]:
    """Makes an agreement in a state, each by its own way."""

    def by(who: str, verb: Callable, *given) -> Callable[[str], None]:
        return lambda i: verb(room.deps, i, *given, actor=room.world.actor(who), now=room.now)

    def make(state: str) -> str:
        ways: dict[str, Callable[[], str]] = {
            "DRAFT": room.draft,
            "SENT": room.sent,
            "VIEWED": lambda: _after(room.sent(), by("s1", service.view, ())),
            "DECLINED": lambda: _after(room.sent(), by("s1", service.decline, "条款需要再议，暂不签署")),
            "VOID": lambda: _after(room.draft(), by("adm", service.void, "范围写错，重新起草一份")),
            "PARTNER_SIGNED": lambda: _after(room.sent(), room.sign),
            "COUNTERSIGNED": lambda: _later(room),
            "IN_FORCE": room.in_force,
            "EXPIRING": lambda: _after(
                room.in_force(valid_to=room.scope().valid_from + timedelta(days=20)), room.sweep
            ),
            "LAPSED": lambda: _lapsed(room),
            "RENEWED": lambda: _renewed(room),
            "TERMINATED": lambda: _after(
                room.in_force(), by("gm", service.terminate, "合作提前结束，双方已确认")
            ),
        }
        ways |= {
            "RESIGN": lambda: _to_be_resigned(room),
            "PAPER_INTAKE": room.paper,
            "CHECK1": lambda: _after(room.paper(), lambda a: room.check(a, 1)),
            "CHECK2": lambda: _checked(room),
            "REFUSED": lambda: _after(room.paper(), by("arc1", service.refuse, "印章名称与单位名称不一致")),
        }
        made = ways[state]()
        assert room.row(made).state == state
        return made

    return make


def _after(agreement: str, step: Callable[[str], object]) -> str:
    step(agreement)
    return agreement


def _later(room: Room) -> str:
    first = room.scope().valid_from + timedelta(days=3)
    made = room.sent(valid_from=first, valid_to=first + timedelta(days=30))
    room.sign(made)
    room.countersign(made)
    return made


def _to_be_resigned(room: Room) -> str:
    made, text = room.in_force(), DEFAULT
    adm, gm = room.world.actor("adm"), room.world.actor("gm")
    new = service.draft_template(room.deps, "NDA-9", text.zh, text.en, resign=True, actor=adm, now=room.now)
    service.submit_template(room.deps, new, actor=adm, now=room.now)
    service.approve_template(room.deps, new, actor=gm, now=room.now)
    return made


def _checked(room: Room) -> str:
    first = room.scope().valid_from + timedelta(days=3)
    made = room.paper(valid_from=first, valid_to=first + timedelta(days=30))
    room.check(made, 1)
    room.check(made, 2)
    return made


def _lapsed(room: Room) -> str:
    made = room.in_force(valid_to=room.scope().valid_from + timedelta(days=1))
    room.world.clock.advance(days=3)
    room.sweep()
    return made


def _renewed(room: Room) -> str:
    made = room.in_force()
    room.in_force(valid_to=room.scope().valid_to + timedelta(days=100))
    return made
