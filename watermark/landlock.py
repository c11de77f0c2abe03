"""Landlock: which files a process may still reach, by the kernel's own word (Linux 5.13; landlock(7))."""

import ctypes
import os
import struct
from collections.abc import Iterable
from pathlib import Path

from watermark.errors import Refusal

_CREATE, _ADD, _RESTRICT = 444, 445, 446  # The same numbers on every machine.
_VERSION_FLAG, _PATH_BENEATH = 1, 1
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_REFER, _TRUNCATE, _IOCTL_DEV = 1 << 13, 1 << 14, 1 << 15
_FIRST_ABI = (1 << 13) - 1  # Every right of the first release, from EXECUTE to MAKE_SYM.
_BIND_TCP, _CONNECT_TCP = 1 << 0, 1 << 1
_ABSTRACT_SOCKETS, _SIGNALS = 1 << 0, 1 << 1
_ON_FILES = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEV
_LIBC = ctypes.CDLL(None, use_errno=True)


def _call(number: int, *values: object) -> int:
    done = int(_LIBC.syscall(ctypes.c_long(number), *values))
    if done < 0:
        raise Refusal("SANDBOX", f"Landlock call {number} failed with errno {ctypes.get_errno()}")
    return done


def version() -> int:
    """The kernel's Landlock version, at least 1; raises Refusal SANDBOX where there is none."""
    return _call(_CREATE, None, ctypes.c_size_t(0), ctypes.c_uint32(_VERSION_FLAG))


def _handled(abi: int) -> int:
    newer = ((2, _REFER), (3, _TRUNCATE), (5, _IOCTL_DEV))
    return _FIRST_ABI | sum(right for since, right in newer if abi >= since)


def _ruleset(abi: int) -> int:
    """A set of rules that forbids all files, TCP from version 4, foreign abstract sockets and signals from version 6."""
    attributes = struct.pack("Q", _handled(abi))
    if abi >= 4:
        attributes += struct.pack("Q", _BIND_TCP | _CONNECT_TCP)
    if abi >= 6:
        attributes += struct.pack("Q", _ABSTRACT_SOCKETS | _SIGNALS)
    buffer = ctypes.create_string_buffer(attributes, len(attributes))
    return _call(_CREATE, buffer, ctypes.c_size_t(len(attributes)), ctypes.c_uint32(0))


def _allow(ruleset: int, path: str, rights: int) -> None:
    fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        if not Path(path).is_dir():
            rights &= _ON_FILES
        rule = ctypes.create_string_buffer(struct.pack("=Qi", rights, fd), 12)
        _call(_ADD, ctypes.c_int(ruleset), ctypes.c_int(_PATH_BENEATH), rule, ctypes.c_uint32(0))
    finally:
        os.close(fd)


def restrict(*, read: Iterable[str] = (), write: Iterable[str] = (), execute: Iterable[str] = ()) -> None:
    """From now on this thread reaches the files below these paths and no others; what is open already stays open.

    `no_new_privs` must be set. Raises Refusal SANDBOX when the kernel cannot, OSError for a path that is not there.
    """
    abi = version()
    ruleset = _ruleset(abi)
    try:
        for path in read:
            _allow(ruleset, path, _READ_FILE | _READ_DIR)
        for path in write:
            _allow(ruleset, path, _handled(abi) & ~_EXECUTE & ~_IOCTL_DEV)
        for path in execute:
            _allow(ruleset, path, _READ_FILE | _EXECUTE)
        _call(_RESTRICT, ctypes.c_int(ruleset), ctypes.c_uint32(0))
    finally:
        os.close(ruleset)
