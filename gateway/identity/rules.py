"""Pure decisions of identity: roles that exclude each other, employment, and the processes (policy.md §1, §2.9)."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import combinations
from zoneinfo import ZoneInfo

from gateway.errors import Invalid, NotAllowed, Refused, WrongState
from gateway.principal import Role, Text
from gateway.workflow import Move, Process, State, Step, Timeout

COMPANY_ZONE = ZoneInfo("Asia/Shanghai")
INVITATION_LIFE = timedelta(hours=72)
SESSION_LIFE = timedelta(hours=12)
HALF_LIFE = timedelta(minutes=10)
RECOVERY_CODES = 10
# Offices share one address: it may fail this many times as often as one account before it is stopped.
ADDRESS_FACTOR = 4

# ── Roles and their separation (policy.md §1, separation 3, 4 and 7) ─────────────────────────────────────────────────

STAFF_ROLES = frozenset(Role) - {Role.PTN}
FIRST_DAY = (Role.SYS, Role.GM, Role.ADM)
# Granted by ADM alone; every other role is proposed by ADM and confirmed by GM.
ADM_ALONE = frozenset({Role.BIZ})
_PAIRS = {frozenset({Role.HOD, other}) for other in (Role.ADM, Role.ARC, Role.BIZ)}
_SMALL_PAIRS = _PAIRS | {frozenset({Role.DGM, Role.HOD}), frozenset({Role.ADM, Role.ARC})}


def check_roles(held: Iterable[Role], new: Role, *, small: bool) -> None:
    """Raises NotAllowed(SOD-3) when `new` may not stand beside the roles already held or proposed.

    The system administrator and the auditor hold nothing else. Otherwise a combination is permitted when each pair in it is;
    `small` is the 小型公司 profile, which permits more pairs. Nobody on the staff is a partner.
    """
    roles = {*held, new}
    pairs = _SMALL_PAIRS if small else _PAIRS
    if new not in STAFF_ROLES or any(frozenset(pair) not in pairs for pair in combinations(roles, 2)):
        raise NotAllowed(
            "SOD-3", Text("这些角色不能由同一人担任。", "One person may not hold these roles together.")
        )


def needs_confirmation(role: Role) -> bool:
    """Whether the general manager confirms the grant."""
    return role not in ADM_ALONE


# ── Employment (policy.md §1, 用工类型) ──────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Employment:
    """What an employment type allows.

    `level`: highest 密级 (1 to 3); `view_only`: electronic view only; `mentor`: a named 指导人 approves first.
    """

    text: Text
    level: int
    end_required: bool
    external_share: bool
    delegation: bool
    view_only: bool = False
    mentor: bool = False


EMPLOYMENT: dict[str, Employment] = {
    "REGULAR": Employment(
        Text("正式", "Regular"), 3, end_required=False, external_share=True, delegation=True
    ),
    "PROBATION": Employment(
        Text("试用", "Probation"), 2, end_required=True, external_share=False, delegation=False
    ),
    "TEMPORARY": Employment(
        Text("临时", "Temporary"),
        1,
        end_required=True,
        external_share=False,
        delegation=False,
        view_only=True,
    ),
    "INTERN": Employment(
        Text("实习", "Intern"),
        1,
        end_required=True,
        external_share=False,
        delegation=False,
        view_only=True,
        mentor=True,
    ),
}


def check_employment(kind: str, ends_on: date | None, today: date) -> None:
    """Raises Invalid for an unknown type, a missing end date where the type needs one, or an end date that has passed."""
    if kind not in EMPLOYMENT:
        raise Invalid("employment", Text("请选择用工类型。", "Choose an employment type."))
    if EMPLOYMENT[kind].end_required and ends_on is None:
        raise Invalid(
            "ends_on", Text("此用工类型须填写截止日期。", "This employment type needs an end date.")
        )
    if ends_on is not None and ends_on < today:
        raise Invalid("ends_on", Text("截止日期不能早于今天。", "The end date may not lie in the past."))


def local_day(now: datetime) -> date:
    """The company's calendar day."""
    return now.astimezone(COMPANY_ZONE).date()


def ends_at(ends_on: date | None) -> datetime | None:
    """The moment an account ends: 24:00 of its last day in the company's zone, as UTC; None when it has no end."""
    if ends_on is None:
        return None
    return datetime.combine(ends_on + timedelta(days=1), time(), COMPANY_ZONE).astimezone(UTC)


def has_ended(ends_on: date | None, now: datetime) -> bool:
    """Whether the last day is over."""
    end = ends_at(ends_on)
    return end is not None and now >= end


CATEGORIES: dict[str, Text] = {
    "SUPPLIER": Text("供应商", "Supplier"),
    "DESIGN": Text("设计团队", "Design team"),
    "OTHER": Text("其他", "Other"),
}
IDENTITY_CHECKS: dict[str, Text] = {
    "IN_PERSON": Text("线下核验", "In person"),
    "COMPANY_MAIL": Text("企业邮箱", "Company mailbox"),
    "AUTHORISATION": Text("营业执照与授权书", "Licence and letter of authority"),
}


def lockout_minutes(base: int, rounds: int) -> int:
    """How long the next lock lasts: the parameter, doubled for each round before, a day at most."""
    return min(base << min(rounds, 12), 24 * 60)


# ── Processes ───────────────────────────────────────────────────────────────────────────────────────────────────────────

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
