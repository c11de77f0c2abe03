"""KEK files: made once, read only when nobody else can, and gone for good when they are removed."""

import json
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidTag

from storage.errors import Conflict, KeyExposed, KeyGone, Unavailable
from storage.kek import KekFolder

CASES = json.loads((Path(__file__).parents[2] / "vectors" / "keyring" / "wraps.json").read_text())["cases"]
DEK = bytes(range(32))


def kek_file(folder: Path, epoch: int) -> Path:
    return folder / f"kek-{epoch:06d}"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["object_id"])
def test_vectors(tmp_path, case):
    path = kek_file(tmp_path, case["epoch"])
    path.write_bytes(bytes.fromhex(case["kek"]))
    path.chmod(0o600)
    wrapped = bytes.fromhex(case["wrapped"])
    assert KekFolder(tmp_path).unwrap(case["object_id"], case["epoch"], wrapped).hex() == case["dek"]


def test_a_new_epoch_is_private_random_and_current(tmp_path):
    folder = KekFolder(tmp_path / "keks")
    folder.create(1)
    folder.create(5)
    assert (folder.epochs, folder.current) == ((1, 5), 5)
    files = sorted((tmp_path / "keks").iterdir())
    assert [path.name for path in files] == ["kek-000001", "kek-000005"]
    assert [path.stat().st_mode & 0o777 for path in files] == [0o600, 0o600]
    assert (tmp_path / "keks").stat().st_mode & 0o777 == 0o700
    assert len({path.read_bytes() for path in files}) == 2
    assert {path.stat().st_size for path in files} == {32}


@pytest.mark.parametrize("epoch", [-1, 0, 1, 3, 1_000_000])
def test_no_epoch_twice_or_backwards(tmp_path, epoch):
    folder = KekFolder(tmp_path)
    folder.create(3)
    with pytest.raises(Conflict):
        folder.create(epoch)


def test_wraps_are_made_under_the_newest_and_open_under_their_own(tmp_path):
    folder = KekFolder(tmp_path)
    folder.create(1)
    old = folder.wrap("o", DEK)
    folder.create(2)
    new = folder.wrap("o", DEK)
    assert (old[0], new[0]) == (1, 2)
    assert folder.unwrap("o", *old) == folder.unwrap("o", *new) == DEK
    kek_file(tmp_path, 1).unlink()
    with pytest.raises(KeyGone):
        folder.unwrap("o", *old)


def test_a_wrap_is_bound_to_its_object_its_epoch_and_every_byte(tmp_path):
    folder = KekFolder(tmp_path)
    folder.create(1)
    folder.create(2)
    epoch, wrapped = folder.wrap("o", DEK)
    for name, era in (("p", epoch), ("o", 1), ("", epoch)):
        with pytest.raises(InvalidTag):
            folder.unwrap(name, era, wrapped)
    for at in range(len(wrapped)):
        changed = wrapped[:at] + bytes([wrapped[at] ^ 1]) + wrapped[at + 1 :]
        with pytest.raises(InvalidTag):
            folder.unwrap("o", epoch, changed)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o601, 0o666])
def test_an_exposed_file_is_refused(tmp_path, mode):
    folder = KekFolder(tmp_path)
    folder.create(1)
    wrapped = folder.wrap("o", DEK)
    kek_file(tmp_path, 1).chmod(mode)
    with pytest.raises(KeyExposed):
        folder.wrap("o", DEK)
    with pytest.raises(KeyExposed):
        folder.unwrap("o", *wrapped)


@pytest.mark.parametrize("size", [0, 31, 33])
def test_a_file_of_a_wrong_length_is_refused(tmp_path, size):
    kek_file(tmp_path, 1).write_bytes(bytes(size))
    kek_file(tmp_path, 1).chmod(0o600)
    with pytest.raises(Unavailable):
        KekFolder(tmp_path).wrap("o", DEK)


def test_an_empty_folder_has_no_epoch(tmp_path):
    for folder in (KekFolder(tmp_path), KekFolder(tmp_path / "absent")):
        assert folder.epochs == ()
        with pytest.raises(KeyGone):
            folder.wrap("o", DEK)


def test_a_destroyed_kek_is_overwritten_and_gone(tmp_path, keks):
    path = tmp_path / "keks" / "kek-000001"
    secret, held = path.read_bytes(), path.open("rb")
    keks.create(2)
    keks.destroy(1)
    # Whoever had the file open reads what it was overwritten with.
    assert held.read() not in (b"", secret)
    held.close()
    assert keks.epochs == (2,)
    keks.destroy(1)


def test_the_newest_kek_is_not_destroyed(keks):
    with pytest.raises(Conflict):
        keks.destroy(1)
    assert keks.epochs == (1,)


def test_what_a_crash_left_of_a_kek_goes_with_the_next_destruction(tmp_path, keks):
    aside = tmp_path / "keks" / ".new-0123456789abcdef"
    aside.hardlink_to(tmp_path / "keks" / "kek-000001")
    keks.create(2)
    keks.destroy(1)
    assert [path.name for path in (tmp_path / "keks").iterdir()] == ["kek-000002"]
