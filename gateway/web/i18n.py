"""Words in two languages: Chinese is the source, English comes straight from the rooms' PO texts."""

import io
from collections.abc import Iterable
from pathlib import Path

from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.support import NullTranslations, Translations
from flask import Flask, Request, request
from flask_babel import Babel, Domain, force_locale, get_locale
from flask_babel import gettext as _gettext
from werkzeug.datastructures import LanguageAccept

from gateway.web.visitor import actor

CHINESE, ENGLISH = "zh-CN", "en"
LOCALES = {CHINESE: "zh_Hans_CN", ENGLISH: "en"}
COOKIE = "lang"


class Catalogue(Domain):  # type: ignore[misc]
    """English from PO texts, merged; any other locale reads the source words."""

    def __init__(self, texts: Iterable[Path]) -> None:
        super().__init__()
        self.english = read_catalogue(texts)
        self.chinese = NullTranslations()

    def get_translations(self) -> NullTranslations:
        """The words of the request's locale."""
        locale = get_locale()
        return self.english if locale is not None and locale.language == "en" else self.chinese


def read_catalogue(texts: Iterable[Path]) -> Translations:
    """PO texts merged into one catalogue; where two rooms word a phrase differently the earlier text stands."""
    merged = Translations()
    merged.plural = lambda n: int(n != 1)
    for path in texts:
        with path.open("rb") as file:
            catalogue = read_po(file, locale="en", abort_invalid=True)
        compiled = io.BytesIO()
        write_mo(compiled, catalogue)
        compiled.seek(0)
        merged._catalog = {**Translations(compiled)._catalog, **merged._catalog}
    return merged


def install(app: Flask, texts: Iterable[Path]) -> None:
    """Gives the portal its catalogue, its language choice and its clock zone."""
    babel = Babel(
        app,
        default_locale=LOCALES[CHINESE],
        locale_selector=_locale,
        timezone_selector=lambda: actor().timezone,
    )
    babel.domain_instance = Catalogue(texts)


def _locale() -> str:
    return LOCALES[choose(actor().language if actor().kind != "stranger" else None, request)]


def choose(own: str | None, asked: Request) -> str:
    """The language tag for a request: the person's own, else the cookie's, else what the browser accepts, else Chinese."""
    for wish in (own, asked.cookies.get(COOKIE)):
        if wish:
            return ENGLISH if wish.lower().startswith("en") else CHINESE
    return from_header(asked.accept_languages)


def from_header(accepted: LanguageAccept) -> str:
    """The first of Chinese and English in the browser's order of preference, by language alone: `zh-CN,en;q=0.8` is Chinese."""
    for tag, quality in accepted:
        primary = tag.lower().replace("_", "-").split("-")[0]
        if quality > 0 and primary in ("zh", "en"):
            return CHINESE if primary == "zh" else ENGLISH
    return CHINESE


def language() -> str:
    """The tag of the language being written: `zh-CN` or `en`."""
    locale = get_locale()
    return ENGLISH if locale is not None and locale.language == "en" else CHINESE


def gettext(words: str, **values: object) -> str:
    """A phrase in the language being written, its `%(name)s` places filled."""
    return str(_gettext(words, **values))


def other_language() -> str:
    """The tag of the language not being written."""
    return CHINESE if language() == ENGLISH else ENGLISH


def in_other(block: object) -> str:
    """A template block rendered once more in the other language, for the small line under the heading."""
    with force_locale(LOCALES[other_language()]):
        return str(block()) if callable(block) else ""
