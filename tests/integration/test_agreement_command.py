"""`sealgate agreement verify`: what holds is proved, what was touched is refused in one line."""

from __future__ import annotations

import base64
import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gateway.audit.signer import Signer
from gateway.cli import main
from gateway.signing import service
from tests.factories import World


@pytest.fixture
def package(world: World) -> bytes:
    agreement = world.agreement()
    world.drain()
    world.tick()
    return service.evidence_zip(world.deps, agreement, actor=world.actor("aud"), now=world.now())


def verify(folder: Path, data: bytes, *more: str) -> Result:
    path = folder / "evidence.zip"
    path.write_bytes(data)
    return CliRunner().invoke(main, ["agreement", "verify", str(path), *more])


def repacked(data: bytes, change: Callable[[dict[str, bytes]], None]) -> bytes:
    with zipfile.ZipFile(io.BytesIO(data)) as given:
        files = {name: given.read(name) for name in given.namelist()}
    change(files)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as made:
        for name, content in files.items():
            made.writestr(name, content)
    return out.getvalue()


def raw_key(world: World) -> str:
    return base64.b64encode(world.deps.evidence_key.public_key().public_bytes_raw()).decode()


def test_a_package_is_proved_and_says_what_it_could_not_prove(
    world: World, package: bytes, tmp_path: Path
) -> None:
    done = verify(tmp_path, package)
    assert done.exit_code == 0, done.output
    assert "PROVED" in done.output
    assert "NOT PROVED  that this key is the company's" in done.output
    assert "NOT PROVED  when it was sealed" in done.output
    known = verify(tmp_path, package, "--key", raw_key(world), "--log-key", world.deps.log.vkey)
    assert known.exit_code == 0, known.output
    assert "that this key is the company's" not in known.output


def test_every_file_of_a_package_is_held_by_its_seal(package: bytes, tmp_path: Path) -> None:
    names = zipfile.ZipFile(io.BytesIO(package)).namelist()
    for name in names:
        for fault in ("flipped", "gone"):

            def spoil(files: dict[str, bytes], name: str = name, fault: str = fault) -> None:
                content = files.pop(name)
                if fault == "flipped":
                    middle = len(content) // 2
                    files[name] = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]

            done = verify(tmp_path, repacked(package, spoil))
            assert done.exit_code == 1, (name, fault, done.output)
            assert done.output.startswith("REFUSED"), (name, fault)
            assert "PROVED  " not in done.output


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04", b"hello", b"%PDF-1.7 nothing"])
def test_what_is_no_package_is_refused(data: bytes, tmp_path: Path) -> None:
    done = verify(tmp_path, data)
    assert done.exit_code in (1, 2)
    assert "PROVED  " not in done.output


def test_a_foreign_key_or_log_is_refused(world: World, package: bytes, tmp_path: Path) -> None:
    foreign = base64.b64encode(bytes(range(32))).decode()
    assert verify(tmp_path, package, "--key", foreign).exit_code == 1
    other = Signer.generate(tmp_path / "other.key", world.deps.log.vkey.partition("+")[0])
    assert verify(tmp_path, package, "--log-key", other.vkey).exit_code == 1
    assert verify(tmp_path, package, "--key", "no key").exit_code == 1
