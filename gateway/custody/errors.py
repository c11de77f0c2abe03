"""Errors of custody.

CustodyError               what is stored cannot be trusted to be whole, or could not be carried over
├── Incomplete             objects are missing or differ; nothing was switched; carries the findings
├── WrongPlace             the other place is not one that can be read from or written to here
├── NoRecipients           there is nobody to whom a backup could be encrypted
├── WrongIdentity          the age identity given does not open the backup
├── BrokenBackup           a file of the backup is not what was written; nothing was restored
├── OlderKeyring           the keyring is older than the data, or of another installation; carries the findings
├── NotEmpty               something is there already, and would be overwritten
└── Busy                   another rotation, backup or restore is running on this installation
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


class NoRecipients(CustodyError):
    """No file of age recipients is set, or it names none."""

    code = "NO_RECIPIENTS"
    text = Text("没有设置备份恢复公钥，未写出备份。", "No recovery recipients are set. Nothing was written.")


class WrongIdentity(CustodyError):
    """None of the given age identities is one that the backup was encrypted to."""

    code = "WRONG_IDENTITY"
    text = Text("恢复私钥不符，未做恢复。", "The recovery identity does not open it. Nothing was restored.")


class BrokenBackup(CustodyError):
    """A file was altered, cut off, or is none of ours; `findings` says which."""

    code = "BROKEN_BACKUP"
    text = Text(
        "备份文件损坏或被改动，未做恢复。", "The backup is damaged or was altered. Nothing was restored."
    )

    def __init__(self, *findings: str) -> None:
        self.findings = findings
        super().__init__()


class OlderKeyring(CustodyError):
    """With it, what was destroyed could come back, or what is kept could not be read; `findings` says why."""

    code = "OLDER_KEYRING"
    text = Text("密钥环比数据旧，拒绝恢复。", "The keyring is older than the data. Nothing was restored.")

    def __init__(self, findings: Sequence[str]) -> None:
        self.findings = tuple(findings)
        super().__init__()


class NotEmpty(CustodyError):
    """Restoring goes into an empty place only; `findings` says what is there."""

    code = "NOT_EMPTY"
    text = Text(
        "恢复的位置不是空的，没有改动。", "The place to restore to is not empty. Nothing was changed."
    )

    def __init__(self, *findings: str) -> None:
        self.findings = findings
        super().__init__()


class Busy(CustodyError):
    """Only one of them runs at a time."""

    code = "BUSY"
    text = Text("另一轮换、备份或恢复正在进行。", "Another rotation, backup or restore is running.")
