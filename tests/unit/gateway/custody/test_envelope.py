"""Backups encrypted to recovery recipients: what goes in comes out, and nothing else opens."""

import gzip
import secrets
import subprocess
from pathlib import Path

import pyrage
import pytest

from gateway.custody import envelope
from gateway.custody.errors import BrokenBackup, NoRecipients, WrongIdentity
from gateway.errors import ConfigError


@pytest.fixture
def identity():
    return pyrage.x25519.Identity.generate()


def close(data: bytes, *to) -> bytes:
    pieces = (data[i : i + 70_000] for i in range(0, len(data), 70_000))
    return b"".join(envelope.closed(pieces, [one.to_public() for one in to]))


def open_(sealed: bytes, *by) -> bytes:
    return b"".join(envelope.opened(iter([sealed[:100], sealed[100:]]), by, "a.age"))


@pytest.mark.parametrize("size", [0, 1, 65_536, 5_000_000])
def test_round_trip_for_each_of_two_recipients(identity, size):
    other, data = pyrage.x25519.Identity.generate(), secrets.token_bytes(size)
    sealed = close(data, identity, other)
    assert open_(sealed, identity) == data
    assert open_(sealed, other) == data
    assert size < 32 or data[:32] not in sealed


def test_what_compresses_well_comes_out_in_bounded_pieces(identity):
    data = bytes(20_000_000)
    pieces = list(envelope.opened(iter([close(data, identity)]), [identity], "a"))
    assert b"".join(pieces) == data
    assert max(map(len, pieces)) <= 1 << 18


def test_another_identity_is_told_apart_from_damage(identity):
    sealed = close(b"x" * 100_000, identity)
    with pytest.raises(WrongIdentity):
        open_(sealed, pyrage.x25519.Identity.generate())
    for bad in (
        sealed[:-1],
        sealed[:50],
        b"",
        sealed + b"x",
        flip(sealed, -5),
        flip(sealed, 90),
        flip(sealed, 3),
    ):
        with pytest.raises((BrokenBackup, WrongIdentity)) as refused:
            open_(bad, identity)
        assert isinstance(refused.value, WrongIdentity) or refused.value.findings == ("a.age",)


def flip(data: bytes, at: int) -> bytes:
    changed = bytearray(data)
    changed[at] ^= 1
    return bytes(changed)


def test_what_is_not_compressed_whole_is_broken(identity):
    whole = gzip.compress(b"y" * 1000)
    for inner in (whole[:-4], whole + b"more", b"not gzip"):
        sealed = pyrage.encrypt(inner, [identity.to_public()])
        with pytest.raises(BrokenBackup):
            open_(sealed, identity)


def test_a_source_that_fails_is_not_taken_for_its_end(identity):
    def chunks():
        yield b"begun"
        raise BrokenBackup("the source")

    with pytest.raises(BrokenBackup, match="BROKEN_BACKUP"):
        list(envelope.closed(chunks(), [identity.to_public()]))


def test_a_reader_that_leaves_early_leaves_no_thread(identity):
    reader = envelope.opened(iter([close(secrets.token_bytes(20_000_000), identity)]), [identity], "a")
    next(reader)
    reader.close()


def test_recipients_and_identities_come_from_files(tmp_path, identity):
    path = tmp_path / "recipients"
    path.write_text(f"# 恢复\n\n{identity.to_public()}\n")
    assert [str(one) for one in envelope.recipients(path)] == [str(identity.to_public())]
    for text in ("", "# none\n", "age1nonsense\n", str(identity)):
        path.write_text(text)
        with pytest.raises(NoRecipients):
            envelope.recipients(path)
    for missing in (None, tmp_path / "absent"):
        with pytest.raises(NoRecipients):
            envelope.recipients(missing)
    secret = tmp_path / "identity"
    secret.touch(mode=0o600)
    secret.write_text(f"# created\n{identity}\n")
    assert len(envelope.identities(secret)) == 1
    secret.chmod(0o644)
    with pytest.raises(ConfigError):
        envelope.identities(secret)
    secret.chmod(0o600)
    secret.write_text("nonsense")
    with pytest.raises(WrongIdentity):
        envelope.identities(secret)


@pytest.mark.tools
def test_age_and_gunzip_open_it(tmp_path: Path, identity):
    sealed, key = tmp_path / "a.age", tmp_path / "key"
    sealed.write_bytes(close(b"by hand" * 1000, identity))
    key.write_text(str(identity))
    done = subprocess.run(["age", "-d", "-i", str(key), str(sealed)], capture_output=True, check=True)
    assert gzip.decompress(done.stdout) == b"by hand" * 1000
