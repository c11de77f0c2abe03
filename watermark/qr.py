"""The QR code of a receipt's address as outlines."""

from watermark.errors import Refusal

MAX_ADDRESS = 200
_QUIET = 4  # Modules of white around the code (ISO/IEC 18004, 9.1).


def square(address: str) -> bytes:
    """The code with its white border in a box of 1000 by 1000, as PDF operators. Too long an address raises Refusal."""
    if not 0 < len(address) <= MAX_ADDRESS or not address.isascii():
        raise Refusal("MARK_TOO_LONG", f"the address of a receipt has 1 to {MAX_ADDRESS} ASCII characters")
    import segno  # Few copies carry a code; the others need not hold its tables.

    rows = [bytes(row) for row in segno.make(address, error="m", micro=False).matrix]
    side = len(rows) + 2 * _QUIET
    out = [b"1 g 0 0 1000 1000 re f 0 g q %.5f 0 0 %.5f 0 0 cm" % (1000 / side, 1000 / side)]
    for number, row in enumerate(rows):
        out.extend(
            b"%d %d %d 1 re" % (start + _QUIET, side - _QUIET - 1 - number, length)
            for start, length in _bars(row)
        )
    return b"\n".join([*out, b"f Q"])


def _bars(row: bytes) -> list[tuple[int, int]]:
    """Runs of dark modules as start and length."""
    bars: list[tuple[int, int]] = []
    for column, dark in enumerate(row):
        if dark and bars and sum(bars[-1]) == column:
            bars[-1] = (bars[-1][0], bars[-1][1] + 1)
        elif dark:
            bars.append((column, 1))
    return bars
