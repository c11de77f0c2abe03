"""Erasing a person: the name is gone from everything that is stored or handed out, and every proof still holds."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import select

from gateway.audit import folder, publish, verify
from gateway.audit.models import Term
from gateway.audit.queries import LogFilter, export_csv, export_jsonl, find, page
from gateway.audit.rebuild import audit_rebuild
from gateway.audit.service import Log, erase, record, record_refusal
from gateway.audit.signer import Signer
from gateway.db import Base, Database
from gateway.principal import Actor

ORIGIN = "files.example/log"
NOW = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
SIGNER = Signer(ORIGIN, Ed25519PrivateKey.from_private_bytes(b"e" * 32))
SAID = {
    "name": "合作单位联系人甲",
    "ip": "198.51.100.77",
    "agent": "Browser/77.7 (canary)",
    "reason": "联系人要求更正用途说明",
    "extra": "抄送给项目负责人",
}
CONTACT = Actor(kind="contact", id="c77", name=SAID["name"], ip=SAID["ip"], agent=SAID["agent"])
STAFF = Actor(kind="staff", id="arc1", name="档案管理员", ip="192.0.2.7", agent="Browser/1.0")


@dataclass
class Recorded:
    """A log in which one person did some things, among others' entries."""

    database: Database
    log: Log
    file: Path
    theirs: list[str]
    others: str


@pytest.fixture
def recorded(tmp_path: Path) -> Iterator[Recorded]:
    file = tmp_path / "log.db"
    database = Database(f"sqlite:///{file}", b"m" * 32)
    Base.metadata.create_all(database.engine)
    log = Log(database, SIGNER, origin=ORIGIN)
    with database.write() as session:
        given = {"actor": CONTACT, "now": NOW, "reason": SAID["reason"], "personal": {"note": SAID["extra"]}}
        theirs = [record(session, "bundle.collect", obj=("bundle", str(i)), n=i, **given) for i in range(5)]
        others = record(session, "share.submit", actor=STAFF, obj=("share", "s1"), now=NOW)
        # What staff wrote of the person belongs to the person.
        theirs.append(
            record(
                session,
                "contact.suspend",
                actor=STAFF,
                obj=("contact", "c77"),
                now=NOW,
                personal={"name": SAID["name"]},
                subject=CONTACT.label,
            )
        )
    theirs.append(record_refusal(database, "WITHHELD", actor=CONTACT, obj=("share", "s1"), now=NOW))
    log.sequence(now=NOW)
    yield Recorded(database, log, file, theirs, others)
    database.close()


def handed_out(recorded: Recorded, out: Path) -> dict[str, bytes]:
    """Everything by which the log leaves the portal."""
    with recorded.database.read() as session:
        shown = [str(entry) for entry in page(session, LogFilter(), limit=100).entries]
        files = dict(publish.files(session, recorded.log.latest()))
        made = {
            "reader": "\n".join(shown).encode(),
            "jsonl": b"".join(export_jsonl(session, LogFilter())),
            "csv": b"".join(export_csv(session, LogFilter())),
            "published": b"".join(files.values()),
        }
    for name, content in files.items():
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).write_bytes(content)
    return made


def told(content: bytes) -> list[str]:
    """Which of the person's words stand in it, in any of the ways in which they are written."""
    spelled = {key: (text, json.dumps(text)[1:-1]) for key, text in SAID.items()}
    return [key for key, ways in spelled.items() if any(way.encode() in content for way in ways)]


def test_an_authorised_reader_sees_names_while_their_salts_exist(recorded: Recorded, tmp_path: Path) -> None:
    made = handed_out(recorded, tmp_path / "out")
    assert set(told(made["reader"])) == set(told(made["jsonl"])) == set(SAID)
    assert told(made["published"]) == [], "what is published never held a name"
    with recorded.database.read() as session:
        assert find(session, recorded.theirs[0]).personal["actor.name"] == SAID["name"]


def test_after_the_erasure_no_name_is_left_and_every_proof_holds(recorded: Recorded, tmp_path: Path) -> None:
    receipts = [recorded.log.receipt(one) for one in recorded.theirs]
    with recorded.database.read() as session:
        root = audit_rebuild(session, [SIGNER.key])
        before = b"".join(export_jsonl(session, LogFilter()))
    assert told(before)
    with recorded.database.write() as session:
        # label, name, address, agent, reason and note of five; name and the label in the refusal; what staff wrote.
        assert erase(session, CONTACT.label) == 5 * 6 + 4 + 1
    made = handed_out(recorded, tmp_path / "out")
    assert {name: told(content) for name, content in made.items() if told(content)} == {}
    assert "档案管理员" in made["reader"].decode()
    with recorded.database.read() as session:
        assert audit_rebuild(session, [SIGNER.key]) == root
        gone = find(session, recorded.theirs[0])
        assert gone.personal == {} and "actor.name" in gone.erased and gone.tampered == ()
    for receipt in receipts:
        verify.verify_receipt(receipt, [SIGNER.key])
    assert folder.verify(tmp_path / "out", [SIGNER.key], full=True).head.root == root
    verify.verify_export(made["jsonl"].splitlines(keepends=True), [SIGNER.key])
    # What had been handed out before can still be checked, values and all: only its holders know them now.
    verify.verify_export(before.splitlines(keepends=True), [SIGNER.key])


def test_the_stored_bytes_are_gone_as_well(recorded: Recorded) -> None:
    """Deleted rows are overwritten (secure_delete), and closing folds the write-ahead log into the file."""
    with recorded.database.write() as session:
        erase(session, CONTACT.label)
    recorded.database.close()
    left = b"".join(path.read_bytes() for path in recorded.file.parent.glob("log.db*"))
    assert "档案管理员".encode() in left
    assert told(left) == []
    assert CONTACT.label.encode() not in left


def test_search_terms_go_with_the_person(recorded: Recorded) -> None:
    with recorded.database.write() as session:
        session.add(Term(term=b"t" * 16, seq=0, subject=CONTACT.label))
        session.add(Term(term=b"t" * 16, seq=1, subject=None))
    with recorded.database.write() as session:
        erase(session, CONTACT.label)
    with recorded.database.read() as session:
        assert [term.seq for term in session.scalars(select(Term))] == [1]
