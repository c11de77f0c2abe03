"""Every event that the product records has words; unknown ones are shown as they are."""

from __future__ import annotations

import ast
from pathlib import Path

from gateway.oversight.parameter_words import PARAMETER_TEXT
from gateway.oversight.words import CODES, EVENTS, KINDS, PROCESSES, event_text, kind_text, state_text
from gateway.policy.parameters import DEFINITIONS
from gateway.principal import Text

GATEWAY = Path(__file__).parents[4] / "gateway"


def recorded() -> set[str]:
    """The events that stand as plain words in calls of `record`."""
    found = set()
    for path in GATEWAY.glob("**/*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            named = (
                isinstance(node, ast.Call)
                and getattr(node.func, "id", getattr(node.func, "attr", "")) == "record"
            )
            if (
                named
                and isinstance(node, ast.Call)
                and len(node.args) > 1
                and isinstance(node.args[1], ast.Constant)
            ):
                found.add(str(node.args[1].value))
    return found


def test_every_recorded_event_has_words() -> None:
    assert len(recorded()) > 30
    assert sorted(recorded() - set(EVENTS)) == []


def test_every_move_of_every_process_has_words() -> None:
    moves = {f"{p.name}.{m.event}" for p in PROCESSES for m in p.moves}
    assert moves <= set(EVENTS)
    assert {p.name for p in PROCESSES} <= set(KINDS)


def test_words_stand_in_both_languages() -> None:
    for text in (*EVENTS.values(), *KINDS.values(), *CODES.values(), *PARAMETER_TEXT.values()):
        assert text.zh
        assert text.en


def test_what_has_no_words_is_shown_as_it_is() -> None:
    assert event_text("new.event") == Text("new.event", "new.event")
    assert kind_text("new") == Text("new", "new")
    assert state_text("share", "NEW") == Text("NEW", "NEW")
    assert state_text("new", "ACTIVE") == Text("ACTIVE", "ACTIVE")


def test_states_speak_the_words_of_their_process() -> None:
    assert state_text("share", "ACTIVE").zh == "已生效"


def test_every_parameter_has_a_name_and_no_name_is_left_over() -> None:
    assert set(PARAMETER_TEXT) == set(DEFINITIONS)
    assert len({text.zh for text in PARAMETER_TEXT.values()}) == len(PARAMETER_TEXT)
