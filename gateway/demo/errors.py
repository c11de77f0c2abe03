"""Errors of the demo.

SealGateError
├── NotEmpty       the loader fills only an empty portal
└── Failed         a step did not show what it has to show
"""

from gateway.errors import SealGateError


class NotEmpty(SealGateError):
    """The loader fills only an empty portal."""

    code = "NOT_EMPTY"


class Failed(SealGateError):
    """A step did not show what it has to show; the sentence says what was seen instead."""

    code = "FAILED"

    def __init__(self, seen: str) -> None:
        super().__init__()
        self.seen = seen

    def __str__(self) -> str:
        return self.seen
