"""Rows of identity. Those that grant power are guarded (DESIGN.md §2.8)."""

from datetime import date, datetime

from sqlalchemy import JSON, ForeignKey, LargeBinary, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from gateway.db import Base, Guarded, new_id


class Department(Base):
    """A department; `head` is the account of its first responsible person 第一责任人."""

    __tablename__ = "department"

    id: Mapped[str] = mapped_column(String(32), primary_key=True, default=new_id)
    code: Mapped[str] = mapped_column(String(2), unique=True)
    name: Mapped[str] = mapped_column(String(60))
    head: Mapped[str | None] = mapped_column(String(32))


class Account(Guarded, Base):
    """A staff account. state: ENROLLING (has no credential yet), ACTIVE, DISABLED.
    employment: 正式 试用 临时 实习 as REGULAR PROBATION TEMPORARY INTERN."""

    __tablename__ = "account"
    __guarded__ = ("email", "name", "department_id", "employment", "ends_on", "state")

    id: Mapped[str] = mapped_column(String(32), primary_key=True, default=new_id)
    email: Mapped[str] = mapped_column(String(254), unique=True)
    name: Mapped[str] = mapped_column(String(60))
    department_id: Mapped[str | None] = mapped_column(ForeignKey("department.id"))
    employment: Mapped[str] = mapped_column(String(16), default="REGULAR")
    ends_on: Mapped[date | None]
    state: Mapped[str] = mapped_column(String(16), default="ENROLLING")
    language: Mapped[str] = mapped_column(String(16), default="zh-CN")
    timezone: Mapped[str] = mapped_column(String(40), default="Asia/Shanghai")
    created_at: Mapped[datetime]


class RoleGrant(Guarded, Base):
    """One role of one account. state: PROPOSED, ACTIVE, ENDED.
    Proposed by ADM, confirmed by GM (ADM alone for BIZ; init for the first three)."""

    __tablename__ = "role_grant"
    __guarded__ = ("account_id", "role", "state", "proposed_by", "confirmed_by")

    id: Mapped[str] = mapped_column(String(32), primary_key=True, default=new_id)
    account_id: Mapped[str] = mapped_column(ForeignKey("account.id"), index=True)
    role: Mapped[str] = mapped_column(String(8))
    state: Mapped[str] = mapped_column(String(16), default="PROPOSED")
    proposed_by: Mapped[str] = mapped_column(String(32))
    confirmed_by: Mapped[str | None] = mapped_column(String(32))
    at: Mapped[datetime]


class Organisation(Guarded, Base):
    """A partner organisation. category: SUPPLIER 供应商, DESIGN 设计团队, OTHER 其他;
    state: PENDING 待核, ACTIVE 启用, SUSPENDED 暂停, DISABLED 停用.

    `abroad`: whether it declared to receive outside the border (None: nothing declared).
    """

    __tablename__ = "organisation"
    __guarded__ = ("name", "uscc", "category", "state", "abroad")

    id: Mapped[str] = mapped_column(String(32), primary_key=True, default=new_id)
    name: Mapped[str] = mapped_column(String(100))
    uscc: Mapped[str] = mapped_column(String(18))
    category: Mapped[str] = mapped_column(String(16))
    state: Mapped[str] = mapped_column(String(16), default="PENDING")
    abroad: Mapped[bool | None]
    verified_how: Mapped[str | None] = mapped_column(String(200))
    proposed_by: Mapped[str] = mapped_column(String(32))
    created_at: Mapped[datetime]


class Contact(Guarded, Base):
    """A contact of an organisation. state: INVITED, ENROLLED (credentials set, code not read back yet),
    ACTIVE, SUSPENDED, DISABLED.

    `signer`: may sign agreements for the organisation. `age_recipient`: registered public key for age bundles.
    """

    __tablename__ = "contact"
    __guarded__ = (
        "organisation_id",
        "email",
        "state",
        "signer",
        "verified_at",
        "valid_from",
        "valid_to",
        "age_recipient",
    )

    id: Mapped[str] = mapped_column(String(32), primary_key=True, default=new_id)
    organisation_id: Mapped[str] = mapped_column(ForeignKey("organisation.id"), index=True)
    name: Mapped[str] = mapped_column(String(60))
    title: Mapped[str] = mapped_column(String(60), default="")
    mobile: Mapped[str] = mapped_column(String(20), default="")
    email: Mapped[str] = mapped_column(String(254), unique=True)
    state: Mapped[str] = mapped_column(String(16), default="INVITED")
    signer: Mapped[bool] = mapped_column(default=False)
    identity_check: Mapped[str | None] = mapped_column(String(40))
    verified_at: Mapped[datetime | None]
    verified_by: Mapped[str | None] = mapped_column(String(32))
    valid_from: Mapped[datetime]
    valid_to: Mapped[datetime | None]
    age_recipient: Mapped[str | None] = mapped_column(String(200))
    language: Mapped[str] = mapped_column(String(16), default="zh-CN")
    timezone: Mapped[str] = mapped_column(String(40), default="Asia/Shanghai")
    created_at: Mapped[datetime]


class Credential(Guarded, Base):
    """What a principal signs in with. principal: `staff:<id>` or `contact:<id>`.
    `totp_step` is the last accepted step (compare-and-set, unguarded)."""

    __tablename__ = "credential"
    __guarded__ = ("principal", "password_hash", "totp_secret")

    id: Mapped[str] = mapped_column(String(32), primary_key=True, default=new_id)
    principal: Mapped[str] = mapped_column(String(48), unique=True)
    password_hash: Mapped[str] = mapped_column(String(200))
    totp_secret: Mapped[bytes] = mapped_column(LargeBinary)
    totp_step: Mapped[int] = mapped_column(default=0)
    set_at: Mapped[datetime]


class RecoveryCode(Guarded, Base):
    """One recovery code, hashed; `used_at` is set once by compare-and-set."""

    __tablename__ = "recovery_code"
    __guarded__ = ("principal", "code_hash")

    id: Mapped[str] = mapped_column(String(32), primary_key=True, default=new_id)
    principal: Mapped[str] = mapped_column(String(48), index=True)
    code_hash: Mapped[str] = mapped_column(String(64))
    used_at: Mapped[datetime | None]


class LoginSession(Guarded, Base):
    """One signed-in session; the cookie's opaque value is stored only as a hash.
    `mfa_at` None: password only, may do nothing but finish signing in."""

    __tablename__ = "login_session"
    __guarded__ = ("token_hash", "principal", "created_at", "mfa_at", "revoked_at")

    id: Mapped[str] = mapped_column(String(32), primary_key=True, default=new_id)
    token_hash: Mapped[str] = mapped_column(String(64), unique=True)
    principal: Mapped[str] = mapped_column(String(48), index=True)
    created_at: Mapped[datetime]
    seen_at: Mapped[datetime]
    mfa_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    ip: Mapped[str] = mapped_column(String(45), default="")
    agent: Mapped[str] = mapped_column(String(300), default="")


class Invitation(Guarded, Base):
    """A one-time enrolment link, hashed, 72 h. `code_hash`: the code that the person reads back over a second
    channel."""

    __tablename__ = "invitation"
    __guarded__ = ("token_hash", "principal", "expires_at")

    id: Mapped[str] = mapped_column(String(32), primary_key=True, default=new_id)
    token_hash: Mapped[str] = mapped_column(String(64), unique=True)
    principal: Mapped[str] = mapped_column(String(48), index=True)
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]
    code_hash: Mapped[str | None] = mapped_column(String(64))
    code_tries: Mapped[int] = mapped_column(default=0)
    code_until: Mapped[datetime | None]
    created_by: Mapped[str] = mapped_column(String(32))


class Lockout(Base):
    """Failed tries per account or per address: `key` is `account:<hash>` or `address:<hash>`."""

    __tablename__ = "lockout"
    __table_args__ = (UniqueConstraint("key"),)

    id: Mapped[str] = mapped_column(String(32), primary_key=True, default=new_id)
    key: Mapped[str] = mapped_column(String(80))
    failures: Mapped[int] = mapped_column(default=0)
    rounds: Mapped[int] = mapped_column(default=0)
    until: Mapped[datetime | None]
    last_at: Mapped[datetime]


class Preference(Base):
    """Small personal settings that grant nothing, such as the colour theme."""

    __tablename__ = "preference"

    principal: Mapped[str] = mapped_column(String(48), primary_key=True)
    values: Mapped[dict[str, str]] = mapped_column(JSON, default=dict)
