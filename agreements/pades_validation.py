"""Judging PAdES signatures by pyHanko. Imported where it judges only: see `agreements.validation`."""

import io
import logging
from collections.abc import Sequence
from typing import Any

from asn1crypto import cms
from asn1crypto import x509 as asn1
from cryptography import x509
from pyhanko.pdf_utils.misc import PdfError
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.validation import validate_pdf_signature, validate_pdf_timestamp
from pyhanko.sign.validation.dss import DocumentSecurityStore
from pyhanko.sign.validation.errors import NoDSSFoundError, SignatureValidationError
from pyhanko.sign.validation.generic_cms import extract_tst_data_iter
from pyhanko.sign.validation.status import DocumentTimestampStatus, SignatureCoverageLevel
from pyhanko_certvalidator import ValidationContext

from agreements.errors import BadPackage
from agreements.pades import converted
from agreements.validation import SignatureFacts, SignedFacts

# It logs whole stack traces for what is judged here and told to whoever asked.
logging.getLogger("pyhanko").setLevel(logging.CRITICAL)


def judge(pdf: bytes, roots: Sequence[x509.Certificate]) -> SignedFacts:
    """See `agreements.validation.validate`."""
    # A damaged file fails in whatever way its bytes happen to; all of them mean the same to whoever asks.
    try:
        return _judged(pdf, [converted(root) for root in roots])
    except (PdfError, SignatureValidationError, ValueError, TypeError, KeyError, AttributeError,
            IndexError, AssertionError, RecursionError, OSError, ArithmeticError, NotImplementedError) as error:  # fmt: skip
        raise BadPackage("the signed document cannot be read") from error


def _judged(pdf: bytes, roots: Sequence[asn1.Certificate]) -> SignedFacts:
    reader = PdfFileReader(io.BytesIO(pdf))
    regular, stamps = list(reader.embedded_regular_signatures), list(reader.embedded_timestamp_signatures)
    store = _store(reader)
    signatures = tuple(_facts(s, validate_pdf_signature(s, _context(roots, store))) for s in regular)
    proved = tuple(_facts(s, validate_pdf_timestamp(s, _context(roots, store))) for s in stamps)
    every = [*regular, *stamps]
    whole = any(s.evaluate_signature_coverage() == SignatureCoverageLevel.ENTIRE_FILE for s in every)
    count = len(store.crls) + len(store.ocsps) if store is not None else 0
    return SignedFacts(signatures, proved, whole, count)


def _store(reader: PdfFileReader) -> DocumentSecurityStore | None:
    try:
        return DocumentSecurityStore.read_dss(reader)
    except NoDSSFoundError:
        return None


def _context(roots: Sequence[asn1.Certificate], store: DocumentSecurityStore | None) -> ValidationContext:
    """A document that carries revocation data is judged by it and must carry all of it; one without has none to carry."""
    if store is None:
        return ValidationContext(trust_roots=list(roots), allow_fetching=False, revocation_mode="soft-fail")
    return store.as_validation_context(
        {
            "trust_roots": list(roots),
            "allow_fetching": False,
            "revocation_mode": "require",
            # The data of the signing time still prove that time when the document is opened years later.
            "retroactive_revinfo": True,
        }
    )


def _facts(signature: Any, status: Any) -> SignatureFacts:
    unchanged = bool(status.intact and status.valid)
    alone = isinstance(status, DocumentTimestampStatus)
    sound = (
        unchanged and bool(status.trusted and status.docmdp_ok is not False)
        if alone
        else bool(status.bottom_line)
    )
    stamp = status if alone else status.timestamp_validity
    return SignatureFacts(
        field=signature.field_name,
        name=str(signature.sig_object.get("/Name", "")),
        subject=str(status.signing_cert.subject.native.get("common_name", "")),
        intact=unchanged,
        trusted=bool(status.trusted),
        sound=sound,
        stamped_at=stamp.timestamp if stamp is not None else None,
    )


def stamp_of(pdf: bytes, field: str) -> tuple[bytes, bytes] | None:
    """See `agreements.validation.time_stamp`."""
    reader = PdfFileReader(io.BytesIO(pdf))
    signature = next((s for s in reader.embedded_regular_signatures if s.field_name == field), None)
    if signature is None:
        return None
    token = next(extract_tst_data_iter(signature.signer_info, signed=False), None)
    if token is None:
        return None
    content = cms.ContentInfo({"content_type": "signed_data", "content": token})
    return content.dump(), signature.signer_info["signature"].native
