"""SIGKILL at chosen system calls of a rotation and of a backup: no key is lost, no backup is half of one, nothing is in clear.

100 kills in the soak, one of each kind otherwise; the same program and the same checks.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pyrage
import pytest

from gateway import bootstrap
from gateway.custody import envelope, inventory, keys, ledger, place, proving, restore
from gateway.deps import Deps
from tests.factories import settings_at
from tests.soak import custodian, kills

PROGRAM = Path(custodian.__file__)
CANARY = b"canary 90ab3e: never in clear on any disk. "
OBJECTS = 14
NUMBERS = {"rotate": 50, "backup": 50}
# A new KEK that has no name yet; a backup with half of the objects.
ONE = {"rotate": kills.Place("link", 1), "backup": kills.Place("link", 9)}

pytestmark = pytest.mark.skipif(not kills.available(), reason="strace is not to be had")


@pytest.fixture
def template(tmp_path: Path) -> Path:
    """An installation with objects in it, and somebody to whom backups are encrypted."""
    folder = tmp_path / "template"
    settings = settings_at(folder / "home")
    bootstrap.make_keys(settings)
    bootstrap.upgrade(settings)
    deps = bootstrap.build(settings)
    for number in range(OBJECTS):
        deps.objects.put(f"item-{number}", 1, iter([CANARY * (number + 1)]))
    deps.log.heartbeat(now=datetime.now(UTC))
    custodian.closed(deps)
    identity = pyrage.x25519.Identity.generate()
    (folder / "recipients").write_text(str(identity.to_public()))
    (tmp_path / "identity").touch(mode=0o600)
    (tmp_path / "identity").write_text(str(identity))
    return folder


def every_object(deps: Deps) -> None:
    """Every object is there and opens."""
    for number in range(OBJECTS):
        assert b"".join(deps.objects.open(f"item-{number}", 1)) == CANARY * (number + 1)


def rotation_holds(folder: Path, trial: kills.Trial) -> None:
    """No key is lost, and a KEK that is gone wraps nothing."""
    deps = custodian.portal(folder)
    every_object(deps)
    live = keys.shred.kek_epochs(deps)
    assert set(deps.keyring.counts()) <= set(live)
    if any(line.startswith("rotated") for line in trial.lines):
        assert len(live) == 1
    custodian.closed(deps)


def rotation_ends(folder: Path) -> None:
    """One epoch is left, all is wrapped under it, the first one's key is nowhere, and the log tells of the end."""
    deps = custodian.portal(folder)
    every_object(deps)
    (epoch,) = keys.shred.kek_epochs(deps)
    assert epoch > 1
    assert deps.keyring.counts() == {epoch: OBJECTS}
    with deps.database.read() as session:
        begun, ended = ledger.rotations(session)
    assert begun is not None
    assert ended is not None
    assert begun.object == ended.object == ("key", f"kek-{epoch:06d}")
    assert deps.log.health(now=datetime.now(UTC)).ok
    first = (folder.parent / "template" / "home" / "keys" / "kek" / "kek-000001").read_bytes()
    assert [path for path in folder.rglob("*") if path.is_file() and kills.holds(path, first)] == []
    custodian.closed(deps)


def backups_hold(folder: Path, trial: kills.Trial) -> None:
    """Whatever counts as a backup is a whole one, to the last object; what was promised is among them."""
    deps = custodian.portal(folder)
    every_object(deps)
    found = []
    if (folder / "safe" / keys.MARKER).exists():
        target = place.open_place(str(folder / "safe"), deps.settings, None, make=False)
        by = envelope.identities(folder.parent / "identity")
        found = place.whole(target)
        for one in found:
            with proving.scratch(deps) as scratch:
                proved = restore.prove(deps, proving.open_source(deps, target, by, one), scratch, deep=True)
            assert len(proved.lines) == OBJECTS
    promised = {line.split()[1] for line in trial.lines if line.startswith("saved")}
    assert promised <= set(found)
    custodian.closed(deps)


def backup_ends(folder: Path) -> None:
    """The next backup works and clears away what the killed one left."""
    deps = custodian.portal(folder)
    target = place.open_place(str(folder / "safe"), deps.settings, None, make=False)
    assert list(place.present(target)) == place.whole(target)
    assert sum(1 for _ in target.list("objects/")) == OBJECTS
    by = envelope.identities(folder.parent / "identity")
    lines = inventory.read(proving.open_source(deps, target, by, None).read(place.INVENTORY))
    assert len(lines) == OBJECTS
    assert deps.log.health(now=datetime.now(UTC)).ok
    custodian.closed(deps)


CHECKS: dict[str, tuple[Callable[[Path, kills.Trial], None], Callable[[Path], None]]] = {
    "rotate": (rotation_holds, rotation_ends),
    "backup": (backups_hold, backup_ends),
}


def fresh(template: Path, kind: str, name: str) -> tuple[Path, list[str]]:
    """A copy of the installation, and the command that works on it."""
    folder = template.parent / name
    shutil.copytree(template, folder)
    return folder, [sys.executable, str(PROGRAM), kind, str(folder)]


def killed_at(template: Path, kind: str, spot: kills.Place, name: str) -> bool:
    """One trial: the program is killed, what it left is looked at, it runs again; says whether it was killed."""
    holds, ends = CHECKS[kind]
    folder, command = fresh(template, kind, name)
    trial = kills.run(command, folder, spot)
    assert kills.leaks(trial, folder, CANARY) == [], str(spot)
    holds(folder, trial)
    custodian.WORK[kind](folder)
    ends(folder)
    assert kills.leaks(trial, folder, CANARY) == [], str(spot)
    shutil.rmtree(folder)
    return trial.killed


@pytest.mark.parametrize("kind", NUMBERS)
def test_a_kill(template: Path, kind: str) -> None:
    assert killed_at(template, kind, ONE[kind], "trial")


@pytest.mark.soak
@pytest.mark.parametrize("kind", NUMBERS)
def test_fifty_kills(template: Path, kind: str) -> None:
    rehearsal, command = fresh(template, kind, "rehearsal")
    places = list(kills.rehearse(command, rehearsal))
    CHECKS[kind][1](rehearsal)
    number = NUMBERS[kind]
    spots = kills.spread(places, number)
    killed = sum(killed_at(template, kind, spot, f"trial-{turn}") for turn, spot in enumerate(spots))
    print(f"{kind}: {killed} of {number} killed, at {len(places)} places")
    assert killed >= number * 0.9
