"""What the release decision reads: plain values gathered by the rooms, each offering its part (DESIGN.md §1, facts).

A part that no room offered stays None, and every condition that needs it is unmet: the decision fails closed.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True)
class SessionFact:
    """The session that asks: still live (not revoked, idle or too old), and when its second factor was last
    accepted."""

    id: str
    live: bool
    mfa_at: datetime | None


@dataclass(frozen=True)
class ContactFact:
    """The partner contact who asks or is meant: enabled within its from–to, identity verified by 行政部."""

    id: str
    active: bool
    verified: bool


@dataclass(frozen=True)
class OrganisationFact:
    """The contact's organisation; `abroad` is its declaration that it receives outside the border (None: not
    declared)."""

    id: str
    active: bool
    abroad: bool | None


@dataclass(frozen=True)
class AgreementFact:
    """One agreement of the organisation. `clients`, `classes` and `purposes` are its scope;
    clients None means all clients. `family` is the id of the agreement that it supplements; empty for one that stands alone.

    `intact` is whether the stored PDF's digest equals the one signed, read from the bytes themselves.
    """

    id: str
    number: str
    in_force: bool
    valid_from: datetime
    valid_to: datetime
    clients: frozenset[str] | None
    classes: frozenset[str]
    purposes: frozenset[str]
    intact: bool
    family: str = ""


@dataclass(frozen=True)
class ItemFact:
    """One item version asked for. `markable`, `filed`, `alive`, `intact`, `basis` as their conditions say;
    `scan` is clean, unscanned or infected. `basis` serves any purpose, `purposes` are those that a narrower basis serves."""

    id: str
    version: int
    client: str
    classes: frozenset[str]
    level: int
    filed: bool
    alive: bool
    markable: bool
    scan: str
    intact: bool
    basis: bool
    newest: bool = True
    purposes: frozenset[str] = frozenset()


@dataclass(frozen=True)
class ApprovalFact:
    """One decision on a share: which stage, by whom, on behalf of whom, bound to which version of its contents."""

    stage: str
    approver: str
    acting_for: str | None
    version_hash: str


@dataclass(frozen=True)
class ShareFact:
    """The share itself. `stages` are the approvals its contents need; `rights` what partners may do;
    counters are (used, limit) per item."""

    id: str
    number: str
    state: str
    requester: str
    purpose: str
    starts: datetime | None
    ends: datetime | None
    version_hash: str
    stages: frozenset[str]
    rights: frozenset[str]
    contacts: frozenset[str]
    items: Mapping[str, int]
    counters: Mapping[str, tuple[int, int]]
    networks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Facts:
    """Everything the decision may look at, at one moment. `evidence` names rows and log entries behind a code,
    for the checklist."""

    now: datetime
    session: SessionFact | None = None
    contact: ContactFact | None = None
    organisation: OrganisationFact | None = None
    agreements: tuple[AgreementFact, ...] | None = None
    pledge: bool | None = None
    share: ShareFact | None = None
    approvals: tuple[ApprovalFact, ...] | None = None
    items: tuple[ItemFact, ...] | None = None
    right: str | None = None
    duty: bool | None = None
    address: str | None = None
    place_ok: bool | None = None
    issuer_active: bool | None = None
    recent_downloads: int | None = None
    marked: bool | None = None
    keys_ready: bool | None = None
    sealed: bool | None = None
    log_ok: bool | None = None
    clock_behind_s: float | None = None
    evidence: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
