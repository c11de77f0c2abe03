"""Restore drills 恢复演练 (policy.md 二.4): a backup is proved in a scratch place, and a dated record says how it went."""

import json
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import select

from gateway.audit.errors import AuditError
from gateway.audit.models import Leaf
from gateway.audit.service import record
from gateway.config import write_secret
from gateway.custody import proving, restore
from gateway.custody.errors import CustodyError
from gateway.custody.keys import alone
from gateway.custody.proving import Source
from gateway.db import new_id
from gateway.deps import Deps
from gateway.principal import Actor
from storage.errors import StorageError

EVENT = "restore.drill"


@dataclass(frozen=True)
class Drill:
    """How a drill went: `outcome` is PASSED or a code of what refused, `findings` name what is wrong; `path` is the record."""

    at: datetime
    backup: str
    outcome: str
    findings: tuple[str, ...]
    facts: dict[str, Any]
    path: Path

    @property
    def passed(self) -> bool:
        """Whether the backup could have been restored."""
        return self.outcome == "PASSED"


def drill(deps: Deps, source: Source, *, actor: Actor, now: datetime) -> Drill:
    """Proves the backup to the last object; writes the record as file and as entry, whether it passed or not."""
    began = time.monotonic()
    facts: dict[str, Any] = {"made_at": source.manifest.made_at.isoformat()}
    findings: tuple[str, ...] = ()
    with alone(deps.settings, "backup"), proving.scratch(deps) as folder:
        try:
            proved = restore.prove(deps, source, folder, deep=True)
            facts |= _facts(proved)
            outcome = "PASSED"
        except (CustodyError, AuditError, StorageError) as error:
            outcome = getattr(error, "code", type(error).__name__)
            findings = tuple(getattr(error, "findings", ())) or (str(error),)
    facts["seconds"] = round(time.monotonic() - began)
    return _recorded(deps, Drill(now, source.manifest.id, outcome, findings, facts, Path()), actor)


def _facts(proved: restore.Proved) -> dict[str, Any]:
    return {
        "rows": proved.log.rows,
        "objects": len(proved.lines),
        "bytes": proved.size,
        "destroyed": proved.source.manifest.objects - len(proved.lines),
        "generation": proved.ring.generation,
        "entries": proved.log.entries,
        "root": proved.log.root,
        "outside": proved.log.compared.outside,
        "log": proved.log.compared.outcome,
    }


def _recorded(deps: Deps, found: Drill, actor: Actor) -> Drill:
    with deps.database.write() as session:
        leaf = record(
            session, EVENT, actor=actor, obj=("backup", found.backup), now=found.at,
            outcome=found.outcome, findings=len(found.findings), **found.facts,
        )  # fmt: skip
    folder = deps.settings.home / "drills"
    path = folder / f"drill-{found.at.astimezone(UTC):%Y%m%dT%H%M%SZ}-{new_id()[:6]}.json"
    body = {
        "format": "sealgate-drill", "v": 1, "at": found.at.astimezone(UTC).isoformat(), "backup": found.backup,
        "outcome": found.outcome, "findings": found.findings, "entry": leaf, **found.facts,
    }  # fmt: skip
    write_secret(path, json.dumps(body, ensure_ascii=False, indent=2).encode())
    return Drill(found.at, found.backup, found.outcome, found.findings, found.facts, path)


def last(deps: Deps) -> datetime | None:
    """When the last drill was, as the log knows it; None before the first."""
    with deps.database.read() as session:
        query = select(Leaf.at).where(Leaf.event == EVENT).order_by(Leaf.arrival.desc()).limit(1)
        return session.scalar(query)
