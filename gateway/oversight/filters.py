"""What a reader of the log looks for, as it stands in the address of the page."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from gateway.audit.queries import LogFilter
from gateway.errors import Invalid
from gateway.principal import Text

LONGEST = 200
NAMES = (
    "from", "to", "person", "partner", "client", "file", "copy", "event", "kind", "object", "value", "refusals",
)  # fmt: skip
_TYPED = ("person", "partner", "client", "file", "copy", "event", "value")
_DATE = Text("请填日期，如 2026-11-23。", "Give a date such as 2026-11-23.")
_WHOLE = Text(
    "日志只按完整的编号、姓名或网络地址查找，不做全文扫描；请去掉通配符。",
    "The log is searched by whole numbers, names and addresses, never by parts of texts. Leave out wildcards.",
)
_EVENT = re.compile(r"[A-Za-z0-9_.-]+")


@dataclass(frozen=True)
class Wanted:
    """What was asked for, all of it together; None means any. Texts are as typed: numbers, names, addresses, whole.

    `event` is a whole name, or a beginning when it ends in a point (`share.`). `object` is an id or a number of the `kind`.
    `since` is included, `until` is not.
    """

    person: str | None = None
    partner: str | None = None
    client: str | None = None
    file: str | None = None
    copy: str | None = None
    event: str | None = None
    kind: str | None = None
    object: str | None = None
    value: str | None = None
    refusals: bool = False
    since: datetime | None = None
    until: datetime | None = None


def read_filter(args: Mapping[str, str], zone: str) -> Wanted:
    """The filter of an address; `from` and `to` are whole days in the reader's zone, both included.

    Raises Invalid naming the field: a filter that is not understood never widens what is shown or exported.
    """
    given = {name: _checked(name, args.get(name, "").strip()) for name in NAMES}
    if given["object"] and not given["kind"]:
        raise Invalid("kind", Text("请选择对象种类。", "Choose the kind of object."))
    return Wanted(
        **{name: given[name] or None for name in (*_TYPED, "kind", "object")},
        since=_midnight("from", given["from"], zone, days=0),
        until=_midnight("to", given["to"], zone, days=1),
        refusals=bool(given["refusals"]),
    )


def _checked(name: str, value: str) -> str:
    if len(value) > LONGEST:
        raise Invalid(name, Text("太长，最多 200 字。", "Too long, 200 characters at most."))
    if name in _TYPED and ("*" in value or "%" in value):
        raise Invalid(name, _WHOLE)
    if name == "event" and value and not _EVENT.fullmatch(value):
        raise Invalid(name, Text("没有这种事件。", "There is no such event."))
    return value


def _midnight(name: str, text: str, zone: str, *, days: int) -> datetime | None:
    if not text:
        return None
    try:
        day = date.fromisoformat(text) + timedelta(days=days)
        # Years at either end of the calendar have no UTC time in every zone.
        return datetime.combine(day, time(), ZoneInfo(zone)) if 1900 <= day.year <= 9000 else _refuse(name)
    except (ValueError, OverflowError) as error:
        raise Invalid(name, _DATE) from error


def _refuse(name: str) -> datetime:
    raise Invalid(name, _DATE)


def of_object(kind: str, identifier: str) -> LogFilter:
    """Everything about one object; for a share, what concerns its copies and approvals as well."""
    if kind == "share":
        return LogFilter(share=identifier)
    return LogFilter(object=(kind, identifier))
