"""Errors of the witness.

SealGateError
└── WitnessError
    ├── Rejected        a submission that is not cosigned; carries the answer's status and body
    └── WitnessUnusable the witness's own key, records or list of logs cannot be used; it does not start
"""

from gateway.errors import SealGateError
from gateway.principal import Text

PLAIN = "text/plain; charset=utf-8"
SIZE = "text/x.tlog.size"


class WitnessError(SealGateError):
    """Base of what the witness says no to."""

    code = "WITNESS"

    def __init__(self, what: str) -> None:
        self.what = what
        super().__init__(text=Text(f"见证程序：{what}", f"Witness: {what}"))

    def __str__(self) -> str:
        return self.what


class Rejected(WitnessError):
    """A submission that is not cosigned: `status` of HTTP, `body` and `content_type` of the answer (C2SP tlog-witness)."""

    code = "WITNESS_REJECTED"

    def __init__(self, status: int, what: str, *, size: int | None = None) -> None:
        self.status = status
        self.body = what + "\n" if size is None else f"{size}\n"
        self.content_type = PLAIN if size is None else SIZE
        super().__init__(what)


class WitnessUnusable(WitnessError):
    """A key, records or a list of logs that cannot be used; nothing is cosigned."""

    code = "WITNESS_UNUSABLE"
