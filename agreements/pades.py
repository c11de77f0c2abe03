"""One PAdES signature by pyHanko. Imported where it signs only: see `agreements.signature`."""

import asyncio
import datetime
import io
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from asn1crypto import keys
from asn1crypto import x509 as asn1
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from pyhanko.pdf_utils.content import PdfContent
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.pdf_utils.layout import AxisAlignment, BoxConstraints, Margins, SimpleBoxLayoutRule
from pyhanko.pdf_utils.misc import PdfError
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.fields import SigFieldSpec, SigSeedSubFilter
from pyhanko.sign.general import SigningError
from pyhanko.sign.signers import PdfSignatureMetadata, PdfSigner, SimpleSigner
from pyhanko.sign.signers.pdf_signer import DSSContentSettings, TimestampDSSContentSettings
from pyhanko.stamp import StaticStampStyle
from pyhanko_certvalidator import ValidationContext
from pyhanko_certvalidator.errors import PathError, ValidationError
from pyhanko_certvalidator.fetchers import OwnedFetcherBackend
from pyhanko_certvalidator.fetchers.aiohttp_fetchers import AIOHttpFetcherBackend
from pyhanko_certvalidator.registry import SimpleCertificateStore

from agreements.credentials import Credentials
from agreements.errors import AuthorityUnavailable, SealError
from agreements.signature import Mark, Sealer
from agreements.stamper import Stamper

DIGEST = "sha256"
TIME_FIELD = "Time"
_EDGELESS = SimpleBoxLayoutRule(AxisAlignment.ALIGN_MIN, AxisAlignment.ALIGN_MIN, Margins.uniform(0))

_DATA_FIRST = TimestampDSSContentSettings(include_vri=False, update_before_ts=True)
_OUTSIDE = (PathError, ValidationError, OSError, TimeoutError)


def sign(pdf: bytes, mark: Mark, sealer: Sealer, *, now: datetime.datetime, lasting: bool) -> bytes:
    """Add one signature as a revision; `lasting` makes it B-LTA by the sealer's authority, else it is B-B.

    Raises:
        AuthorityUnavailable: a time stamp or revocation data could not be had.
        AuthorityLied: an authority's answer is not to what was asked.
        SealError: the document could not be signed.
    """
    try:
        # A thread of its own: the caller's may run a loop already, and a loop does not run inside another.
        with ThreadPoolExecutor(max_workers=1) as alone:
            return alone.submit(asyncio.run, _sign(pdf, mark, sealer, now, lasting)).result()
    except (PdfError, ValueError, TypeError) as error:
        raise SealError("the document could not be signed") from error


async def _sign(pdf: bytes, mark: Mark, sealer: Sealer, now: datetime.datetime, lasting: bool) -> bytes:
    context = _context(sealer) if lasting else None
    try:
        writer = IncrementalPdfFileWriter(io.BytesIO(pdf))
        out = await _signer(mark, sealer, context, now).async_sign_pdf(writer, output=io.BytesIO())
    except (SigningError, *_OUTSIDE) as error:
        raise _translated(error) from error
    finally:
        if context is not None:
            await context.aclose()
    signed: bytes = out.getvalue()
    return signed


def _translated(error: BaseException) -> SealError:
    """Our own errors come through pyHanko wrapped; whoever lied is told apart from whoever was silent."""
    chain = [error]
    while (cause := chain[-1].__cause__ or chain[-1].__context__) is not None:
        chain.append(cause)
    if own := next((e for e in chain if isinstance(e, SealError)), None):
        return own
    if any(isinstance(e, _OUTSIDE) for e in chain):
        return AuthorityUnavailable("a trusted path or its revocation data could not be had")
    return SealError("the document could not be signed")


def _context(sealer: Sealer) -> ValidationContext:
    """What is sealed for good is sealed with revocation data for every certificate that can be revoked."""
    timeout = sealer.authority.timeout_s if sealer.authority is not None else 10.0
    return ValidationContext(
        trust_roots=[converted(root) for root in sealer.roots],
        other_certs=[converted(c) for c in sealer.credentials.chain],
        allow_fetching=True,
        revocation_mode="require",
        fetcher_backend=OwnedFetcherBackend(AIOHttpFetcherBackend(per_request_timeout=timeout)),
    )


def _signer(
    mark: Mark, sealer: Sealer, context: ValidationContext | None, now: datetime.datetime
) -> PdfSigner:
    place, authority = mark.place, sealer.authority
    lasting = context is not None and authority is not None
    corners = (place.left, place.bottom, place.left + place.width, place.bottom + place.height)
    left, bottom, right, top = map(round, corners)
    meta = PdfSignatureMetadata(
        field_name=mark.field,
        md_algorithm=DIGEST,
        name=mark.name,
        reason=mark.reason,
        subfilter=SigSeedSubFilter.PADES,
        embed_validation_info=lasting,
        use_pades_lta=lasting,
        timestamp_field_name=TIME_FIELD,
        validation_context=context,
        # The authority's own data go in before its last stamp, which so covers the whole file.
        dss_settings=DSSContentSettings(include_vri=False, next_ts_settings=_DATA_FIRST),
    )
    return PdfSigner(
        meta,
        signer=_simple_signer(sealer.credentials),
        timestamper=Stamper(authority, context, now)
        if authority is not None and context is not None
        else None,
        stamp_style=StaticStampStyle(
            background=_Page(mark.appearance), background_layout=_EDGELESS, border_width=0
        ),
        new_field_spec=SigFieldSpec(mark.field, on_page=place.page - 1, box=(left, bottom, right, top)),
    )


def _simple_signer(credentials: Credentials) -> SimpleSigner:
    key = credentials.key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    store = SimpleCertificateStore()
    for certificate in credentials.chain:
        store.register(converted(certificate))
    return SimpleSigner(
        signing_cert=converted(credentials.certificate),
        signing_key=keys.PrivateKeyInfo.load(key),
        cert_registry=store,
    )


def converted(certificate: Any) -> asn1.Certificate:
    """A certificate as pyHanko takes it."""
    return asn1.Certificate.load(certificate.public_bytes(Encoding.DER))


class _Page(PdfContent):
    """The one page of a document in memory as a field's appearance."""

    def __init__(self, data: bytes) -> None:
        super().__init__()
        self._data = data

    def render(self) -> bytes:
        """Import the page and return the operators that draw it."""
        page = self._ensure_writer.import_page_as_xobject(PdfFileReader(io.BytesIO(self._data)))
        self.resources.xobject["/Page"] = page
        left, bottom, right, top = page.get_object()["/BBox"]
        self.box = BoxConstraints(width=right - left, height=top - bottom)
        return b"/Page Do"
