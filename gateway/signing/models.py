"""Rows of signing (policy.md §3.7)."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, ForeignKey, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from gateway.db import Base, Guarded, new_id


class Template(Guarded, Base):
    """One version of a text. state: DRAFT, REVIEW, ACTIVE (immutable), RETIRED. kind: NDA, ENTRUST, SUPPLEMENT, TERMS.
    `resign`: once active, what was agreed under earlier versions has to be signed again."""

    __tablename__ = "template"
    __table_args__ = (UniqueConstraint("kind", "version"),)
    __guarded__ = (
        "kind",
        "version",
        "zh",
        "en",
        "state",
        "text_sha256",
        "drafted_by",
        "approved_by",
        "resign",
    )

    id: Mapped[str] = mapped_column(String(32), primary_key=True, default=new_id)
    kind: Mapped[str] = mapped_column(String(16), default="NDA")
    version: Mapped[str] = mapped_column(String(20))
    zh: Mapped[str] = mapped_column(Text)
    en: Mapped[str] = mapped_column(Text)
    text_sha256: Mapped[str] = mapped_column(String(64))
    state: Mapped[str] = mapped_column(String(16), default="DRAFT")
    drafted_by: Mapped[str] = mapped_column(String(32))
    approved_by: Mapped[str | None] = mapped_column(String(32))
    resign: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[datetime]


class Agreement(Guarded, Base):
    """One NDA. States of policy.md §3.7; `clients` None means all. `pdf_sha256` is the digest of revision 0, the very bytes
    shown, or of the scan of a paper; the PDF is the sealed evidence object `agreement-<id>` version 1. `places` says where each
    signature goes (page, left, bottom, width, height); `sealed_sha256` is the digest of the signed PDF, version 2 of that object,
    `level` its PAdES level. form: ELECTRONIC, PAPER; a paper with words of its own has no template."""

    __tablename__ = "agreement"
    __guarded__ = (
        "number", "organisation_id", "template_id", "state", "clients", "classes", "purposes", "valid_from", "valid_to",
        "signer_id", "pdf_sha256", "signed_sha256", "countersigned_by", "relation",
        "values", "drafted_by", "sign_by", "parameters", "places", "sealed_sha256", "level",
        "form", "original_location", "checked_by", "kind", "parent_id",
    )  # fmt: skip

    id: Mapped[str] = mapped_column(String(32), primary_key=True, default=new_id)
    number: Mapped[str] = mapped_column(String(40), unique=True)
    organisation_id: Mapped[str] = mapped_column(String(32), index=True)
    template_id: Mapped[str | None] = mapped_column(ForeignKey("template.id"))
    state: Mapped[str] = mapped_column(String(20), index=True)
    relation: Mapped[str] = mapped_column(String(16))
    clients: Mapped[list[str] | None] = mapped_column(JSON)
    classes: Mapped[list[str]] = mapped_column(JSON)
    purposes: Mapped[list[str]] = mapped_column(JSON)
    valid_from: Mapped[datetime]
    valid_to: Mapped[datetime]
    survival_years: Mapped[int]
    values: Mapped[dict[str, str]] = mapped_column(JSON)
    signer_id: Mapped[str] = mapped_column(String(32), index=True)
    pdf_sha256: Mapped[str | None] = mapped_column(String(64))
    signed_sha256: Mapped[str | None] = mapped_column(String(64))
    drafted_by: Mapped[str] = mapped_column(String(32))
    sent_at: Mapped[datetime | None]
    sign_by: Mapped[datetime | None]
    signed_at: Mapped[datetime | None]
    countersigned_by: Mapped[str | None] = mapped_column(String(32))
    countersigned_at: Mapped[datetime | None]
    created_at: Mapped[datetime]
    parameters: Mapped[int] = mapped_column(default=0)
    form: Mapped[str] = mapped_column(String(12), default="ELECTRONIC")
    kind: Mapped[str] = mapped_column(String(16), default="NDA")
    parent_id: Mapped[str | None] = mapped_column(ForeignKey("agreement.id"))
    original_location: Mapped[str | None] = mapped_column(String(200))
    checked_by: Mapped[str | None] = mapped_column(String(32))
    places: Mapped[dict[str, list[float]] | None] = mapped_column(JSON)
    sealed_sha256: Mapped[str | None] = mapped_column(String(64))
    level: Mapped[str | None] = mapped_column(String(8))


class Sealing(Base):
    """How far the seal of an agreement is: tries so far, when the next may be made and why the last one failed; when its evidence
    package was stored, as `package-<id>` in the evidence store."""

    __tablename__ = "sealing"

    agreement_id: Mapped[str] = mapped_column(ForeignKey("agreement.id"), primary_key=True)
    tries: Mapped[int] = mapped_column(default=0)
    next_at: Mapped[datetime]
    error: Mapped[str | None] = mapped_column(String(20))
    packed_at: Mapped[datetime | None]


class SignedEvidence(Guarded, Base):
    """The canonical evidence bytes (JSON text) of one signature and the gateway's signature over them, hex."""

    __tablename__ = "signed_evidence"
    __guarded__ = ("agreement_id", "body", "signature", "key_id")

    id: Mapped[str] = mapped_column(String(32), primary_key=True, default=new_id)
    agreement_id: Mapped[str] = mapped_column(ForeignKey("agreement.id"), index=True)
    body: Mapped[str] = mapped_column(Text)
    signature: Mapped[str] = mapped_column(Text)
    key_id: Mapped[str] = mapped_column(String(80))
    drawing_sha256: Mapped[str | None] = mapped_column(String(64))
    at: Mapped[datetime]


class PaperCheck(Guarded, Base):
    """One of the two checks of a paper agreement: who confirmed every point of the stage, and when."""

    __tablename__ = "paper_check"
    __table_args__ = (UniqueConstraint("agreement_id", "stage"),)
    __guarded__ = ("agreement_id", "stage", "by", "at")

    id: Mapped[str] = mapped_column(String(32), primary_key=True, default=new_id)
    agreement_id: Mapped[str] = mapped_column(ForeignKey("agreement.id"), index=True)
    stage: Mapped[int]
    by: Mapped[str] = mapped_column(String(32))
    at: Mapped[datetime]


class AgreementEvent(Base):
    """What happened on the way: opened, pages seen, signed, declined … with where from."""

    __tablename__ = "agreement_event"

    id: Mapped[str] = mapped_column(String(32), primary_key=True, default=new_id)
    agreement_id: Mapped[str] = mapped_column(ForeignKey("agreement.id"), index=True)
    event: Mapped[str] = mapped_column(String(32))
    detail: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    by: Mapped[str] = mapped_column(String(48))
    at: Mapped[datetime]


class Pledge(Guarded, Base):
    """A contact's personal undertaking 个人承诺 under one agreement and text version."""

    __tablename__ = "pledge"
    __table_args__ = (UniqueConstraint("contact_id", "agreement_id", "text_version"),)
    __guarded__ = ("contact_id", "agreement_id", "text_version", "at")

    id: Mapped[str] = mapped_column(String(32), primary_key=True, default=new_id)
    contact_id: Mapped[str] = mapped_column(String(32), index=True)
    agreement_id: Mapped[str] = mapped_column(ForeignKey("agreement.id"))
    text_version: Mapped[str] = mapped_column(String(20))
    at: Mapped[datetime]


class TermsAcceptance(Guarded, Base):
    """A contact's acceptance of one version of the terms of use."""

    __tablename__ = "terms_acceptance"
    __table_args__ = (UniqueConstraint("contact_id", "template_id"),)
    __guarded__ = ("contact_id", "template_id", "at")

    id: Mapped[str] = mapped_column(String(32), primary_key=True, default=new_id)
    contact_id: Mapped[str] = mapped_column(String(32), index=True)
    template_id: Mapped[str] = mapped_column(ForeignKey("template.id"))
    at: Mapped[datetime]
