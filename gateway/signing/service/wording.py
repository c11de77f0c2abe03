"""The words that an agreement's places are filled with: scope, parties, days, the record of entrusted processing."""

from dataclasses import dataclass
from datetime import date

from sqlalchemy.orm import Session

from gateway.archive.models import Client
from gateway.archive.vocabulary import PURPOSES
from gateway.deps import Deps
from gateway.identity.models import Contact, Organisation
from gateway.policy.parameters import Parameters
from gateway.principal import Text
from gateway.signing.errors import BadAgreement
from gateway.signing.models import Agreement
from gateway.signing.rules import CLASS_TEXT, RELATION_TEXT

OTHER_PURPOSE = "P99"
UNTITLED = "授权签署人"


@dataclass(frozen=True)
class Scope:
    """What an agreement is to cover. `clients` None means all; dates are calendar days of the company, both included.

    `purpose_note` says what the other purpose (P99) is, and is needed with it only. `parent` is the id of the agreement that a
    supplement belongs to. `method`, `safeguards` and `disposal` are the entrusted-processing record's (PIPL art. 21).
    """

    organisation: str
    signer: str
    clients: tuple[str, ...] | None
    classes: tuple[str, ...]
    purposes: tuple[str, ...]
    relation: str
    valid_from: date
    valid_to: date
    contact_list: str
    incident_contact: str
    liability: str
    forum: str
    purpose_note: str = ""
    kind: str = "NDA"
    parent: str = ""
    method: str = "在线领取加密副本，仅限查阅与约定用途使用"
    safeguards: str = "访问控制、加密存储、终端防护、留痕，知悉人员书面承诺"
    disposal: str = "逐份返还或彻底删除，并出具证明"


def values_of(
    deps: Deps,
    session: Session,
    scope: Scope,
    row: Agreement,
    parties: tuple[Organisation, Contact],
    parameters: Parameters,
    template: str,
) -> dict[str, str]:
    """Every place of the texts and its words; BadAgreement for a client that does not exist."""
    organisation, signer = parties
    classes = "、".join(f"{c} {CLASS_TEXT[c].zh}" for c in row.classes)
    purpose = "、".join(_purpose(p, scope.purpose_note) for p in row.purposes)
    days = f"{scope.valid_from:%Y-%m-%d}", f"{scope.valid_to:%Y-%m-%d}"
    return {
        "nda_no": row.number,
        "template_version": template,
        "company_name": deps.settings.company_name,
        "company_uscc": deps.settings.company_uscc,
        "partner_name": organisation.name,
        "partner_uscc": organisation.uscc,
        "signer_name": signer.name,
        "signer_title": signer.title or UNTITLED,
        "purpose": purpose,
        "client_scope": _client_scope(session, row),
        "category_scope": classes,
        "contact_list": _line(scope.contact_list),
        "pi_relation": RELATION_TEXT[scope.relation].zh,
        "pi_purpose": purpose,
        "pi_period": f"{days[0]} 至 {days[1]}",
        "pi_method": _line(scope.method),
        "pi_safeguards": _line(scope.safeguards),
        "pi_return": _line(scope.disposal),
        "pi_categories": classes,
        "incident_hours": str(parameters["nda.incident_hours"]),
        "incident_contact": _line(scope.incident_contact),
        "return_days": str(parameters["nda.return_days"]),
        "effective_from": days[0],
        "effective_to": days[1],
        "survival_years": str(row.survival_years),
        "liability_clause": _line(scope.liability),
        "dispute_forum": _line(scope.forum),
    }


def _purpose(code: str, note: str) -> str:
    return f"其他：{_line(note)}" if code == OTHER_PURPOSE else PURPOSES[code].zh


def _line(text: str) -> str:
    # A value stands inside a sentence, so lines that were typed one below the other become a list.
    return "、".join(part.strip().rstrip("、，,；;") for part in text.splitlines() if part.strip())


def _client_scope(session: Session, row: Agreement) -> str:
    # Numbers, never names: the agreement leaves the company.
    if row.clients is None:
        return "甲方经本系统共享的全部客户"
    numbers = []
    for client_id in row.clients:
        client = session.get(Client, client_id)
        if client is None:
            raise BadAgreement("clients", Text("没有这位客户。", "No such client."))
        numbers.append(client.client_no)
    return "客户编号 " + "、".join(sorted(numbers))
