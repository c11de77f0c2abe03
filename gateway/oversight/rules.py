"""How an alert is acknowledged, and how a parameter is changed by two people (policy.md §10); what may be typed as a value."""

import re
from collections.abc import Mapping

from gateway.errors import Invalid, NotAllowed, Refused, WrongState
from gateway.notify.service import Recipient
from gateway.oversight.alerts import TECHNICAL
from gateway.policy.errors import BadParameter
from gateway.policy.parameters import DEFINITIONS, Value
from gateway.principal import Actor, Role, Text
from gateway.workflow import Move, Process, State, Step

_WHOLE = re.compile(r"[0-9]{1,6}")
_SWITCH: Mapping[str, bool] = {"on": True, "off": False, "开": True, "关": False}


def _other_person(step: Step) -> Refused | None:
    if step.row.proposed_by != step.actor.id:
        return None
    return NotAllowed(
        "SOD-4", Text("提出人不能确认自己的变更。", "Whoever proposed a change cannot confirm it.")
    )


def _still_ahead(step: Step) -> Refused | None:
    if step.row.valid_from >= step.now:
        return None
    return WrongState(
        "PARAMETER_LATE",
        Text("生效时间已过，请重新提出。", "Its starting time has passed. Propose it again."),
    )


def _in_order(step: Step) -> Refused | None:
    # Versions come into force in the order of their numbers, so that a pinned number always means the same values.
    last = step.extras.get("last_start")
    if last is None or step.row.valid_from >= last:
        return None
    return WrongState(
        "PARAMETER_ORDER",
        Text(
            "已有更晚生效的变更获得确认，请改用更晚的时间。",
            "A change that starts later is confirmed already. Choose a later time.",
        ),
    )


def _tell_gm(step: Step) -> list[tuple[str, list[Recipient], dict[str, str]]]:
    return [("parameter.proposed", [Recipient("role", Role.GM.value)], {})]


_ADM, _GM = frozenset({Role.ADM}), frozenset({Role.GM})
PARAMETER = Process(
    "parameter",
    {
        "PROPOSED": State(Text("待确认", "Waiting"), "wait"),
        "CONFIRMED": State(Text("已确认", "Confirmed"), "ok", final=True),
        "DECLINED": State(Text("未同意", "Declined"), "fail", final=True),
        "WITHDRAWN": State(Text("已撤回", "Withdrawn"), final=True),
    },
    (
        Move(
            ("",),
            "propose",
            "PROPOSED",
            Text("提出变更", "Propose"),
            who=_ADM,
            guards=(_in_order,),
            reason=True,
            fresh=True,
            records=("changes", "valid_from"),
            tells=(_tell_gm,),
        ),
        Move(
            ("PROPOSED",),
            "confirm",
            "CONFIRMED",
            Text("确认变更", "Confirm"),
            who=_GM,
            guards=(_other_person, _still_ahead, _in_order),
            fresh=True,
            act=True,
            records=("number", "changes", "valid_from"),
        ),
        Move(("PROPOSED",), "decline", "DECLINED", Text("不同意", "Decline"), who=_GM, reason=True),
        Move(("PROPOSED",), "withdraw", "WITHDRAWN", Text("撤回", "Withdraw"), who=_ADM, reason=True),
    ),
)

WATCHERS = frozenset({Role.AUD, Role.ADM, Role.SYS})
# An auditor writes nothing (policy.md §1, separation of duties 3): sees every alert, puts a name under none.
ACKNOWLEDGERS = frozenset({Role.ADM, Role.SYS})


def _within_reach(step: Step) -> Refused | None:
    return None if may_acknowledge(step.actor, step.row.rule) else NotAllowed()


def may_see(actor: Actor, rule: str) -> bool:
    """Whether an alert of this rule is shown to the actor: a system administrator is told of the log and the clock only."""
    return actor.has(Role.AUD, Role.ADM) or (actor.has(Role.SYS) and rule in TECHNICAL)


def may_acknowledge(actor: Actor, rule: str) -> bool:
    """Whether the actor may put a name under an alert of this rule: one who answers alerts, and is shown this one."""
    return actor.has(*ACKNOWLEDGERS) and may_see(actor, rule)


ALERT = Process(
    "alert",
    {
        "OPEN": State(Text("待确认", "Open"), "fail"),
        "ACKNOWLEDGED": State(Text("已确认", "Acknowledged"), "ok", final=True),
    },
    (
        Move(("",), "raise", "OPEN", Text("触发", "Raised"), records=("rule", "facts", "about", "entry")),
        Move(
            ("OPEN",),
            "acknowledge",
            "ACKNOWLEDGED",
            Text("确认告警", "Acknowledge"),
            who=ACKNOWLEDGERS,
            guards=(_within_reach,),
            reason=True,
            records=("rule",),
        ),
    ),
)


def typed(key: str, text: str) -> Value:
    """The value of a parameter as a person types it (`7`, `30,7,1`, `on`); raises Invalid("key") or Invalid("value")."""
    found = DEFINITIONS.get(key)
    if found is None:
        raise Invalid("key", Text("没有这个参数。", "There is no such parameter."))
    try:
        return found.check(_read(found.default, text.strip()))
    except BadParameter as problem:
        raise Invalid("value", problem.text) from problem


def _read(default: Value, text: str) -> object:
    if isinstance(default, bool):
        return _SWITCH.get(text.lower())
    if isinstance(default, tuple):
        parts = [part.strip() for part in text.replace("，", ",").split(",")]
        return tuple(_number(part) for part in parts)
    return _number(text)


def _number(text: str) -> int | None:
    return int(text) if _WHOLE.fullmatch(text) and text.isascii() else None


def own_addresses(actor: Actor) -> frozenset[tuple[str, str]]:
    """The recipients (kind, id) whose messages an actor reads: themselves, and for staff each role they hold."""
    if actor.kind == "contact":
        return frozenset({("contact", actor.id)})
    if actor.kind == "staff":
        return frozenset({("account", actor.id), *(("role", role.value) for role in actor.roles)})
    return frozenset()
