"""Errors of the log.

SealGateError
└── AuditError
    ├── MalformedEntry   bytes that are not the one canonical form of an entry, or too large for one
    ├── MalformedNote    a note, checkpoint or key that does not follow its specification
    ├── MalformedProof   a receipt, export or consistency file that cannot be read
    ├── BadSignature     no known key vouches for the note, or a known key's signature is wrong
    ├── BadProof         hashes that do not lead to the signed root
    ├── LogDamaged       the stored log contradicts itself or what was signed; nothing more is signed
    ├── WitnessUnavailable  a cosignature that a checkpoint needs is not to be had; nothing may rest on it
    └── NotStamped       a time-stamp authority gave no stamp that stands
"""

from gateway.errors import SealGateError
from gateway.principal import Text


class AuditError(SealGateError):
    """Base of what can be wrong with the log or with a proof of it."""

    code = "AUDIT"

    def __init__(self, what: str) -> None:
        self.what = what
        super().__init__(text=Text(f"日志校验未通过：{what}", f"Log check failed: {what}"))

    def __str__(self) -> str:
        return self.what


class MalformedEntry(AuditError):
    """Not a canonical entry (docs/formats.md, Log entry)."""

    code = "AUDIT_ENTRY"


class MalformedNote(AuditError):
    """Not a signed note, checkpoint or verifier key (C2SP signed-note, tlog-checkpoint)."""

    code = "AUDIT_NOTE"


class MalformedProof(AuditError):
    """Not a receipt, export or consistency file (C2SP tlog-proof; docs/formats.md, Receipt)."""

    code = "AUDIT_PROOF_FORMAT"


class BadSignature(AuditError):
    """The note is not vouched for by the key that was given."""

    code = "AUDIT_SIGNATURE"


class BadProof(AuditError):
    """The hashes do not lead to the signed root."""

    code = "AUDIT_PROOF"


class LogDamaged(AuditError):
    """The stored log contradicts itself or an earlier checkpoint."""

    code = "AUDIT_DAMAGED"


class WitnessUnavailable(AuditError):
    """No cosignature, so no usable checkpoint and no bytes (policy.md §4, LOG)."""

    code = "AUDIT_WITNESS"


class NotStamped(AuditError):
    """No RFC 3161 stamp, or none that can be trusted; the log does not depend on it."""

    code = "AUDIT_STAMP"
