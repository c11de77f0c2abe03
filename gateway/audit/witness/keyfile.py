"""The witness's own key: Ed25519, in a 0600 file of the form of Go's note keys, with type 04."""

import base64
import os
import stat
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.audit import note
from gateway.audit.errors import MalformedNote
from gateway.audit.witness.cosignature import COSIGNATURE, CosignatureKey
from gateway.audit.witness.errors import WitnessUnusable
from storage.durable import sync_folder

_PREFIX = "PRIVATE+KEY+"


class Cosigner:
    """A witness's name and private key."""

    def __init__(self, name: str, private: Ed25519PrivateKey) -> None:
        self.private = private
        self.key = CosignatureKey(note.check_name(name), private.public_key().public_bytes_raw())

    @classmethod
    def generate(cls, path: Path, name: str) -> "Cosigner":
        """Makes a new key and its 0600 file durably; raises WitnessUnusable when there is one, MalformedNote for a bad name."""
        made = cls(name, Ed25519PrivateKey.generate())
        seed = base64.b64encode(COSIGNATURE + made.private.private_bytes_raw()).decode()
        line = f"{_PREFIX}{made.key.name}+{made.key.key_id.hex()}+{seed}\n"
        try:
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError as error:
            raise WitnessUnusable("there is a key already; it is never overwritten") from error
        with os.fdopen(handle, "wb") as file:
            file.write(line.encode())
            file.flush()
            os.fsync(file.fileno())
        sync_folder(path.parent)
        return made

    @classmethod
    def load(cls, path: Path) -> "Cosigner":
        """Reads the key file; raises WitnessUnusable when it is missing, damaged or readable by others."""
        try:
            mode, text = path.stat().st_mode, path.read_text("ascii").removesuffix("\n")
        except (OSError, UnicodeDecodeError) as error:
            raise WitnessUnusable("the key cannot be read; make one with init") from error
        if stat.S_IMODE(mode) & 0o077:
            raise WitnessUnusable("the key is readable by others; set its mode to 0600")
        try:
            return cls._parse(text)
        except (MalformedNote, ValueError) as error:
            raise WitnessUnusable("not a witness key") from error

    @classmethod
    def _parse(cls, text: str) -> "Cosigner":
        name, _, rest = text.removeprefix(_PREFIX).partition("+")
        hexadecimal, _, encoded = rest.partition("+")
        raw = note.unbase64(encoded)
        if not text.startswith(_PREFIX) or len(raw) != 1 + 32 or raw[:1] != COSIGNATURE:
            raise MalformedNote("not a witness key")
        found = cls(name, Ed25519PrivateKey.from_private_bytes(raw[1:]))
        if found.key.key_id.hex() != hexadecimal:
            raise MalformedNote("not a witness key")
        return found
