"""The command of the offline verifier."""

import dataclasses
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.audit import note, tree
from gateway.audit.__main__ import main
from gateway.audit.queries import LogFilter, export_jsonl
from gateway.audit.signer import Signer
from gateway.audit.witness import cosignature

ROOT = Path(__file__).parents[4]
BANNED = ("flask", "sqlalchemy", "werkzeug", "pydantic", "psycopg")


@pytest.fixture
def receipt(tmp_path, write, log, now):
    one = write("copy.collect", obj=("copy", "F0012\u202e\x1b[31m"))
    log.sequence(now=now)
    path = tmp_path / "collect.tlog-proof"
    path.write_bytes(log.receipt(one))
    return path


def test_a_receipt_is_accepted_with_the_key_or_its_file(receipt, log, tmp_path, capsys):
    assert main(["verify", str(receipt), "--key", log.vkey]) == 0
    key = tmp_path / "checkpoint.key"
    key.write_text(log.vkey + "\n")
    assert main(["verify", str(receipt), "--key", str(key)]) == 0
    out = capsys.readouterr().out
    assert out.startswith("ACCEPTED\nPROVED ") and "NOT PROVED " in out
    assert out.isascii() and "\x1b" not in out


def test_refusals_exit_with_one(receipt, log, tmp_path, capsys):
    foreign = Signer.generate(tmp_path / "k", "files.example/log").vkey
    cut = tmp_path / "cut"
    cut.write_bytes(receipt.read_bytes()[:-10])
    binary = tmp_path / "binary"
    binary.write_bytes(b"\xff\xfe")
    for file, key in (
        (receipt, foreign),
        (cut, log.vkey),
        (binary, log.vkey),
        (tmp_path / "absent", log.vkey),
        (receipt, "x"),
    ):
        assert main(["verify", str(file), "--key", key]) == 1
        assert capsys.readouterr().out.startswith("REFUSED ")
    assert main(["verify", str(receipt), "--key", str(binary)]) == 1
    (tmp_path / "empty").touch()
    assert main(["verify", str(receipt), "--key", str(tmp_path / "empty")]) == 1


def test_checkpoints_exports_and_consistency(receipt, log, database, write, now, tmp_path, capsys):
    write()
    log.sequence(now=now)
    head = tmp_path / "checkpoint"
    head.write_text(log.latest().note)
    whole = tmp_path / "log.jsonl"
    with database.read() as session:
        whole.write_bytes(b"".join(export_jsonl(session, LogFilter())))
    step = tmp_path / "step"
    step.write_bytes(log.consistency(1))
    key = ["--key", log.vkey]
    for file in (head, whole):
        assert main(["verify", str(file), *key]) == 0
    for new in (whole, step):
        assert main(["consistency", str(receipt), str(new), *key]) == 0
    assert main(["consistency", str(receipt), str(head), *key]) == 1
    assert "two checkpoints alone prove nothing" in capsys.readouterr().out


def test_it_needs_neither_flask_nor_a_database_library(receipt, log):
    code = (
        "import runpy, sys\n"
        f"sys.argv = ['gateway.audit', 'verify', {str(receipt)!r}, '--key', {log.vkey!r}]\n"
        "try:\n"
        "    runpy.run_module('gateway.audit', run_name='__main__')\n"
        "except SystemExit as end:\n"
        "    assert end.code == 0, end.code\n"
        f"loaded = {{m.partition('.')[0] for m in sys.modules}} & set({BANNED!r})\n"
        "assert not loaded, loaded\n"
        "print('light')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and done.stdout.endswith("light\n"), done.stderr


def test_the_command_as_it_is_called(receipt, log):
    command = [sys.executable, "-m", "gateway.audit", "verify", str(receipt), "--key", log.vkey]
    assert subprocess.run(command, cwd=ROOT, capture_output=True, timeout=60).returncode == 0
    assert subprocess.run([*command[:-1], "x"], cwd=ROOT, capture_output=True, timeout=60).returncode == 1


def test_a_witness_is_asked_for(tmp_path, signer, capsys):
    witness = Ed25519PrivateKey.from_private_bytes(b"w" * 32)
    text = note.TreeHead(signer.name, 0, tree.EMPTY_ROOT).text()
    plain = note.parse(signer.sign(text))
    line = cosignature.sign(text, "witness.example/w", witness, datetime(2026, 11, 23, 8, 0, tzinfo=UTC))
    key = cosignature.CosignatureKey("witness.example/w", witness.public_key().public_bytes_raw()).text
    forged = dataclasses.replace(line, value=line.value[:-1] + bytes([line.value[-1] ^ 1]))
    files = {
        "cosigned": (*plain.signatures, line),
        "alone": plain.signatures,
        "wrong": (*plain.signatures, forged),
    }
    for name, signatures in files.items():
        (tmp_path / name).write_text(note.Note(text, signatures).encode())
    command = ["--key", signer.vkey, "--witness", key]
    assert main(["verify", str(tmp_path / "cosigned"), *command]) == 0
    assert 'witness "witness.example/w" saw this tree at 2026-11-23T08:00:00' in capsys.readouterr().out
    assert main(["verify", str(tmp_path / "alone"), *command]) == 1
    assert main(["verify", str(tmp_path / "wrong"), *command]) == 1
    assert main(["verify", str(tmp_path / "cosigned"), "--key", signer.vkey, "--witness", "x"]) == 1
