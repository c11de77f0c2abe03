"""Errors of the agreements package.

AgreementError
├── TextError
│   ├── BadTemplate            the template's own text is malformed
│   ├── UnfilledPlaceholder    placeholders without a value; carries every name
│   └── BadValue               a value that may not stand in an agreement; carries the field and the reason
├── RenderError                the document could not be set
│   ├── MissingGlyph           the embedded font lacks a character; carries every one of them
│   └── BadDocument            bytes that are not a PDF, or a page that is not in it
├── BadDrawing                 a drawn signature that cannot be taken; carries the reason
├── EvidenceError              evidence that is malformed, not canonical or not signed by the key
├── BadCredentials             a certificate or key that cannot be used
├── SealError                  the document could not be sealed
│   ├── AuthorityUnavailable   a time stamp or revocation data could not be had; later it may
│   └── AuthorityLied          an authority answered with something else than was asked for
└── BadPackage                 an evidence package or signed document that does not hold together; carries what
"""

from collections.abc import Iterable


class AgreementError(Exception):
    """Base of every error that this package raises on purpose. Messages are English and hold no personal value."""


class TextError(AgreementError):
    """An agreement's text could not be made."""


class BadTemplate(TextError):
    """The template is malformed: a stray brace, no title, or no clause."""


class UnfilledPlaceholder(TextError):
    """Placeholders without a value, so the agreement cannot be sent (policy.md §8); `names` holds all, sorted."""

    def __init__(self, names: Iterable[str]) -> None:
        self.names = tuple(sorted(names))
        super().__init__(f"no value for: {', '.join(self.names)}")


class BadValue(TextError):
    """The value of `field` may not stand in an agreement; `reason` says why."""

    def __init__(self, field: str, reason: str) -> None:
        self.field = field
        self.reason = reason
        super().__init__(f"{field}: {reason}")


class RenderError(AgreementError):
    """The document could not be set as PDF/A."""


class MissingGlyph(RenderError):
    """The embedded font has no glyph for these `characters`, so the page would hide them."""

    def __init__(self, characters: Iterable[str]) -> None:
        self.characters = tuple(sorted(set(characters)))
        names = ", ".join(f"{c} (U+{ord(c):04X})" for c in self.characters)
        super().__init__(f"no glyph for: {names}")


class BadDocument(RenderError):
    """The bytes are not a PDF that can be opened, or it has no such page."""


class BadDrawing(AgreementError):
    """A drawn signature that cannot be taken; `reason` says why."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


class EvidenceError(AgreementError):
    """Evidence is malformed, not canonical, or its signature does not verify."""


class BadCredentials(AgreementError):
    """A certificate or key that cannot be used. The message holds nothing of either."""


class SealError(AgreementError):
    """The document could not be sealed."""


class AuthorityUnavailable(SealError):
    """A time-stamp authority, a list of revocations or a responder did not answer, or refused; it may answer later."""


class AuthorityLied(SealError):
    """An authority answered, but not what was asked: another nonce, another digest, a signature that does not hold."""


class BadPackage(AgreementError):
    """A package or signed document that does not hold together."""
