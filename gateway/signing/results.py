"""What signing's pages show: frozen values, read in one go."""

from dataclasses import dataclass
from datetime import date, datetime

from gateway.principal import Text
from gateway.workflow import State


@dataclass(frozen=True)
class Choice:
    """One line of a list to choose from."""

    id: str
    name: str


@dataclass(frozen=True)
class AgreementRow:
    """One line of the ledger 保密协议台账 (policy.md §5). Scope as words; both days included."""

    id: str
    number: str
    state_name: str
    state: State
    organisation_id: str
    organisation: str
    template: str
    clients: Text
    classes: tuple[str, ...]
    class_texts: tuple[Text, ...]
    purposes: tuple[str, ...]
    purpose_texts: tuple[Text, ...]
    first: date
    last: date
    days_left: int
    signer_id: str
    signer: str
    sent_at: datetime | None
    sign_by: datetime | None
    signed_at: datetime | None
    countersigned_by: str
    countersigned_at: datetime | None
    pdf_sha256: str | None
    successor: str
    form: Text
    original: Text
    kind: Text


@dataclass(frozen=True)
class LedgerFilter:
    """What is looked for; empty means any. `ending`: governing agreements whose last day is within so many days."""

    state: str = ""
    organisation: str = ""
    ending: int | None = None


@dataclass(frozen=True)
class Unsigned:
    """An organisation in use without an agreement in force; `pending` is the one on its way, if any."""

    id: str
    name: str
    pending: AgreementRow | None


@dataclass(frozen=True)
class Ledger:
    """The agreements found, newest first, and who has not signed."""

    rows: tuple[AgreementRow, ...]
    unsigned: tuple[Unsigned, ...]
    organisations: tuple[Choice, ...]


@dataclass(frozen=True)
class Happening:
    """One entry of an agreement's history, from the log: drawn as an act when it binds or releases."""

    text: Text
    at: datetime
    act: bool
    proof: Text


@dataclass(frozen=True)
class Words:
    """One paragraph of an agreement as it is read on a page."""

    kind: str
    number: str
    text: str


@dataclass(frozen=True)
class AgreementPage:
    """One agreement: its facts, its words in both languages, its pages, what has happened, what the reader may do.

    `events` are the process's events that the reader may cause now; `consent` is what a signer agrees to.
    """

    row: AgreementRow
    relation: Text
    survival_years: int
    zh: tuple[Words, ...]
    en: tuple[Words, ...]
    pages: int
    readable: bool
    consent: Text
    signed_name: str
    history: tuple[Happening, ...]
    events: frozenset[str]
    drafter: str
    named_signer: bool
    signed: bool
    complete: bool
    entrustment: tuple[tuple[Text, str], ...]


@dataclass(frozen=True)
class OwnAgreements:
    """A contact's agreements in three groups: what waits for a signature, what governs or is on its way, what has ended."""

    waiting: tuple[AgreementRow, ...]
    current: tuple[AgreementRow, ...]
    ended: tuple[AgreementRow, ...]
    contact: str
    pledges: int


@dataclass(frozen=True)
class TermsRow:
    """The active terms of use: their words, and when this contact accepted them (None: not yet)."""

    id: str
    version: str
    zh: tuple[Words, ...]
    en: tuple[Words, ...]
    accepted_at: datetime | None


@dataclass(frozen=True)
class PledgeRow:
    """The undertaking under one agreement in force: its words, and when this contact accepted them (None: not yet)."""

    agreement: AgreementRow
    text: Text
    accepted_at: datetime | None


@dataclass(frozen=True)
class SignerChoice:
    """An organisation's authorised signer, offered under the organisation's name."""

    id: str
    name: str
    organisation_id: str
    organisation: str


@dataclass(frozen=True)
class DraftChoices:
    """What the form of a new agreement offers, and the values it starts from."""

    organisations: tuple[Choice, ...]
    signers: tuple[SignerChoice, ...]
    clients: tuple[Choice, ...]
    contacts: dict[str, str]
    first: date
    last: date
    template: str
    printed: tuple[Choice, ...]
    parents: tuple[Choice, ...]


@dataclass(frozen=True)
class TemplateRow:
    """One version of the text."""

    id: str
    version: str
    state_name: str
    state: State
    drafted_by: str
    approved_by: str
    created_at: datetime
    sha256: str
    agreements: int
    kind: Text
    kind_name: str
    resign: bool


@dataclass(frozen=True)
class TemplatePage:
    """One version with both texts and the moves open to the reader."""

    row: TemplateRow
    zh: str
    en: str
    history: tuple[Happening, ...]
    events: frozenset[str]
