"""Rows of sharing (policy.md §3.6 and 'Copies')."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, ForeignKey, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from gateway.db import Base, Guarded, new_id


class Share(Guarded, Base):
    """One share 对外共享. `version_hash` is over items, versions, contacts, purpose, rights, dates and limits:
    approvals bind to it."""

    __tablename__ = "share"
    __guarded__ = (
        "number", "state", "purpose", "client_id", "requester", "department_id", "rights", "valid_days", "download_limit",
        "starts", "ends", "version_hash", "relation", "major",
    )  # fmt: skip

    id: Mapped[str] = mapped_column(String(32), primary_key=True, default=new_id)
    number: Mapped[str] = mapped_column(String(40), unique=True)
    title: Mapped[str] = mapped_column(String(100))
    state: Mapped[str] = mapped_column(String(20), index=True)
    purpose: Mapped[str] = mapped_column(String(4))
    purpose_note: Mapped[str] = mapped_column(String(200), default="")
    client_id: Mapped[str] = mapped_column(String(32), index=True)
    requester: Mapped[str] = mapped_column(String(32), index=True)
    department_id: Mapped[str] = mapped_column(String(32), index=True)
    relation: Mapped[str] = mapped_column(String(16), default="ENTRUST")
    rights: Mapped[list[str]] = mapped_column(JSON)
    valid_days: Mapped[int]
    download_limit: Mapped[int]
    starts: Mapped[datetime | None]
    ends: Mapped[datetime | None]
    version_hash: Mapped[str] = mapped_column(String(64))
    major: Mapped[list[str]] = mapped_column(JSON)
    submitted_at: Mapped[datetime | None]
    due_at: Mapped[datetime | None]
    created_at: Mapped[datetime]
    parameters: Mapped[int] = mapped_column(default=0)


class ShareItem(Guarded, Base):
    """An item version listed in a share."""

    __tablename__ = "share_item"
    __table_args__ = (UniqueConstraint("share_id", "item_id"),)
    __guarded__ = ("share_id", "item_id", "version")

    id: Mapped[str] = mapped_column(String(32), primary_key=True, default=new_id)
    share_id: Mapped[str] = mapped_column(ForeignKey("share.id"), index=True)
    item_id: Mapped[str] = mapped_column(String(32), index=True)
    version: Mapped[int]


class ShareContact(Guarded, Base):
    """A contact named in a share."""

    __tablename__ = "share_contact"
    __table_args__ = (UniqueConstraint("share_id", "contact_id"),)
    __guarded__ = ("share_id", "contact_id")

    id: Mapped[str] = mapped_column(String(32), primary_key=True, default=new_id)
    share_id: Mapped[str] = mapped_column(ForeignKey("share.id"), index=True)
    contact_id: Mapped[str] = mapped_column(String(32), index=True)


class Approval(Guarded, Base):
    """One stage's decision (DEPT, ARC, GM) on one version of a share."""

    __tablename__ = "approval"
    __guarded__ = ("share_id", "stage", "decision", "approver", "acting_for", "version_hash", "at")

    id: Mapped[str] = mapped_column(String(32), primary_key=True, default=new_id)
    share_id: Mapped[str] = mapped_column(ForeignKey("share.id"), index=True)
    stage: Mapped[str] = mapped_column(String(8))
    decision: Mapped[str] = mapped_column(String(16))
    approver: Mapped[str] = mapped_column(String(32))
    acting_for: Mapped[str | None] = mapped_column(String(32))
    version_hash: Mapped[str] = mapped_column(String(64))
    reason: Mapped[str] = mapped_column(String(500), default="")
    at: Mapped[datetime]


class Counter(Base):
    """Downloads spent per (share, contact, item). Spent only by `UPDATE … WHERE used < limit`, and checked
    against the log's own collect entries."""

    __tablename__ = "counter"
    __table_args__ = (UniqueConstraint("share_id", "contact_id", "item_id"),)

    id: Mapped[str] = mapped_column(String(32), primary_key=True, default=new_id)
    share_id: Mapped[str] = mapped_column(ForeignKey("share.id"), index=True)
    contact_id: Mapped[str] = mapped_column(String(32), index=True)
    item_id: Mapped[str] = mapped_column(String(32))
    used: Mapped[int] = mapped_column(default=0)
    limit: Mapped[int]


class Bundle(Guarded, Base):
    """What one contact asked for at once. state: PREPARING, READY, COLLECTED, ABANDONED, FAILED.
    format: pdf, zip, age.

    The sealed file is object `bundle-<id>` version 1 of the bundle store;
    `sha256` is over its bytes as the partner gets them.
    """

    __tablename__ = "bundle"
    __guarded__ = ("share_id", "contact_id", "state", "format", "sha256", "manifest_sha256", "expires_at")

    id: Mapped[str] = mapped_column(String(32), primary_key=True, default=new_id)
    share_id: Mapped[str] = mapped_column(ForeignKey("share.id"), index=True)
    contact_id: Mapped[str] = mapped_column(String(32), index=True)
    state: Mapped[str] = mapped_column(String(16), default="PREPARING", index=True)
    format: Mapped[str] = mapped_column(String(8))
    file_name: Mapped[str] = mapped_column(String(200), default="")
    size: Mapped[int] = mapped_column(BigInteger, default=0)
    sha256: Mapped[str | None] = mapped_column(String(64))
    manifest_sha256: Mapped[str | None] = mapped_column(String(64))
    job_id: Mapped[str | None] = mapped_column(String(32))
    issue_leaf: Mapped[str | None] = mapped_column(String(32))
    failure: Mapped[str | None] = mapped_column(String(60))
    prepared_at: Mapped[datetime]
    ready_at: Mapped[datetime | None]
    expires_at: Mapped[datetime]


class Copy(Guarded, Base):
    """One numbered copy of one item for one contact; states of policy.md §3.6 'Copies'.
    `vector` is the release decision stored with it."""

    __tablename__ = "copy"
    __guarded__ = ("number", "bundle_id", "share_id", "contact_id", "item_id", "version", "state", "vector")

    id: Mapped[str] = mapped_column(String(32), primary_key=True, default=new_id)
    number: Mapped[str] = mapped_column(String(60), unique=True)
    bundle_id: Mapped[str] = mapped_column(ForeignKey("bundle.id"), index=True)
    share_id: Mapped[str] = mapped_column(ForeignKey("share.id"), index=True)
    contact_id: Mapped[str] = mapped_column(String(32), index=True)
    item_id: Mapped[str] = mapped_column(String(32), index=True)
    version: Mapped[int]
    state: Mapped[str] = mapped_column(String(16), default="RESERVED")
    file_name: Mapped[str] = mapped_column(String(200))
    marked_sha256: Mapped[str | None] = mapped_column(String(64))
    report: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    vector: Mapped[list[Any]] = mapped_column(JSON)
    created_at: Mapped[datetime]


class Collection(Guarded, Base):
    """One collection of a bundle: the spent counters, the COLLECT entry, and the one-time ticket that streams
    it within the link window.

    Works only with the cookie of `session_id`. `secret_until`: until when the passphrase may be shown again in
    the same session.
    """

    __tablename__ = "collection"
    __guarded__ = (
        "bundle_id",
        "contact_id",
        "session_id",
        "ticket_hash",
        "window_until",
        "collect_leaf",
        "acknowledged_at",
        "secret_shown_at",
        "secret_session",
    )

    id: Mapped[str] = mapped_column(String(32), primary_key=True, default=new_id)
    bundle_id: Mapped[str] = mapped_column(ForeignKey("bundle.id"), index=True)
    contact_id: Mapped[str] = mapped_column(String(32), index=True)
    session_id: Mapped[str] = mapped_column(String(32))
    ticket_hash: Mapped[str] = mapped_column(String(64), unique=True)
    collect_leaf: Mapped[str] = mapped_column(String(32))
    vector: Mapped[list[Any]] = mapped_column(JSON)
    window_until: Mapped[datetime]
    secret_shown_at: Mapped[datetime | None]
    secret_until: Mapped[datetime | None]
    secret_session: Mapped[str | None] = mapped_column(String(32))
    acknowledged_at: Mapped[datetime | None]
    at: Mapped[datetime]


class Transfer(Base):
    """One stream of a collection: which bytes went, completed or aborted at byte n."""

    __tablename__ = "transfer"

    id: Mapped[str] = mapped_column(String(32), primary_key=True, default=new_id)
    collection_id: Mapped[str] = mapped_column(ForeignKey("collection.id"), index=True)
    start: Mapped[int] = mapped_column(BigInteger)
    sent: Mapped[int] = mapped_column(BigInteger, default=0)
    outcome: Mapped[str] = mapped_column(String(16), default="RUNNING")
    at: Mapped[datetime]
    ended_at: Mapped[datetime | None]


class RevealedSecret(Base):
    """The wrapped passphrase of a bundle, until it is acknowledged or its 10 minutes are over;
    then the row and its key are deleted."""

    __tablename__ = "revealed_secret"

    bundle_id: Mapped[str] = mapped_column(ForeignKey("bundle.id"), primary_key=True)
    blob: Mapped[bytes]
    created_at: Mapped[datetime]
