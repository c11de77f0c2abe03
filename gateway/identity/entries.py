"""What people type in: addresses, names, numbers, passwords and company codes, each brought into one form or refused."""

import re
import unicodedata

from gateway.errors import Invalid
from gateway.principal import Text

# The languages of the pages, as a person may choose them.
LANGUAGES = ("zh-CN", "en")

# ── Addresses and names ──────────────────────────────────────────────────────────────────────────────────────────────

_EMAIL = re.compile(r"[^\s@<>(),;:\\\"\[\]]{1,64}@[^\s@<>(),;:\\\"\[\]_/]+")


def normal_email(text: str) -> str:
    """The address as it is stored and compared: trimmed, NFC, lower case; an internationalised host stays as typed.

    Raises Invalid("email") for what cannot be a mailbox (RFC 5321 §4.5.3.1: 64 characters before the @, 254 in all).
    """
    email = unicodedata.normalize("NFC", text.strip()).lower()
    host = email.rpartition("@")[2]
    hollow = any(not label or label[0] == "-" or label[-1] == "-" for label in host.split("."))
    if (
        len(email) > 254
        or not _EMAIL.fullmatch(email)
        or "." not in host
        or hollow
        or not email.isprintable()
    ):
        raise Invalid("email", Text("请填写可用的邮箱地址。", "Enter a mail address that can be used."))
    return email


def person_name(text: str, field: str = "name") -> str:
    """A trimmed name of 1 to 60 printable characters; raises Invalid."""
    return plain_text(text, field, 60)


def plain_text(text: str, field: str, most: int, least: int = 1) -> str:
    """Trimmed single-line text in NFC; raises Invalid for a wrong length, control or direction-changing characters."""
    value = unicodedata.normalize("NFC", text.strip())
    odd = any(unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp") for c in value)
    if odd or not least <= len(value) <= most:
        raise Invalid(field, Text(f"请填写 {least} 到 {most} 个字。", f"Enter {least} to {most} characters."))
    return value


def check_mobile(text: str) -> str:
    """A telephone number: digits, spaces, `+`, `-` and brackets, 5 to 20 of them; raises Invalid("mobile")."""
    value = text.strip()
    if not re.fullmatch(r"[0-9+()\- ]{5,20}", value):
        raise Invalid(
            "mobile", Text("请填写可拨通的电话号码。", "Enter a telephone number that can be called.")
        )
    return value


# ── Passwords (NIST SP 800-63B §5.1.1: length and a list of bad ones, no composition) ────────────────────────────────

PASSWORD_LEAST, PASSWORD_MOST = 12, 256
_COMMONEST = frozenset(
    """
    123456789012 1234567890123 12345678901234 123456789abc 012345678901 987654321098 098765432109 112233445566 121212121212
    123123123123 123456123456 123412341234 147258369147 qwertyuiop[] qwertyuiopas qwertyuiop12 qwerty123456 qwerty12345678
    1qaz2wsx3edc 1q2w3e4r5t6y q1w2e3r4t5y6 asdfghjkl;'\\ asdfghjkl123 zxcvbnm12345 zxcvbnm123456 password1234 password12345
    password123456 passwordpassword passw0rd1234 p@ssw0rd1234 administrator administrator1 admin1234567 admin123456789
    letmein12345 welcome12345 welcome123456 iloveyou1234 iloveyou123456 woaini1314520 woaini123456 woaini520520 5201314520131
    abcdefghijkl abcdefghijklm abcdefg12345 abc123456789 a12345678910 a1234567890b qq1234567890 qazwsxedcrfv changeme1234
    changemechangeme defaultpassword sealgate1234 sealgatesealgate trustno1trustno1 monkeymonkey dragondragon
    """.split()
)


def normal_password(text: str) -> str:
    """The password as it is hashed: NFC, so that the same keys typed on another system are the same password (RFC 8265 §4.2)."""
    return unicodedata.normalize("NFC", text)


def check_password(text: str, *, email: str, name: str) -> str:
    """The normalised password.

    Raises Invalid("password") when it is short, too long, commonplace, or holds the person's own address or name.
    """
    password = normal_password(text)
    if not PASSWORD_LEAST <= len(password) <= PASSWORD_MOST:
        raise Invalid("password", Text("请用 12 到 256 个字符。", "Use 12 to 256 characters."))
    folded = password.casefold()
    own = [
        email.casefold(),
        *(w for w in (email.partition("@")[0].casefold(), name.casefold()) if len(w) >= 3),
    ]
    if any(word in folded for word in own) or (len(name) == 2 and name.casefold() in folded):
        raise Invalid("password", Text("请不要包含您的姓名或邮箱。", "Leave out your name and mail address."))
    if folded in _COMMONEST or len(set(folded)) < 5:
        raise Invalid(
            "password", Text("这个密码太常见，请换一个。", "This password is too common. Choose another.")
        )
    return password


# ── Unified social credit code 统一社会信用代码 (GB 32100-2015) ──────────────────────────────────────────────────────

_USCC_ALPHABET = "0123456789ABCDEFGHJKLMNPQRTUWXY"
_USCC_WEIGHTS = tuple(pow(3, i, 31) for i in range(17))


def uscc_check_digit(body: str) -> str:
    """The 18th character for the first 17 (GB 32100-2015 §4.2, ISO 7064 MOD 31-3).

    Raises ValueError for a letter that the code does not use.
    """
    total = sum(_USCC_ALPHABET.index(c) * w for c, w in zip(body, _USCC_WEIGHTS, strict=True))
    return _USCC_ALPHABET[-total % 31]


def check_uscc(text: str) -> str:
    """The code in capitals; raises Invalid("uscc") when its form or check digit is wrong."""
    code = text.strip().upper()
    good = (
        len(code) == 18 and all(c in _USCC_ALPHABET for c in code) and code[17] == uscc_check_digit(code[:17])
    )
    if not good or not code.strip("0"):
        raise Invalid(
            "uscc",
            Text(
                "统一社会信用代码校验不符，请核对 18 位。",
                "The unified social credit code fails its check. Compare all 18 characters.",
            ),
        )
    return code
