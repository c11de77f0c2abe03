"""The processes of identity: accounts, organisations and contacts (policy.md §1 账号启停, §2.9)."""

from gateway.errors import Refused, WrongState
from gateway.identity.rules import ends_at
from gateway.principal import Role, Text
from gateway.workflow import Move, Process, State, Step, Timeout

_ADM = frozenset({Role.ADM})
_SYS = frozenset({Role.SYS})


def _verified(step: Step) -> Refused | None:
    return None if step.row.verified_at is not None else WrongState()


ACCOUNT = Process(
    "account",
    {
        "ENROLLING": State(Text("待登记", "Not enrolled"), "wait"),
        "ACTIVE": State(Text("启用", "Active"), "ok"),
        "DISABLED": State(Text("停用", "Off"), ""),
    },
    (
        Move(
            ("",),
            "enrol",
            "ENROLLING",
            Text("新建账号", "Add account"),
            _ADM,
            records=("employment",),
            system=True,
        ),
        Move(("ENROLLING",), "activate", "ACTIVE", Text("启用", "Activate")),
        Move(
            ("ENROLLING", "ACTIVE"),
            "disable",
            "DISABLED",
            Text("停用", "Turn off"),
            _SYS,
            reason=True,
            act=True,
        ),
        Move(("ENROLLING", "ACTIVE"), "end", "DISABLED", Text("到期停用", "End")),
        Move(("DISABLED",), "enable", "ENROLLING", Text("重新启用", "Turn on"), _SYS, reason=True),
    ),
    tuple(Timeout(state, "end", lambda row: ends_at(row.ends_on)) for state in ("ENROLLING", "ACTIVE")),
)

ORGANISATION = Process(
    "organisation",
    {
        "PENDING": State(Text("待核", "To verify"), "wait"),
        "ACTIVE": State(Text("启用", "Active"), "ok"),
        "SUSPENDED": State(Text("暂停", "Suspended"), "fail"),
        "DISABLED": State(Text("停用", "Off"), "", final=True),
    },
    (
        Move(
            ("",),
            "propose",
            "PENDING",
            Text("新增单位", "Propose"),
            frozenset({Role.HOD, Role.BIZ, Role.ADM}),
        ),
        Move(
            ("PENDING",), "verify", "ACTIVE", Text("核验启用", "Verify"), _ADM, records=("abroad",), act=True
        ),
        Move(("ACTIVE",), "suspend", "SUSPENDED", Text("暂停", "Suspend"), _ADM, reason=True, act=True),
        Move(("SUSPENDED",), "resume", "ACTIVE", Text("恢复", "Resume"), _ADM, reason=True),
        Move(
            ("PENDING", "ACTIVE", "SUSPENDED"),
            "disable",
            "DISABLED",
            Text("停用", "Turn off"),
            _ADM,
            reason=True,
            act=True,
        ),
    ),
)

CONTACT = Process(
    "contact",
    {
        "INVITED": State(Text("已邀请", "Invited"), "wait"),
        "ENROLLED": State(Text("待核验", "To verify"), "wait"),
        "ACTIVE": State(Text("启用", "Active"), "ok"),
        "SUSPENDED": State(Text("暂停", "Suspended"), "fail"),
        "DISABLED": State(Text("停用", "Off"), "", final=True),
    },
    (
        Move(("",), "invite", "INVITED", Text("邀请联系人", "Invite"), _ADM, records=("organisation",)),
        Move(("INVITED",), "enrol", "ENROLLED", Text("完成登记", "Enrol"), frozenset({Role.PTN})),
        Move(
            ("ENROLLED",),
            "confirm",
            "ACTIVE",
            Text("核对回读码", "Confirm"),
            _ADM,
            fresh=True,
            records=("identity_check",),
            act=True,
        ),
        Move(
            ("INVITED", "ENROLLED", "ACTIVE", "SUSPENDED"),
            "reinvite",
            "INVITED",
            Text("重新邀请", "Invite again"),
            _ADM,
        ),
        Move(
            ("INVITED", "ENROLLED", "ACTIVE"),
            "suspend",
            "SUSPENDED",
            Text("暂停", "Suspend"),
            _ADM,
            reason=True,
            act=True,
        ),
        Move(
            ("SUSPENDED",), "resume", "ACTIVE", Text("恢复", "Resume"), _ADM, guards=(_verified,), reason=True
        ),
        Move(
            ("INVITED", "ENROLLED", "ACTIVE", "SUSPENDED"),
            "disable",
            "DISABLED",
            Text("停用", "Turn off"),
            _ADM,
            reason=True,
            act=True,
        ),
    ),
)
PROCESSES = (ACCOUNT, ORGANISATION, CONTACT)

GRANT_STATES: dict[str, State] = {
    "PROPOSED": State(Text("待总经理确认", "For the general manager"), "wait"),
    "ACTIVE": State(Text("生效", "In force"), "ok"),
    "ENDED": State(Text("已结束", "Ended"), "", final=True),
}
