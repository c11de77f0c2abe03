"""Errors of signing.

SealGateError
├── Refused
│   ├── NotTheSigner       only the authorised signer named in the agreement signs it
│   ├── DigestConflict     a conflict: the posted digest is not that of the PDF shown; nothing was changed
│   └── Overdue            the time in which this could be done is over, whether or not the sweep has moved the state
└── Invalid
    └── BadAgreement       a field of an agreement that cannot be taken
"""

from gateway.errors import Invalid, NotAllowed, WrongState
from gateway.principal import Text


class NotTheSigner(NotAllowed):
    """Somebody else of the organisation may read, but not sign."""

    code = "NOT_THE_SIGNER"
    text = Text("仅协议所列签署人可以签署。", "Only the signer named in the agreement may sign it.")


class DigestConflict(WrongState):
    """What was confirmed is not what was shown."""

    code = "DIGEST"
    text = Text(
        "所确认的摘要与所示协议不符，没有任何改动。请重新打开后再签。",
        "The confirmed digest is not that of the agreement shown. Nothing was changed.",
    )


class Overdue(WrongState):
    """Deadlines are read when they matter; the sweep only moves states."""

    code = "OVERDUE"
    text = Text("期限已过，不能再这样做。", "The time for this is over.")


class BadAgreement(Invalid):
    """A field of an agreement that cannot be taken."""

    code = "BAD_AGREEMENT"
