"""Sealing against real services over HTTP: time stamps, revocation data; one that is down, slow or lies opens no gate."""

from __future__ import annotations

import subprocess
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import pytest
from click.testing import CliRunner
from sqlalchemy import select

from agreements.signature import Sealer
from agreements.timestamp import Authority
from agreements.validation import validate
from gateway.cli import main
from gateway.release import Ask, gather
from gateway.signing import service
from gateway.signing.models import Agreement, Sealing
from tests.factories import World
from tests.services.certomancer import Services, running_services

pytestmark = pytest.mark.services


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    with running_services(tmp_path_factory.mktemp("trust")) as services:
        yield services


@pytest.fixture
def services(running: Services) -> Services:
    running.behave = "honest"
    running.deaf.clear()
    running.asked.clear()
    return running


@pytest.fixture
def portal(world: World, services: Services) -> World:
    """A portal whose agreements are sealed under the services' certificate and must be time-stamped."""
    return sealed_by(world, services)


def sealed_by(world: World, services: Services, label: str = "seal", **more: object) -> World:
    authority = Authority(services.tsa, 0.5, **more)  # type: ignore[arg-type]
    sealer = Sealer(services.credentials(label), (services.root,), authority)
    world.deps = replace(world.deps, sealer=sealer)
    world.deps.queue.bind(world.deps)
    return world


def row(world: World, agreement: str) -> Agreement:
    with world.deps.database.read() as session:
        found = session.get_one(Agreement, agreement)
        session.expunge(found)
    return found


def error(world: World, agreement: str) -> str | None:
    with world.deps.database.read() as session:
        return session.get_one(Sealing, agreement).error


def gate(world: World) -> bool:
    """Whether the release decision would count any agreement for s1 as in force."""
    ask = Ask("copy", "reserve", world.actor("s1"), world.now(), contact=world.id("s1"))
    with world.deps.database.read() as session:
        facts = gather(world.deps, session, ask)
    return any(a.in_force and a.intact for a in facts.agreements or ())


def countersigned(world: World) -> str:
    made = world.agreement(until="PARTNER_SIGNED")
    world._countersign(made, ())
    return made


def test_it_is_processing_until_stamped_and_then_in_force_with_everything_in_it(
    portal: World, services: Services, tmp_path: Path
) -> None:
    agreement = countersigned(portal)
    assert row(portal, agreement).state == "PROCESSING" and not gate(portal)
    portal.drain()
    sealed = row(portal, agreement)
    assert (sealed.state, sealed.level) == ("IN_FORCE", "B-LTA") and gate(portal)
    pdf = service.document(portal.deps, agreement, actor=portal.actor("s1"), now=portal.now())
    facts = validate(pdf, [services.root])
    assert facts.sound and facts.revocation_data >= 2 and facts.signatures[-1].stamped_at is not None
    assert len(facts.stamps) == 1 and {"ocsp", "crls", "tsa"} <= set(services.asked)

    path = tmp_path / "signed.pdf"
    path.write_bytes(pdf)
    said = subprocess.run(["pdfsig", path], capture_output=True, text=True, timeout=60, check=False).stdout
    assert said.count("Signature is Valid.") == 3

    package = service.evidence_zip(portal.deps, agreement, actor=portal.actor("s1"), now=portal.now())
    _openssl(package, tmp_path)
    held = tmp_path / "package.zip"
    held.write_bytes(package)
    done = CliRunner().invoke(main, ["agreement", "verify", str(held)])
    assert done.exit_code == 0, done.output
    assert "time stamp over the whole document" in done.output and "revocation data" in done.output


def _openssl(package: bytes, folder: Path) -> None:
    with zipfile.ZipFile(BytesIO(package)) as archive:
        for name in ("timestamp.tst", "timestamp.bin", "roots.pem"):
            (folder / name).write_bytes(archive.read(name))
    command = "openssl ts -verify -token_in -in timestamp.tst -data timestamp.bin -CAfile roots.pem".split()
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0 and "Verification: OK" in done.stdout + done.stderr
    (folder / "timestamp.bin").write_bytes(b"other")
    assert subprocess.run(command, cwd=folder, capture_output=True, timeout=60, check=False).returncode != 0


def _tsa_down(services: Services) -> None:
    services.deaf.add("tsa")


def _revocation_down(services: Services) -> None:
    services.deaf |= {"ocsp", "crls"}


def _behaving(how: str) -> Callable[[Services], None]:
    return lambda services: setattr(services, "behave", how)


FAULTS: dict[str, tuple[Callable[[Services], None], str]] = {
    "down": (_tsa_down, "TSA"),
    "slow": (_behaving("slow"), "TSA"),
    "refusing": (_behaving("refusing"), "TSA"),
    "too long": (_behaving("huge"), "TSA"),
    "no revocation data": (_revocation_down, "TSA"),
    "wrong nonce": (_behaving("wrong nonce"), "TSA_LIED"),
    "wrong digest": (_behaving("wrong digest"), "TSA_LIED"),
    "wrong time": (_behaving("wrong time"), "TSA_LIED"),
    "garbage": (_behaving("garbage"), "TSA_LIED"),
}


def test_every_fault_outside_keeps_the_gate_shut_until_it_is_over(portal: World, services: Services) -> None:
    agreement = ""
    for fault, (break_it, code) in FAULTS.items():
        services.behave = "honest"
        services.deaf.clear()
        break_it(services)
        agreement = agreement or countersigned(portal)
        again(portal)
        assert (row(portal, agreement).state, error(portal, agreement)) == ("PROCESSING", code), fault
        assert row(portal, agreement).sealed_sha256 is None and not gate(portal), fault
        asked = len(services.asked)
        service.sweep(portal.deps, now=portal.now())
        portal.drain()
        assert len(services.asked) == asked, "asked again before its pause was over"
    # One entry for each change of the kind of fault, however often it was tried.
    assert len(portal.leaves("agreement.held")) == 2

    services.behave = "honest"
    again(portal)
    assert row(portal, agreement).state == "IN_FORCE" and gate(portal)


def again(world: World) -> None:
    """Lets the pause be over, without moving the clock that time stamps are compared with."""
    world.drain()
    with world.deps.database.write() as session:
        for waiting in session.scalars(select(Sealing)):
            waiting.next_at = world.now()
    service.sweep(world.deps, now=world.now())
    world.drain()


def test_an_untrusted_authority_and_a_revoked_seal_open_nothing(portal: World, services: Services) -> None:
    services.behave = "a stranger"
    sealed_by(portal, services)
    agreement = countersigned(portal)
    portal.drain()
    assert row(portal, agreement).state == "PROCESSING" and not gate(portal)

    services.behave = "honest"
    sealed_by(portal, services, "revoked")
    again(portal)
    assert row(portal, agreement).state == "PROCESSING" and not gate(portal)


def test_pauses_grow_and_end_at_an_hour(portal: World, services: Services) -> None:
    services.deaf.add("tsa")
    agreement = countersigned(portal)
    pauses = []
    for _ in range(9):
        portal.drain()
        with portal.deps.database.read() as session:
            pauses.append(session.get_one(Sealing, agreement).next_at - portal.now())
        portal.clock.advance(hours=1.1)
        service.sweep(portal.deps, now=portal.now())
    minutes = [round(p.total_seconds() / 60) for p in pauses]
    assert minutes == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    assert len(portal.leaves("agreement.held")) == 1


def test_where_none_is_required_a_silent_authority_holds_nothing_up_but_a_liar_does(
    world: World,
    services: Services,
) -> None:
    portal = sealed_by(world, services, required=False)
    services.deaf.add("tsa")
    agreement = countersigned(portal)
    portal.drain()
    assert (row(portal, agreement).state, row(portal, agreement).level) == ("IN_FORCE", "B-B")

    services.deaf.clear()
    services.behave = "wrong nonce"
    other = countersigned(portal)
    portal.drain()
    assert (row(portal, other).state, error(portal, other)) == ("PROCESSING", "TSA_LIED")


def test_the_company_may_void_what_waits_for_an_authority(portal: World, services: Services) -> None:
    services.deaf.add("tsa")
    agreement = countersigned(portal)
    service.void(
        portal.deps, agreement, "时间戳机构长期不可用，改签纸质", actor=portal.actor("gm"), now=portal.now()
    )
    services.deaf.clear()
    portal.drain()
    assert row(portal, agreement).state == "VOID" and not gate(portal)
