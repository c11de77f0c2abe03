"""Rows of oversight: alerts. The log and the parameters it reads and changes belong to the ground."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from gateway.db import Base, Guarded, new_id


class Alert(Guarded, Base):
    """One occurrence that a rule found: `key` tells it from others of its rule, so that it is raised once.

    `about` is whom or what it concerns (kind, id), ids only and never a name; `entry` the log entry that shows it; `facts` are
    numbers. `ended_at` is when a condition that lasts was found to be over; `told_at` when people were last told.
    """

    __tablename__ = "alert"
    __table_args__ = (UniqueConstraint("rule", "key"),)
    __guarded__ = ("rule", "key", "state", "entry", "at", "acknowledged_by", "note")

    id: Mapped[str] = mapped_column(String(32), primary_key=True, default=new_id)
    rule: Mapped[str] = mapped_column(String(32))
    key: Mapped[str] = mapped_column(String(200))
    state: Mapped[str] = mapped_column(String(16), index=True)
    about_kind: Mapped[str | None] = mapped_column(String(80))
    about_id: Mapped[str | None] = mapped_column(String(200))
    entry: Mapped[str | None] = mapped_column(String(32))
    facts: Mapped[dict[str, Any]] = mapped_column(JSON)
    at: Mapped[datetime] = mapped_column(index=True)
    told_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    acknowledged_by: Mapped[str | None] = mapped_column(String(32))
    acknowledged_at: Mapped[datetime | None]
    note: Mapped[str | None] = mapped_column(String(500))
