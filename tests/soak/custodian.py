"""A program that rotates keys or makes a backup, to be killed: `custodian.py rotate|backup FOLDER`; running it again goes on.

FOLDER/home is an installation, FOLDER/safe the place of backups. It prints a line once the product has said that it is done.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def say(*words: str) -> None:
    """One line, in one write."""
    os.write(1, (" ".join(words) + "\n").encode())


def portal(folder: Path):
    """The installation in the folder."""
    from gateway import bootstrap
    from tests.factories import settings_at

    return bootstrap.build(settings_at(folder / "home"))


def closed(deps) -> None:
    """The end of an installation in this process."""
    deps.keyring.close()
    deps.database.close()


def rotate(folder: Path) -> None:
    """One rotation, in small batches."""
    from gateway.custody import keys
    from gateway.principal import SYSTEM

    deps = portal(folder)
    done = keys.rotate(deps, actor=SYSTEM, now=deps.clock(), batch=4)
    deps.log.sequence(now=deps.clock())
    say("rotated", str(done.epoch))
    closed(deps)


def backup(folder: Path) -> None:
    """One backup."""
    from gateway.custody import backup as backups
    from gateway.custody import envelope, place
    from gateway.principal import SYSTEM

    deps = portal(folder)
    target = place.open_place(str(folder / "safe"), deps.settings, None, make=True)
    to = envelope.recipients(folder / "recipients")
    done = backups.back_up(deps, deps.stores, target, to, actor=SYSTEM, now=deps.clock())
    deps.log.sequence(now=deps.clock())
    say("saved", done.manifest.id)
    closed(deps)


WORK = {"rotate": rotate, "backup": backup}


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    WORK[sys.argv[1]](Path(sys.argv[2]))
