"""What the archive's pages are given: frozen, already masked by the reader's scope."""

from dataclasses import dataclass
from datetime import date, datetime

from gateway.jobs.service import JobView
from gateway.principal import Text
from gateway.workflow import Move


@dataclass(frozen=True)
class Choice:
    """One line of a list to choose from."""

    id: str
    text: str


@dataclass(frozen=True)
class ClientRow:
    """A client in a list, masked."""

    id: str
    client_no: str
    type: str
    name: str
    department: str
    status: str
    id_unverified: bool
    minors: bool


@dataclass(frozen=True)
class SealedField:
    """One sealed field as shown: masked, whether there is anything, whether the reader may have it revealed."""

    column: str
    field_class: str
    masked: str
    present: bool
    revealable: bool


@dataclass(frozen=True)
class BasisRow:
    """One legal basis; `ended` is when it was withdrawn or ended."""

    id: str
    field_class: str
    basis: str
    purpose: str
    notice: str
    at: datetime
    ended: datetime | None


@dataclass(frozen=True)
class CaseRow:
    """A case in a list. `number` is the 档号, or the temporary one before filing; `title` is masked for who only lists."""

    id: str
    number: str
    filed: bool
    title: str
    state: str
    department: str
    year: int
    level: int
    items: int
    created_at: datetime


@dataclass(frozen=True)
class ClientPage:
    """All that one client's page shows."""

    row: ClientRow
    fields: tuple[SealedField, ...]
    bases: tuple[BasisRow, ...]
    cases: tuple[CaseRow, ...]
    id_type: str
    owner: str
    may_edit: bool
    may_add_basis: bool
    may_open_case: bool


@dataclass(frozen=True)
class CaseFilter:
    """What the list of cases was asked for; empty means any. `number` is folded before it is looked for."""

    state: str = ""
    department: str = ""
    level: int | None = None
    year: int | None = None
    number: str = ""


@dataclass(frozen=True)
class CaseList:
    """The cases found, at most MOST of `total`."""

    rows: tuple[CaseRow, ...]
    total: int


@dataclass(frozen=True)
class VersionRow:
    """One version of an item as its page shows it."""

    id: str
    version: int
    label: str
    state: str
    file_name: str
    size: int
    sha256: str | None
    kind: str | None
    mime: str | None
    pages: int
    markable: bool
    why_not: str | None
    scan: str
    uploaded_by: str
    created_at: datetime
    newest: bool
    upload: str | None
    job: JobView | None
    report: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class ItemRow:
    """An item in its case's table."""

    id: str
    number: str
    title: str
    type: str
    classes: tuple[str, ...]
    level: int
    original: str
    author: str
    dated: date | None
    version: int
    readable: bool
    state: str


@dataclass(frozen=True)
class Step:
    """One entry of a case's history."""

    text: Text
    at: datetime
    act: bool
    proof: str


@dataclass(frozen=True)
class CasePage:
    """All that one case's page shows; `moves` are those whose roles fit, services may still refuse them."""

    row: CaseRow
    temp_no: str
    client: ClientRow
    category: str
    retention: str
    media: str
    location: str
    cataloguer: str
    reviewer: str
    filed_at: datetime | None
    items: tuple[ItemRow, ...]
    gaps: tuple[Text, ...]
    moves: tuple[Move, ...]
    writable: bool
    may_grant: bool
    history: tuple[Step, ...]


@dataclass(frozen=True)
class ItemPage:
    """All that one item's page shows."""

    row: ItemRow
    case: CaseRow
    versions: tuple[VersionRow, ...]
    writable: bool
    viewable: bool


@dataclass(frozen=True)
class Viewable:
    """What the marked page images of a version need."""

    number: str
    title: str
    sha256: str
    pages: int
    markable: bool


@dataclass(frozen=True)
class GrantRow:
    """A need-to-know grant in the list."""

    id: str
    grantee: str
    target: str
    classes: tuple[str, ...]
    purpose: str
    valid_from: datetime
    valid_to: datetime
    granted_by: str
    confirmed_by: str
    state: Text
    tone: str
    may_confirm: bool
    may_end: bool
