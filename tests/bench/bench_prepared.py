"""One more recipient of a prepared document, beside the bare ciphers and beside what others offer.

The floor of each sealing does nothing but what nobody can leave out: derive the keys, cipher the same bytes, write the file.
Contenders run in turn, round after round, each to a new file; ratios are of medians, to a floor by the thread's own clock, to a
peer by the wall's.
"""

import hashlib
import hmac
import os
import secrets
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pyrage
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from tests.bench import documents, peers
from watermark import layout
from watermark.mark import Mark
from watermark.prepared import build, standard
from watermark.prepared.format import Kind
from watermark.prepared.issue import issue
from watermark.profiles import VECTOR

KEY = "K7QF-M2XN-ABCD-EFGH-2345"
IDENTITY = pyrage.x25519.Identity.generate()
RECIPIENT = str(IDENTITY.to_public())
WINDOW = 1 << 19
SURNAMES, GIVEN = "赵钱孙李周吴郑王冯陈褚卫蒋沈韩杨", "一丙东丰丹丽乐乔云亚京仁今伟佳俊信健傲"
SHAPES: dict[str, tuple[Callable[[], bytes], float, int]] = {
    "200 pages, 5 MB": (lambda: documents.pages(200, text=9000, picture=21_000), 4, 25),
    "1000 pages, 3 MB": (lambda: documents.pages(1000, text=7400, picture=0), 8, 25),
    "50 pages, 100 MB": (lambda: documents.pages(50, text=9000, picture=2_000_000), 2, 7),
    "budget": (documents.budget, 5, 25),
}


def marks() -> Iterator[Mark]:
    """A different recipient and copy number for every copy."""
    for number in range(1, 1_000_000):
        name = SURNAMES[number % len(SURNAMES)] + GIVEN[number % len(GIVEN)] + GIVEN[number // 7 % len(GIVEN)]
        yield Mark.for_recipient(
            name,
            "示例建材供应商",
            f"SG01-KH·2026·SJ-0001-003_F{number:04}",
            date(2026, 11, 23),
            "采购下单",
            "L2",
        )


class Bench:
    """One document prepared both ways, and its contenders, each a function that makes one more copy."""

    def __init__(self, folder: Path, data: bytes) -> None:
        self.folder, self.marks = folder, marks()
        self.source, self.over = folder / "source.pdf", folder / "over.pdf"
        self.source.write_bytes(data)
        words = layout.words(build.SAMPLE)
        self.over.write_bytes(build._alone((595.0, 842.0), build.SAMPLE, words, VECTOR))
        self.prepared = {kind: self._prepare(data, kind) for kind in Kind}
        self.plain = self._one("plain").read_bytes()
        self.encrypted = self._one("pdf").stat().st_size
        self.plain_file = folder / "plain.pdf"
        self.plain_file.write_bytes(self.plain)
        self.kept = peers.KeptOpen(self.source, self.over)

    def _prepare(self, data: bytes, kind: Kind) -> int:
        fd = os.open(self.folder / f"prepared-{kind.name}", os.O_RDWR | os.O_CREAT | os.O_TRUNC)
        build.prepare(data, VECTOR, kind).write(fd)
        return fd

    def close(self) -> None:
        """Close what was prepared."""
        for fd in self.prepared.values():
            os.close(fd)

    def _one(self, kind: Any, key: str = KEY) -> Path:
        out = self.folder / f"copy.{kind}"
        fd = _new(out)
        try:
            issue(
                self.prepared[Kind.R6 if kind == "pdf" else Kind.PLAIN], next(self.marks), key, fd, kind=kind
            )
        finally:
            os.close(fd)
        return out

    def ours(self, kind: str) -> Callable[[], object]:
        """One more copy under a sealing."""
        return lambda: self._one(kind, RECIPIENT if kind == "age" else KEY)

    def floor_pdf(self) -> None:
        """Key derivation, AES-CBC of as many bytes, and the write."""
        keys = standard.new_keys(KEY)
        cbc = Cipher(algorithms.AES(keys.file_key), modes.CBC(secrets.token_bytes(16))).encryptor()
        _floor(self.folder / "floor.pdf", self.encrypted, cbc.update_into, lambda piece: None)

    def floor_zip(self) -> None:
        """Key derivation, AES-CTR of as many bytes, HMAC-SHA1, and the write."""
        keys = hashlib.pbkdf2_hmac("sha1", KEY.encode(), secrets.token_bytes(16), 1000, 66)
        ctr = Cipher(algorithms.AES(keys[:32]), modes.CTR(bytes(16))).encryptor()
        mac = hmac.new(keys[32:64], digestmod=hashlib.sha1)
        _floor(self.folder / "floor.zip", len(self.plain), ctr.update_into, mac.update)
        mac.digest()

    def peer_age(self) -> None:
        """pyrage's function for files."""
        recipient = pyrage.x25519.Recipient.from_str(RECIPIENT)
        pyrage.encrypt_file(str(self.plain_file), str(self.folder / "peer.age"), [recipient])

    def peer_zip(self) -> None:
        """The same end with pyzipper: the mark by pikepdf, the document kept open, then a stored entry of AES-256."""
        copied = self.folder / "peer-plain.pdf"
        self.kept.pdf.save(copied, compress_streams=False)
        peers.pyzipper(copied.read_bytes(), KEY, self.folder / "peer.zip")

    def peers(self) -> dict[str, Callable[[], object]]:
        """Every installed peer whose output opens with the key."""
        found: dict[str, Any] = dict(peers.installed())
        found["pikepdf kept open"] = self.kept
        out = self.folder / "peer.pdf"
        return {
            name: (lambda peer=peer: peer(self.source, self.over, KEY, out))
            for name, peer in found.items()
            if peers.works(peer, self.source, self.over, out)
        }


def _new(path: Path) -> int:
    path.unlink(missing_ok=True)
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)


def _floor(path: Path, size: int, cipher: Callable[..., int], also: Callable[[memoryview], None]) -> None:
    fd, whole = _new(path), memoryview(bytearray(WINDOW + 16))
    for start in range(0, size, WINDOW):
        count = min(WINDOW, size - start)
        cipher(whole[:count], whole[: count + 15])
        also(whole[:count])
        os.write(fd, whole[:count])
    os.close(fd)


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _busy(work: Callable[[], object]) -> float:
    """Seconds of this thread alone, the kernel's for it included: what else runs on the machine does not count."""
    started = time.thread_time()
    work()
    return time.thread_time() - started


def medians(
    contenders: dict[str, Callable[[], object]], rounds: int, clock: Callable[[Callable[[], object]], float]
) -> dict[str, float]:
    """Seconds of each contender by a clock: the median over rounds in which all run in turn."""
    taken: dict[str, list[float]] = {name: [] for name in contenders}
    for work in contenders.values():
        work()
    for _ in range(rounds):
        for name, work in contenders.items():
            taken[name].append(clock(work))
    return {name: statistics.median(times) for name, times in taken.items()}


def _row(name: str, ratio: float, goal: float, *, least: bool = False) -> dict[str, Any]:
    sign = ">=" if least else "<="
    met = ratio >= goal if least else ratio <= goal
    return {"name": name, "ratio": round(ratio, 2), "goal": f"{sign} {goal:g}", "met": met}


def of_document(name: str) -> Iterator[dict[str, Any]]:
    """The rows of one document: every sealing beside its floor and its best peer."""
    make, faster, rounds = SHAPES[name]
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder), make())
        contenders: dict[str, Callable[[], object]] = {
            "pdf": bench.ours("pdf"),
            "floor pdf": bench.floor_pdf,
            "zip": bench.ours("zip"),
            "floor zip": bench.floor_zip,
            "age": bench.ours("age"),
            "pyrage": bench.peer_age,
        }
        quick = medians(contenders, rounds, _busy)
        slow = medians(
            {"pdf": bench.ours("pdf"), "zip": bench.ours("zip"), "pyzipper": bench.peer_zip, **bench.peers()},
            3,
            _seconds,
        )
        bench.close()
    best = min((name for name in slow if name not in ("pdf", "zip", "pyzipper")), key=lambda each: slow[each])
    yield _row(f"{name}: R6 copy ÷ key derivation + AES-CBC + write", quick["pdf"] / quick["floor pdf"], 1.3)
    yield _row(f"{name}: best peer ({best}) ÷ R6 copy", slow[best] / slow["pdf"], faster, least=True)
    yield _row(
        f"{name}: AE-2 ZIP ÷ key derivation + AES-CTR + HMAC-SHA1 + write",
        quick["zip"] / quick["floor zip"],
        1.3,
    )
    yield _row(
        f"{name}: pikepdf kept open + pyzipper ÷ AE-2 ZIP", slow["pyzipper"] / slow["zip"], 5, least=True
    )
    yield _row(f"{name}: age ÷ pyrage's file function", quick["age"] / quick["pyrage"], 1.0)


def linear() -> Iterator[dict[str, Any]]:
    """Cost of a further byte on 10, 100 and 1000 MB against the one between 1 and 10 MB; threads; memory of 1 GiB."""
    with tempfile.TemporaryDirectory() as folder:
        taken, sizes = [], []
        for megabytes in (1, 10, 100, 1000):
            data = documents.pages(max(megabytes // 4, 1), text=2000, picture=min(megabytes, 4) * 1_000_000)
            fd = os.open(Path(folder) / "prepared", os.O_RDWR | os.O_CREAT | os.O_TRUNC)
            build.prepare(data, VECTOR, Kind.R6, checked=megabytes < 1000).write(fd)
            sizes.append(len(data))
            taken.append(statistics.median(_times(fd, Path(folder))))
            if megabytes == 100:
                yield _threads(fd, Path(folder))
            if megabytes == 1000:
                yield _row("1 GB: peak memory above an idle interpreter, MiB", _memory(fd, Path(folder)), 24)
            os.close(fd)
        steps = [(taken[i + 1] - taken[i]) / (sizes[i + 1] - sizes[i]) for i in range(3)]
        yield _row("cost of a byte, 10 to 100 MB ÷ 1 to 10 MB", steps[1] / steps[0], 1.5)
        yield _row("cost of a byte, 100 to 1000 MB ÷ 10 to 100 MB", steps[2] / steps[1], 1.5)


def _times(fd: int, folder: Path) -> list[float]:
    return [_busy(lambda: _issued(fd, folder)) for _ in range(5)]


def _issued(fd: int, folder: Path, name: str = "copy.pdf") -> None:
    out = _new(folder / name)
    try:
        issue(fd, build.SAMPLE, KEY, out, kind="pdf")
    finally:
        os.close(out)


def _threads(fd: int, folder: Path) -> dict[str, Any]:
    """Copies a second with two threads against one; the two take turns so that a busy machine is busy for both."""
    ratios = []
    for _ in range(5):
        alone = _seconds(lambda: [_issued(fd, folder, "one") for _ in range(4)])
        both = [
            threading.Thread(target=lambda n=n: [_issued(fd, folder, n) for _ in range(2)])
            for n in ("a", "b")
        ]
        started = time.perf_counter()
        for thread in both:
            thread.start()
        for thread in both:
            thread.join()
        ratios.append(alone / (time.perf_counter() - started))
    return _row(
        "100 MB: two threads ÷ one thread, copies a second", statistics.median(ratios), 1.5, least=True
    )


_CHILD = """
import os, sys
def peak():
    return int(open("/proc/self/status").read().split("VmHWM:")[1].split()[0]) / 1024
before = peak()
from watermark.prepared.issue import issue
from watermark.mark import Mark
mark = Mark(("示例建材供应商 联系人s1", "SG01-KH·2026·SJ-0001-003_F0001 2026-11-23"), "SG01-KH·2026·SJ-0001-003_F0001")
out = os.open(sys.argv[2], os.O_RDWR | os.O_CREAT | os.O_TRUNC)
issue(int(sys.argv[1]), mark, "key", out, kind="pdf")
print(peak() - before)
"""


def _memory(fd: int, folder: Path) -> float:
    """MiB that a fresh interpreter needs beyond itself, the product's modules and fonts included, to issue one copy."""
    done = subprocess.run(
        [sys.executable, "-c", _CHILD, str(fd), folder / "copy"],
        pass_fds=[fd],
        check=True,
        capture_output=True,
    )
    return float(done.stdout)


def rows() -> Iterator[dict[str, Any]]:
    """Everything this file measures."""
    for name in SHAPES:
        yield from of_document(name)
    yield from linear()
