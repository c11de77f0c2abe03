"""What a reader of the log looks for, as it stands in the address of the page."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from gateway.audit.queries import LogFilter
from gateway.errors import Invalid
from gateway.principal import Text

LONGEST = 200
NAMES = ("from", "to", "event", "kind", "object", "actor", "refusals", "text")
_DATE = Text("请填日期，如 2026-11-23。", "Give a date such as 2026-11-23.")


def read_filter(args: Mapping[str, str], zone: str) -> LogFilter:
    """The filter of an address; `from` and `to` are whole days in the reader's zone, both included.

    Raises Invalid naming the field: a filter that is not understood never widens what is shown or exported.
    """
    given = {name: args.get(name, "").strip() for name in NAMES}
    for name, value in given.items():
        if len(value) > LONGEST:
            raise Invalid(name, Text("太长，最多 200 字。", "Too long, 200 characters at most."))
    if given["object"] and not given["kind"]:
        raise Invalid("kind", Text("请选择对象种类。", "Choose the kind of object."))
    return LogFilter(
        event=given["event"] or None,
        object=(given["kind"], given["object"] or None) if given["kind"] else None,
        actor=given["actor"] or None,
        since=_midnight("from", given["from"], zone, days=0),
        until=_midnight("to", given["to"], zone, days=1),
        text=given["text"] or None,
        refusals=bool(given["refusals"]),
    )


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


def with_numbers(filters: LogFilter, *, object_id: str | None, actor: str | None) -> LogFilter:
    """The filter with what people typed (a ledger number, an address) put as the log knows it."""
    about = filters.object
    if about is not None and object_id is not None:
        about = (about[0], object_id)
    return replace(filters, object=about, actor=actor or filters.actor)
