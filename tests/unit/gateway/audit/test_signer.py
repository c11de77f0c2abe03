"""The log's key file."""

from pathlib import Path

import pytest

from gateway.audit import note
from gateway.audit.signer import Signer
from gateway.errors import ConfigError


def test_a_key_made_once_signs_after_it_is_read_again(tmp_path: Path):
    made = Signer.generate(tmp_path / "log.key", "a.example/log")
    read = Signer.load(tmp_path / "log.key", "a.example/log")
    assert read.vkey == made.vkey
    head = note.TreeHead("a.example/log", 0, bytes(32))
    assert note.open_checkpoint(read.sign(head.text()), [note.parse_key(made.vkey)]) == head
    assert (tmp_path / "log.key").stat().st_mode & 0o777 == 0o600


def test_it_is_never_overwritten(tmp_path: Path):
    Signer.generate(tmp_path / "log.key", "a.example/log")
    with pytest.raises(FileExistsError):
        Signer.generate(tmp_path / "log.key", "a.example/log")


def test_a_readable_foreign_or_damaged_key_is_refused_by_name(tmp_path: Path):
    path = tmp_path / "log.key"
    Signer.generate(path, "a.example/log")
    with pytest.raises(ConfigError, match=r"log\.key: the key of another log"):
        Signer.load(path, "b.example/log")
    good = path.read_bytes()
    for bad in (
        b"",
        b"x",
        good[:-9] + b"\n",
        good.replace(b"PRIVATE", b"PUBLIC!"),
        good.replace(b"a.ex", b"b.ex"),
        b"\xff",
    ):
        path.write_bytes(bad)
        with pytest.raises(ConfigError, match=r"log\.key: not a log key"):
            Signer.load(path, "a.example/log")
    path.write_bytes(good)
    path.chmod(0o640)
    with pytest.raises(ConfigError, match="0600"):
        Signer.load(path, "a.example/log")
    with pytest.raises(ConfigError, match="cannot be read"):
        Signer.load(tmp_path / "absent", "a.example/log")
