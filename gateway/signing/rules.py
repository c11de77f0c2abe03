"""Pure rules of signing: the agreement's process table (policy.md §3.7), scope words, dates."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from gateway.archive.vocabulary import FIELD_CLASSES
from gateway.errors import NotAllowed, Refused, WrongState
from gateway.notify.service import Recipient
from gateway.principal import Actor, Role, Text
from gateway.signing.errors import NotTheSigner, Overdue
from gateway.signing.models import Agreement
from gateway.workflow import Move, Process, State, Step, Teller, Timeout

COMPANY_ZONE = ZoneInfo("Asia/Shanghai")
GOVERNING = ("IN_FORCE", "EXPIRING")
# Agreed and not ended; one that has to be signed again governs nothing until its successor does.
STANDING = (*GOVERNING, "RESIGN")
OPEN = ("SENT", "VIEWED")
# Wholly agreed, on paper or here; the first day is all that is waited for.
AGREED = ("COUNTERSIGNED", "CHECK2")
OWN_DRAFT = Text(
    "起草人不能批准或会签自己起草的文本。", "Whoever drafted a text neither approves nor countersigns it."
)
KINDS: dict[str, Text] = {
    "NDA": Text("保密协议", "Confidentiality agreement"),
    "ENTRUST": Text("委托处理协议", "Entrusted-processing agreement"),
    "SUPPLEMENT": Text("补充协议", "Supplement"),
    "TERMS": Text("使用条款（个人）", "Terms of use (personal)"),
}
# What an organisation signs; terms of use are accepted by each contact.
SIGNED_KINDS = ("NDA", "ENTRUST", "SUPPLEMENT")
SAME_CHECKER = Text(
    "登记或初核过这份纸质协议的人不能复核。",
    "Whoever registered this paper or made its first check does not make the second.",
)
PAPER_CHECKS: dict[int, dict[str, Text]] = {
    1: {
        "PAGES": Text("扫描件页数完整，字迹清楚", "The scan has every page and can be read"),
        "SEAM": Text("骑缝章完整", "The seal across the page edges is complete"),
        "SEAL": Text("印章名称与单位登记名称一致", "The seal's name is the organisation's registered name"),
        "AUTHORITY": Text("签署人有权签署", "The signer has authority to sign"),
    },
    2: {
        "ORIGINAL": Text("原件在手", "The original is at hand"),
        "SAME": Text("原件与扫描件逐页一致", "Original and scan agree page by page"),
        "PLACE": Text("原件已放入登记的位置", "The original lies where it is registered"),
    },
}
CLASS_TEXT: dict[str, Text] = {code: known.text for code, known in FIELD_CLASSES.items()}
CLASSES = tuple(CLASS_TEXT)
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
    return NotAllowed("SOD-1", OWN_DRAFT) if step.actor.id == step.row.drafted_by else None


def other_than_first(step: Step) -> Refused | None:
    """Who registered a paper or made its first check never makes the second (policy.md §3.7)."""
    first = (step.row.drafted_by, step.row.checked_by)
    return NotAllowed("SOD-2", SAME_CHECKER) if step.actor.id in first else None


def in_time(step: Step) -> Refused | None:
    """Not after the last moment for signing, even before the sweep has moved the state."""
    return Overdue() if step.row.sign_by is not None and step.now >= step.row.sign_by else None


def not_over(step: Step) -> Refused | None:
    """An agreement whose last day has passed is not brought into force any more."""
    return Overdue() if step.now >= step.row.valid_to else None


def unable(process: Process, state: str, event: str, actor: Actor) -> Refused | None:
    """What keeps an actor from an event before its guards are asked: the state, or the roles; None where nothing does."""
    found = process.find(state, event)
    if found is None:
        return WrongState()
    return None if found.who is not None and actor.has(*found.who) else NotAllowed()


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
_ARC = frozenset({Role.ARC})

_SCOPE = ("number", "template", "classes", "purposes", "clients")

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
        "PAPER_INTAKE": _state("纸质登记", "Paper registered", "wait"),
        "CHECK1": _state("初核完成", "First check made", "wait"),
        "CHECK2": _state("复核完成", "Both checks made", "ok"),
        "REFUSED": _state("未通过", "Refused", "fail", final=True),
        "IN_FORCE": _state("生效中", "In force", "ok"),
        "EXPIRING": _state("即将到期", "Expiring", "wait"),
        "RESIGN": _state("待重新签署", "To be signed again", "wait"),
        "LAPSED": _state("已到期", "Lapsed", "fail", final=True),
        "RENEWED": _state("已续签", "Renewed", final=True),
        "TERMINATED": _state("已终止", "Terminated", "fail", final=True),
    },
    moves=(
        Move(("",), "draft", "DRAFT", Text("起草协议", "Draft"), _ADM, records=_SCOPE),
        Move(
            ("DRAFT",), "send", "SENT", Text("发送", "Send"), _ADM, records=("pdf_sha256",),
            tells=(_to_contact("agreement.sent"),),
        ),
        Move(("DRAFT", "SENT", "VIEWED"), "void", "VOID", Text("作废", "Void"), _ADM, reason=True),
        Move(
            ("PARTNER_SIGNED", "PROCESSING"), "void", "VOID", Text("作废", "Void"), frozenset({Role.ADM, Role.GM}), reason=True,
            tells=(_to_contact("agreement.ended"),),
        ),
        Move(OPEN, "time_out", "VOID", Text("超时作废", "Time out")),
        Move(("SENT",), "view", "VIEWED", Text("打开协议", "Open"), _PTN, (signer_only, in_time)),
        Move(
            ("VIEWED",), "sign", "PARTNER_SIGNED", Text("签署", "Sign"), _PTN, (signer_only, in_time), fresh=True, act=True,
            records=("pdf_sha256", "evidence_sha256"), tells=(_to_roles("agreement.signed", Role.GM, Role.ADM),),
        ),
        Move(
            OPEN, "decline", "DECLINED", Text("不签署", "Decline"), _PTN, (signer_only,), reason=True,
            tells=(_to_roles("agreement.inside", Role.ADM),),
        ),
        Move(
            ("PARTNER_SIGNED",), "countersign", "PROCESSING", Text("会签", "Countersign"), _GM, (other_than_drafter, not_over),
            fresh=True, act=True, records=("pdf_sha256",),
        ),
        Move(
            ("PROCESSING",), "complete", "COUNTERSIGNED", Text("完成", "Complete"),
            records=("signed_sha256", "sealed_sha256", "level"),
        ),
        Move(
            ("",), "intake", "PAPER_INTAKE", Text("登记纸质协议", "Register a paper"), _ADM,
            records=("number", "pdf_sha256", "signed_on", "classes", "purposes", "clients"),
        ),
        Move(
            ("PAPER_INTAKE",), "check1", "CHECK1", Text("初核", "First check"), _ADM, (not_over,), fresh=True,
            records=("checks", "pdf_sha256"), tells=(_to_roles("agreement.inside", Role.ARC),),
        ),
        Move(
            ("CHECK1",), "check2", "CHECK2", Text("复核", "Second check"), _ARC, (other_than_first, not_over), fresh=True,
            act=True, records=("checks", "pdf_sha256"), tells=(_to_roles("agreement.inside", Role.ADM),),
        ),
        Move(
            ("PAPER_INTAKE", "CHECK1"), "refuse", "REFUSED", Text("不予通过", "Refuse"), frozenset({Role.ADM, Role.ARC}),
            reason=True, tells=(_to_roles("agreement.inside", Role.ADM),),
        ),
        Move(
            AGREED, "enter_force", "IN_FORCE", Text("生效", "Enter into force"), records=("signed_sha256",),
            tells=(_to_contact("agreement.in_force"),),
        ),
        Move(("IN_FORCE",), "near_end", "EXPIRING", Text("即将到期", "Near its end")),
        Move(
            GOVERNING, "demand", "RESIGN", Text("要求重新签署", "Demand a new signature"), records=("template",),
            tells=(_to_roles("agreement.inside", Role.ADM),),
        ),
        Move(
            STANDING, "lapse", "LAPSED", Text("到期", "Lapse"),
            tells=(_to_contact("agreement.lapsed"), _to_roles("agreement.inside", Role.ADM)),
        ),
        Move(STANDING, "renew", "RENEWED", Text("由续签取代", "Renewed"), records=("successor",)),
        Move(
            (*AGREED, *STANDING), "terminate", "TERMINATED", Text("终止", "Terminate"), frozenset({Role.GM, Role.ADM}),
            reason=True, act=True, tells=(_to_contact("agreement.ended"),),
        ),
        Move(
            (*AGREED, *STANDING), "partner_terminate", "TERMINATED", Text("终止", "Terminate"), _PTN, (signer_only,),
            reason=True, fresh=True, act=True, tells=(_to_roles("agreement.inside", Role.GM, Role.ADM),),
        ),
    ),
    timeouts=(
        *(Timeout(state, "time_out", lambda a: a.sign_by) for state in OPEN),
        *(Timeout(state, "enter_force", lambda a: a.valid_from) for state in AGREED),
        *(Timeout(state, "lapse", lambda a: a.valid_to) for state in STANDING),
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
        Move(
            ("REVIEW",), "approve", "ACTIVE", Text("批准", "Approve"), _GM, (other_than_drafter,), fresh=True, act=True,
            records=("text_sha256",),
        ),
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


def first_day(valid_from: datetime) -> date:
    """The first calendar day of an agreement in the company's zone."""
    return valid_from.astimezone(COMPANY_ZONE).date()


def last_day(valid_to: datetime) -> date:
    """The last calendar day on which an agreement still holds: `valid_to` is the moment after it."""
    return (valid_to - timedelta(microseconds=1)).astimezone(COMPANY_ZONE).date()


def in_force(row: Agreement, now: datetime) -> bool:
    """Whether an agreement governs at this moment: by its state, and by its dates whatever the sweep has done."""
    return row.state in GOVERNING and row.valid_from <= now < row.valid_to


def days_left(valid_to: datetime, now: datetime) -> int:
    """Whole days until an agreement ends, at least 0."""
    return max(0, (valid_to - now).days)
