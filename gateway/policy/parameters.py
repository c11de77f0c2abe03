"""Parameters of policy.md §10: one versioned table; every value a company may change has a default, a minimum and a maximum.

A change is proposed by ADM, confirmed by GM, future-dated and versioned; what runs keeps its version, except that a stricter
security limit applies at once: `Parameters.strict` gives the tighter of the pinned and the present value.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import JSON, Integer, String, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from gateway.db import Base, Guarded, new_id
from gateway.policy.errors import BadParameter

Value = int | bool | tuple[int, ...]


@dataclass(frozen=True)
class Definition:
    """One parameter: its default and bounds; `lower_is_stricter` is None where neither direction is a security limit."""

    key: str
    default: Value
    minimum: int = 0
    maximum: int = 0
    lower_is_stricter: bool | None = None

    def check(self, value: object) -> Value:
        """The value in its own kind; raises BadParameter outside the bounds."""
        if isinstance(self.default, bool):
            return self._flag(value)
        if isinstance(self.default, tuple):
            return self._list(value)
        if isinstance(value, bool) or not isinstance(value, int) or not self.minimum <= value <= self.maximum:
            raise BadParameter(self.key, f"{self.minimum}–{self.maximum}")
        return value

    def _flag(self, value: object) -> bool:
        if not isinstance(value, bool):
            raise BadParameter(self.key, "on/off")
        return value

    def _list(self, value: object) -> tuple[int, ...]:
        days = tuple(value) if isinstance(value, list | tuple) else ()
        good = days and all(type(d) is int and self.minimum <= d <= self.maximum for d in days)
        if not good or sorted(days, reverse=True) != list(days):
            raise BadParameter(self.key, f"n,n,n ({self.minimum}–{self.maximum}, falling)")
        return days


_NUMBERS = """
share.valid_days 7 1 30 <|share.download_limit 3 1 10 <|share.contacts 5 1 20|share.items 20 1 200
share.link_window_min 30 5 60 <|rate.downloads_per_hour 10 1 100 <|closeout.wd 10 1 30|supersede.ack_wd 2 1 10
otp.minutes 10 3 15 <|otp.tries 5 3 10 <|otp.resend_s 60 30 300 >|mfa.fresh_min 10 1 30 <
session.idle_staff_min 30 5 60 <|session.idle_partner_min 15 5 60 <|lockout.tries 5 3 10 <|lockout.minutes 15 5 1440 >
loan.wd_L1 5 1 15|loan.wd_L2 5 1 10|loan.wd_L3 3 1 5|loan.max_open 5 1 20|loan.extensions 1 0 2|loan.extension_wd 5 1 10
loan.pickup_wd 2 1 5|view.idle_min 10 2 30 <|approval.remind_wd 1 1 5|approval.expire_wd 3 1 10|handover.late_wd 3 1 10
handover.receive_wd 2 1 10|catalogue.wd 5 1 20|transfer.sign_wd 2 1 10|excerpt.pages 10 1 30|major.items 20 1 100
major.clients 5 1 50|grant.days 90 1 180 <|delegation.days 30 1 90|access.review_days 30 7 90|nda.term_days 365 30 1095
nda.sign_days 14 1 60|nda.survival_years 5 2 10|nda.return_days 10 1 30|nda.incident_hours 24 1 72
pia.valid_months 12 1 24|pia.keep_years 5 3 30|destroy.lookahead_days 60 7 365|destroy.cooling_days 90 7 730
destroy.opinion_wd 10 3 30|destroy.supervisors 2 2 4|backup.keep_days 30 7 90|key.rotation_days 30 7 90
restore.drill_days 90 30 365|hold.review_days 180 30 365|training.pass 80 60 100|training.valid_days 365 90 730
training.tries_per_day 3 1 5|policy.read_wd 10 1 30|inspection.per_year 4 1 12|stocktake.per_year 2 1 12
incident.triage_wd 1 1 3|incident.notify_hours 24 1 72|dsr.days 15 1 30|log.keep_years 10 3 30
watermark.opacity_pct 12 6 40|clock.back_s 120 30 300 <|clock.forward_min 5 1 60 <|copy.abandon_h 24 1 72
scan.signature_days 7 1 14|retention.BG4_months 6 1 24|retention.BG5_days 30 1 365|retention.BG3_extra_years 3 1 10
alert.downloads_per_hour 6 1 100 <|alert.refusals_per_hour 10 3 1000 <|alert.strangers_per_hour 100 10 10000 <
alert.work_from 8 0 23|alert.work_to 20 1 24|alert.unnumbered_s 60 10 600 <|alert.heartbeat_min 5 2 60 <
alert.witness_min 5 1 60 <|alert.repeat_h 24 1 168
"""


def _definition(line: str) -> Definition:
    key, default, low, high, *strict = line.split()
    direction = {"<": True, ">": False}.get(strict[0]) if strict else None
    return Definition(key, int(default), int(low), int(high), direction)


DEFINITIONS: Mapping[str, Definition] = {
    d.key: d
    for d in [
        *(_definition(part) for line in _NUMBERS.split("\n") for part in line.split("|") if part.strip()),
        Definition("nda.remind_days", (30, 7, 1), 1, 90),
        Definition("account.warn_days", (14, 3), 1, 30),
        Definition("scan.required", False),
        Definition("cross_border", False),
        Definition("joint", False),
        Definition("unmarked", False),
    ]
}


@dataclass(frozen=True)
class Parameters:
    """The values in force under one version; version 0 is the defaults."""

    version: int
    values: Mapping[str, Value]

    def __getitem__(self, key: str) -> int:
        """A number; KeyError for a name that policy.md §10 does not have."""
        value = self.values[key]
        if isinstance(value, tuple):
            raise KeyError(key)
        return int(value)

    def days(self, key: str) -> tuple[int, ...]:
        """A list of days, such as nda.remind_days."""
        value = self.values[key]
        return value if isinstance(value, tuple) else (int(value),)

    def on(self, key: str) -> bool:
        """A switch, such as scan.required."""
        return bool(self.values[key])

    def strict(self, key: str, present: "Parameters") -> int:
        """The pinned value, or the present one where that is stricter (policy.md §10, last line)."""
        direction = DEFINITIONS[key].lower_is_stricter
        if direction is None:
            return self[key]
        return min(self[key], present[key]) if direction else max(self[key], present[key])


def defaults() -> Parameters:
    """Version 0."""
    return Parameters(0, {d.key: d.default for d in DEFINITIONS.values()})


def checked(changes: Mapping[str, Any]) -> dict[str, Value]:
    """Proposed changes, each within its bounds; raises BadParameter at the first that is not."""
    for key in changes:
        if key not in DEFINITIONS:
            raise BadParameter(key, "unknown")
    return {key: DEFINITIONS[key].check(value) for key, value in changes.items()}


class ParameterVersion(Guarded, Base):
    """One version of the table: `changes` against the version before it, in force from `valid_from` once confirmed."""

    __tablename__ = "parameter_version"
    __guarded__ = ("number", "changes", "reason", "proposed_by", "confirmed_by", "valid_from", "state")

    id: Mapped[str] = mapped_column(String(32), primary_key=True, default=new_id)
    number: Mapped[int | None] = mapped_column(Integer, unique=True)
    changes: Mapped[dict[str, Any]] = mapped_column(JSON)
    reason: Mapped[str]
    state: Mapped[str] = mapped_column(String(16), default="PROPOSED")
    proposed_by: Mapped[str] = mapped_column(String(32))
    proposed_at: Mapped[datetime]
    confirmed_by: Mapped[str | None] = mapped_column(String(32))
    valid_from: Mapped[datetime]


def current(session: Session, now: datetime, *, version: int | None = None) -> Parameters:
    """The parameters in force at `now`, or as they stood in a pinned version."""
    query = (
        select(ParameterVersion)
        .where(ParameterVersion.state == "CONFIRMED")
        .order_by(ParameterVersion.number)
    )
    values: dict[str, Value] = dict(defaults().values)
    last = 0
    for row in session.scalars(query):
        number = row.number or 0
        if row.valid_from <= now and (version is None or number <= version):
            values.update(checked(row.changes))
            last = number
    return Parameters(last, values)
