"""The log's own key: Ed25519, kept in a 0600 file, named by the log's origin."""

import base64
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.audit import note
from gateway.audit.errors import MalformedNote
from gateway.errors import ConfigError

_PREFIX = "PRIVATE+KEY+"


class Signer:
    """Signs checkpoints under a name; the name is the log's origin."""

    def __init__(self, name: str, private: Ed25519PrivateKey) -> None:
        self.name = note.check_name(name)
        self._private = private
        self.key = note.Key(self.name, private.public_key().public_bytes_raw())

    @property
    def vkey(self) -> str:
        """The public key in the text form that verifiers take."""
        return self.key.text

    def sign(self, text: str) -> str:
        """The text as a signed note with this key's one signature line."""
        return note.Note(text, (note.sign(text, self.name, self._private),)).encode()

    @classmethod
    def generate(cls, path: Path, name: str) -> "Signer":
        """Makes a new key and its 0600 file, in the text form of Go's note keys; refuses to overwrite."""
        from gateway.config import write_secret

        signer = cls(name, Ed25519PrivateKey.generate())
        seed = base64.b64encode(note.ED25519 + signer._private.private_bytes_raw()).decode()
        write_secret(path, f"{_PREFIX}{signer.name}+{signer.key.key_id.hex()}+{seed}\n".encode())
        return signer

    @classmethod
    def load(cls, path: Path, name: str) -> "Signer":
        """Reads the key file; raises ConfigError if it is readable by others, damaged, or of another log."""
        from gateway.config import read_secret

        try:
            signer = cls._read(read_secret(path).decode("ascii"))
        except (MalformedNote, ValueError) as error:
            raise ConfigError([f"{path.name}: not a log key"]) from error
        if signer.name != name:
            raise ConfigError([f"{path.name}: the key of another log"])
        return signer

    @classmethod
    def _read(cls, text: str) -> "Signer":
        name, _, rest = text.removeprefix(_PREFIX).partition("+")
        hexadecimal, _, encoded = rest.partition("+")
        raw = note.unbase64(encoded)
        if not text.startswith(_PREFIX) or len(raw) != 1 + 32 or raw[:1] != note.ED25519:
            raise MalformedNote("not a log key")
        signer = cls(name, Ed25519PrivateKey.from_private_bytes(raw[1:]))
        if signer.key.key_id.hex() != hexadecimal:
            raise MalformedNote("not a log key")
        return signer
