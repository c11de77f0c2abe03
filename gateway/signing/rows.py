"""Lines of signing's pages made from rows: an agreement with its words, a person's name, the history out of the log."""

from datetime import datetime

from sqlalchemy.orm import Session

from gateway.archive.models import Client
from gateway.archive.vocabulary import PURPOSES
from gateway.audit import queries as log
from gateway.audit.rows import LogEntry
from gateway.identity.models import Account, Contact, Organisation
from gateway.principal import Text
from gateway.signing.models import Agreement
from gateway.signing.results import AgreementRow, Happening
from gateway.signing.rules import AGREEMENT, CLASS_TEXT, KINDS, days_left, first_day, last_day
from gateway.workflow import Process

PAPER = Text("纸质", "Paper")
ELECTRONIC = Text("电子", "Electronic")
HERE, NOWHERE = Text("本系统", "This system"), Text("", "")
ALL_CLIENTS = Text("全部客户", "All clients")


def agreement_row(session: Session, row: Agreement, now: datetime) -> AgreementRow:
    """One line of the ledger."""
    return AgreementRow(
        id=row.id,
        number=row.number,
        state_name=row.state,
        state=AGREEMENT.states[row.state],
        organisation_id=row.organisation_id,
        organisation=session.get_one(Organisation, row.organisation_id).name,
        template=row.values["template_version"],
        clients=_clients(session, row),
        classes=tuple(row.classes),
        class_texts=tuple(CLASS_TEXT[c] for c in row.classes),
        purposes=tuple(row.purposes),
        purpose_texts=tuple(PURPOSES[p] for p in row.purposes),
        first=first_day(row.valid_from),
        last=last_day(row.valid_to),
        days_left=days_left(row.valid_to, now),
        signer_id=row.signer_id,
        signer=session.get_one(Contact, row.signer_id).name,
        sent_at=row.sent_at,
        sign_by=row.sign_by,
        signed_at=row.signed_at,
        countersigned_by=account_name(session, row.countersigned_by),
        countersigned_at=row.countersigned_at,
        pdf_sha256=row.pdf_sha256,
        successor=_successor(session, row),
        form=PAPER if row.form == "PAPER" else ELECTRONIC,
        original=_original(row),
        kind=KINDS[row.kind],
    )


def _original(row: Agreement) -> Text:
    if row.form == "PAPER":
        return Text(row.original_location or "", row.original_location or "")
    return HERE if row.pdf_sha256 is not None else NOWHERE


def _clients(session: Session, row: Agreement) -> Text:
    if row.clients is None:
        return ALL_CLIENTS
    found = (session.get(Client, client_id) for client_id in row.clients)
    numbers = sorted(client.client_no for client in found if client is not None)
    return Text("、".join(numbers), ", ".join(numbers))


RECORD: dict[str, Text] = {
    "pi_purpose": Text("处理目的", "Purpose"),
    "pi_period": Text("处理期限", "Period"),
    "pi_method": Text("处理方式", "Manner"),
    "pi_categories": Text("个人信息种类", "Kinds of information"),
    "pi_safeguards": Text("保护措施", "Safeguards"),
    "pi_return": Text("返还或删除", "Return or deletion"),
}


def entrustment(row: Agreement) -> tuple[tuple[Text, str], ...]:
    """The record of entrusted processing that is bound to this agreement (PIPL art. 21); empty where nothing is entrusted."""
    if row.relation != "ENTRUST":
        return ()
    return tuple((text, row.values[name]) for name, text in RECORD.items() if row.values.get(name))


def account_name(session: Session, account_id: str | None) -> str:
    """The name of an account; empty for none."""
    account = session.get(Account, account_id) if account_id else None
    return account.name if account is not None else ""


def _successor(session: Session, row: Agreement) -> str:
    if row.state != "RENEWED":
        return ""
    entry = log.find(session, row.leaf)
    return str(entry.data.get("successor", "")) if entry is not None else ""


def history(session: Session, process: Process, row_id: str) -> tuple[Happening, ...]:
    """What the log holds of one agreement or template, newest first."""
    found = log.page(session, log.LogFilter(object=(process.name, row_id)), limit=100)
    return tuple(_happening(process, entry) for entry in found.entries)


REFUSED = Text("被拒绝 {code}", "Refused {code}")
WAITING = Text("待检查点", "Waits for a checkpoint")
PLACE = Text("日志第 {n} 条", "Log entry {n}")
_OTHER_EVENTS = {
    "agreement.read": Text("阅读", "Read"),
    "pledge.accept": Text("接受个人承诺", "Undertaking accepted"),
}


def _happening(process: Process, entry: LogEntry) -> Happening:
    found = next((m for m in process.moves if f"{process.name}.{m.event}" == entry.event), None)
    text = (
        found.button if found is not None else _OTHER_EVENTS.get(entry.event, Text(entry.event, entry.event))
    )
    if entry.event == "refused":
        text = REFUSED.format(code=entry.data.get("code", ""))
    who, reason = entry.personal.get("actor.name", ""), entry.personal.get("reason", "")
    said = Text(_said(who, text.zh, reason, "："), _said(who, text.en, reason, ": "))
    place = WAITING if entry.seq is None else PLACE.format(n=entry.seq)
    return Happening(said, entry.at, found is not None and found.act, place)


def _said(who: str, what: str, reason: str, between: str) -> str:
    return f"{who} {what}".strip() + (between + reason if reason else "")
