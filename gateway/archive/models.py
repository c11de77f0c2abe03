"""Rows of the archive (policy.md §2). Personal fields are sealed under the client's key; `*_hash` are keyed search digests."""

from datetime import date, datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, ForeignKey, LargeBinary, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from gateway.db import Base, Guarded, new_id


class Client(Base):
    """A client 客户. name, phone, id_no, address are FieldCipher blobs of owner `client:<id>`."""

    __tablename__ = "client"

    id: Mapped[str] = mapped_column(String(32), primary_key=True, default=new_id)
    client_no: Mapped[str] = mapped_column(String(20), unique=True)
    type: Mapped[str] = mapped_column(String(16), default="PERSON")
    name: Mapped[bytes] = mapped_column(LargeBinary)
    name_hash: Mapped[str] = mapped_column(String(64), index=True)
    phone: Mapped[bytes | None] = mapped_column(LargeBinary)
    phone_hash: Mapped[str | None] = mapped_column(String(64), index=True)
    id_type: Mapped[str | None] = mapped_column(String(20))
    id_no: Mapped[bytes | None] = mapped_column(LargeBinary)
    id_hash: Mapped[str | None] = mapped_column(String(64), index=True)
    id_unverified: Mapped[bool] = mapped_column(default=False)
    address: Mapped[bytes | None] = mapped_column(LargeBinary)
    owner: Mapped[str] = mapped_column(String(32), index=True)
    department_id: Mapped[str] = mapped_column(String(32), index=True)
    status: Mapped[str] = mapped_column(String(16), default="INTENT")
    minors: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[datetime]


class LegalBasis(Guarded, Base):
    """The legal basis (B1…B7, policy.md §2.7) of one field class of one client, ended by withdrawal."""

    __tablename__ = "legal_basis"
    __guarded__ = ("client_id", "field_class", "basis", "purpose", "ended_at")

    id: Mapped[str] = mapped_column(String(32), primary_key=True, default=new_id)
    client_id: Mapped[str] = mapped_column(ForeignKey("client.id"), index=True)
    field_class: Mapped[str] = mapped_column(String(4))
    basis: Mapped[str] = mapped_column(String(4))
    purpose: Mapped[str] = mapped_column(String(4))
    notice_version: Mapped[str] = mapped_column(String(20), default="")
    at: Mapped[datetime]
    ended_at: Mapped[datetime | None]


class Case(Base):
    """A case 案卷. `number` is its 档号 once filed, `temp_no` LS-YYYYMMDD-NNN before.

    state: CATALOGUING, REVIEW, FILED, AMENDING, VOID. `filed_at` is when the present entry was confirmed.
    """

    __tablename__ = "case_file"

    id: Mapped[str] = mapped_column(String(32), primary_key=True, default=new_id)
    number: Mapped[str | None] = mapped_column(String(40), unique=True)
    temp_no: Mapped[str] = mapped_column(String(20), unique=True)
    title: Mapped[str] = mapped_column(String(100))
    client_id: Mapped[str] = mapped_column(ForeignKey("client.id"), index=True)
    department_id: Mapped[str] = mapped_column(String(32), index=True)
    category: Mapped[str] = mapped_column(String(2), default="KH")
    year: Mapped[int]
    retention: Mapped[str] = mapped_column(String(4), default="BG1")
    media: Mapped[str] = mapped_column(String(16), default="ELECTRONIC")
    location: Mapped[str] = mapped_column(String(60), default="")
    state: Mapped[str] = mapped_column(String(16), default="CATALOGUING", index=True)
    alive: Mapped[bool] = mapped_column(default=True)
    catalogued_by: Mapped[str | None] = mapped_column(String(32))
    reviewed_by: Mapped[str | None] = mapped_column(String(32))
    created_by: Mapped[str] = mapped_column(String(32))
    created_at: Mapped[datetime]
    filed_at: Mapped[datetime | None]
    leaf: Mapped[str] = mapped_column(String(32), default="")


class NumberSequence(Base):
    """The last number given out in a series such as `SG01-KH·2026·SJ` or `LS-20261123`; numbers are never reused."""

    __tablename__ = "number_sequence"

    series: Mapped[str] = mapped_column(String(60), primary_key=True)
    last: Mapped[int] = mapped_column(default=0)


class Item(Base):
    """An item 卷内文件 of a case; what it is made of stands in its versions. `number` is its 件号 inside the case."""

    __tablename__ = "item"
    __table_args__ = (UniqueConstraint("case_id", "number"),)

    id: Mapped[str] = mapped_column(String(32), primary_key=True, default=new_id)
    case_id: Mapped[str] = mapped_column(ForeignKey("case_file.id"), index=True)
    number: Mapped[int]
    title: Mapped[str] = mapped_column(String(100))
    type: Mapped[str] = mapped_column(String(16))
    classes: Mapped[list[str]] = mapped_column(JSON)
    level: Mapped[int]
    original: Mapped[str] = mapped_column(String(16), default="ORIGINAL")
    author: Mapped[str] = mapped_column(String(60), default="")
    dated: Mapped[date | None]
    version: Mapped[int] = mapped_column(default=0)
    copies: Mapped[int] = mapped_column(default=0)


class ItemVersion(Guarded, Base):
    """One immutable version of an item. object id in the sealed store: `item-<item id>`, version number as there.

    kind, mime and markable come from the parser's proof. scan: UNSCANNED, CLEAN, INFECTED;
    state: UPLOADING, CHECKING, READY, REFUSED.
    """

    __tablename__ = "item_version"
    __table_args__ = (UniqueConstraint("item_id", "version"),)
    __guarded__ = ("item_id", "version", "state", "sha256", "size", "kind", "markable", "scan")

    id: Mapped[str] = mapped_column(String(32), primary_key=True, default=new_id)
    item_id: Mapped[str] = mapped_column(ForeignKey("item.id"), index=True)
    version: Mapped[int]
    label: Mapped[str] = mapped_column(String(40), default="")
    state: Mapped[str] = mapped_column(String(16), default="UPLOADING")
    file_name: Mapped[str] = mapped_column(String(255))
    size: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str | None] = mapped_column(String(64))
    kind: Mapped[str | None] = mapped_column(String(16))
    mime: Mapped[str | None] = mapped_column(String(100))
    pages: Mapped[int] = mapped_column(default=0)
    markable: Mapped[bool] = mapped_column(default=False)
    why_not: Mapped[str | None] = mapped_column(String(60))
    scan: Mapped[str] = mapped_column(String(16), default="UNSCANNED")
    uploaded_by: Mapped[str] = mapped_column(String(32))
    created_at: Mapped[datetime]


class Upload(Base):
    """A resumable upload: raw chunks of 8 MiB, each sealed as it arrives. `parts` maps number → {etag, size}."""

    __tablename__ = "upload"

    id: Mapped[str] = mapped_column(String(32), primary_key=True, default=new_id)
    item_version_id: Mapped[str] = mapped_column(ForeignKey("item_version.id"), unique=True)
    store_upload: Mapped[str] = mapped_column(String(1024))
    size: Mapped[int] = mapped_column(BigInteger)
    owner: Mapped[str] = mapped_column(String(32), index=True)
    state: Mapped[str] = mapped_column(String(16), default="OPEN")
    job_id: Mapped[str | None] = mapped_column(String(32))
    created_at: Mapped[datetime]
    seen_at: Mapped[datetime]


class UploadPart(Base):
    """One part received and sealed; `number` from 1."""

    __tablename__ = "upload_part"

    upload_id: Mapped[str] = mapped_column(ForeignKey("upload.id"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    etag: Mapped[str] = mapped_column(String(128))
    size: Mapped[int]
    stored: Mapped[int]


class KnowGrant(Guarded, Base):
    """A need-to-know grant 知悉授权: who, which client or case, which field classes, why, from–to (≤ grant.days)."""

    __tablename__ = "know_grant"
    __guarded__ = (
        "grantee", "client_id", "case_id", "classes", "purpose", "valid_from", "valid_to", "granted_by", "confirmed_by",
        "ended_at",
    )  # fmt: skip

    id: Mapped[str] = mapped_column(String(32), primary_key=True, default=new_id)
    grantee: Mapped[str] = mapped_column(String(32), index=True)
    client_id: Mapped[str | None] = mapped_column(String(32), index=True)
    case_id: Mapped[str | None] = mapped_column(String(32), index=True)
    classes: Mapped[list[str]] = mapped_column(JSON)
    purpose: Mapped[str] = mapped_column(String(4))
    reason: Mapped[str] = mapped_column(String(500))
    granted_by: Mapped[str] = mapped_column(String(32))
    confirmed_by: Mapped[str | None] = mapped_column(String(32))
    valid_from: Mapped[datetime]
    valid_to: Mapped[datetime]
    ended_at: Mapped[datetime | None]


class Proof(Base):
    """What the parser found in a version: the report of kinds and markability, as JSON, for staff to read."""

    __tablename__ = "proof"

    item_version_id: Mapped[str] = mapped_column(ForeignKey("item_version.id"), primary_key=True)
    report: Mapped[dict[str, Any]] = mapped_column(JSON)
    at: Mapped[datetime]
