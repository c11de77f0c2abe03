"""Errors of the watermark package.

WatermarkError
├── BadMark            the words of a mark cannot be drawn: none, too many, or an opacity out of range
├── SealError          a bundle cannot be sealed
│   ├── BadPassphrase  an empty or unprintable passphrase
│   ├── BadRecipient   not an age X25519 recipient
│   └── BadEntry       a name that is not neutral, or a name given twice
├── BadSignature       a manifest that its signature does not cover
├── BadPrepared        bytes that are no prepared document, or one that does not fit what is asked of it
├── MarkNotHeld        a copy whose ciphertext does not hold the mark it should
└── Refusal            a file that is not marked; never leaves the child: the parent gives it back as a Report
"""


class WatermarkError(Exception):
    """Base of every error this package raises on purpose; messages hold no secret, token or path."""


class BadMark(WatermarkError):
    """The words of a mark cannot be drawn."""


class SealError(WatermarkError):
    """A bundle cannot be sealed."""


class BadPassphrase(SealError):
    """The passphrase is empty or holds a character that readers treat differently."""


class BadRecipient(SealError):
    """The text is not an age X25519 recipient."""


class BadEntry(SealError):
    """An entry's name is not neutral, or stands twice."""


class BadSignature(WatermarkError):
    """The signature does not cover these bytes under this key, or is no signature file."""


class BadPrepared(WatermarkError):
    """The bytes are no prepared document of this version, do not hold together, or were made for another use."""


class MarkNotHeld(WatermarkError):
    """What was written does not decrypt to the mark it should hold; the copy must not be released."""


class Refusal(WatermarkError):
    """A file that is not marked: `code` is stable, `detail` is a sentence in English for staff."""

    def __init__(self, code: str, detail: str) -> None:
        self.code = code
        self.detail = detail
        super().__init__(f"{code}: {detail}")
