"""What a witness adds to a checkpoint, as the log asks for it (C2SP tlog-witness, tlog-cosignature)."""

from collections.abc import Callable, Sequence
from typing import Protocol


class Cosign(Protocol):
    """Gets the cosignatures that a checkpoint needs before anything may rest on it.

    The log calls it outside of every transaction, after the checkpoint's row is committed and before the checkpoint is usable;
    several processes may call it at once for one checkpoint. It must answer or give up within the log's lease time.
    """

    def __call__(
        self, old: int, proof: Sequence[bytes], note: str, *, extend: Callable[[int], Sequence[bytes]]
    ) -> str:
        """The signed note with the witnesses' lines added, its text and its other lines as they were.

        `old` is the size of the last usable checkpoint (0: there is none; equal to the note's own size for a heartbeat), `proof`
        the consistency path from it (32-byte hashes, RFC 6962 §2.1.2) and `extend(size)` the same from any other older size, for
        a witness that answers 409. Raises gateway.audit.errors.WitnessUnavailable when a needed cosignature is not to be had.
        """
        ...
