"""What the queries of sharing answer with: frozen values, already masked for their reader."""

from dataclasses import dataclass
from datetime import datetime

from gateway.principal import Text


@dataclass(frozen=True)
class CopyRow:
    """One numbered copy as its contact sees it. `base` and `suffix` are the two parts of `number`."""

    number: str
    base: str
    suffix: str
    title: str
    file_name: str
    pages: int


@dataclass(frozen=True)
class BundleRow:
    """A bundle in a list; `collected_at` and `leaf_seq` once it was collected."""

    id: str
    state: str
    text: Text
    tone: str
    format: str
    copies: tuple[CopyRow, ...]
    prepared_at: datetime
    expires_at: datetime
    size: int


@dataclass(frozen=True)
class MyItem:
    """One listed item of a share as the named contact sees it."""

    id: str
    title: str
    kind: str
    pages: int
    size: int
    used: int
    limit: int

    @property
    def left(self) -> int:
        """Downloads that remain for this contact."""
        return max(0, self.limit - self.used)


@dataclass(frozen=True)
class MyShare:
    """A share as its contact sees it: neutral words for a title, never the client. `formats` are those that may be asked for."""

    id: str
    number: str
    purpose: Text
    state: str
    text: Text
    tone: str
    starts: datetime | None
    ends: datetime | None
    items: tuple[MyItem, ...]
    bundles: tuple[BundleRow, ...]
    formats: tuple[str, ...]
    limit: int
    hours: int
    hours_left: int
    organisation: str

    @property
    def live(self) -> bool:
        """Whether copies may still come of it: active or only paused."""
        return self.state in ("ACTIVE", "SUSPENDED")

    @property
    def left_least(self) -> int:
        """Downloads left of the item with the fewest."""
        return min((item.left for item in self.items), default=0)

    @property
    def left_most(self) -> int:
        """Downloads left of the item with the most."""
        return max((item.left for item in self.items), default=0)


@dataclass(frozen=True)
class MyHome:
    """The partner's first page. `to_sign`: numbers of agreements that wait for this signer; `pledge`: the undertaking is due."""

    live: tuple[MyShare, ...]
    ended: tuple[MyShare, ...]
    to_sign: tuple[str, ...]
    covered: bool
    pledge: bool


@dataclass(frozen=True)
class Making:
    """How far the making is: items marked of all, and the present step counted from 0 (-1: waiting in the queue)."""

    step: int
    done: int
    total: int


@dataclass(frozen=True)
class Receipt:
    """The entry of a collection: its place in the log and the checkpoint that covers it, None while it waits."""

    leaf: str
    seq: int | None
    checkpoint: int | None


@dataclass(frozen=True)
class BundlePage:
    """One bundle's page. `secret` is none, waiting, again (may be shown once more here), elsewhere or gone."""

    row: BundleRow
    share_id: str
    share_number: str
    share_state: str
    purpose: Text
    file_name: str
    sha256: str
    failure: str
    making: Making
    left: int
    limit: int
    collected_at: datetime | None
    window_until: datetime | None
    receipt: Receipt | None
    secret: str
    secret_shown_at: datetime | None
    secret_until: datetime | None


@dataclass(frozen=True)
class TicketFile:
    """What a ticket names, read without opening anything; the gate still decides."""

    size: int
    etag: str


@dataclass(frozen=True)
class RecordRow:
    """One collection of the partner's own record; `sent` bytes of the last transfer, `outcome` of it."""

    bundle_id: str
    share_number: str
    copies: tuple[CopyRow, ...]
    format: str
    size: int
    sha256: str
    at: datetime
    outcome: str
    receipt: Receipt


@dataclass(frozen=True)
class MyRecord:
    """Own downloads, newest first."""

    rows: tuple[RecordRow, ...]


@dataclass(frozen=True)
class ShareFilter:
    """Filters of the register; empty means all."""

    state: str = ""
    purpose: str = ""
    organisation: str = ""
    agreement: str = ""


@dataclass(frozen=True)
class ShareRow:
    """One line of the register 对外提供登记表."""

    id: str
    number: str
    title: str
    state: str
    text: Text
    tone: str
    purpose: str
    purpose_text: Text
    organisations: tuple[str, ...]
    client_no: str
    items: int
    copies: int
    requester: str
    department: str
    ends: datetime | None
    due: datetime | None


@dataclass(frozen=True)
class ShareList:
    """The register's lines and what its filters may be set to."""

    rows: tuple[ShareRow, ...]
    organisations: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class ItemLine:
    """An item version of a share; `link` is its page, when the reader may open it."""

    id: str
    number: str
    version: int
    title: str
    level: int
    classes: tuple[str, ...]
    kind: str
    pages: int
    newest: bool


@dataclass(frozen=True)
class CopyLine:
    """A copy in the staff's table."""

    base: str
    suffix: str
    text: Text
    tone: str
    format: str
    at: datetime
    collected_at: datetime | None
    shown_at: datetime | None
    secret: bool


@dataclass(frozen=True)
class ContactLine:
    """A named contact with what they took: `used` and `limit` are of the item taken most often."""

    id: str
    name: str
    organisation: str
    state: str
    organisation_id: str
    agreement: str
    agreement_id: str
    agreement_to: datetime | None
    entrustment: tuple[tuple[Text, str], ...]
    used: int
    limit: int
    copies: tuple[CopyLine, ...]


@dataclass(frozen=True)
class ApprovalLine:
    """One stage: who decided what, when and why, or that it still waits."""

    stage: str
    decision: str
    approver: str
    at: datetime | None
    reason: str


@dataclass(frozen=True)
class TimeEntry:
    """One line of the timeline; `proof` says where the entry stands, `act` whether it binds or releases."""

    text: Text
    at: datetime
    proof: Text
    act: bool = False
    href: str = ""


@dataclass(frozen=True)
class Acts:
    """What this reader may do now; the services decide once more."""

    submit: bool = False
    edit: bool = False
    take_back: bool = False
    cancel: bool = False
    decide: bool = False
    consent: Text | None = None
    suspend: bool = False
    resume: bool = False
    revoke: bool = False


@dataclass(frozen=True)
class SharePage:
    """Everything one share's page shows; titles are masked where `masked`."""

    row: ShareRow
    relation: str
    note: str
    valid_days: int
    download_limit: int
    starts: datetime | None
    submitted_at: datetime | None
    created_at: datetime
    version_hash: str
    major: tuple[str, ...]
    items: tuple[ItemLine, ...]
    contacts: tuple[ContactLine, ...]
    approvals: tuple[ApprovalLine, ...]
    timeline: tuple[TimeEntry, ...]
    acts: Acts
    masked: bool
    own: bool
    uncollected: int
    collected: int
