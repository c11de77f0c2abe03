"""A published folder is accepted for its entries alone, and every lie in it is refused."""

import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from gateway.audit import folder, layout, leaf, note, tree, verify
from gateway.audit.__main__ import main
from gateway.audit.errors import AuditError, BadProof, BadSignature, MalformedEntry, MalformedProof
from gateway.audit.signer import Signer

ORIGIN = "files.example/log"
SIGNER = Signer(ORIGIN, Ed25519PrivateKey.from_private_bytes(b"s" * 32))
FORGER = Signer(ORIGIN, Ed25519PrivateKey.from_private_bytes(b"f" * 32))
OTHER = Signer("other.example/log", Ed25519PrivateKey.from_private_bytes(b"o" * 32))
SIZE = 600
ROOT = Path(__file__).parents[4]
BODIES = [
    leaf.Entry(
        f"{i:032x}", leaf.parse_time("2026-11-23T08:00:00.000000Z"), "a.b", ("x", str(i)), "staff"
    ).encode()
    for i in range(SIZE)
]


def head(size: int, bodies: Sequence[bytes] = BODIES) -> note.TreeHead:
    return note.TreeHead(ORIGIN, size, tree.root_of([tree.leaf_hash(b) for b in bodies[:size]]))


def put(path: Path, content: bytes | str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())


def publish(
    out: Path, bodies: Sequence[bytes] = BODIES, signer: Signer = SIGNER, *, anchored: Sequence[int] = ()
) -> Path:
    """A folder as it is published, or, with sizes, as it is anchored."""
    size = len(bodies)
    for index, width in layout.parts(0, size):
        put(out / layout.entries_path(index, width), layout.bundle(bodies[index * 256 : index * 256 + width]))
    level, row = 0, [tree.leaf_hash(body) for body in bodies]
    while row:
        for index, width in layout.parts(0, len(row)):
            put(out / layout.tile_path(level, index, width), b"".join(row[index * 256 : index * 256 + width]))
        row = [tree.complete_root(row[i * 256 : i * 256 + 256]) for i in range(len(row) // 256)]
        level += 1
    if anchored:
        for each in anchored:
            put(out / layout.checkpoint_path(each), signer.sign(head(each, bodies).text()))
    else:
        put(out / "checkpoint", signer.sign(head(size, bodies).text()))
    return out


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return publish(tmp_path_factory.mktemp("out"))


@pytest.fixture
def copied(original: Path, tmp_path: Path) -> Path:
    return shutil.copytree(original, tmp_path / "copied")


def flip(path: Path, at: int = 50) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


def test_a_published_folder_is_proved_from_its_entries(original: Path):
    report = verify.verify_file(original, [SIGNER.key], full=True)
    assert any(f"all its {SIZE} entries are here" in line for line in report.proved)
    assert any("4 tiles hold the hashes" in line for line in report.proved)
    assert any("well-formed entry" in line for line in report.proved)
    quick = verify.verify_file(original, [SIGNER.key])
    assert any("--full" in line for line in quick.unproved) and any(
        "times" in line for line in quick.unproved
    )


@pytest.mark.parametrize("size", [1, 2, 255, 256, 257, 511, 512, 513])
def test_every_size_is_proved(tmp_path: Path, size: int):
    out = publish(tmp_path, BODIES[:size])
    assert folder.verify(out, [SIGNER.key], full=True).head.size == size


def test_the_empty_log_is_proved(tmp_path: Path):
    put(tmp_path / "checkpoint", SIGNER.sign(head(0).text()))
    assert folder.verify(tmp_path, [SIGNER.key]).head.size == 0


def test_anchored_checkpoints_are_all_beginnings(tmp_path: Path):
    out = publish(tmp_path, anchored=[0, 1, 255, 256, 300, 512, SIZE])
    report = verify.verify_file(out, [SIGNER.key])
    assert any("6 older checkpoints are beginnings" in line for line in report.proved)


def test_tiles_may_be_left_out_and_partial_bundles_may_be_wider(copied: Path):
    shutil.rmtree(copied / "tile" / "0")
    wider = copied / layout.entries_path(2, 88)
    wider.rename(wider.with_name("90"))
    put(wider.with_name("90"), wider.with_name("90").read_bytes() + layout.bundle(BODIES[:2]))
    assert folder.verify(copied, [SIGNER.key]).tiles == 0


def _edited(out: Path) -> None:
    flip(out / layout.entries_path(1))


def _swapped(out: Path) -> None:
    bodies = [BODIES[1], BODIES[0], *BODIES[2:256]]
    put(out / layout.entries_path(0), layout.bundle(bodies))


def _left_out(out: Path) -> None:
    put(out / layout.entries_path(0), layout.bundle(BODIES[:255]))


def _shifted(out: Path) -> None:
    put(out / layout.entries_path(0), layout.bundle(BODIES[:255]))
    put(out / layout.entries_path(1), layout.bundle(BODIES[255:511]))
    put(out / layout.entries_path(2, 88), layout.bundle([*BODIES[511:], BODIES[0]]))


def _cut_off(out: Path) -> None:
    path = out / layout.entries_path(1)
    path.write_bytes(path.read_bytes()[:-1])


def _too_many(out: Path) -> None:
    put(out / layout.entries_path(0), layout.bundle(BODIES[:257]))


def _bundle_gone(out: Path) -> None:
    (out / layout.entries_path(1)).unlink()


def _tile(out: Path) -> None:
    flip(out / layout.tile_path(0, 1))


def _upper_tile(out: Path) -> None:
    flip(out / layout.tile_path(1, 0, 2))


def _tile_cut_off(out: Path) -> None:
    path = out / layout.tile_path(0, 0)
    path.write_bytes(path.read_bytes()[:-32])


def _wrong_root(out: Path) -> None:
    put(out / "checkpoint", SIGNER.sign(note.TreeHead(ORIGIN, SIZE, b"\7" * 32).text()))


def _wrong_size(out: Path) -> None:
    put(out / "checkpoint", SIGNER.sign(note.TreeHead(ORIGIN, SIZE - 1, head(SIZE).root).text()))


def _larger(out: Path) -> None:
    put(out / "checkpoint", SIGNER.sign(note.TreeHead(ORIGIN, SIZE + 1, head(SIZE).root).text()))


def _foreign_key(out: Path) -> None:
    put(out / "checkpoint", FORGER.sign(head(SIZE).text()))


def _other_log(out: Path) -> None:
    put(out / "checkpoint", OTHER.sign(note.TreeHead(OTHER.name, SIZE, head(SIZE).root).text()))


def _no_checkpoint(out: Path) -> None:
    (out / "checkpoint").unlink()


def _split_view(out: Path) -> None:
    _several(out, SIGNER.sign(note.TreeHead(ORIGIN, 300, b"\7" * 32).text()))


def _two_roots(out: Path) -> None:
    _several(out, SIGNER.sign(note.TreeHead(ORIGIN, SIZE, b"\7" * 32).text()))


def _several(out: Path, second: str) -> None:
    (out / "checkpoint").unlink()
    put(out / layout.checkpoint_path(SIZE), SIGNER.sign(head(SIZE).text()))
    put(out / "checkpoint" / "second", second)


LIES: tuple[Callable[[Path], None], ...] = (
    _edited,
    _swapped,
    _left_out,
    _shifted,
    _cut_off,
    _too_many,
    _bundle_gone,
    _tile,
    _upper_tile,
    _tile_cut_off,
    _wrong_root,
    _wrong_size,
    _larger,
    _foreign_key,
    _other_log,
    _no_checkpoint,
    _split_view,
    _two_roots,
)


@pytest.mark.parametrize("lie", LIES, ids=lambda lie: lie.__name__.strip("_"))
def test_a_lie_in_the_folder_is_refused(copied: Path, lie: Callable[[Path], None]):
    lie(copied)
    with pytest.raises(AuditError):
        folder.verify(copied, [SIGNER.key])
    assert main(["verify", str(copied), "--key", SIGNER.vkey]) == 1


def test_tiles_that_were_tampered_with_together_with_the_root_are_refused(copied: Path):
    """The holder of the key signs a tree whose tiles fit, while the entries are others: tiles are never trusted."""
    forged = [*BODIES[:-1], BODIES[0]]
    publish(copied, forged)
    for index, width in layout.parts(0, SIZE):
        put(copied / layout.entries_path(index, width), layout.bundle(BODIES[index * 256 :][:width]))
    with pytest.raises(BadProof):
        folder.verify(copied, [SIGNER.key])


def test_a_rewritten_log_does_not_begin_with_what_was_seen(tmp_path: Path, original: Path):
    rewritten = publish(tmp_path / "new", [*BODIES[:10], *BODIES[11:], BODIES[10]])
    folder.verify(rewritten, [SIGNER.key])
    old = tmp_path / "old"
    put(old, SIGNER.sign(head(300).text()))
    verify.verify_consistency(old, original, [SIGNER.key])
    with pytest.raises(BadProof):
        verify.verify_consistency(old, rewritten, [SIGNER.key])


def test_an_older_folder_does_not_reach_a_newer_checkpoint(tmp_path: Path):
    older = publish(tmp_path / "older", BODIES[:300])
    new = tmp_path / "new"
    put(new, SIGNER.sign(head(SIZE).text()))
    with pytest.raises(BadProof, match="reach"):
        verify.verify_consistency(new, older, [SIGNER.key])


def test_what_is_no_entry_is_found_when_asked_in_full(tmp_path: Path):
    out = publish(tmp_path, [*BODIES[:5], b'{"v":1}'])
    folder.verify(out, [SIGNER.key])
    with pytest.raises(MalformedEntry):
        folder.verify(out, [SIGNER.key], full=True)


def test_a_key_of_another_is_no_key(original: Path):
    with pytest.raises(BadSignature):
        folder.verify(original, [FORGER.key])


def test_the_command_reads_a_folder(original: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path):
    assert main(["verify", str(original), "--full", "--key", SIGNER.vkey]) == 0
    assert "ACCEPTED" in capsys.readouterr().out
    put(tmp_path / "old", SIGNER.sign(head(256).text()))
    assert main(["consistency", str(tmp_path / "old"), str(original), "--key", SIGNER.vkey]) == 0
    assert "first 256 entries" in capsys.readouterr().out


def test_the_verifier_loads_neither_web_nor_database(original: Path):
    program = (
        "import sys; from gateway.audit.__main__ import main; "
        f"assert main(['verify', {str(original)!r}, '--key', {SIGNER.vkey!r}]) == 0; "
        "assert not {'flask', 'sqlalchemy', 'werkzeug', 'structlog'} & set(sys.modules), sorted(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True, capture_output=True)


@given(st.lists(st.binary(max_size=40), max_size=256))
def test_bundles_come_back(bodies: list[bytes]):
    assert layout.entries(layout.bundle(bodies)) == bodies


def test_a_bundle_holds_no_more_than_256_entries():
    assert len(layout.entries(layout.bundle(BODIES[:256]))) == 256
    with pytest.raises(MalformedProof):
        layout.entries(layout.bundle(BODIES[:257]))


@given(st.binary(max_size=400))
def test_no_bytes_of_a_bundle_raise_anything_else(content: bytes):
    try:
        found = layout.entries(content)
    except MalformedProof:
        return
    assert layout.bundle(found) == content


@given(st.integers(0, 2**40), st.integers(1, 256))
def test_paths_are_those_of_the_specification(index: int, width: int):
    parts = layout.tile_path(3, index, width).split("/")
    assert parts[:2] == ["tile", "3"]
    digits = [p for p in parts[2:] if not (width < 256 and p == str(width) and p is parts[-1])]
    number = "".join(p.removeprefix("x").removesuffix(".p") for p in digits)
    assert int(number) == index and all(len(p.removeprefix("x").removesuffix(".p")) == 3 for p in digits)


def test_paths_by_example():
    """The examples of C2SP tlog-tiles."""
    assert layout.tile_path(0, 1234067) == "tile/0/x001/x234/067"
    assert layout.tile_path(1, 0, 5) == "tile/1/000.p/5"
    assert layout.entries_path(273) == "tile/entries/273"
    assert list(layout.parts(255, 600)) == [(0, 256), (1, 256), (2, 88)]
    assert list(layout.parts(256, 256)) == [] and list(layout.parts(256, 257)) == [(1, 1)]
