"""Pure rules of signing: the agreement's process table (policy.md §3.7), scope words, dates."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from gateway.errors import NotAllowed, Refused
from gateway.notify.service import Recipient
from gateway.principal import Role, Text
from gateway.signing.errors import NotTheSigner
from gateway.workflow import Move, Process, State, Step, Teller, Timeout

COMPANY_ZONE = ZoneInfo("Asia/Shanghai")
GOVERNING = ("IN_FORCE", "EXPIRING")
OPEN = ("SENT", "VIEWED")
CLASSES = tuple(f"F{n:02d}" for n in range(1, 13))
CLASS_TEXT: dict[str, Text] = {
    "F01": Text("姓名称谓", "Name"),
    "F02": Text("联系方式", "Contact details"),
    "F03": Text("身份证号", "Identity number"),
    "F04": Text("证件影像、房产证明", "Identity and property documents"),
    "F05": Text("房屋地址", "Address"),
    "F06": Text("装修需求", "Requirements"),
    "F07": Text("设计方案、图纸", "Designs and drawings"),
    "F08": Text("预算、报价", "Budgets and quotations"),
    "F09": Text("合同、付款账户", "Contracts and payment accounts"),
    "F10": Text("家庭成员、不满14周岁", "Family, children under 14"),
    "F11": Text("现场影像、门锁安防", "Site images, locks and security"),
    "F12": Text("沟通记录", "Correspondence"),
}
RELATION_TEXT: dict[str, Text] = {
    "ENTRUST": Text("委托处理", "Entrusted processing"),
    "PROVIDE": Text("对外提供", "Provision to another handler"),
    "NOPI": Text("不含个人信息", "No personal information"),
}


def signer_only(step: Step) -> Refused | None:
    """The authorised signer named in the agreement, nobody else."""
    return None if step.actor.id == step.row.signer_id else NotTheSigner()


def other_than_drafter(step: Step) -> Refused | None:
    """Who drafted an agreement does not countersign it (SOD-1)."""
    return NotAllowed(code="SOD-1") if step.actor.id == step.row.drafted_by else None


def _to_contact(event: str) -> Teller:
    def teller(step: Step) -> list[tuple[str, list[Recipient], dict[str, str]]]:
        return [(event, [Recipient("contact", step.row.signer_id)], {"no": step.row.number})]

    return teller


def _to_roles(event: str, *roles: Role) -> Teller:
    def teller(step: Step) -> list[tuple[str, list[Recipient], dict[str, str]]]:
        state = AGREEMENT.states[step.row.state].text.zh
        return [(event, [Recipient("role", role) for role in roles], {"no": step.row.number, "state": state})]

    return teller


def _state(zh: str, en: str, tone: str = "", *, final: bool = False) -> State:
    return State(Text(zh, en), tone, final)  # type: ignore[arg-type]


_ADM, _GM, _PTN = frozenset({Role.ADM}), frozenset({Role.GM}), frozenset({Role.PTN})

AGREEMENT = Process(
    name="agreement",
    states={
        "DRAFT": _state("草稿", "Draft"),
        "SENT": _state("已发送", "Sent", "wait"),
        "VIEWED": _state("已阅读", "Read", "wait"),
        "DECLINED": _state("已拒签", "Declined", "fail", final=True),
        "VOID": _state("已作废", "Void", final=True),
        "PARTNER_SIGNED": _state("对方已签", "Signed by the partner", "wait"),
        "PROCESSING": _state("处理中", "Processing", "wait"),
        "COUNTERSIGNED": _state("已会签", "Countersigned", "ok"),
        "IN_FORCE": _state("生效中", "In force", "ok"),
        "EXPIRING": _state("即将到期", "Expiring", "wait"),
        "LAPSED": _state("已到期", "Lapsed", "fail", final=True),
        "RENEWED": _state("已续签", "Renewed", final=True),
        "TERMINATED": _state("已终止", "Terminated", "fail", final=True),
    },
    moves=(
        Move(("",), "draft", "DRAFT", Text("起草协议", "Draft"), _ADM, records=("number", "template", "classes", "purposes", "clients")),
        Move(("DRAFT",), "send", "SENT", Text("发送", "Send"), _ADM, records=("pdf_sha256",), tells=(_to_contact("agreement.sent"),)),
        Move(("DRAFT", "SENT", "VIEWED"), "void", "VOID", Text("作废", "Void"), _ADM, reason=True),
        Move(OPEN, "time_out", "VOID", Text("超时作废", "Time out")),
        Move(("SENT",), "view", "VIEWED", Text("打开协议", "Open"), _PTN, (signer_only,)),
        Move(
            ("VIEWED",), "sign", "PARTNER_SIGNED", Text("签署", "Sign"), _PTN, (signer_only,), fresh=True, act=True,
            records=("pdf_sha256", "evidence_sha256"), tells=(_to_roles("agreement.signed", Role.GM, Role.ADM),),
        ),
        Move(("SENT", "VIEWED"), "decline", "DECLINED", Text("不签署", "Decline"), _PTN, (signer_only,), reason=True, tells=(_to_roles("agreement.inside", Role.ADM),)),
        Move(("PARTNER_SIGNED",), "countersign", "PROCESSING", Text("会签", "Countersign"), _GM, (other_than_drafter,), fresh=True, act=True, records=("pdf_sha256",)),
        Move(("PROCESSING",), "complete", "COUNTERSIGNED", Text("完成", "Complete"), records=("signed_sha256",)),
        Move(("COUNTERSIGNED",), "enter_force", "IN_FORCE", Text("生效", "Enter into force"), records=("signed_sha256",), tells=(_to_contact("agreement.in_force"),)),
        Move(("IN_FORCE",), "near_end", "EXPIRING", Text("即将到期", "Near its end")),
        Move(GOVERNING, "lapse", "LAPSED", Text("到期", "Lapse"), tells=(_to_contact("agreement.lapsed"), _to_roles("agreement.inside", Role.ADM))),
        Move(GOVERNING, "renew", "RENEWED", Text("由续签取代", "Renewed"), records=("successor",)),
        Move(GOVERNING, "terminate", "TERMINATED", Text("终止", "Terminate"), frozenset({Role.GM, Role.ADM}), reason=True, act=True, tells=(_to_contact("agreement.ended"),)),
        Move(GOVERNING, "partner_terminate", "TERMINATED", Text("终止", "Terminate"), _PTN, (signer_only,), reason=True, fresh=True),
    ),
    timeouts=(
        *(Timeout(state, "time_out", lambda a: a.sign_by) for state in OPEN),
        Timeout("COUNTERSIGNED", "enter_force", lambda a: a.valid_from),
        *(Timeout(state, "lapse", lambda a: a.valid_to) for state in GOVERNING),
    ),
)  # fmt: skip

TEMPLATE = Process(
    name="template",
    states={
        "DRAFT": _state("草稿", "Draft"),
        "REVIEW": _state("待批准", "In review", "wait"),
        "ACTIVE": _state("生效", "Active", "ok"),
        "RETIRED": _state("已归档", "Retired", final=True),
    },
    moves=(
        Move(("",), "draft", "DRAFT", Text("起草模板", "Draft"), _ADM, records=("version", "text_sha256")),
        Move(("DRAFT",), "submit", "REVIEW", Text("提交", "Submit"), _ADM, records=("text_sha256",)),
        Move(("REVIEW",), "approve", "ACTIVE", Text("批准", "Approve"), _GM, (other_than_drafter,), fresh=True, records=("text_sha256",), act=True),
        Move(("REVIEW",), "return", "DRAFT", Text("退回", "Send back"), _GM, reason=True),
        Move(("ACTIVE",), "retire", "RETIRED", Text("归档", "Retire"), records=("successor",)),
    ),
)  # fmt: skip


def day_start(day: date) -> datetime:
    """00:00 of a day in the company's zone, in UTC."""
    return datetime.combine(day, time(0), COMPANY_ZONE).astimezone(UTC)


def day_end(day: date) -> datetime:
    """The moment after a day ends in the company's zone, in UTC: an agreement to a date holds the whole of that day."""
    return day_start(day + timedelta(days=1))


def days_left(valid_to: datetime, now: datetime) -> int:
    """Whole days until an agreement ends, at least 0."""
    return max(0, (valid_to - now).days)
