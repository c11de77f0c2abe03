"""The evidence package: one ZIP with all that proves an agreement, sealed by a manifest, checked offline by `check`.

The members and the manifest are specified in docs/formats.md, section Evidence package.
"""

import hashlib
import io
import json
import re
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from agreements import evidence as ev
from agreements.credentials import read_roots
from agreements.errors import AgreementError, BadPackage
from agreements.render import PLACES
from agreements.validation import SignedFacts, validate

CONTEXT = b"sealgate.agreement.package.v1\n"
VERSION = 1
MAX_BYTES = 64 * 1024 * 1024
MAX_MEMBER = 32 * 1024 * 1024
MAX_MEMBERS = 64
SHOWN, SIGNED, EVIDENCE, SIGNATURE = "agreement.pdf", "agreement-signed.pdf", "evidence.json", "evidence.sig"
CERTIFICATE, DRAWING, TEXT, EVENTS = "certificate.pdf", "drawing.png", "text.json", "events.json"
KEY, LOG_KEY, ROOTS, RECIPE = "public-key.txt", "log-key.txt", "roots.pem", "README.txt"
MANIFEST, MANIFEST_SIGNATURE = "manifest.json", "manifest.sig"
STAMP, STAMPED = "timestamp.tst", "timestamp.bin"
RECEIPTS = "receipts/"
NEEDED = (SHOWN, SIGNED, EVIDENCE, SIGNATURE, CERTIFICATE, TEXT, EVENTS, ROOTS, LOG_KEY)
_NAME = re.compile(r"(receipts/)?[a-z0-9][a-z0-9._-]{0,80}|README\.txt")
# Archives of the same papers are the same bytes.
_TIME = (1980, 1, 1, 0, 0, 0)


@dataclass
class Findings:
    """What a check proved, what it could not, and the receipts that are still to be checked against a log's key."""

    evidence: ev.Evidence
    signed: SignedFacts
    signed_sha256: str
    receipts: dict[str, bytes]
    log_key: str
    proved: list[str] = field(default_factory=list)
    unproved: list[str] = field(default_factory=list)


def pack(files: Mapping[str, bytes], key: Ed25519PrivateKey) -> bytes:
    """Put these files into a ZIP with a manifest of their digests and the gateway's signature over it.

    Equal files give equal bytes.
    """
    manifest = _manifest(files)
    held = {**files, MANIFEST: manifest, MANIFEST_SIGNATURE: _manifest_signature(manifest, key)}
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(held):
            archive.writestr(zipfile.ZipInfo(name, _TIME), held[name], zipfile.ZIP_DEFLATED)
    return out.getvalue()


def _manifest(files: Mapping[str, bytes]) -> bytes:
    digests = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    return json.dumps({"v": VERSION, "files": digests}, sort_keys=True, separators=(",", ":")).encode()


def _manifest_signature(manifest: bytes, key: Ed25519PrivateKey) -> bytes:
    head = bytes([ev.SIGNATURE_VERSION]) + ev.key_id(key.public_key())
    return head + key.sign(CONTEXT + manifest)


def read(data: bytes) -> dict[str, bytes]:
    """Read the members of a package, within bounds and under known kinds of names.

    Raises:
        BadPackage: not a ZIP, too large, a name twice or of another kind, or a member that does not open.
    """
    if len(data) > MAX_BYTES:
        raise BadPackage("the package is too large")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = archive.infolist()
            names = [m.filename for m in members]
            if (
                len(names) > MAX_MEMBERS
                or len(set(names)) != len(names)
                or not all(map(_NAME.fullmatch, names))
            ):
                raise BadPackage("the package holds what does not belong in it")
            if any(m.file_size > MAX_MEMBER or m.flag_bits & 1 for m in members):
                raise BadPackage("a file in the package is too large, or encrypted")
            return {m.filename: _member(archive, m) for m in members}
    except (zipfile.BadZipFile, OSError, EOFError, ValueError, NotImplementedError, RuntimeError) as error:
        raise BadPackage("not a package that can be opened") from error


def _member(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    with archive.open(member) as file:
        data = file.read(MAX_MEMBER + 1)
    # The size in the archive's own index is only a claim.
    if len(data) > MAX_MEMBER:
        raise BadPackage("a file in the package is too large")
    return data


def check(data: bytes, key: Ed25519PublicKey, *, roots: Sequence[x509.Certificate] | None = None) -> Findings:
    """Prove a package under the gateway's evidence key; `roots` (default: those in it) are trusted for its signatures.

    Raises:
        BadPackage: something is missing, changed, or does not belong to the rest; the message names it.
    """
    files = read(data)
    _check_manifest(files, key)
    if missing := [name for name in NEEDED if name not in files]:
        raise BadPackage(f"missing: {', '.join(missing)}")
    try:
        facts = ev.verify(files[EVIDENCE], files[SIGNATURE], key)
        anchors = tuple(roots) if roots is not None else read_roots(files[ROOTS])
        signed = validate(files[SIGNED], anchors)
    except BadPackage:
        raise
    except AgreementError as error:
        raise BadPackage(str(error)) from error
    _check_digests(files, facts)
    _check_signed(files, signed)
    receipts = {n.removeprefix(RECEIPTS): files[n] for n in sorted(files) if n.startswith(RECEIPTS)}
    digest = hashlib.sha256(files[SIGNED]).hexdigest()
    return Findings(facts, signed, digest, receipts, files[LOG_KEY].decode("utf-8", "replace").strip())


def _check_manifest(files: Mapping[str, bytes], key: Ed25519PublicKey) -> None:
    manifest, signature = files.get(MANIFEST, b""), files.get(MANIFEST_SIGNATURE, b"")
    head = bytes([ev.SIGNATURE_VERSION]) + ev.key_id(key)
    if len(signature) != ev.SIGNATURE_BYTES or signature[: len(head)] != head:
        raise BadPackage("the manifest is not signed by this key")
    try:
        key.verify(signature[len(head) :], CONTEXT + manifest)
    except InvalidSignature:
        raise BadPackage("the manifest's signature does not hold") from None
    others = {name: held for name, held in files.items() if name not in (MANIFEST, MANIFEST_SIGNATURE)}
    if _manifest(others) != manifest:
        raise BadPackage("a file is missing, added or changed")


def _check_digests(files: Mapping[str, bytes], facts: ev.Evidence) -> None:
    """The evidence names the document, the words and the drawing by digest: each is the one that lies beside it."""
    wanted = [(SHOWN, facts.pdf_sha256), (TEXT, facts.text_sha256)]
    if facts.drawing_sha256 is not None:
        wanted.append((DRAWING, facts.drawing_sha256))
    for name, digest in wanted:
        if hashlib.sha256(files.get(name, b"")).hexdigest() != digest:
            raise BadPackage(f"{name} is not what was signed")


def _check_signed(files: Mapping[str, bytes], signed: SignedFacts) -> None:
    if not files[SIGNED].startswith(files[SHOWN]):
        raise BadPackage("the signed document does not begin with the document shown")
    if not signed.intact:
        raise BadPackage("a signature in the signed document does not hold")
    if not signed.sound:
        raise BadPackage("a signature in the signed document is not trusted")
    if tuple(s.field for s in signed.signatures) != PLACES:
        raise BadPackage("the signed document lacks a signature")
