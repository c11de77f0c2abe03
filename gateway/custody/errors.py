"""Errors of custody.

CustodyError               what is stored cannot be trusted to be whole, or could not be carried over
├── Incomplete             objects are missing or differ; nothing was switched; carries the findings
└── WrongPlace             the other place is not one that can be read from or written to here
"""

from collections.abc import Sequence

from gateway.errors import SealGateError
from gateway.principal import Text


class CustodyError(SealGateError):
    """Base of what custody refuses."""

    code = "CUSTODY"
    text = Text("保管操作没有完成。", "The custody operation was not completed.")


class Incomplete(CustodyError):
    """Objects are missing or not what they have to be; `findings` names each of them, one line each."""

    code = "INCOMPLETE"
    text = Text("对象不全或不符，没有切换。", "Objects are missing or differ. Nothing was switched.")

    def __init__(self, findings: Sequence[str] = (), text: Text | None = None) -> None:
        self.findings = tuple(findings)
        super().__init__(text=text)


class WrongPlace(CustodyError):
    """A place given on the command line is not a folder, a bucket or another store of this kind."""

    code = "WRONG_PLACE"
    text = Text("目标位置不可用。", "That place cannot be used.")
