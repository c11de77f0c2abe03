"""Key-encryption keys, one per epoch, in files that only their owner reads."""

import os
import re
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from storage.durable import sync_folder
from storage.errors import Conflict, KeyExposed, KeyGone, Unavailable

KEK_SIZE = 32
NONCE_SIZE = 12
_NAME = re.compile(r"kek-(\d{6})", re.ASCII)
_CONTEXT = b"sealgate wrap\x01"


class Wrapper(Protocol):
    """What the keyring asks of whoever holds the KEKs: a folder now, an HSM where there is one."""

    def wrap(self, object_id: str, dek: bytes) -> tuple[int, bytes]:
        """Wrap a key under the current epoch; return the epoch and the wrapped bytes."""
        ...

    def unwrap(self, object_id: str, epoch: int, wrapped: bytes) -> bytes:
        """Open a wrap; KeyGone when the epoch's KEK is destroyed, InvalidTag when it does not fit."""
        ...


class Epochs(Protocol):
    """What a rotation asks beside: which KEKs there are, a new one, and the end of an old one."""

    @property
    def epochs(self) -> tuple[int, ...]:
        """The epochs that have a KEK, ascending."""
        ...

    def create(self, epoch: int) -> None:
        """Make the epoch's KEK, durable when it returns."""
        ...

    def destroy(self, epoch: int) -> None:
        """Destroy the epoch's KEK for ever; one that is gone is not an error."""
        ...


class KekFolder:
    """KEKs as files `kek-NNNNNN` of 32 bytes. They are read anew for every use: a removed file takes effect at once."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @property
    def epochs(self) -> tuple[int, ...]:
        """The epochs that have a KEK, ascending."""
        try:
            names = [match[1] for entry in self._path.iterdir() if (match := _NAME.fullmatch(entry.name))]
        except FileNotFoundError:
            return ()
        except OSError:
            raise Unavailable("the key folder cannot be read") from None
        return tuple(sorted(int(name) for name in names))

    @property
    def current(self) -> int:
        """The epoch under which new keys are wrapped: the newest; KeyGone when there is none."""
        if not self.epochs:
            raise KeyGone("there is no key-encryption key")
        return self.epochs[-1]

    def create(self, epoch: int) -> None:
        """Make the epoch's KEK, durable when it returns; Conflict when the epoch has one or is older than one."""
        if not 1 <= epoch <= 999_999 or any(epoch <= held for held in self.epochs):
            raise Conflict("the epoch is taken or past")
        with _folder_trouble():
            self._path.mkdir(mode=0o700, parents=True, exist_ok=True)
            # Written aside and linked: a crash half-way must not leave a short KEK under the newest epoch.
            aside = self._path / f".new-{secrets.token_hex(8)}"
            try:
                _write(aside, secrets.token_bytes(KEK_SIZE))
                os.link(aside, self._file(epoch))
            finally:
                aside.unlink(missing_ok=True)
            sync_folder(self._path)

    def destroy(self, epoch: int) -> None:
        """Overwrite the KEK's file, remove it and sync the folder; Conflict for the newest, which wraps new keys.

        Overwriting means something on a plain disk only; a copy-on-write file system or flash may keep the old block.
        """
        if epoch >= self.current:
            raise Conflict("the newest key-encryption key is in use")
        with _folder_trouble():
            # What a crash left of making a KEK may be another name of the same file.
            for aside in self._path.glob(".new-*"):
                aside.unlink(missing_ok=True)
            with suppress(FileNotFoundError):
                _overwrite(self._file(epoch))
                self._file(epoch).unlink()
            sync_folder(self._path)

    def wrap(self, object_id: str, dek: bytes) -> tuple[int, bytes]:
        """Return (current epoch, nonce ‖ AES-256-GCM of the key)."""
        epoch = self.current
        nonce = secrets.token_bytes(NONCE_SIZE)
        return epoch, nonce + AESGCM(self._read(epoch)).encrypt(nonce, dek, _context(object_id, epoch))

    def unwrap(self, object_id: str, epoch: int, wrapped: bytes) -> bytes:
        """Open a wrap of this object under this epoch."""
        cipher = AESGCM(self._read(epoch))
        return cipher.decrypt(wrapped[:NONCE_SIZE], wrapped[NONCE_SIZE:], _context(object_id, epoch))

    def _file(self, epoch: int) -> Path:
        return self._path / f"kek-{epoch:06d}"

    def _read(self, epoch: int) -> bytes:
        """Return the KEK; raises KeyGone, KeyExposed, Unavailable."""
        try:
            with _folder_trouble(), self._file(epoch).open("rb") as source:
                refuse_exposed(os.fstat(source.fileno()))
                kek = source.read(KEK_SIZE + 1)
        except FileNotFoundError:
            raise KeyGone("the epoch's key-encryption key is destroyed") from None
        if len(kek) != KEK_SIZE:
            raise Unavailable("a key-encryption key has a wrong length")
        return kek


def refuse_exposed(found: os.stat_result) -> None:
    """Raise KeyExposed unless this is a plain file of ours that nobody else can open."""
    if not stat.S_ISREG(found.st_mode) or found.st_mode & 0o077:
        raise KeyExposed("a key file can be opened by group or others")
    if found.st_uid not in (os.geteuid(), 0):
        raise KeyExposed("a key file belongs to another user")


def owned_file(path: Path) -> None:
    """Make an empty 0600 file unless it is there; raises KeyExposed when it is there and open to others."""
    with _folder_trouble():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            refuse_exposed(os.fstat(handle))
        finally:
            os.close(handle)


def _context(object_id: str, epoch: int) -> bytes:
    """Return the additional data of a wrap: format version, epoch, object id."""
    return _CONTEXT + epoch.to_bytes(4, "big") + object_id.encode()


def _write(path: Path, data: bytes) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "wb") as out:
        out.write(data)
        out.flush()
        os.fsync(out.fileno())


def _overwrite(path: Path) -> None:
    with path.open("r+b", buffering=0) as out:
        out.write(secrets.token_bytes(KEK_SIZE))
        os.fsync(out.fileno())


@contextmanager
def _folder_trouble() -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise
    except FileExistsError:
        raise Conflict("the key file exists") from None
    except OSError as error:
        raise Unavailable(f"a key file failed: {os.strerror(error.errno or 0)}") from None
