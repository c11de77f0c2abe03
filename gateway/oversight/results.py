"""What the pages of oversight show: frozen values."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from gateway.audit.rows import LogEntry
from gateway.policy.parameters import Definition, Value
from gateway.principal import Text

Proof = Literal["proved", "waiting", "broken"]


@dataclass(frozen=True)
class Head:
    """The last checkpoint: entries under it, root and key in text form, the signed note.

    `sound` tells whether signature, stored tree and root agree; `extends` whether the checkpoint before is its beginning
    (None: it is the first). `waiting` entries have no number yet. `cosigners` are names on further signature lines, unchecked;
    `anchor_failed` whether the newest word of the anchors is that one failed.
    """

    size: int
    at: datetime
    root: str
    origin: str
    vkey: str
    sound: bool
    extends: bool | None
    waiting: int
    cosigners: tuple[str, ...] = ()
    anchor_failed: bool = False


@dataclass(frozen=True)
class Line:
    """One entry with its words. `path` is the inclusion proof under the last checkpoint, in hex, from the leaf upwards."""

    entry: LogEntry
    event: Text
    kind: Text
    number: str | None
    source: Text | None
    target: Text | None
    name: str
    label: str | None
    data: tuple[tuple[str, str], ...]
    leaf_hash: str
    path: tuple[str, ...]
    proof: Proof
    cosigners: tuple[str, ...] = ()


@dataclass(frozen=True)
class LogPage:
    """Entries, newest first; `before` is the cursor of the next page, None on the last.

    `reached` is the number down to which was looked, where a page stopped for its work before it was full. `hidden` entries are
    too young to be found by a search.
    """

    lines: tuple[Line, ...]
    before: int | None
    reached: int | None = None
    hidden: int = 0


@dataclass(frozen=True)
class Counts:
    """How much happened since a moment: per event, all together, refusals among them. No content."""

    since: datetime
    events: tuple[tuple[Text, int], ...]
    total: int
    refusals: int


@dataclass(frozen=True)
class LogHealth:
    """Whether the log works: entries in all, waiting for a number, seconds the oldest waits, the last checkpoint."""

    writable: bool
    ok: bool
    entries: int
    waiting: int
    oldest_s: int
    checkpoint_size: int | None
    checkpoint_at: datetime | None
    checkpoint_age_s: int | None
    checkpoints: int
    strangers_waiting: int


@dataclass(frozen=True)
class ParameterLine:
    """One parameter: its words, bounds, present value, and what will change it when."""

    definition: Definition
    text: Text
    value: Value
    bounds: str
    coming: tuple[tuple[datetime, Value], ...]


@dataclass(frozen=True)
class Change:
    """One version or proposal with the names of whoever proposed and confirmed it."""

    id: str
    number: int | None
    changes: Mapping[str, Value]
    reason: str
    state: str
    proposed_by: str
    proposed_at: datetime
    confirmed_by: str | None
    valid_from: datetime
    own: bool
    late: bool


@dataclass(frozen=True)
class ParameterPage:
    """The table in force under `version`, the proposals that wait, and what was decided, newest first."""

    version: int
    lines: tuple[ParameterLine, ...]
    waiting: tuple[Change, ...]
    decided: tuple[Change, ...]


@dataclass(frozen=True)
class MessageLine:
    """One message: its subject, where it leads, whether a one-time link went by mail only, and the role it was sent to."""

    id: str
    subject: Text
    path: str | None
    secret: bool
    role: Text | None
    at: datetime
    read_at: datetime | None


@dataclass(frozen=True)
class MessagePage:
    """Messages, newest first; `before` is the id to go on from, None on the last page."""

    lines: tuple[MessageLine, ...]
    unread: int
    before: str | None


@dataclass(frozen=True)
class AlertLine:
    """One alert: its rule in words, whom it is about, the entry that shows it, numbers, and who acknowledged it with what note.

    `name` is None where the person is erased, or `about` where nobody in particular is meant.
    """

    id: str
    rule: str
    text: Text
    state: str
    at: datetime
    ended_at: datetime | None
    about: tuple[str, str] | None
    name: str | None
    entry: str | None
    facts: tuple[tuple[str, str], ...]
    acknowledged_by: str | None
    acknowledged_at: datetime | None
    note: str | None


@dataclass(frozen=True)
class AlertPage:
    """Alerts that wait, and those that were acknowledged, newest first; `before` is the time to go on from."""

    waiting: tuple[AlertLine, ...]
    done: tuple[AlertLine, ...]
    before: datetime | None
