"""Errors of the gateway.

SealGateError
├── ConfigError            the settings cannot start a portal; carries every problem at once
├── TamperedRow            a row that grants power does not carry the seal of its columns
├── UnrecordedChange       a row that grants power was changed without a log entry
├── Refused                a rule said no; recorded before it is raised
│   ├── NotAllowed         the person lacks the role, scope or duty separation
│   ├── NotFound           nothing there, or nothing this person may know of
│   ├── StaleFactor        the second factor is older than mfa.fresh_min
│   ├── WrongState         the object is not in a state from which this event may happen
│   ├── Withheld           the release decision is not wholly met; carries it
│   └── TooMany            a rate or lock-out stop; carries the seconds to wait
├── Invalid                input that cannot be taken; carries the field and what is wanted
└── Unavailable            a part the action needs (log, store, clock) is not to be had now
"""

from collections.abc import Sequence

from gateway.principal import Text


class SealGateError(Exception):
    """Base of every error that the gateway raises on purpose.

    `code` is stable and safe to show; `text` is the sentence for the person, zh and en; neither holds a secret, token or path.
    """

    code = "ERROR"
    text = Text("操作没有完成。", "The action was not completed.")

    def __init__(self, code: str | None = None, text: Text | None = None) -> None:
        self.code = code or type(self).code
        self.text = text or type(self).text
        super().__init__(f"{self.code}: {self.text.en}")


class ConfigError(SealGateError):
    """Settings are missing or bad; `problems` names each of them, one line each."""

    code = "CONFIG"

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__(
            text=Text("配置有误：" + "；".join(problems), "Bad settings: " + "; ".join(problems))
        )


class TamperedRow(SealGateError):
    """A guarded row was changed outside the product (DESIGN.md §2.8)."""

    code = "TAMPERED"
    text = Text(
        "记录的校验不符，已停止。请通知审计员。", "A record failed its integrity check. Tell the auditor."
    )


class UnrecordedChange(SealGateError):
    """A guarded row would have been written without naming its log entry."""

    code = "UNRECORDED"


class Refused(SealGateError):
    """A rule said no. Services record the refusal first and raise afterwards; `recorded` keeps the door from writing it twice."""

    code = "REFUSED"
    text = Text("不允许此操作。", "This is not allowed.")
    recorded = False


class NotAllowed(Refused):
    """The person's role, scope or the separation of duties (`SOD-n`) forbids it."""

    code = "NOT_ALLOWED"
    text = Text("您的角色不允许此操作。", "Your role does not allow this.")


class NotFound(Refused):
    """Unknown, foreign, expired and revoked look the same to whoever may not know."""

    code = "NOT_FOUND"
    text = Text("没有找到。", "Not found.")


class StaleFactor(Refused):
    """A fresh second factor is asked for (policy.md §10 mfa.fresh_min)."""

    code = "STALE_FACTOR"
    text = Text("请先输入动态口令，再继续。", "Enter a one-time code to go on.")


class WrongState(Refused):
    """The event has no row in the workflow table from the present state."""

    code = "WRONG_STATE"
    text = Text(
        "当前状态不允许此操作，请刷新后再看。",
        "The present state does not allow this. Reload and look again.",
    )


class Withheld(Refused):
    """The release decision has unmet conditions; `codes` lists them as REL- codes without the prefix."""

    code = "WITHHELD"
    text = Text("放行条件未全部满足，没有文件外出。", "Not every release condition is met. Nothing left.")

    def __init__(self, codes: Sequence[str], decision: object = None) -> None:
        self.codes = tuple(codes)
        self.decision = decision
        super().__init__()


class TooMany(Refused):
    """Too many tries; `wait_s` is how many seconds to wait."""

    code = "TOO_MANY"
    text = Text("尝试次数过多，请稍后再试。", "Too many tries. Try again later.")

    def __init__(self, wait_s: int) -> None:
        self.wait_s = wait_s
        super().__init__()


class Invalid(SealGateError):
    """Input that cannot be taken. `field` names the form field, `text` what is wanted."""

    code = "INVALID"

    def __init__(self, field: str, text: Text) -> None:
        self.field = field
        super().__init__(text=text)


class Unavailable(SealGateError):
    """A needed part is out of reach; nothing was changed or released."""

    code = "UNAVAILABLE"
    text = Text(
        "服务暂时不可用，没有任何内容被放行。请稍后再试。",
        "Temporarily unavailable. Nothing was released. Try again later.",
    )
