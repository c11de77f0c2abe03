"""What each page says about the copy it belongs to."""

import math
from dataclasses import dataclass
from datetime import date
from typing import Self

from watermark.errors import BadMark
from watermark.profiles import OPACITY

MAX_LINES = 8
MAX_LINE = 400


@dataclass(frozen=True, slots=True)
class Mark:
    """The words burnt into every page: `lines` tiled over it, `copy_number` in the footer too.

    `opacity` is a fraction (policy: watermark.opacity_pct, 6 to 40 %). `address`, where the receipt can be looked up, stands as
    a QR code where the profile keeps a place for it. Raises BadMark for words that cannot make a mark.
    """

    lines: tuple[str, ...]
    copy_number: str
    opacity: float = 0.12
    address: str = ""

    def __post_init__(self) -> None:
        if not self.lines or not all(line.strip() for line in (*self.lines, self.copy_number)):
            raise BadMark("a mark needs a copy number and lines, none of them blank")
        if len(self.lines) > MAX_LINES or any(
            len(line) > MAX_LINE for line in (*self.lines, self.copy_number)
        ):
            raise BadMark(f"a mark has at most {MAX_LINES} lines of {MAX_LINE} characters")
        if not math.isfinite(self.opacity) or not OPACITY[0] <= self.opacity <= OPACITY[1]:
            raise BadMark(f"opacity lies between {OPACITY[0]} and {OPACITY[1]}")

    @classmethod
    def for_recipient(
        cls,
        recipient: str,
        organisation: str,
        copy_number: str,
        issued_on: date,
        purpose: str,
        level: str,
        *,
        opacity: float = 0.12,
        address: str = "",
    ) -> Self:
        """The lines of a partner's copy, Chinese and English side by side.

        `purpose` and `level` are the words shown (采购下单, L2). Too long a text raises BadMark.
        """
        lines = (
            f"{organisation} · {recipient}",
            f"领取人 Recipient: {recipient}",
            f"{copy_number} · {issued_on.isoformat()}",
            f"用途 Purpose: {purpose} · 密级 Level: {level}",
            "仅限领取人使用 For the named recipient only",
        )
        return cls(lines=lines, copy_number=copy_number, opacity=opacity, address=address)

    def tiled(self) -> tuple[str, ...]:
        """The lines of one tile; the copy number is added where no line holds it."""
        if any(self.copy_number in line for line in self.lines):
            return self.lines
        return (*self.lines, self.copy_number)

    def footer(self) -> str:
        """The one line at the foot of each page; it always begins with the copy number."""
        rest = [line.replace(self.copy_number, "").strip(" ·") for line in self.lines]
        return " · ".join([self.copy_number, *[line for line in rest if line]])
