"""The manifest of one backup: what belongs to it, by digest, and the checkpoint of the log that it corresponds to."""

import base64
import json
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.custody.dump import Head
from gateway.custody.errors import BrokenBackup

FORMAT = "sealgate-backup"
_CONTEXT = b"sealgate.backup.manifest.v1\n"


@dataclass(frozen=True)
class File:
    """One file of the backup: size and SHA-256 of its bytes as they lie there."""

    size: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """What a backup is. `ring` and `generation` are those of the keyring saved with it, `epochs` those that it needs."""

    id: str
    made_at: datetime
    expires_at: datetime
    origin: str
    revision: str | None
    ring: str
    generation: int
    epochs: tuple[int, ...]
    checkpoint: Head | None
    objects: int
    files: dict[str, File]

    def encode(self, key: Ed25519PrivateKey) -> bytes:
        """Canonical JSON and its signature, two lines."""
        body = json.dumps(
            {"format": FORMAT, "v": 1, **asdict(self)}, sort_keys=True, separators=(",", ":"), default=_plain
        ).encode()
        return body + b"\n" + base64.b64encode(key.sign(_CONTEXT + body)) + b"\n"


def decode(raw: bytes, key: Ed25519PrivateKey, name: str) -> Manifest:
    """A manifest whose signature is this installation's; raises BrokenBackup."""
    try:
        body, signature, rest = raw.split(b"\n")
        key.public_key().verify(base64.b64decode(signature, validate=True), _CONTEXT + body)
        value: dict[str, Any] = json.loads(body)
        if rest or (value.pop("format"), value.pop("v")) != (FORMAT, 1):
            raise BrokenBackup(name)
        value["made_at"] = datetime.fromisoformat(value["made_at"])
        value["expires_at"] = datetime.fromisoformat(value["expires_at"])
        value["epochs"] = tuple(value["epochs"])
        value["checkpoint"] = Head(**value["checkpoint"]) if value["checkpoint"] is not None else None
        value["files"] = {file: File(**found) for file, found in value["files"].items()}
        return Manifest(**value)
    except (InvalidSignature, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BrokenBackup(name) from error


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError
