"""Errors: stable codes, sentences in both languages, nothing in them that should not be seen."""

from __future__ import annotations

import inspect
import re

import pytest

from gateway import errors
from gateway.errors import ConfigError, Invalid, Refused, SealGateError, TooMany, Withheld
from gateway.principal import Text

CLASSES = [c for _, c in inspect.getmembers(errors, inspect.isclass) if issubclass(c, SealGateError)]
SAMPLES: dict[type[SealGateError], SealGateError] = {
    ConfigError: ConfigError(["A: missing", "B: bad"]),
    Withheld: Withheld(("NDA",), "the decision"),
    TooMany: TooMany(30),
    Invalid: Invalid("name", Text("太长", "Too long")),
}


def sample(kind: type[SealGateError]) -> SealGateError:
    """One of a kind."""
    return SAMPLES[kind] if kind in SAMPLES else kind()


@pytest.mark.parametrize("kind", CLASSES, ids=lambda c: c.__name__)
def test_every_error_has_a_code_and_both_sentences(kind: type[SealGateError]) -> None:
    made = sample(kind)
    assert re.fullmatch(r"[A-Z][A-Z_]{2,19}", made.code)
    assert made.text.zh
    assert made.text.en
    assert str(made) == f"{made.code}: {made.text.en}"


@pytest.mark.parametrize("kind", CLASSES, ids=lambda c: c.__name__)
def test_the_tree_at_the_top_of_the_module_names_it(kind: type[SealGateError]) -> None:
    assert re.search(rf"\b{kind.__name__}\b", errors.__doc__ or "")


def test_codes_are_told_apart() -> None:
    codes = [c.code for c in CLASSES]
    assert len(codes) == len(set(codes))


def test_code_and_text_of_one_error_do_not_change_the_class() -> None:
    made = Refused("SOD-4", Text("不行", "No"))
    assert (made.code, made.text.en, made.recorded) == ("SOD-4", "No", False)
    assert (Refused.code, Refused().text) == ("REFUSED", Refused.text)
    made.recorded = True
    assert Refused().recorded is False


def test_errors_carry_what_their_page_needs() -> None:
    assert Withheld(["NDA", "LOG"], "d").codes == ("NDA", "LOG")
    assert Withheld(["NDA"], "d").decision == "d"
    assert TooMany(30).wait_s == 30
    assert Invalid("name", Text("太长", "Too long")).field == "name"
    problem = ConfigError(["A: missing", "B: bad"])
    assert problem.problems == ("A: missing", "B: bad")
    assert "A: missing; B: bad" in problem.text.en
    assert "A: missing；B: bad" in problem.text.zh
