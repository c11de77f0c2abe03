"""The offline verifier: what a receipt, an export or two checkpoints prove under a given key.

It needs the standard library and cryptography only.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from gateway.audit import export, folder, leaf, note, proof, tree
from gateway.audit.errors import BadProof, BadSignature, MalformedNote, MalformedProof
from gateway.audit.witness import cosignature

_UNPROVED_TIME = "that the times in the entries are right: they are the log's own statement"
_UNPROVED_LATER = "anything about entries after this checkpoint"


@dataclass
class Report:
    """What was proved, and what could not be."""

    proved: list[str] = field(default_factory=list)
    unproved: list[str] = field(default_factory=list)

    def lines(self) -> list[str]:
        """The report for a terminal."""
        return [f"PROVED      {p}" for p in self.proved] + [f"NOT PROVED  {u}" for u in self.unproved]


def read_keys(given: str) -> list[note.Key]:
    """Checkpoint keys from a file with one vkey a line, or from the vkey itself; raises MalformedNote."""
    return [note.parse_key(line) for line in _key_lines(given)]


def read_witnesses(given: str) -> list[cosignature.CosignatureKey]:
    """Witness keys, given in the same ways; raises MalformedNote."""
    return [cosignature.parse_key(line) for line in _key_lines(given)]


def _key_lines(given: str) -> list[str]:
    path = Path(given)
    try:
        text = path.read_text("utf-8") if path.is_file() else given
    except (OSError, UnicodeDecodeError) as error:
        raise MalformedNote("the key cannot be read") from error
    lines = [line for line in text.splitlines() if line.strip()]
    if not lines:
        raise MalformedNote("no key given")
    return lines


def verify_file(path: Path, keys: Sequence[note.Key], *, full: bool = False) -> Report:
    """Verifies a receipt, an export, a published folder or a bare checkpoint.

    `full` also reads every entry of a folder as an entry; the other forms always do. Raises an AuditError when it must be
    refused, OSError if unreadable.
    """
    if path.is_dir():
        return verify_folder(path, keys, full=full)
    with path.open("rb") as file:
        if file.peek(1)[:1] == b"{":
            return verify_export(file, keys)
        content = file.read(proof.MAX_FILE_BYTES + 1)
    if content.startswith(proof.HEADER.encode()):
        return verify_receipt(content, keys)
    head = note.open_checkpoint(_text(content), keys)
    return Report([_signed(head)], ["that any particular entry is in it", _UNPROVED_LATER])


def verify_folder(
    path: Path, keys: Sequence[note.Key], earlier: note.TreeHead | None = None, *, full: bool = False
) -> Report:
    """Verifies a folder as it is published or anchored; with `earlier`, also that it begins with that older tree."""
    found = folder.verify(path, keys, earlier=[earlier] if earlier is not None else [], full=full)
    report = Report([_signed(found.head)])
    report.proved.append(
        f"all its {found.head.size} entries are here, unchanged and in order; none is missing"
    )
    if found.older:
        report.proved.append(f"{found.older} older checkpoints are beginnings of it")
    if earlier is not None:
        report.proved.append(f"its first {earlier.size} entries are the older checkpoint's tree")
    if found.tiles:
        report.proved.append(f"{found.tiles} tiles hold the hashes of the entries")
    if full:
        report.proved.append("every entry is a well-formed entry")
    else:
        report.unproved.append("that every entry is well-formed (ask with --full)")
    report.unproved += ["who is meant by committed fields: no folder holds their values", _UNPROVED_TIME]
    report.unproved.append(_UNPROVED_LATER)
    return report


def verify_receipt(content: bytes, keys: Sequence[note.Key]) -> Report:
    """Verifies a receipt: the checkpoint's signature, the entry's form, its inclusion."""
    receipt = proof.parse_receipt(content)
    head = note.open_checkpoint(receipt.checkpoint, keys)
    tree.verify_inclusion(tree.leaf_hash(receipt.entry), receipt.index, head.size, receipt.proof, head.root)
    entry = leaf.parse(receipt.entry)
    shown = json.dumps([leaf.stamp(entry.at), entry.event, *entry.object])
    report = Report([_signed(head), f"entry {receipt.index} is in it: {shown}"])
    report.unproved = [
        f"who is meant by {len(entry.personal)} committed fields (their salts are not in a receipt)"
    ]
    report.unproved += [_UNPROVED_TIME, _UNPROVED_LATER]
    return report


def verify_export(
    lines: Iterable[bytes], keys: Sequence[note.Key], earlier: note.TreeHead | None = None
) -> Report:
    """Verifies an export; with `earlier`, also that a whole export begins with that older tree."""
    header, rows = export.read(lines)
    if header.checkpoint is None:
        raise MalformedProof("the export holds no checkpoint")
    head = note.open_checkpoint(header.checkpoint, keys)
    count = _Count(head, header.complete, earlier)
    for row in rows:
        count.add(row)
    return count.report()


class _Count:
    """Checks the entries of an export one by one and keeps what they prove."""

    def __init__(self, head: note.TreeHead, complete: bool, earlier: note.TreeHead | None) -> None:
        self._head, self._complete, self._earlier = head, complete, earlier
        self._tree = tree.Accumulator()
        self._last = -1
        self._proved = self._waiting = self._opened = self._closed = 0
        self._met = earlier is not None and self._meets()

    def add(self, row: export.Line) -> None:
        """Takes the next entry; raises when it does not fit."""
        entry = leaf.parse(row.entry)
        self._open(entry, row)
        if row.seq is None:
            self._waiting += 1
            return
        if row.seq <= self._last or (self._complete and row.seq != self._last + 1):
            raise BadProof("entries are missing or out of order")
        if self._complete == (row.proof is not None):
            raise MalformedProof("proofs do not fit the kind of export")
        self._last = row.seq
        self._place(row)

    def _place(self, row: export.Line) -> None:
        hashed = tree.leaf_hash(row.entry)
        if row.proof is not None:
            tree.verify_inclusion(hashed, row.seq or 0, self._head.size, row.proof, self._head.root)
        else:
            self._tree.add(hashed)
            self._met = self._met or self._meets()
        self._proved += 1

    def _meets(self) -> bool:
        earlier = self._earlier
        if earlier is None or earlier.size != self._tree.size:
            return False
        if earlier.root != self._tree.root:
            raise BadProof("the newer log does not begin with the older tree")
        return True

    def _open(self, entry: leaf.Entry, row: export.Line) -> None:
        for name, (salt, value) in row.opened.items():
            if leaf.commitment(salt, name, value) != entry.personal.get(name):
                raise BadProof("an opened value is not what the entry committed to")
        self._opened += len(row.opened)
        self._closed += len(entry.personal) - len(row.opened)

    def report(self) -> Report:
        """What all entries together prove; raises when they do not lead to the signed root."""
        if self._complete and (self._tree.size, self._tree.root) != (self._head.size, self._head.root):
            raise BadProof("the entries do not lead to the signed root")
        if self._earlier is not None and not self._met:
            raise BadProof("the export does not reach back to the older checkpoint")
        report = Report([_signed(self._head)])
        if self._complete:
            report.proved.append(
                f"all its {self._proved} entries are here, unchanged and in order; none is missing"
            )
        else:
            report.proved.append(f"{self._proved} entries are in it, unchanged and in order")
            report.unproved.append("that no other entry fits the export's filter")
        if self._earlier is not None:
            report.proved.append(f"its first {self._earlier.size} entries are the older checkpoint's tree")
        if self._opened:
            report.proved.append(f"{self._opened} personal values are those the entries committed to")
        self._leave_open(report)
        return report

    def _leave_open(self, report: Report) -> None:
        if self._closed:
            report.unproved.append(f"what {self._closed} personal fields said: erased or not included")
        if self._waiting:
            report.unproved.append(f"{self._waiting} entries that still waited for a checkpoint")
        report.unproved += [_UNPROVED_TIME, _UNPROVED_LATER]


def verify_consistency(old: Path, new: Path, keys: Sequence[note.Key]) -> Report:
    """Verifies that the log in `new` begins with the one signed in `old`.

    `old` is anything that holds a checkpoint. `new` is a published folder, a whole export, a consistency file, or, at equal size,
    anything that holds a checkpoint.
    """
    earlier = _head_of(old, keys)
    if new.is_dir():
        return verify_folder(new, keys, earlier)
    with new.open("rb") as file:
        if file.peek(1)[:1] == b"{":
            return verify_export(file, keys, earlier)
        content = file.read(proof.MAX_FILE_BYTES + 1)
    if content.startswith(b"old "):
        extension = proof.parse_extension(content)
        later = note.open_checkpoint(extension.checkpoint, keys)
        if extension.old != earlier.size:
            raise BadProof("the proof starts from another size than the older checkpoint")
        path: Sequence[bytes] = extension.proof
    else:
        later, path = _head_of(new, keys), []
        if later.size != earlier.size:
            raise BadProof(
                "two checkpoints alone prove nothing: a consistency file or a whole export is needed"
            )
    _same_log(earlier, later)
    tree.verify_consistency(earlier.size, earlier.root, later.size, later.root, path)
    begins = f"the older checkpoint's {earlier.size} entries are its beginning, unchanged"
    return Report([_signed(earlier), _signed(later), begins], [_UNPROVED_LATER])


def _same_log(earlier: note.TreeHead, later: note.TreeHead) -> None:
    if earlier.origin != later.origin:
        raise BadProof("the checkpoints are of two logs")


def verify_cosignatures(path: Path, witnesses: Sequence[cosignature.CosignatureKey]) -> list[str]:
    """What the given witnesses say of the checkpoint that a file holds; raises BadSignature where one of them does not cosign it.

    The log's own signature is verified elsewhere.
    """
    held = note.parse(_note_of(path))
    found = cosignature.cosigned(held, witnesses)
    for key in witnesses:
        if key not in found:
            raise BadSignature(f"the witness {json.dumps(key.name)} has not cosigned the checkpoint")
    return [
        f"the witness {json.dumps(key.name)} saw this tree at {leaf.stamp(at)} and nothing that contradicts it"
        for key, at in found.items()
    ]


def _head_of(path: Path, keys: Sequence[note.Key]) -> note.TreeHead:
    if path.is_dir():
        return folder.heads(path, keys)[-1]
    return note.open_checkpoint(_note_of(path), keys)


def _note_of(path: Path) -> str:
    if path.is_dir():
        return folder.notes(path)[-1]
    with path.open("rb") as file:
        if file.peek(1)[:1] == b"{":
            return export.read(file)[0].checkpoint or ""
        content = file.read(proof.MAX_FILE_BYTES + 1)
    if content.startswith(proof.HEADER.encode()):
        return proof.parse_receipt(content).checkpoint
    if content.startswith(b"old "):
        return proof.parse_extension(content).checkpoint
    return _text(content)


def _text(content: bytes) -> str:
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise MalformedNote("not a text file") from error


def _signed(head: note.TreeHead) -> str:
    return (
        f"the log {json.dumps(head.origin)} signed a tree of {head.size} entries with root {head.root.hex()}"
    )
