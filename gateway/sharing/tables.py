"""The process tables of sharing: a share's approvals and life, a bundle, a copy (policy.md §3.6)."""

from gateway.errors import Refused
from gateway.principal import Role, Text
from gateway.sharing.errors import SelfApproval
from gateway.sharing.models import Share
from gateway.workflow import Move, Process, State, Step, Timeout

REVIEWS = ("DEPT_REVIEW", "ARC_REVIEW", "GM_REVIEW")
LIVE = ("ACTIVE", "SUSPENDED")
STAGE_OF = {"DEPT_REVIEW": "DEPT", "ARC_REVIEW": "ARC", "GM_REVIEW": "GM"}
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
        Move(
            ("DRAFT",),
            "submit",
            "DEPT_REVIEW",
            Text("提交审批", "Submit"),
            _OWNERS,
            (owner_only,),
            records=("version_hash", "vector", "major"),
        ),
        Move(
            ("DEPT_REVIEW",),
            "consent_dept",
            "ARC_REVIEW",
            Text("同意", "Consent"),
            frozenset({Role.HOD, Role.DGM}),
            (apart,),
            fresh=True,
            records=("version_hash",),
            act=True,
        ),
        Move(
            ("ARC_REVIEW",),
            "consent_arc",
            "APPROVED",
            Text("同意", "Consent"),
            frozenset({Role.ARC}),
            (apart,),
            fresh=True,
            records=("version_hash",),
            act=True,
        ),
        Move(
            ("ARC_REVIEW",),
            "consent_arc_major",
            "GM_REVIEW",
            Text("同意，报总经理", "Consent, to the general manager"),
            frozenset({Role.ARC}),
            (apart,),
            fresh=True,
            records=("version_hash", "major"),
            act=True,
        ),
        Move(
            ("GM_REVIEW",),
            "approve",
            "APPROVED",
            Text("批准", "Approve"),
            frozenset({Role.GM}),
            (apart,),
            fresh=True,
            records=("version_hash",),
            act=True,
        ),
        Move(
            ("DEPT_REVIEW",),
            "reject_dept",
            "REJECTED",
            Text("驳回", "Reject"),
            frozenset({Role.HOD, Role.DGM}),
            (apart,),
            reason=True,
            fresh=True,
        ),
        Move(
            ("ARC_REVIEW",),
            "reject_arc",
            "REJECTED",
            Text("驳回", "Reject"),
            frozenset({Role.ARC}),
            (apart,),
            reason=True,
            fresh=True,
        ),
        Move(
            ("GM_REVIEW",),
            "reject_gm",
            "REJECTED",
            Text("驳回", "Reject"),
            frozenset({Role.GM}),
            (apart,),
            reason=True,
            fresh=True,
        ),
        Move(
            ("DEPT_REVIEW",),
            "return_dept",
            "DRAFT",
            Text("退回修改", "Send back"),
            frozenset({Role.HOD, Role.DGM}),
            (apart,),
            reason=True,
        ),
        Move(
            ("ARC_REVIEW",),
            "return_arc",
            "DRAFT",
            Text("退回修改", "Send back"),
            frozenset({Role.ARC}),
            (apart,),
            reason=True,
        ),
        Move(
            ("GM_REVIEW",),
            "return_gm",
            "DRAFT",
            Text("退回修改", "Send back"),
            frozenset({Role.GM}),
            (apart,),
            reason=True,
        ),
        Move(REVIEWS, "take_back", "DRAFT", Text("撤回修改", "Take back"), _OWNERS, (owner_only,)),
        Move(("DRAFT", *REVIEWS), "cancel", "CANCELLED", Text("取消", "Cancel"), _OWNERS, (owner_only,)),
        Move(REVIEWS, "lapse", "LAPSED", Text("审批超时", "Time out")),
        Move(
            ("APPROVED",),
            "activate",
            "ACTIVE",
            Text("生效", "Activate"),
            records=("starts", "ends", "contacts"),
        ),
        Move(
            ("ACTIVE",), "suspend", "SUSPENDED", Text("暂停", "Suspend"), frozenset({Role.ADM}), reason=True
        ),
        Move(("ACTIVE",), "halt", "SUSPENDED", Text("自动暂停", "Halt"), records=("cause",)),
        Move(
            ("SUSPENDED",),
            "resume",
            "ACTIVE",
            Text("恢复", "Resume"),
            frozenset({Role.ADM}),
            reason=True,
            fresh=True,
        ),
        Move(("SUSPENDED",), "recover", "ACTIVE", Text("自动恢复", "Recover"), records=("cause",)),
        Move(
            ("APPROVED", *LIVE), "revoke", "REVOKED", Text("撤销", "Revoke"), _STOPPERS, reason=True, act=True
        ),
        Move(("APPROVED", *LIVE), "withdraw", "REVOKED", Text("随协议撤销", "Withdraw"), records=("cause",)),
        Move(LIVE, "expire", "EXPIRED", Text("下载截止", "Close downloads")),
    ),
    timeouts=(
        *(Timeout(state, "lapse", lambda share: share.due_at) for state in REVIEWS),
        *(Timeout(state, "expire", lambda share: share.ends) for state in LIVE),
    ),
)


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
        Move(
            ("",),
            "prepare",
            "PREPARING",
            Text("领取副本", "Get your copy"),
            frozenset({Role.PTN}),
            records=("share", "contact", "format", "copies", "vector"),
        ),
        Move(
            ("PREPARING",), "ready", "READY", Text("备好", "Ready"), records=("sha256", "size", "issue_leaf")
        ),
        Move(("PREPARING",), "fail", "FAILED", Text("失败", "Fail"), records=("cause",)),
        Move(
            ("READY",),
            "collect",
            "COLLECTED",
            Text("下载", "Download"),
            frozenset({Role.PTN}),
            fresh=True,
            records=("sha256", "manifest_sha256", "copies", "vector", "share", "contact"),
        ),
        Move(("PREPARING", "READY"), "abandon", "ABANDONED", Text("作废", "Abandon"), records=("cause",)),
    ),
)


COPY = Process(
    name="copy",
    states={
        "RESERVED": _state("制作中", "Preparing", "wait"),
        "READY": _state("可领取", "Ready", "ok"),
        "COLLECTED": _state("已领取", "Collected", "info"),
        "ABANDONED": _state("未领作废", "Abandoned", final=True),
    },
    moves=(
        Move(
            ("",),
            "reserve",
            "RESERVED",
            Text("制作", "Reserve"),
            frozenset({Role.PTN}),
            records=("number", "share", "contact", "item", "version"),
        ),
        Move(("RESERVED",), "ready", "READY", Text("备好", "Ready"), records=("marked_sha256", "pages")),
        Move(
            ("READY",),
            "collect",
            "COLLECTED",
            Text("领取", "Collect"),
            frozenset({Role.PTN}),
            records=("number", "share", "contact", "item", "bundle_sha256"),
        ),
        Move(("RESERVED", "READY"), "abandon", "ABANDONED", Text("作废", "Abandon"), records=("cause",)),
    ),
)
