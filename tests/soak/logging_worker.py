"""One process that downloads again and again: `python logging_worker.py URL KEYFILE NAME COUNT`.

Each download is one transaction that spends a counter and writes its entry, and then waits for the checkpoint. What was
acknowledged is printed at once: `note` and a checkpoint as base64 when it was told of, then `done`, the entry's id, when the
transaction began and when it had committed (CLOCK_MONOTONIC, the same for every process).
"""

import base64
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Column, Integer, MetaData, String, Table, update

sys.path.insert(0, str(Path(__file__).parents[2]))

from gateway.audit.service import CheckpointView, Log, record
from gateway.audit.signer import Signer
from gateway.db import Database
from gateway.principal import Actor

ORIGIN = "files.example/log"
SPENT = Table(
    "spent",
    MetaData(),
    Column("id", String(20), primary_key=True),
    Column("used", Integer, nullable=False),
    Column("most", Integer, nullable=False),
)
WAITS_S = 120.0


def say(*words: object) -> None:
    """One line in one write."""
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


def told(view: CheckpointView) -> None:
    """Shows a checkpoint to the world: from here on the log is bound to it."""
    say("note", base64.b64encode(view.note.encode()).decode())


def download(database: Database, log: Log, name: str, number: int) -> bool:
    """One download; False when nothing is left to spend."""
    actor = Actor(kind="contact", id=name, name="合作单位联系人", ip="192.0.2.7")
    began = time.monotonic_ns()
    with database.write() as session:
        one = SPENT.c.id == "share"
        left = update(SPENT).where(one, SPENT.c.used < SPENT.c.most).values(used=SPENT.c.used + 1)
        if session.execute(left).rowcount != 1:
            return False
        leaf = record(
            session, "bundle.collect", actor=actor, obj=("bundle", name), now=datetime.now(UTC), i=number
        )
    committed = time.monotonic_ns()
    log.await_checkpoint(leaf, now=datetime.now(UTC), deadline_s=WAITS_S)
    say("done", leaf, began, committed)
    return True


def main() -> None:
    """Downloads until the count or the share is used up."""
    url, key, name, count = sys.argv[1:]
    database = Database(url, b"m" * 32)
    log = Log(database, Signer.load(Path(key), ORIGIN), origin=ORIGIN, publish=told)
    for number in range(int(count)):
        if not download(database, log, name, number):
            break


if __name__ == "__main__":
    main()
