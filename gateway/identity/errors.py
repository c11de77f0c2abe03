"""Errors of identity.

SealGateError
├── Refused
│   ├── CodeSpent      the read-back code is over: too old, or tried too often
│   └── NotFirstDay    the first accounts are enrolled on an empty portal only
└── Invalid
    ├── WrongSignIn    address, password or state do not let anyone in; says no more than that
    └── WrongCode      a one-time, recovery or read-back code that is not the right one, or was used before
"""

from gateway.errors import Invalid, Refused
from gateway.principal import Text


class CodeSpent(Refused):
    """A new code is needed."""

    code = "CODE_SPENT"
    text = Text(
        "核验码已失效。请联系人登录后取新的核验码。",
        "The code is over. Ask the contact to sign in and get a new one.",
    )


class NotFirstDay(Refused):
    """`init` enrols nobody where accounts exist, and always exactly SYS, GM and ADM."""

    code = "NOT_FIRST_DAY"
    text = Text(
        "首日登记只能在空的系统上进行，且须为系统管理员、总经理和行政部门各一人。",
        "The first day needs an empty portal and one SYS, GM and ADM each.",
    )


class WrongSignIn(Invalid):
    """The one answer to every failed first step."""

    code = "WRONG_SIGN_IN"

    def __init__(self) -> None:
        super().__init__("password", Text("邮箱或密码不对。", "The address or the password is not right."))


class WrongCode(Invalid):
    """Field `otp`, `recovery`, `code` …, so that the form shows it in its place."""

    code = "WRONG_CODE"

    def __init__(self, field: str = "otp") -> None:
        super().__init__(
            field,
            Text(
                "这个码不对或已用过，请等下一个再试。",
                "This code is wrong or was used. Wait for the next one.",
            ),
        )
