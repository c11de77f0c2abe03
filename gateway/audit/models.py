"""Rows of the log. Entries are only ever inserted; numbering fills `seq` and `leaf_hash` once."""

from datetime import datetime

from sqlalchemy import BigInteger, ForeignKey, Index, Integer, LargeBinary, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from gateway.db import Base

_Big = BigInteger().with_variant(Integer, "sqlite")


class Leaf(Base):
    """One entry. `body` is the truth; every other column but `arrival` repeats it for filtering and is checked against it.

    `arrival` orders the waiting entries: whoever inserted after another's commit has the greater one. `seq` is the entry's
    index in the tree, None while it waits. `actor` is a principal's label, None once the person is erased.
    """

    __tablename__ = "audit_leaf"

    arrival: Mapped[int] = mapped_column(_Big, primary_key=True, autoincrement=True)
    id: Mapped[str] = mapped_column(String(32), unique=True)
    seq: Mapped[int | None] = mapped_column(_Big, unique=True)
    body: Mapped[bytes] = mapped_column(LargeBinary)
    event: Mapped[str] = mapped_column(String(80))
    object_kind: Mapped[str] = mapped_column(String(80))
    object_id: Mapped[str] = mapped_column(String(200))
    share: Mapped[str | None] = mapped_column(String(200))
    actor: Mapped[str | None] = mapped_column(String(200))
    at: Mapped[datetime]
    leaf_hash: Mapped[bytes | None] = mapped_column(LargeBinary(32))

    # The ORM knows an entry by its random id; the table is clustered by arrival.
    __mapper_args__ = {"primary_key": ["id"]}
    __table_args__ = (
        Index("ix_audit_leaf_waiting", "arrival", sqlite_where=seq.is_(None), postgresql_where=seq.is_(None)),
        Index("ix_audit_leaf_event", "event", "arrival"),
        Index("ix_audit_leaf_object", "object_kind", "object_id", "arrival"),
        Index("ix_audit_leaf_share", "share", "arrival"),
        Index("ix_audit_leaf_actor", "actor", "arrival"),
        Index("ix_audit_leaf_at", "at"),
    )


class Personal(Base):
    """A personal value of an entry and the salt that opens its commitment; deleted when `subject` is erased."""

    __tablename__ = "audit_personal"

    leaf_id: Mapped[str] = mapped_column(ForeignKey("audit_leaf.id"), primary_key=True)
    field: Mapped[str] = mapped_column(String(80), primary_key=True)
    subject: Mapped[str] = mapped_column(String(200), index=True)
    salt: Mapped[bytes] = mapped_column(LargeBinary(32))
    value: Mapped[str] = mapped_column(Text)


class Tile(Base):
    """Up to 256 hashes of one tree level, as in C2SP tlog-tiles: `level` counts in steps of eight, `hashes` only grows."""

    __tablename__ = "audit_tile"

    level: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    index: Mapped[int] = mapped_column(_Big, primary_key=True, autoincrement=False)
    hashes: Mapped[bytes] = mapped_column(LargeBinary)


class Checkpoint(Base):
    """A signed tree head; `at` is when it was last made or confirmed by a heartbeat.

    `usable_at` is when something might rest on it: at once where no witness is required, else when `note` had got its
    cosignatures. While it is None the checkpoint only fixes what may be signed next; nobody is told of it.
    """

    __tablename__ = "audit_checkpoint"

    size: Mapped[int] = mapped_column(_Big, primary_key=True, autoincrement=False)
    root: Mapped[bytes] = mapped_column(LargeBinary(32))
    note: Mapped[str] = mapped_column(Text)
    at: Mapped[datetime]
    usable_at: Mapped[datetime | None]


class Lease(Base):
    """Who may number entries now. A holder whose time is over is replaced."""

    __tablename__ = "audit_lease"

    name: Mapped[str] = mapped_column(String(20), primary_key=True)
    holder: Mapped[str | None] = mapped_column(String(32))
    until: Mapped[datetime | None]


class StrangerCount(Base):
    """Refusals of strangers in one minute by code; `flushed` of them stand in the log already."""

    __tablename__ = "audit_stranger"

    minute: Mapped[datetime] = mapped_column(primary_key=True)
    code: Mapped[str] = mapped_column(String(80), primary_key=True)
    count: Mapped[int] = mapped_column(Integer)
    flushed: Mapped[int] = mapped_column(Integer, default=0)


class Term(Base):
    """One searchable fact of a numbered entry, known only by its keyed digest: its event, an object it concerns, who acted.

    Derived from the entries and never trusted for what they say. `subject` names whose fact it is (a label), where it is a
    person's; such rows go with the person. The table is clustered by term and number, so a page is one range of it.
    """

    __tablename__ = "audit_term"
    __table_args__ = (
        Index(
            "ix_audit_term_subject",
            "subject",
            sqlite_where=text("subject IS NOT NULL"),
            postgresql_where=text("subject IS NOT NULL"),
        ),
        {"sqlite_with_rowid": False},
    )

    term: Mapped[bytes] = mapped_column(LargeBinary(16), primary_key=True)
    seq: Mapped[int] = mapped_column(_Big, primary_key=True, autoincrement=False)
    subject: Mapped[str | None] = mapped_column(String(200))


class Hour(Base):
    """The first and the last number among the entries whose time lies in one hour: how a time is found among numbers."""

    __tablename__ = "audit_hour"

    hour: Mapped[datetime] = mapped_column(primary_key=True)
    first: Mapped[int] = mapped_column(_Big)
    last: Mapped[int] = mapped_column(_Big)


class Indexed(Base):
    """How far the terms reach: entries below `size` can be searched. Its row is locked by whoever adds or erases terms."""

    __tablename__ = "audit_indexed"

    name: Mapped[str] = mapped_column(String(20), primary_key=True)
    size: Mapped[int] = mapped_column(_Big, default=0)
