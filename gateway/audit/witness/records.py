"""What the witness has cosigned: for each log the latest size and root, in one file that is replaced as a whole."""

import base64
import fcntl
import json
import os
import re
from pathlib import Path

from gateway.audit import note
from gateway.audit.errors import MalformedNote
from gateway.audit.tree import EMPTY_ROOT, HASH_BYTES
from gateway.audit.witness.errors import WitnessUnusable
from storage.durable import sync_folder

FILE = "records.json"
_LOCK = "records.lock"
_NAME = re.compile(r"[0-9a-f]{64}\.txt")
MAX_EVIDENCE = 100

Record = tuple[int, bytes]
NOTHING: Record = (0, EMPTY_ROOT)


class Records:
    """The records in the folder `home`. One process at a time may hold them; callers serialise `save` themselves."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._lock = self._hold()
        try:
            self._latest = _read((home / FILE).read_bytes())
        except WitnessUnusable:
            os.close(self._lock)
            raise
        except OSError as error:
            os.close(self._lock)
            # Beginning anew would cosign a second history of every log; a witness without records is retired.
            raise WitnessUnusable(
                "the records are gone; a witness that forgot must not sign again"
            ) from error

    @staticmethod
    def create(home: Path) -> None:
        """Makes the empty records of a new witness; raises WitnessUnusable when there are some."""
        if (home / FILE).exists():
            raise WitnessUnusable("there are records already")
        _replace(home / FILE, b"{}\n")

    def latest(self, origin: str) -> Record:
        """Size and root last cosigned for a log; (0, root of nothing) before the first."""
        return self._latest.get(origin, NOTHING)

    def save(self, origin: str, record: Record) -> None:
        """Makes a log's new latest record; it is on disk, and its name too, when this returns. Raises OSError."""
        changed = {**self._latest, origin: record}
        _replace(self._home / FILE, _encode(changed))
        self._latest = changed

    def keep_evidence(self, name: str, body: bytes) -> None:
        """Keeps a rightly signed submission that contradicts the records; at most MAX_EVIDENCE are kept. Raises OSError."""
        folder = self._home / "evidence"
        folder.mkdir(mode=0o700, exist_ok=True)
        held = [path for path in folder.iterdir() if _NAME.fullmatch(path.name)]
        if len(held) < MAX_EVIDENCE and not (folder / name).exists():
            _replace(folder / name, body)

    def close(self) -> None:
        """Lets another process hold the records."""
        os.close(self._lock)

    def _hold(self) -> int:
        try:
            handle = os.open(self._home / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise WitnessUnusable("the folder cannot be used; make it with init") from error
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(handle)
            raise WitnessUnusable("another process holds the records") from error
        return handle


def _replace(path: Path, content: bytes) -> None:
    aside = path.with_name(path.name + ".new")
    handle = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    aside.replace(path)
    sync_folder(path.parent)


def _encode(records: dict[str, Record]) -> bytes:
    plain = {o: {"size": s, "root": base64.b64encode(r).decode()} for o, (s, r) in records.items()}
    return json.dumps(plain, sort_keys=True, ensure_ascii=False, indent=1).encode("utf-8") + b"\n"


def _read(content: bytes) -> dict[str, Record]:
    try:
        value = json.loads(content)
        found = {str(origin): (held["size"], note.unbase64(held["root"])) for origin, held in value.items()}
    except (ValueError, TypeError, KeyError, AttributeError, MalformedNote) as error:
        raise WitnessUnusable("the records are damaged") from error
    if any(
        type(s) is not int or not 0 <= s <= note.MAX_SIZE or len(r) != HASH_BYTES for s, r in found.values()
    ):
        raise WitnessUnusable("the records are damaged")
    return found
