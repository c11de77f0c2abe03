"""The witness's key file."""

from pathlib import Path

import pytest

from gateway.audit.errors import MalformedNote
from gateway.audit.witness.errors import WitnessUnusable
from gateway.audit.witness.keyfile import Cosigner


def test_a_made_key_is_read_again(tmp_path: Path) -> None:
    made = Cosigner.generate(tmp_path / "k", "witness.example/w1")
    assert (tmp_path / "k").stat().st_mode & 0o777 == 0o600
    assert Cosigner.load(tmp_path / "k").key == made.key


def test_a_key_is_never_overwritten(tmp_path: Path) -> None:
    Cosigner.generate(tmp_path / "k", "witness.example/w1")
    with pytest.raises(WitnessUnusable):
        Cosigner.generate(tmp_path / "k", "witness.example/w1")


def test_a_key_that_others_may_read_is_refused(tmp_path: Path) -> None:
    Cosigner.generate(tmp_path / "k", "witness.example/w1")
    (tmp_path / "k").chmod(0o640)
    with pytest.raises(WitnessUnusable, match="0600"):
        Cosigner.load(tmp_path / "k")


@pytest.mark.parametrize(
    "change", [lambda t: t[8:], lambda t: t.replace("w1", "w2"), lambda t: t[:-5], lambda t: "é"]
)
def test_a_damaged_key_is_refused(tmp_path: Path, change: object) -> None:
    Cosigner.generate(tmp_path / "k", "witness.example/w1")
    (tmp_path / "k").write_text(change((tmp_path / "k").read_text()))  # type: ignore[operator]
    with pytest.raises(WitnessUnusable):
        Cosigner.load(tmp_path / "k")


def test_a_missing_key_is_told(tmp_path: Path) -> None:
    with pytest.raises(WitnessUnusable, match="init"):
        Cosigner.load(tmp_path / "k")


def test_a_name_with_a_space_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MalformedNote):
        Cosigner.generate(tmp_path / "k", "a b")
