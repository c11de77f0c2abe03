"""Data subjects: what their personal fields must look like, and how they are shown masked (policy.md §2.2, §2.3)."""

import re
import unicodedata
from datetime import date

from gateway.errors import Invalid
from gateway.principal import Text

_MOBILE = re.compile(r"1[3-9]\d{9}", re.ASCII)
_LANDLINE = re.compile(r"0\d{2,3}-?\d{7,8}(-\d{1,6})?", re.ASCII)
# Numbers of the demo company begin with 100, which no subscriber has.
_SAMPLE = re.compile(r"100-?0000-?\d{4}", re.ASCII)
_RESIDENT = re.compile(r"\d{17}[\dX]", re.ASCII)
_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_CHECK = "10X98765432"
STARS = "**"


def plain(text: str, *, longest: int, field: str, shortest: int = 1) -> str:
    """Typed text in NFC, trimmed, on one line; raises Invalid when control or bidi characters or its length forbid it."""
    value = unicodedata.normalize("NFC", text).strip()
    if any(unicodedata.category(c) in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp") for c in value):
        raise Invalid(
            field,
            Text(
                "含有不可见的控制字符，请重新输入。", "It holds invisible control characters. Type it again."
            ),
        )
    if not shortest <= len(value) <= longest:
        words = Text(f"请填 {shortest} 到 {longest} 个字。", f"Give {shortest} to {longest} characters.")
        raise Invalid(field, words)
    return value


def digits_folded(text: str) -> str:
    """Width-folded, upper-case, without blanks: the form in which numbers are stored, compared and hashed."""
    return "".join(unicodedata.normalize("NFKC", text).split()).upper()


def phone(text: str, *, sample: bool = False) -> str:
    """A mainland mobile or landline number; raises Invalid. `sample` also takes the demo company's 100 numbers."""
    value = digits_folded(text)
    bare = value.replace("-", "")
    if _MOBILE.fullmatch(bare):
        return bare
    if _LANDLINE.fullmatch(value) or (sample and _SAMPLE.fullmatch(value)):
        return value
    raise Invalid(
        "phone",
        Text("请填 11 位手机号，或带区号的座机。", "Give a mobile number, or a landline with area code."),
    )


def resident_number_valid(number: str) -> bool:
    """Whether a resident identity number has a real date and the check character of GB 11643 (ISO 7064 MOD 11-2)."""
    if not _RESIDENT.fullmatch(number):
        return False
    try:
        date(int(number[6:10]), int(number[10:12]), int(number[12:14]))
    except ValueError:
        return False
    return check_character(number[:17]) == number[17]


def check_character(first17: str) -> str:
    """The 18th character for the first 17 digits of a resident identity number (GB 11643)."""
    return _CHECK[sum(w * int(d) for w, d in zip(_WEIGHTS, first17, strict=True)) % 11]


def mask_name(name: str) -> str:
    """`王**`: the first character stays."""
    return name[:1] + STARS if name else ""


def mask_phone(number: str) -> str:
    """`138****0000`: the first three and the last four stay; a short number keeps its last two only."""
    bare = number.replace("-", "")
    if len(bare) < 10:
        return "****" + bare[-2:]
    return f"{bare[:3]}****{bare[-4:]}"


def mask_id(number: str) -> str:
    """The first three and the last two stay."""
    if len(number) < 8:
        return "*" * len(number)
    return number[:3] + "*" * (len(number) - 5) + number[-2:]


def mask_address(address: str) -> str:
    """Down to the estate 小区: building, unit and room are dropped; an unknown pattern keeps six characters."""
    found = re.match(r".*?(小区|花园|公寓|家园|新村|苑|里|府|城)", address)
    return (found.group(0) if found and len(found.group(0)) < len(address) else address[:6]) + STARS


def mask_title(title: str) -> str:
    """A title for those who may know that a record exists, not what it says."""
    return title[:1] + "****"
