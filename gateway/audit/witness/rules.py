"""What the witness cosigns: a checkpoint that a known log signed and that extends the one cosigned last (C2SP tlog-witness)."""

import hashlib
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime

from gateway.audit import note, proof, tree
from gateway.audit.errors import AuditError, BadProof, BadSignature
from gateway.audit.witness import cosignature
from gateway.audit.witness.errors import Rejected
from gateway.audit.witness.keyfile import Cosigner
from gateway.audit.witness.records import Record, Records

Logs = Mapping[str, Sequence[note.Key]]


class Witness:
    """One witness over its records. `logs` maps each origin to the keys that may sign for it."""

    def __init__(self, cosigner: Cosigner, logs: Logs, records: Records) -> None:
        self._cosigner = cosigner
        self._logs = logs
        self._records = records
        self._turn = threading.Lock()

    @property
    def vkey(self) -> str:
        """The witness's public key."""
        return self._cosigner.key.text

    def add_checkpoint(self, body: bytes, *, now: datetime) -> str:
        """The cosignature line for a submission; the new record is durable by then. Raises Rejected, or OSError of the disk."""
        submitted, held, head = self._understood(body)
        # Comparing and keeping are one step: otherwise two submissions at once could roll the record back.
        with self._turn:
            latest = self._records.latest(head.origin)
            try:
                _require_extension(latest, submitted, head)
            except Rejected as refusal:
                if refusal.status == 422 or submitted.old == head.size == latest[0]:
                    self._keep_evidence(body)
                raise
            if latest != (head.size, head.root):
                self._records.save(head.origin, (head.size, head.root))
            key = self._cosigner
            return cosignature.sign(held.text, key.key.name, key.private, now).line()

    def _understood(self, body: bytes) -> tuple[proof.Extension, note.Note, note.TreeHead]:
        try:
            submitted = proof.parse_extension(body)
            held = note.parse(submitted.checkpoint)
            head = _head(held.text)
        except AuditError as error:
            raise Rejected(400, error.what) from error
        keys = self._logs.get(head.origin)
        if keys is None:
            raise Rejected(404, "unknown log")
        try:
            note.verify(held, keys)
        except BadSignature as error:
            raise Rejected(403, error.what) from error
        if submitted.old > head.size:
            raise Rejected(400, "the old size is larger than the checkpoint")
        return submitted, held, head

    def _keep_evidence(self, body: bytes) -> None:
        # A full disk must not turn the refusal into a failure.
        with suppress(OSError):
            self._records.keep_evidence(hashlib.sha256(body).hexdigest() + ".txt", body)


def _require_extension(latest: Record, submitted: proof.Extension, head: note.TreeHead) -> None:
    size, root = latest
    if submitted.old != size:
        raise Rejected(409, "another size was cosigned last", size=size)
    if size == head.size and root != head.root:
        raise Rejected(409, "another root was cosigned at this size", size=size)
    try:
        tree.verify_consistency(size, root, head.size, head.root, submitted.proof)
    except BadProof as error:
        raise Rejected(422, error.what) from error


def _head(text: str) -> note.TreeHead:
    # Extension lines are cosigned with the rest and mean nothing to a witness.
    lines = text.removesuffix("\n").split("\n")
    if "" in lines[3:]:
        raise Rejected(400, "an extension line is empty")
    return note.parse_head("\n".join(lines[:3]) + "\n")
