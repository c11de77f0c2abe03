"""Agreements: prove an evidence package offline."""

import base64
import binascii
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from gateway.cli.door import main

if TYPE_CHECKING:
    from datetime import datetime

    from agreements.validation import SignedFacts


@main.group()
def agreement() -> None:
    """Look at agreements from outside: nothing of a portal is needed."""


@agreement.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--root", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Trust anchors in PEM."
)
@click.option(
    "--key", "evidence_key", metavar="BASE64", help="The gateway's evidence key, known from elsewhere."
)
@click.option("--log-key", metavar="VKEY", help="The log's checkpoint key, known from elsewhere.")
def verify(file: Path, root: Path | None, evidence_key: str | None, log_key: str | None) -> None:
    """Prove an evidence package, or a signed PDF, offline.

    Without --root, --key and --log-key those inside the package are used; then it is proved only that everything fits
    together, and the report names what to compare. Exit 0 when it holds, 1 when it does not.
    """
    from agreements.errors import AgreementError
    from gateway.audit.errors import AuditError

    try:
        data = file.read_bytes()
        anchors = _anchors(root)
        if data.startswith(b"%PDF-"):
            lines = _verify_pdf(data, anchors)
        else:
            lines = _verify_package(data, anchors, evidence_key, log_key)
    except (AgreementError, AuditError, OSError) as error:
        click.echo(f"REFUSED     {error}", err=True)
        sys.exit(1)
    for line in lines:
        click.echo(line)


def _anchors(root: Path | None) -> tuple[x509.Certificate, ...] | None:
    from agreements.credentials import read_roots

    return read_roots(root.read_bytes()) if root is not None else None


def _verify_pdf(data: bytes, anchors: tuple[x509.Certificate, ...] | None) -> list[str]:
    from agreements.errors import BadPackage
    from agreements.validation import validate

    if anchors is None:
        raise click.UsageError("a PDF alone needs --root: it cannot say whom to trust")
    facts = validate(data, anchors)
    if not facts.sound:
        raise BadPackage("a signature does not hold" if not facts.intact else "a signature is not trusted")
    return [f"PROVED      {line}" for line in _signatures(facts)]


def _verify_package(
    data: bytes, anchors: tuple[x509.Certificate, ...] | None, key: str | None, log_key: str | None
) -> list[str]:
    from agreements.package import KEY, ROOTS, check, read

    files = read(data)
    public = _key(key or files.get(KEY, b"").decode("ascii", "replace"))
    found = check(data, public, roots=anchors)
    facts = found.evidence
    proved = [
        f"the package is whole, sealed by the key {base64.b64encode(public.public_bytes_raw()).decode()}",
        f"agreement {facts.agreement_no}: the document shown has SHA-256 {facts.pdf_sha256}",
        f"its words are those of template {facts.template_version}, SHA-256 {facts.text_sha256}",
        f"signed for the partner at {facts.signed_at:%Y-%m-%d %H:%M:%S} UTC, proved by {facts.authentication.method}",
        *_signatures(found.signed),
        *_receipts(found.receipts, found.signed_sha256, facts.pdf_sha256, log_key or found.log_key),
    ]
    unproved = []
    if key is None:
        unproved.append("that this key is the company's: compare it, or give --key")
    if anchors is None:
        unproved += [
            f"that this root is to be trusted: {_fingerprint(files[ROOTS])}; compare it, or give --root"
        ]
    if log_key is None:
        unproved.append(f"that this is the company's log: {found.log_key}; compare it, or give --log-key")
    if not found.signed.stamps:
        unproved.append("when it was sealed, but by the log's checkpoints: there is no time stamp")
    return [f"PROVED      {p}" for p in proved] + [f"NOT PROVED  {u}" for u in unproved]


def _key(text: str) -> Ed25519PublicKey:
    from agreements.errors import BadPackage

    try:
        return Ed25519PublicKey.from_public_bytes(base64.b64decode(text.strip(), validate=True))
    except (ValueError, binascii.Error) as error:
        raise BadPackage("not an Ed25519 public key in base64") from error


def _fingerprint(pem: bytes) -> str:
    from agreements.credentials import read_roots

    return ", ".join(root.fingerprint(hashes.SHA256()).hex() for root in read_roots(pem))


def _signatures(facts: "SignedFacts") -> list[str]:
    lines = [
        f"signature {s.field}: intact and trusted, {s.subject}{_stamped(s.stamped_at)}"
        for s in facts.signatures
    ]
    lines += [
        f"time stamp over the whole document, {s.subject}{_stamped(s.stamped_at)}" for s in facts.stamps
    ]
    if facts.revocation_data:
        lines.append(
            f"{facts.revocation_data} pieces of revocation data are in the document, and nothing was revoked"
        )
    return lines


def _stamped(at: "datetime | None") -> str:
    return f", time-stamped {at:%Y-%m-%d %H:%M:%S} UTC" if at is not None else ""


def _receipts(receipts: dict[str, bytes], signed: str, shown: str, log_key: str) -> list[str]:
    """Every receipt proved; the entries of the partner's signature and of the seal name the very documents."""
    from agreements.errors import BadPackage
    from gateway.audit import leaf, note, proof, verify

    keys = [note.parse_key(log_key)]
    entries = {}
    for content in receipts.values():
        verify.verify_receipt(content, keys)
        entry = leaf.parse(proof.parse_receipt(content).entry)
        entries[entry.event] = entry
    wanted = {"agreement.sign": ("pdf_sha256", shown), "agreement.complete": ("sealed_sha256", signed)}
    for event, (member, digest) in wanted.items():
        if event not in entries or entries[event].data.get(member) != digest:
            raise BadPackage(f"no entry of the log for {event} of this document")
    return [
        f"the log {keys[0].name} holds {len(receipts)} of its events, among them {', '.join(sorted(entries))}"
    ]
