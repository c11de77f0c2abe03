"""The ledger 保密协议台账 taken away as a file; that it was taken stands in the log (policy.md §5)."""

from collections.abc import Iterable
from datetime import datetime

from gateway.audit.service import record
from gateway.deps import Deps
from gateway.errors import NotAllowed
from gateway.principal import Actor, Text
from gateway.registers.files import Form, written
from gateway.registers.table import Table, Taken
from gateway.signing.results import AgreementRow
from gateway.signing.rules import COMPANY_ZONE
from gateway.signing.visibility import READERS

TITLE = Text("保密协议台账", "Register of confidentiality agreements")
COLUMNS = (
    Text("协议编号", "Number"),
    Text("合作单位", "Organisation"),
    Text("模板版本", "Template version"),
    Text("形式", "Form"),
    Text("客户范围", "Clients"),
    Text("类别范围", "Field classes"),
    Text("用途范围", "Purposes"),
    Text("生效日", "First day"),
    Text("到期日", "Last day"),
    Text("对方签署人", "Signer of the partner"),
    Text("对方签署时间", "Signed by the partner at"),
    Text("会签人", "Countersigned by"),
    Text("会签时间", "Countersigned at"),
    Text("文本摘要", "Digest of the text"),
    Text("原件位置", "Original kept at"),
    Text("状态", "State"),
    Text("续签编号", "Renewed by"),
)


def export_ledger(
    deps: Deps, rows: Iterable[AgreementRow], form: Form, language: str, *, actor: Actor, now: datetime
) -> bytes:
    """These lines of the ledger as csv, xlsx or pdf, for the company's readers; the log says how many and in which form.

    Raises NotAllowed for everyone else.
    """
    found = tuple(rows)
    with deps.job(actor, "agreement.export", ("agreement", "ledger"), now) as session:
        if actor.kind != "staff" or not actor.has(*READERS):
            raise NotAllowed
        record(
            session, "agreement.exported", actor=actor, obj=("agreement", "ledger"), now=now,
            form=form, rows=len(found),
        )  # fmt: skip
    head = deps.log.latest()
    taken = Taken(actor.name, now.astimezone(COMPANY_ZONE), head.size if head is not None else None, language)
    return written(Table(TITLE, COLUMNS, [_cells(row, language) for row in found]), taken, form)


def _cells(row: AgreementRow, language: str) -> list[str]:
    return [
        row.number,
        row.organisation,
        row.template,
        row.form(language),
        row.clients(language),
        " ".join(row.classes),
        " ".join(row.purposes),
        row.first.isoformat(),
        row.last.isoformat(),
        row.signer,
        _when(row.signed_at),
        row.countersigned_by,
        _when(row.countersigned_at),
        row.pdf_sha256 or "",
        row.original(language),
        row.state.text(language),
        row.successor,
    ]


def _when(at: datetime | None) -> str:
    return f"{at.astimezone(COMPANY_ZONE):%Y-%m-%d %H:%M}" if at is not None else ""
