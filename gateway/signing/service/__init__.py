"""The jobs of signing, one verb each."""

from gateway.signing.service.countersigning import countersign
from gateway.signing.service.drafting import draft, send, void
from gateway.signing.service.ending import partner_terminate, sweep, terminate
from gateway.signing.service.exporting import export_ledger
from gateway.signing.service.facts import FACTS
from gateway.signing.service.packing import PACK_JOB, pack_job
from gateway.signing.service.paper import MAX_SCAN, Scan, check, intake, refuse
from gateway.signing.service.papers import certificate_pdf, document, evidence_zip, page_webp, pdf_bytes
from gateway.signing.service.pledging import accept_pledge, accept_terms
from gateway.signing.service.sealing import SEAL_JOB, seal_job
from gateway.signing.service.signing import Signature, decline, sign, view
from gateway.signing.service.templating import (
    SAMPLE,
    approve_template,
    draft_template,
    ensure_default,
    preview_pdf,
    return_template,
    submit_template,
)
from gateway.signing.service.wording import Scope

HANDLERS = {SEAL_JOB: seal_job, PACK_JOB: pack_job}

__all__ = [
    "FACTS",
    "HANDLERS",
    "MAX_SCAN",
    "SAMPLE",
    "Scan",
    "Scope",
    "Signature",
    "accept_pledge",
    "accept_terms",
    "approve_template",
    "certificate_pdf",
    "check",
    "countersign",
    "decline",
    "document",
    "draft",
    "draft_template",
    "ensure_default",
    "evidence_zip",
    "export_ledger",
    "intake",
    "page_webp",
    "partner_terminate",
    "pdf_bytes",
    "preview_pdf",
    "refuse",
    "return_template",
    "send",
    "sign",
    "submit_template",
    "sweep",
    "terminate",
    "view",
    "void",
]
