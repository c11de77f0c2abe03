"""Errors of sharing.

SealGateError
├── Refused
│   ├── SelfApproval       SOD-1 and SOD-2: the applicant, or a person of another stage, may not decide
│   ├── NotForStaff        the applicant's employment type does not allow external shares
│   ├── NotDraft           contents may be changed only while the share is a draft
│   └── NotMarked          a file could not be marked, or its mark was not read back
└── Invalid
    └── BadShare           a share's field that cannot be taken
"""

from gateway.errors import Invalid, NotAllowed, Refused, WrongState
from gateway.principal import Text


class SelfApproval(NotAllowed):
    """The separation of duties forbids it; the code names the rule."""

    code = "SOD-1"
    text = Text(
        "不能审批自己的申请，也不能在同一共享上审批两次。",
        "Nobody decides on their own request, or twice on one share.",
    )


class NotForStaff(NotAllowed):
    """试用, 临时 and 实习 share nothing with the outside (policy.md §1, 用工类型)."""

    code = "EMPLOYMENT"
    text = Text("您的用工类型不能对外共享。", "Your employment type does not allow external shares.")


class NotDraft(WrongState):
    """Contents are frozen from submission on; take the share back to edit it, which voids its approvals."""

    code = "NOT_DRAFT"
    text = Text(
        "提交后内容不能再改；请先退回草稿，已有审批随之作废。",
        "Submitted contents are frozen. Take it back to a draft first.",
    )


class NotMarked(Refused):
    """An item could not be marked, or its mark was not read back; the code is the worker's reason."""

    text = Text("有文件无法加水印，没有文件外出。", "A file could not be marked. Nothing left.")

    def __init__(self, reason: str) -> None:
        super().__init__(code=f"MARK_{reason}"[:60])


class BadShare(Invalid):
    """A share's field that cannot be taken."""

    code = "BAD_SHARE"
