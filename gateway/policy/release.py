"""The release decision: a pure function from facts to the whole vector of conditions (policy.md §4, DESIGN.md §2.2)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal

from gateway.policy.conditions import BY_CODE, CRITERIA, LIVE, NOT_ENABLED, SUBMIT
from gateway.policy.facts import AgreementFact, Facts, ItemFact, ShareFact
from gateway.policy.parameters import Parameters
from gateway.principal import Text

Exit = Literal["copy", "passphrase", "duty_view"]
Stage = Literal["submit", "reserve", "collect", "live"]
State = Literal["met", "unmet", "waived", "not_enabled"]

ALL = frozenset(c.code for c in CRITERIA)
DUTY = frozenset(
    {"MFA", "SESS", "RIGHT", "ALIVE", "SCAN", "HASH", "BASIS", "TRAIN", "DSR", "KEY", "LOG", "CLOCK"}
)
SETS: Mapping[tuple[Exit, Stage], frozenset[str]] = {
    ("copy", "submit"): SUBMIT,
    ("copy", "reserve"): ALL - {"MARKED", "KEY", "LOG"},
    ("copy", "collect"): ALL,
    ("copy", "live"): LIVE,
    ("passphrase", "collect"): LIVE | {"MFA", "KEY", "LOG", "CLOCK"},
    ("passphrase", "live"): LIVE,
    ("duty_view", "collect"): DUTY,
    ("duty_view", "live"): frozenset({"SESS", "ALIVE"}),
}


@dataclass(frozen=True)
class Condition:
    """One line of the checklist. `note` says what exactly is missing, `evidence` which rows or entries it was read from."""

    code: str
    state: State
    note: Text | None = None
    evidence: tuple[str, ...] = ()

    @property
    def label(self) -> Text:
        """Its name for people."""
        return BY_CODE[self.code].label

    @property
    def remedy(self) -> Text:
        """What to do about it."""
        return BY_CODE[self.code].remedy

    def as_json(self) -> dict[str, Any]:
        """The form stored with a copy and committed to in the log."""
        return {"code": f"REL-{self.code}", "result": self.state, "evidence": list(self.evidence)}


@dataclass(frozen=True)
class Decision:
    """The whole vector for one exit at one stage; bytes may leave only when `allowed`."""

    exit: Exit
    stage: Stage
    conditions: tuple[Condition, ...]

    @property
    def allowed(self) -> bool:
        """Whether no condition is unmet."""
        return not self.missing

    @property
    def missing(self) -> tuple[Condition, ...]:
        """The unmet conditions, in the policy's order."""
        return tuple(c for c in self.conditions if c.state == "unmet")

    def as_json(self) -> list[dict[str, Any]]:
        """The vector as it is stored."""
        return [c.as_json() for c in self.conditions]


def release(way: Exit, stage: Stage, facts: Facts, parameters: Parameters) -> Decision:
    """Judges every condition of that way out at this stage; pure; KeyError for an exit or stage the policy does not know."""
    wanted = SETS[(way, stage)]
    found = [_judge(c.code, facts, parameters) for c in CRITERIA if c.code in wanted]
    return Decision(way, stage, tuple(found))


Verdict = bool | None | tuple[bool, Text | None]
Check = Callable[[Facts, Parameters], Verdict]


def _judge(code: str, facts: Facts, parameters: Parameters) -> Condition:
    evidence = tuple(facts.evidence.get(code, ()))
    if code in NOT_ENABLED:
        return Condition(code, "not_enabled", Text("未启用", "Not enabled"), evidence)
    if code == "SCAN" and not parameters.on("scan.required") and _none_infected(facts):
        return Condition(code, "waived", Text("未扫描", "Not scanned"), evidence)
    verdict = CHECKS[code](facts, parameters)
    met, note = verdict if isinstance(verdict, tuple) else (verdict is True, None)
    return Condition(code, "met" if met else "unmet", note, evidence)


def _none_infected(facts: Facts) -> bool:
    return (
        bool(facts.items)
        and all(i.scan in ("unscanned", "clean") for i in facts.items or ())
        and any(i.scan == "unscanned" for i in facts.items or ())
    )


def _items(facts: Facts, good: Callable[[ItemFact], bool]) -> Verdict:
    if not facts.items:
        return False
    bad = [i.id for i in facts.items if not good(i)]
    return not bad, Text(f"{len(bad)} 个文件不满足", f"{len(bad)} item(s) do not meet this") if bad else None


def _governing(facts: Facts) -> list[AgreementFact]:
    return [a for a in facts.agreements or () if a.in_force and a.valid_from <= facts.now < a.valid_to]


def _mfa(facts: Facts, parameters: Parameters) -> Verdict:
    at = facts.session.mfa_at if facts.session else None
    return at is not None and timedelta(0) <= facts.now - at <= timedelta(minutes=parameters["mfa.fresh_min"])


def _contact(facts: Facts, _: Parameters) -> Verdict:
    named = facts.share is not None and facts.contact is not None and facts.contact.id in facts.share.contacts
    return bool(facts.contact and facts.contact.active and named)


def _cover(facts: Facts, _: Parameters) -> Verdict:
    if not facts.items or facts.share is None:
        return False
    share = facts.share
    gaps = sorted({gap for item in facts.items for gap in _gaps(item, share, _governing(facts))})
    return not gaps, Text("未覆盖：" + "、".join(gaps), "Not covered: " + ", ".join(gaps)) if gaps else None


def _gaps(item: ItemFact, share: ShareFact, agreements: list[AgreementFact]) -> set[str]:
    # One agreement, with its supplements, has to cover everything together; the nearest miss is what is shown.
    families: dict[str, list[AgreementFact]] = {}
    for agreement in agreements:
        families.setdefault(agreement.family or agreement.id, []).append(agreement)
    misses = [_miss(item, share, family) for family in families.values()]
    return min(misses, key=len) if misses else {share.purpose, *item.classes}


def _miss(item: ItemFact, share: ShareFact, family: list[AgreementFact]) -> set[str]:
    # A supplement adds its classes for its own clients and purposes only.
    fitting = [a for a in family if not _elsewhere(item, share, a)]
    if fitting:
        return set(item.classes.difference(*(a.classes for a in fitting)))
    return min((set(item.classes - a.classes) | _elsewhere(item, share, a) for a in family), key=len)


def _elsewhere(item: ItemFact, share: ShareFact, agreement: AgreementFact) -> set[str]:
    missing = set()
    if agreement.clients is not None and item.client not in agreement.clients:
        missing.add("客户 client")
    if share.purpose not in agreement.purposes:
        missing.add(share.purpose)
    return missing


def _nda_hash(facts: Facts, _: Parameters) -> Verdict:
    governing = _governing(facts)
    return bool(governing) and all(a.intact for a in governing)


def _approval(facts: Facts, _: Parameters) -> Verdict:
    # A share that would need no approval at all is a fault, not a permission.
    if facts.share is None or facts.approvals is None or not facts.share.stages:
        return False
    version = facts.share.version_hash
    lacking = sorted(facts.share.stages - {a.stage for a in facts.approvals if a.version_hash == version})
    return not lacking, Text(
        "缺：" + "、".join(lacking), "Missing: " + ", ".join(lacking)
    ) if lacking else None


def _sod(facts: Facts, _: Parameters) -> Verdict:
    if facts.share is None or facts.approvals is None:
        return False
    current = [a for a in facts.approvals if a.version_hash == facts.share.version_hash]
    people = [p for a in current for p in (a.approver, a.acting_for) if p]
    return facts.share.requester not in people and len(people) == len(set(people))


def _valid(facts: Facts, _: Parameters) -> Verdict:
    share = facts.share
    if share is None or share.starts is None or share.ends is None:
        return False
    return share.starts <= facts.now < share.ends


def _item(facts: Facts, _: Parameters) -> Verdict:
    listed = facts.share.items if facts.share else {}
    return _items(facts, lambda i: listed.get(i.id) == i.version)


def _basis(facts: Facts, _: Parameters) -> Verdict:
    # A basis that serves every purpose will do; else it has to serve the share's own.
    purpose = facts.share.purpose if facts.share else None
    return _items(facts, lambda i: i.basis or purpose in i.purposes)


def _right(facts: Facts, _: Parameters) -> Verdict:
    if facts.share is None:
        return facts.duty is True
    return facts.right is not None and facts.right in facts.share.rights


def _limit(facts: Facts, _: Parameters) -> Verdict:
    counters = facts.share.counters if facts.share else {}
    return _items(facts, lambda i: i.id in counters and counters[i.id][0] < counters[i.id][1])


def _border(facts: Facts, parameters: Parameters) -> Verdict:
    return facts.organisation is not None and (
        facts.organisation.abroad is False or parameters.on("cross_border")
    )


def _rate(facts: Facts, parameters: Parameters) -> Verdict:
    return (
        facts.recent_downloads is not None and facts.recent_downloads < parameters["rate.downloads_per_hour"]
    )


def _key(facts: Facts, _: Parameters) -> Verdict:
    return facts.keys_ready is True and facts.sealed is not False


def _clock(facts: Facts, parameters: Parameters) -> Verdict:
    return facts.clock_behind_s is not None and facts.clock_behind_s <= parameters["clock.back_s"]


CHECKS: Mapping[str, Check] = {
    "ID": lambda f, _: bool(f.contact and f.contact.verified),
    "MFA": _mfa,
    "SESS": lambda f, _: bool(f.session and f.session.live),
    "CONTACT": _contact,
    "ORG": lambda f, _: bool(f.organisation and f.organisation.active),
    "NDA": lambda f, _: bool(_governing(f)),
    "COVER": _cover,
    "NDAHASH": _nda_hash,
    "PLEDGE": lambda f, _: f.pledge is True,
    "APPROVAL": _approval,
    "SOD": _sod,
    "STATE": lambda f, _: bool(f.share and f.share.state == "ACTIVE"),
    "VALID": _valid,
    "ITEM": _item,
    "RIGHT": _right,
    "LIMIT": _limit,
    "PLACE": lambda f, _: f.place_ok is True,
    "ALIVE": lambda f, _: _items(f, lambda i: i.alive),
    "FILED": lambda f, _: _items(f, lambda i: i.filed),
    "MARK": lambda f, _: _items(f, lambda i: i.markable),
    "MARKED": lambda f, _: f.marked is True,
    "SCAN": lambda f, _: _items(f, lambda i: i.scan == "clean"),
    "HASH": lambda f, _: _items(f, lambda i: i.intact),
    "BASIS": _basis,
    "BORDER": _border,
    "ISSUER": lambda f, _: f.issuer_active is True,
    "RATE": _rate,
    "KEY": _key,
    "LOG": lambda f, _: f.log_ok is True,
    "CLOCK": _clock,
}
