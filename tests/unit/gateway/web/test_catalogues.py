"""Every phrase of every room has its English, no English is left over, and both fill the same places."""

import re
from collections import defaultdict
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po

GATEWAY = Path(__file__).parents[4] / "gateway"
METHODS = [("**.py", "python"), ("**/templates/**.html", "jinja2")]
KEYWORDS = {
    "_": None,
    "_l": None,
    "gettext": None,
    "lazy_gettext": None,
    "ngettext": (1, 2),
    "lazy_ngettext": (1, 2),
    "pgettext": ((1, "c"), 2),
    "lazy_pgettext": ((1, "c"), 2),
}
PLACES = re.compile(r"%\((\w+)\)[sdrf]|%%")


def phrases(room: Path) -> set[str]:
    """What the room's code and templates say, plural pairs by their singular."""
    found = set()
    for _, _, message, _, _ in extract_from_dir(
        room, METHODS, {"jinja2": {"trimmed": "true"}}, keywords=KEYWORDS
    ):
        found.add(message if isinstance(message, str) else message[0])
    return found


def catalogue(room: Path) -> Catalog:
    """The room's English; empty if it has none."""
    path = room / "translations" / "en.po"
    if not path.exists():
        return Catalog()
    with path.open("rb") as file:
        return read_po(file, locale="en", abort_invalid=True)


def english(room: Path) -> dict[str, tuple[str, ...]]:
    """Phrase to its English (one, or one for each plural form)."""
    entries = {}
    for entry in catalogue(room):
        if entry.id:
            key = entry.id if isinstance(entry.id, str) else entry.id[0]
            entries[key] = (entry.string,) if isinstance(entry.string, str) else tuple(entry.string)
    return entries


ROOMS = sorted(
    p.parent
    for p in GATEWAY.glob("*/__init__.py")
    if phrases(p.parent) or (p.parent / "translations").exists()
)


def test_the_web_layer_is_among_the_rooms() -> None:
    assert GATEWAY / "web" in ROOMS
    assert len(phrases(GATEWAY / "web")) > 50


@pytest.mark.parametrize("room", ROOMS, ids=lambda r: r.name)
def test_every_phrase_has_its_english(room: Path) -> None:
    written = english(room)
    missing = sorted(p for p in phrases(room) if not all(written.get(p, ("",))))
    assert not missing


@pytest.mark.parametrize("room", ROOMS, ids=lambda r: r.name)
def test_no_english_is_left_over(room: Path) -> None:
    assert not sorted(set(english(room)) - phrases(room))


@pytest.mark.parametrize("room", ROOMS, ids=lambda r: r.name)
def test_both_languages_fill_the_same_places(room: Path) -> None:
    wrong = [
        key
        for key, texts in english(room).items()
        for text in texts
        if set(PLACES.findall(key)) != set(PLACES.findall(text))
    ]
    assert not wrong


@pytest.mark.parametrize("room", ROOMS, ids=lambda r: r.name)
def test_no_entry_is_marked_as_unsure(room: Path) -> None:
    assert not [entry.id for entry in catalogue(room) if entry.id and entry.fuzzy]


def test_a_phrase_means_the_same_in_every_room() -> None:
    said = defaultdict(set)
    for room in ROOMS:
        for key, texts in english(room).items():
            said[key].add(texts)
    assert not {key: texts for key, texts in said.items() if len(texts) > 1}
