"""The evidence package of a sealed agreement: made once the log covers it, stored for good in the evidence store."""

import base64
import io
import json
import zipfile
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from sqlalchemy import select
from sqlalchemy.orm import Session

from agreements import package as pk
from agreements.certificate import LogReference, SealReference, certificate
from agreements.errors import AgreementError
from agreements.text import canonical_text, fill
from agreements.validation import time_stamp
from gateway.audit.models import Leaf
from gateway.db import locked
from gateway.deps import Deps
from gateway.errors import Unavailable, WrongState
from gateway.identity.models import Account
from gateway.jobs.service import JobView, Progress, enqueue
from gateway.signing.models import Agreement, AgreementEvent, Sealing, SignedEvidence, Template
from gateway.signing.service.stored import SEALED, stored_drawing, stored_pdf
from gateway.signing.visibility import text_of
from storage.errors import Conflict, NotFound, StorageError

PACK_JOB = "signing.pack"
REPACK = timedelta(minutes=10)
NO_STAMP = "无时间戳，仅以日志检查点为证 none; the log's checkpoint is the only evidence"
STAMPED = "RFC 3161 时间戳 time stamp"
# Archives of the same papers are the same bytes.
_ZIP_TIME = (1980, 1, 1, 0, 0, 0)
_RECIPE = """封签证据包 Evidence package of an agreement

agreement.pdf          所示并经同意的原文（修订 0）  revision 0, the very bytes shown and agreed to
agreement-signed.pdf   签章文件，以原文开头          the signed document; it begins with revision 0
evidence.json, .sig    对方签署的证据及其签名        evidence of the partner's signature, signed by the gateway
certificate.pdf        完成证明                      certificate of completion with the recipe by hand
receipts/              日志收据                      receipts of the log (C2SP tlog-proof)
timestamp.tst, .bin    时间戳及其所盖的数据          the time stamp and the bytes it is over, where there is one

sealgate agreement verify PACKAGE.zip
pdfsig agreement-signed.pdf
openssl ts -verify -token_in -in timestamp.tst -data timestamp.bin -CAfile roots.pem
"""


def package_id(agreement_id: str) -> str:
    """The package's object in the evidence store."""
    return f"package-{agreement_id}"


def package(deps: Deps, agreement_id: str) -> bytes:
    """The stored package, or one made now when it has not been stored yet; Unavailable while the log does not cover it."""
    try:
        return b"".join(deps.evidence.open(package_id(agreement_id), 1))
    except NotFound:
        return _packed(deps, agreement_id)
    except StorageError as error:
        raise Unavailable from error


def pack_job(deps: Deps, job: JobView, progress: Progress) -> None:
    """The job: waits for the log's checkpoint, makes the package, stores it. Idempotent; what is stored is never replaced."""
    agreement_id, now = str(job.payload["agreement"]), deps.clock()
    with deps.database.read() as session:
        row = session.get_one(Agreement, agreement_id)
        sealed, leaf = row.sealed_sha256 is not None, row.leaf
    if not sealed:
        raise WrongState
    deps.log.await_checkpoint(leaf, now=now)
    try:
        deps.evidence.put(package_id(agreement_id), 1, iter([_packed(deps, agreement_id)]))
    except Conflict:
        pass
    except StorageError as error:
        raise Unavailable from error
    with deps.database.write() as session:
        done = session.get(Sealing, agreement_id)
        if done is not None:
            done.packed_at = now


def repack(session: Session, row: Agreement, *, now: datetime) -> None:
    """Asks again for a package that was not stored although it is due; the time of the next asking is kept."""
    waiting = locked(session, Sealing, row.id)
    if waiting is not None and waiting.packed_at is None and waiting.next_at <= now:
        waiting.next_at = now + REPACK
        enqueue(session, PACK_JOB, now=now, payload={"agreement": row.id})


def _packed(deps: Deps, agreement_id: str) -> bytes:
    with deps.database.read() as session:
        row = session.get_one(Agreement, agreement_id)
        kept = evidence_of(session, row)
        signed = stored_pdf(deps, agreement_id, SEALED)
        files = {
            pk.SHOWN: stored_pdf(deps, agreement_id),
            pk.SIGNED: signed,
            **evidence_files(deps, kept),
            pk.CERTIFICATE: certificate_of(deps, session, row),
            pk.TEXT: canonical_text(fill(text_of(session.get_one(Template, row.template_id)), row.values)),
            pk.EVENTS: _events(session, row),
            pk.ROOTS: b"".join(root.public_bytes(Encoding.PEM) for root in _roots(deps)),
            pk.LOG_KEY: deps.log.vkey.encode() + b"\n",
            pk.RECIPE: _RECIPE.encode(),
        }
        leaves = [(leaf.id, leaf.seq or 0, leaf.event) for leaf in _leaves(session, row)]
    for leaf_id, seq, event in leaves:
        files[f"{pk.RECEIPTS}{seq:010d}-{event}.tlog-proof"] = deps.log.receipt(leaf_id)
    if (stamp := time_stamp(signed, "Seal")) is not None:
        files[pk.STAMP], files[pk.STAMPED] = stamp
    return pk.pack(files, deps.evidence_key)


def _roots(deps: Deps) -> tuple[x509.Certificate, ...]:
    if deps.sealer is None:
        raise Unavailable
    return deps.sealer.roots


def _events(session: Session, row: Agreement) -> bytes:
    """What people did, when, from where, in which session and how proved, as canonical JSON."""
    query = select(AgreementEvent).where(AgreementEvent.agreement_id == row.id)
    found = session.scalars(query.order_by(AgreementEvent.at, AgreementEvent.id))
    told = [{"event": e.event, "at": e.at.astimezone(UTC).isoformat(), "by": e.by, **e.detail} for e in found]
    return json.dumps(told, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()


def evidence_of(session: Session, row: Agreement) -> SignedEvidence:
    """The partner's evidence; WrongState before the partner has signed."""
    kept = session.scalars(select(SignedEvidence).where(SignedEvidence.agreement_id == row.id)).first()
    if kept is None:
        raise WrongState
    return kept


def evidence_files(deps: Deps, kept: SignedEvidence) -> dict[str, bytes]:
    """Evidence, its signature, the gateway's public key, and the drawing where one was made."""
    raw = deps.evidence_key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    files = {
        pk.EVIDENCE: kept.body.encode(),
        pk.SIGNATURE: bytes.fromhex(kept.signature),
        pk.KEY: base64.b64encode(raw) + b"\n",
    }
    if kept.drawing_sha256 is not None:
        files[pk.DRAWING] = stored_drawing(deps, kept)
    return files


def zipped(files: Mapping[str, bytes]) -> bytes:
    """These files as an archive; equal files give equal bytes."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(zipfile.ZipInfo(name, _ZIP_TIME), data, zipfile.ZIP_DEFLATED)
    return out.getvalue()


def certificate_of(deps: Deps, session: Session, row: Agreement) -> bytes:
    """The certificate of completion, made from the signed evidence; Unavailable when the evidence does not hold."""
    kept = evidence_of(session, row)
    assert row.countersigned_by is not None
    assert row.countersigned_at is not None
    try:
        return certificate(
            kept.body.encode(),
            bytes.fromhex(kept.signature),
            deps.evidence_key.public_key(),
            countersigned_by=session.get_one(Account, row.countersigned_by).name,
            countersigned_at=row.countersigned_at,
            log=[
                LogReference(x.event, x.seq or 0, x.leaf_hash.hex())
                for x in _leaves(session, row)
                if x.leaf_hash
            ],
            sealed=_sealed(deps, row),
        )
    except AgreementError as error:
        raise Unavailable from error


def _sealed(deps: Deps, row: Agreement) -> SealReference | None:
    if row.sealed_sha256 is None or deps.sealer is None:
        return None
    time = STAMPED if row.level == "B-LTA" else NO_STAMP
    return SealReference(row.sealed_sha256, row.level or "", deps.sealer.credentials.subject, time)


def _leaves(session: Session, row: Agreement) -> list[Leaf]:
    query = select(Leaf).where(
        Leaf.object_kind == "agreement",
        Leaf.object_id == row.id,
        Leaf.event.startswith("agreement."),
        Leaf.seq.is_not(None),
    )
    return list(session.scalars(query.order_by(Leaf.seq)))
