"""What makes an alert: one pure function a rule, over what was observed and the thresholds in force."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from gateway.identity.rules import COMPANY_ZONE
from gateway.policy.parameters import Parameters
from gateway.principal import Text

HOUR = timedelta(hours=1)
SATURDAY = 5


@dataclass(frozen=True)
class Deed:
    """One download or refusal: its entry, whose (a label), when; `fresh` when it came from an address not used before."""

    entry: str
    label: str
    at: datetime
    fresh: bool = False


@dataclass(frozen=True)
class Step:
    """An entry whose time lies `back_s` seconds before that of the entry numbered just before it."""

    entry: str
    seq: int
    back_s: int


@dataclass(frozen=True)
class Observed:
    """What the rules look at. None means: not measured here, so nothing is said of it.

    `stranger_refusals` maps hours to counts. `missing` are the first numbers of gaps; `behind_s` is how far the clock lies behind
    the newest entry; ages and waits are in seconds.
    """

    now: datetime
    downloads: tuple[Deed, ...] = ()
    refusals: tuple[Deed, ...] = ()
    stranger_refusals: Mapping[datetime, int] = field(default_factory=dict)
    steps: tuple[Step, ...] = ()
    missing: tuple[int, ...] = ()
    tampered: tuple[str, ...] = ()
    behind_s: float = 0.0
    unnumbered_s: float = 0.0
    heartbeat_s: float | None = None
    unwitnessed_s: float | None = None
    anchor_failed: str | None = None


@dataclass(frozen=True)
class Finding:
    """One occurrence: of which rule, told from others by `key` (empty: a condition that lasts until it is over)."""

    rule: str
    key: str
    about: tuple[str, str] | None = None
    entry: str | None = None
    facts: Mapping[str, int] = field(default_factory=dict)


def _person(label: str) -> tuple[str, str]:
    kind, _, identifier = label.partition(":")
    return ("account" if kind == "staff" else kind), identifier


def _crowded(deeds: tuple[Deed, ...], limit: int, rule: str) -> Iterator[Finding]:
    """A finding for each person and clock hour in which the deeds of the 60 minutes up to one of them reach the limit."""
    ordered = sorted(deeds, key=lambda d: (d.label, d.at))
    for position, deed in enumerate(ordered):
        first = position - limit + 1
        if first < 0 or ordered[first].label != deed.label or deed.at - ordered[first].at >= HOUR:
            continue
        key = f"{deed.label} {deed.at:%Y-%m-%dT%H}"
        yield Finding(rule, key, _person(deed.label), deed.entry, {"limit": limit})


def rate(seen: Observed, limits: Parameters) -> Iterator[Finding]:
    """One person downloads unusually much within an hour."""
    yield from _crowded(seen.downloads, limits["alert.downloads_per_hour"], "rate")


def refusals(seen: Observed, limits: Parameters) -> Iterator[Finding]:
    """One person is refused unusually often within an hour."""
    yield from _crowded(seen.refusals, limits["alert.refusals_per_hour"], "refusals")


def strangers(seen: Observed, limits: Parameters) -> Iterator[Finding]:
    """People who are not signed in are refused unusually often within an hour."""
    limit = limits["alert.strangers_per_hour"]
    for hour, count in sorted(seen.stranger_refusals.items()):
        if count >= limit:
            yield Finding("strangers", f"{hour:%Y-%m-%dT%H}", facts={"count": count, "limit": limit})


def hours(seen: Observed, limits: Parameters) -> Iterator[Finding]:
    """A download outside working time: at the weekend, or outside the hours of a day, in the company's zone."""
    begins, ends = limits["alert.work_from"], limits["alert.work_to"]
    for deed in seen.downloads:
        local = deed.at.astimezone(COMPANY_ZONE)
        if local.weekday() >= SATURDAY or not begins <= local.hour < ends:
            key = f"{deed.label} {local:%Y-%m-%d}"
            yield Finding("hours", key, _person(deed.label), deed.entry, {"hour": local.hour})


def address(seen: Observed, limits: Parameters) -> Iterator[Finding]:
    """A download from an address from which this person, who has downloaded before, never did."""
    for deed in seen.downloads:
        if deed.fresh:
            yield Finding("address", deed.entry, _person(deed.label), deed.entry)


def clock(seen: Observed, limits: Parameters) -> Iterator[Finding]:
    """The clock stepped back between two entries, or lies behind the newest one."""
    limit = limits["clock.back_s"]
    for step in seen.steps:
        if step.back_s > limit:
            yield Finding(
                "clock", step.entry, entry=step.entry, facts={"seq": step.seq, "back_s": step.back_s}
            )
    if seen.behind_s > limit:
        yield Finding("clock.behind", "", facts={"back_s": int(seen.behind_s)})


def gaps(seen: Observed, limits: Parameters) -> Iterator[Finding]:
    """A number is missing in the log."""
    for seq in seen.missing:
        yield Finding("gap", str(seq), facts={"seq": seq})


def unnumbered(seen: Observed, limits: Parameters) -> Iterator[Finding]:
    """An entry waits too long for its number and its checkpoint."""
    if seen.unnumbered_s > limits["alert.unnumbered_s"]:
        yield Finding("unnumbered", "", facts={"seconds": int(seen.unnumbered_s)})


def heartbeat(seen: Observed, limits: Parameters) -> Iterator[Finding]:
    """No checkpoint was made or confirmed for too long."""
    if seen.heartbeat_s is not None and seen.heartbeat_s > 60 * limits["alert.heartbeat_min"]:
        yield Finding("heartbeat", "", facts={"seconds": int(seen.heartbeat_s)})


def witness(seen: Observed, limits: Parameters) -> Iterator[Finding]:
    """A checkpoint waits too long for the cosignature that is required or configured."""
    if seen.unwitnessed_s is not None and seen.unwitnessed_s > 60 * limits["alert.witness_min"]:
        yield Finding("witness", "", facts={"seconds": int(seen.unwitnessed_s)})


def anchor(seen: Observed, limits: Parameters) -> Iterator[Finding]:
    """The newest word of the anchors is that one failed."""
    if seen.anchor_failed is not None:
        yield Finding("anchor", "", entry=seen.anchor_failed)


def tampered(seen: Observed, limits: Parameters) -> Iterator[Finding]:
    """A sealed row was met whose seal does not fit."""
    for entry in seen.tampered:
        yield Finding("tampered", entry, entry=entry)


Rule = Callable[[Observed, Parameters], Iterator[Finding]]
RULES: tuple[Rule, ...] = (
    rate, hours, address, refusals, strangers, tampered, clock, gaps, unnumbered, heartbeat, witness, anchor,
)  # fmt: skip

RULE_TEXT: Mapping[str, Text] = {
    "rate": Text("一小时内下载异常多", "Unusually many downloads within an hour"),
    "hours": Text("工作时间以外下载", "Download outside working time"),
    "address": Text("从未用过的网络地址下载", "Download from an address not used before"),
    "refusals": Text("一小时内多次被拒", "Many refusals within an hour"),
    "strangers": Text("未登录者大量被拒", "Many refusals of strangers"),
    "tampered": Text("受保护的记录被改动", "A sealed record was changed"),
    "clock": Text("时钟倒退", "The clock stepped back"),
    "clock.behind": Text("时钟落后于日志", "The clock lies behind the log"),
    "gap": Text("日志编号缺失", "A number is missing in the log"),
    "unnumbered": Text("记录迟迟没有编号", "An entry waits too long for its number"),
    "heartbeat": Text("检查点心跳中断", "The heartbeat of checkpoints is missing"),
    "witness": Text("见证签名缺失", "A witness's cosignature is missing"),
    "anchor": Text("锚定失败", "An anchor failed"),
}
# What a system administrator may see: the log and the clock, nobody's doings.
TECHNICAL = frozenset(
    {"tampered", "clock", "clock.behind", "gap", "unnumbered", "heartbeat", "witness", "anchor"}
)


def judged(seen: Observed, limits: Parameters) -> tuple[Finding, ...]:
    """Everything that the rules find, each occurrence once."""
    found: dict[tuple[str, str], Finding] = {}
    for rule in RULES:
        for finding in rule(seen, limits):
            found.setdefault((finding.rule, finding.key), finding)
    return tuple(found.values())
