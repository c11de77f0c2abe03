"""ZIP archives whose entries are AES-256 by AE-2 (WinZip AE specification), or plain; stored, streamed, sizes known before.

Documents and pictures are compressed already, so nothing is deflated: a keystream, a XOR and a MAC are all the work there is.
"""

import hashlib
import hmac
import secrets
import struct
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from watermark.errors import BadEntry

_LOCAL, _CENTRAL, _END = struct.Struct("<4s5H3I2H"), struct.Struct("<4s6H3I5H2I"), struct.Struct("<4s4H2IH")
_EXTRA = struct.pack("<2HH2sBH", 0x9901, 7, 2, b"AE", 3, 0)  # AE-2, AES-256, stored.
_DESCRIPTOR = struct.Struct("<4s3I")
_SALT, _CHECK, _MAC = 16, 2, 10
_ROUNDS = 1000  # Fixed by the specification: the passphrase must carry the strength.
_DATE = 0x21  # 1980-01-01: ZIP knows no year before it, and one fixed time says nothing about the work.
_LARGEST = 0xFFFF_FFFF - 64
PIECE = 1 << 19


@dataclass(frozen=True, slots=True)
class Member:
    """One file of an archive: ASCII name, size in bytes, bytes, which are read once, and who guards its ciphertext."""

    name: str
    size: int
    chunks: Iterable[bytes | memoryview]
    guard: "Callable[[Sealer], Guard] | None" = None


class Keystream:
    """AES-256 in counter mode with a little-endian counter that starts at 1, for pieces of a file of `size` bytes."""

    def __init__(self, key: bytes, size: int) -> None:
        import numpy  # Only here: an encrypted PDF or an age file is made without it, in half the memory.

        self._numpy = numpy
        self._update = Cipher(algorithms.AES(key), modes.ECB()).encryptor().update_into  # noqa: S305  # See the class.
        blocks = -(-min(size, PIECE) // 16)
        self._counters = numpy.zeros((blocks, 2), "<u8")
        self._first = numpy.arange(1, blocks + 1, dtype="<u8")
        self._stream = numpy.empty((blocks + 1) * 16, "u1")

    def applied(self, data: bytes | memoryview, offset: int) -> memoryview:
        """At most PIECE bytes that begin at `offset`, a multiple of 16, under the keystream; good until the next call."""
        blocks = -(-len(data) // 16)
        self._numpy.add(self._first[:blocks], offset // 16, out=self._counters[:blocks, 0])
        stream = self._stream
        self._update(self._counters[:blocks].data.cast("B"), stream.data[: blocks * 16 + 15])
        used = stream[: len(data)]
        self._numpy.bitwise_xor(used, self._numpy.frombuffer(data, "u1"), out=used)
        return used.data


class Sealer:
    """The keys of one entry: salt, check value, cipher and MAC, all from the passphrase and a fresh salt."""

    def __init__(self, passphrase: str, size: int) -> None:
        self.salt = secrets.token_bytes(_SALT)
        keys = hashlib.pbkdf2_hmac("sha1", passphrase.encode("ascii"), self.salt, _ROUNDS, 64 + _CHECK)
        self.check = keys[64:]
        self._stream = Keystream(keys[:32], size)
        self._mac = hmac.new(keys[32:64], digestmod=hashlib.sha1)

    def sealed(self, chunks: Iterable[bytes | memoryview]) -> Iterator[memoryview]:
        """The ciphertext in pieces that are good until the next is asked for."""
        offset = 0
        for piece in cut(chunks, PIECE):
            out = self._stream.applied(piece, offset)
            self._mac.update(out)
            offset += len(piece)
            yield out

    def opened(self, ciphertext: bytes | memoryview, offset: int) -> bytes:
        """A part of the ciphertext that begins at `offset` in clear again."""
        skipped = offset % 16
        padded = bytes(skipped) + bytes(ciphertext)
        out = bytearray()
        for start in range(0, len(padded), PIECE):
            out += self._stream.applied(padded[start : start + PIECE], offset - skipped + start)
        return bytes(out[skipped:])

    def mac(self) -> bytes:
        """The authentication code of everything sealed."""
        return self._mac.digest()[:_MAC]


def cut(chunks: Iterable[bytes | memoryview], size: int) -> Iterator[bytes | memoryview]:
    """The same bytes in pieces of exactly `size`, the last one shorter; pieces that fit already pass as they are."""
    rest = bytearray()
    for chunk in chunks:
        view = memoryview(chunk)
        if rest:
            taken = min(size - len(rest), len(view))
            rest += view[:taken]
            view = view[taken:]
            if len(rest) == size:
                yield bytes(rest)
                rest.clear()
        while len(view) >= size:
            yield view[:size]
            view = view[size:]
        rest += view
    if rest:
        yield bytes(rest)


def head(name: str, size: int, sealer: Sealer | None) -> bytes:
    """An entry's local header, with salt and check value where it is sealed."""
    written = name.encode("ascii")
    if sealer is None:
        return _LOCAL.pack(b"PK\x03\x04", 20, 8, 0, 0, _DATE, 0, 0, 0, len(written), 0) + written
    packed = size + _SALT + _CHECK + _MAC
    local = _LOCAL.pack(
        b"PK\x03\x04", 51, 1, 99, 0, _DATE, 0, packed, size, len(written), len(_EXTRA)
    )  # A CRC of 0: AE-2 has a MAC instead.
    return local + written + _EXTRA + sealer.salt + sealer.check


@dataclass(frozen=True, slots=True)
class Guard:
    """Looks at an entry's ciphertext as it passes, and is asked before the entry is closed; it raises to stop the copy."""

    see: Callable[[int, memoryview], None]
    done: Callable[[], None]


def archive(
    members: Sequence[Member],
    passphrase: str | None,
) -> Iterator[bytes | memoryview]:
    """A whole archive; entries are sealed when a passphrase is given. Pieces are good until the next is asked for.

    Archives or entries of 4 GiB and more raise BadEntry before the first byte; an entry of another size than it said, at its end.
    """
    if sum(member.size + 512 for member in members) > _LARGEST or len(members) > 0xFFFF:
        raise BadEntry("a bundle is smaller than 4 GiB")
    return _archive(members, passphrase)


def _archive(members: Sequence[Member], passphrase: str | None) -> Iterator[bytes | memoryview]:
    offset, listed = 0, []
    for member in members:
        start = offset
        sealer = Sealer(passphrase, member.size) if passphrase is not None else None
        crc, begun = 0, head(member.name, member.size, sealer)
        yield begun
        pieces = sealer.sealed(member.chunks) if sealer else cut(member.chunks, PIECE)
        guard = member.guard(sealer) if sealer and member.guard else None
        count = 0
        for piece in pieces:
            crc = 0 if sealer else zlib.crc32(piece, crc)
            if guard is not None:
                guard.see(count, memoryview(piece))
            count += len(piece)
            yield piece
        if guard is not None:
            guard.done()
        if count != member.size:
            raise BadEntry("a file of a bundle is not as long as it was said to be")
        closing = sealer.mac() if sealer else _DESCRIPTOR.pack(b"PK\x07\x08", crc, count, count)
        yield closing
        offset += len(begun) + count + len(closing)
        listed.append(_listed(member, start, crc, sealed=sealer is not None))
    directory = b"".join(listed)
    yield directory + _END.pack(b"PK\x05\x06", 0, 0, len(listed), len(listed), len(directory), offset, 0)


def _listed(member: Member, start: int, crc: int, *, sealed: bool) -> bytes:
    """An entry of the central directory; mode 0600."""
    name = member.name.encode("ascii")
    extra = _EXTRA if sealed else b""
    packed = member.size + (_SALT + _CHECK + _MAC if sealed else 0)
    made = _CENTRAL.pack(
        b"PK\x01\x02", 0x0300 | 51, 51 if sealed else 20, 1 if sealed else 8, 99 if sealed else 0, 0, _DATE,
        crc, packed, member.size, len(name), len(extra), 0, 0, 0, 0o100600 << 16, start,
    )  # fmt: skip
    return made + name + extra
