"""Pure rules of sharing: the process tables, major matters, the version hash, working days (policy.md §3.3
triggers, §3.6)."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from gateway.errors import Refused
from gateway.policy.parameters import Parameters
from gateway.principal import Role, Text
from gateway.sharing.errors import SelfApproval
from gateway.sharing.models import Share
from gateway.workflow import Move, Process, State, Step, Timeout

REVIEWS = ("DEPT_REVIEW", "ARC_REVIEW", "GM_REVIEW")
LIVE = ("ACTIVE", "SUSPENDED")
STAGE_OF = {"DEPT_REVIEW": "DEPT", "ARC_REVIEW": "ARC", "GM_REVIEW": "GM"}
PURPOSES: dict[str, Text] = {
    "P01": Text("量房设计", "Survey and design"),
    "P02": Text("报价签约", "Quotation and contract"),
    "P03": Text("采购下单", "Purchasing"),
    "P04": Text("施工安装", "Construction"),
    "P05": Text("售后保修", "After-sales warranty"),
    "P06": Text("财务结算", "Settlement"),
    "P07": Text("投诉纠纷", "Complaint or dispute"),
    "P08": Text("检查审计", "Inspection or audit"),
    "P09": Text("法定义务", "Legal duty"),
    "P99": Text("其他", "Other"),
}
MAJOR_TEXT: dict[str, Text] = {
    "M1": Text("含重要（L3）内容", "Holds level-3 content"),
    "M2": Text("整卷提供", "A whole case"),
    "M3": Text("数量或客户数超限", "Many items or clients"),
    "M4": Text("原件离开档案室", "An original leaves the archive"),
    "M5": Text("原件或免水印例外", "Original or unmarked exception"),
    "M6": Text("其他用途（P99）", "Purpose P99"),
    "M8": Text("涉及未成年人", "Minors concerned"),
    "M9": Text("期限或次数高于默认", "Validity or downloads above default"),
}

_OWNERS = frozenset({Role.HOD, Role.BIZ})
_STOPPERS = frozenset({Role.GM, Role.DGM, Role.ADM, Role.HOD, Role.BIZ, Role.ARC})


def apart(step: Step) -> Refused | None:
    """SOD-1 and SOD-2: the decider is neither the applicant nor anyone who decided another stage of this version."""
    share: Share = step.row
    others = step.extras.get("deciders", ())
    same = step.actor.id == share.requester or step.actor.id in others
    return SelfApproval() if same else None


def owner_only(step: Step) -> Refused | None:
    """Only whoever asked for the share goes on with it."""
    return (
        None
        if step.actor.id == step.row.requester
        else SelfApproval(code="NOT_OWNER", text=Text("仅申请人可操作。", "Only the applicant may do this."))
    )


def _state(zh: str, en: str, tone: str = "", *, final: bool = False) -> State:
    return State(Text(zh, en), tone, final)  # type: ignore[arg-type]


SHARE = Process(
    name="share",
    states={
        "DRAFT": _state("草稿", "Draft"),
        "DEPT_REVIEW": _state("待部门审批", "With the department", "wait"),
        "ARC_REVIEW": _state("待档案审核", "With the archive", "wait"),
        "GM_REVIEW": _state("待总经理审批", "With the general manager", "wait"),
        "APPROVED": _state("已批准", "Approved", "ok"),
        "ACTIVE": _state("已生效", "Active", "ok"),
        "SUSPENDED": _state("已暂停", "Suspended", "wait"),
        "REJECTED": _state("已驳回", "Rejected", "fail", final=True),
        "CANCELLED": _state("已取消", "Cancelled", final=True),
        "LAPSED": _state("审批超时", "Approval timed out", final=True),
        "REVOKED": _state("已撤销", "Revoked", "fail", final=True),
        "EXPIRED": _state("下载截止", "Download closed", final=True),
    },
    moves=(
        Move(("",), "draft", "DRAFT", Text("新建共享", "New share"), _OWNERS, records=("number",)),
        Move(("DRAFT",), "submit", "DEPT_REVIEW", Text("提交审批", "Submit"), _OWNERS, (owner_only,), records=("version_hash", "vector", "major")),
        Move(
            ("DEPT_REVIEW",), "consent_dept", "ARC_REVIEW", Text("同意", "Consent"), frozenset({Role.HOD, Role.DGM}), (apart,),
            fresh=True, records=("version_hash",), act=True,
        ),
        Move(
            ("ARC_REVIEW",), "consent_arc", "APPROVED", Text("同意", "Consent"), frozenset({Role.ARC}), (apart,),
            fresh=True, records=("version_hash",), act=True,
        ),
        Move(
            ("ARC_REVIEW",), "consent_arc_major", "GM_REVIEW", Text("同意，报总经理", "Consent, to the general manager"),
            frozenset({Role.ARC}), (apart,), fresh=True, records=("version_hash", "major"), act=True,
        ),
        Move(
            ("GM_REVIEW",), "approve", "APPROVED", Text("批准", "Approve"), frozenset({Role.GM}), (apart,),
            fresh=True, records=("version_hash",), act=True,
        ),
        Move(("DEPT_REVIEW",), "reject_dept", "REJECTED", Text("驳回", "Reject"), frozenset({Role.HOD, Role.DGM}), (apart,), reason=True, fresh=True),
        Move(("ARC_REVIEW",), "reject_arc", "REJECTED", Text("驳回", "Reject"), frozenset({Role.ARC}), (apart,), reason=True, fresh=True),
        Move(("GM_REVIEW",), "reject_gm", "REJECTED", Text("驳回", "Reject"), frozenset({Role.GM}), (apart,), reason=True, fresh=True),
        Move(("DEPT_REVIEW",), "return_dept", "DRAFT", Text("退回修改", "Send back"), frozenset({Role.HOD, Role.DGM}), (apart,), reason=True),
        Move(("ARC_REVIEW",), "return_arc", "DRAFT", Text("退回修改", "Send back"), frozenset({Role.ARC}), (apart,), reason=True),
        Move(("GM_REVIEW",), "return_gm", "DRAFT", Text("退回修改", "Send back"), frozenset({Role.GM}), (apart,), reason=True),
        Move(REVIEWS, "take_back", "DRAFT", Text("撤回修改", "Take back"), _OWNERS, (owner_only,)),
        Move(("DRAFT", *REVIEWS), "cancel", "CANCELLED", Text("取消", "Cancel"), _OWNERS, (owner_only,)),
        Move(REVIEWS, "lapse", "LAPSED", Text("审批超时", "Time out")),
        Move(("APPROVED",), "activate", "ACTIVE", Text("生效", "Activate"), records=("starts", "ends", "contacts")),
        Move(("ACTIVE",), "suspend", "SUSPENDED", Text("暂停", "Suspend"), frozenset({Role.ADM}), reason=True),
        Move(("ACTIVE",), "halt", "SUSPENDED", Text("自动暂停", "Halt"), records=("cause",)),
        Move(("SUSPENDED",), "resume", "ACTIVE", Text("恢复", "Resume"), frozenset({Role.ADM}), reason=True, fresh=True),
        Move(("SUSPENDED",), "recover", "ACTIVE", Text("自动恢复", "Recover"), records=("cause",)),
        Move(("APPROVED", *LIVE), "revoke", "REVOKED", Text("撤销", "Revoke"), _STOPPERS, reason=True, act=True),
        Move(("APPROVED", *LIVE), "withdraw", "REVOKED", Text("随协议撤销", "Withdraw"), records=("cause",)),
        Move(LIVE, "expire", "EXPIRED", Text("下载截止", "Close downloads")),
    ),
    timeouts=(
        *(Timeout(state, "lapse", lambda share: share.due_at) for state in REVIEWS),
        *(Timeout(state, "expire", lambda share: share.ends) for state in LIVE),
    ),
)  # fmt: skip

BUNDLE = Process(
    name="bundle",
    states={
        "PREPARING": _state("制作中", "Preparing", "wait"),
        "READY": _state("可领取", "Ready", "ok"),
        "COLLECTED": _state("已领取", "Collected", "info"),
        "ABANDONED": _state("未领作废", "Abandoned", final=True),
        "FAILED": _state("没有做成", "Failed", "fail", final=True),
    },
    moves=(
        Move(("",), "prepare", "PREPARING", Text("领取副本", "Get your copy"), frozenset({Role.PTN}), records=("share", "contact", "format", "copies", "vector")),
        Move(("PREPARING",), "ready", "READY", Text("备好", "Ready"), records=("sha256", "size", "issue_leaf")),
        Move(("PREPARING",), "fail", "FAILED", Text("失败", "Fail"), records=("cause",)),
        Move(("READY",), "collect", "COLLECTED", Text("下载", "Download"), frozenset({Role.PTN}), fresh=True, records=("sha256", "manifest_sha256", "copies", "vector", "share", "contact")),
        Move(("PREPARING", "READY"), "abandon", "ABANDONED", Text("作废", "Abandon"), records=("cause",)),
    ),
)  # fmt: skip

COPY = Process(
    name="copy",
    states={
        "RESERVED": _state("制作中", "Preparing", "wait"),
        "READY": _state("可领取", "Ready", "ok"),
        "COLLECTED": _state("已领取", "Collected", "info"),
        "ABANDONED": _state("未领作废", "Abandoned", final=True),
    },
    moves=(
        Move(("",), "reserve", "RESERVED", Text("制作", "Reserve"), frozenset({Role.PTN}), records=("number", "share", "contact", "item", "version")),
        Move(("RESERVED",), "ready", "READY", Text("备好", "Ready"), records=("marked_sha256", "pages")),
        Move(("READY",), "collect", "COLLECTED", Text("领取", "Collect"), frozenset({Role.PTN}), records=("number", "share", "contact", "item", "bundle_sha256")),
        Move(("RESERVED", "READY"), "abandon", "ABANDONED", Text("作废", "Abandon"), records=("cause",)),
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Contents:
    """What the approvals bind to, and what the major-matter test reads."""

    items: tuple[tuple[str, int], ...]
    contacts: tuple[str, ...]
    client: str
    purpose: str
    rights: tuple[str, ...]
    valid_days: int
    download_limit: int
    relation: str

    def digest(self) -> str:
        """SHA-256 over the canonical JSON of the contents, hex."""
        body = [
            sorted(self.items),
            sorted(self.contacts),
            self.client,
            self.purpose,
            sorted(self.rights),
            self.valid_days,
            self.download_limit,
            self.relation,
        ]
        return hashlib.sha256(json.dumps(body, separators=(",", ":"), ensure_ascii=True).encode()).hexdigest()


@dataclass(frozen=True)
class Weight:
    """What makes a share a major matter: the items' levels, how many, of how many clients, whole case, minors,
    exceptions asked for."""

    levels: tuple[int, ...]
    clients: int
    whole_case: bool
    minors: bool
    unmarked: bool = False


def major(contents: Contents, weight: Weight, parameters: Parameters) -> tuple[str, ...]:
    """The triggers M1–M6, M8, M9 that hold, in order (policy.md §3.3)."""
    found = {
        "M1": 3 in weight.levels,
        "M2": weight.whole_case,
        "M3": len(contents.items) > parameters["major.items"] or weight.clients > parameters["major.clients"],
        "M4": "ORIGINAL" in contents.rights,
        "M5": weight.unmarked or "ORIGINAL" in contents.rights,
        "M6": contents.purpose == "P99",
        "M8": weight.minors,
        "M9": contents.valid_days > parameters["share.valid_days"]
        or contents.download_limit > parameters["share.download_limit"],
    }
    return tuple(code for code, holds in found.items() if holds)


def stages(triggers: Sequence[str]) -> frozenset[str]:
    """The approvals that a share needs: department and archive, and the general manager for major matters."""
    return frozenset({"DEPT", "ARC"} | ({"GM"} if triggers else set()))


def working_days_later(start: datetime, days: int) -> datetime:
    """The same time of day, `days` working days (Monday to Friday, UTC+8) later."""
    moment = start
    while days > 0:
        moment += timedelta(days=1)
        if (moment + timedelta(hours=8)).weekday() < 5:
            days -= 1
    return moment


def bundle_format(kinds: Sequence[str], wanted: str | None, *, has_key: bool) -> str:
    """pdf for a lone PDF, age when asked for and a key is registered, else zip."""
    if wanted == "age" and has_key:
        return "age"
    return "pdf" if list(kinds) == ["pdf"] and wanted in (None, "", "pdf") else "zip"
