"""Pure rules of sharing: the process tables, major matters, the version hash, working days (policy.md §3.3
triggers, §3.6)."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from gateway.archive.vocabulary import PURPOSES
from gateway.policy.parameters import Parameters
from gateway.principal import Text
from gateway.sharing.tables import BUNDLE, COPY, LIVE, REVIEWS, SHARE, STAGE_OF

__all__ = [
    "BUNDLE",
    "COPY",
    "LIVE",
    "MAJOR_TEXT",
    "PURPOSES",
    "REVIEWS",
    "SHARE",
    "STAGE_OF",
    "Contents",
    "Weight",
    "bundle_format",
    "major",
    "stages",
    "working_days_later",
]

MAJOR_TEXT: dict[str, Text] = {
    "M1": Text("含重要（L3）内容", "Holds level-3 content"),
    "M2": Text("整卷提供", "A whole case"),
    "M3": Text("数量或客户数超限", "Many items or clients"),
    "M4": Text("原件离开档案室", "An original leaves the archive"),
    "M5": Text("原件或免水印例外", "Original or unmarked exception"),
    "M6": Text("其他用途（P99）", "Purpose P99"),
    "M8": Text("涉及未成年人", "Minors concerned"),
    "M9": Text("期限或次数高于默认", "Validity or downloads above default"),
}


@dataclass(frozen=True)
class Contents:
    """What the approvals bind to, and what the major-matter test reads."""

    items: tuple[tuple[str, int], ...]
    contacts: tuple[str, ...]
    client: str
    purpose: str
    rights: tuple[str, ...]
    valid_days: int
    download_limit: int
    relation: str

    def digest(self) -> str:
        """SHA-256 over the canonical JSON of the contents, hex."""
        body = [
            sorted(self.items),
            sorted(self.contacts),
            self.client,
            self.purpose,
            sorted(self.rights),
            self.valid_days,
            self.download_limit,
            self.relation,
        ]
        return hashlib.sha256(json.dumps(body, separators=(",", ":"), ensure_ascii=True).encode()).hexdigest()


@dataclass(frozen=True)
class Weight:
    """What makes a share a major matter: the items' levels, how many, of how many clients, whole case, minors,
    exceptions asked for."""

    levels: tuple[int, ...]
    clients: int
    whole_case: bool
    minors: bool
    unmarked: bool = False


def major(contents: Contents, weight: Weight, parameters: Parameters) -> tuple[str, ...]:
    """The triggers M1–M6, M8, M9 that hold, in order (policy.md §3.3)."""
    found = {
        "M1": 3 in weight.levels,
        "M2": weight.whole_case,
        "M3": len(contents.items) > parameters["major.items"] or weight.clients > parameters["major.clients"],
        "M4": "ORIGINAL" in contents.rights,
        "M5": weight.unmarked or "ORIGINAL" in contents.rights,
        "M6": contents.purpose == "P99",
        "M8": weight.minors,
        "M9": contents.valid_days > parameters["share.valid_days"]
        or contents.download_limit > parameters["share.download_limit"],
    }
    return tuple(code for code, holds in found.items() if holds)


def stages(triggers: Sequence[str]) -> frozenset[str]:
    """The approvals that a share needs: department and archive, and the general manager for major matters."""
    return frozenset({"DEPT", "ARC"} | ({"GM"} if triggers else set()))


def working_days_later(start: datetime, days: int) -> datetime:
    """The same time of day, `days` working days (Monday to Friday, UTC+8) later."""
    moment = start
    while days > 0:
        moment += timedelta(days=1)
        if (moment + timedelta(hours=8)).weekday() < 5:
            days -= 1
    return moment


def bundle_format(kinds: Sequence[str], wanted: str | None, *, has_key: bool) -> str:
    """pdf for a lone PDF, age when asked for and a key is registered, else zip."""
    if wanted == "age" and has_key:
        return "age"
    return "pdf" if list(kinds) == ["pdf"] and wanted in (None, "", "pdf") else "zip"
