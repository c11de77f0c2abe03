"""The walls of the child process. Every layer must stand, or the job is refused.

Resource limits, no new privileges, Landlock, no root, and a system-call filter; each would stop a parser that was taken over from
reaching files, network or other processes, so that none of them alone has to be without a hole.
"""

import ctypes
import os
import platform
import resource
import signal
import struct
from dataclasses import dataclass
from typing import Literal

from watermark import landlock, syscalls
from watermark.errors import Refusal

_PR_SET_PDEATHSIG, _PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS, _PR_SET_DUMPABLE = 1, 22, 38, 4
_SECCOMP_MODE_FILTER = 2
NOBODY = 65534
_LIBC = ctypes.CDLL(None, use_errno=True)
_AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_X32_BIT = 0x40000000
_EPERM, _ENOSYS = 1, 38
_ALLOW, _KILL, _ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
_CLONE_THREAD, _AF_UNIX = 0x00010000, 1
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _GIVE = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER, _ARCH, _ARGUMENTS = 0, 4, 16  # Offsets into struct seccomp_data; each argument has 8 bytes.
_W_OK = 2
LAYERS = ("resource limits", "no new privileges", "Landlock", "no root", "system-call filter")


@dataclass(frozen=True, slots=True)
class Limits:
    """Budgets of one job: bytes of address space, of output, and seconds of processor time; open files."""

    memory: int
    output: int
    cpu_s: int
    files: int = 32


@dataclass(frozen=True, slots=True)
class Walls:
    """How far a job may reach: `calls` picks the filter, the paths are what Landlock leaves open.

    `computing` opens nothing at all, `files` reads what is below `read`, `program` may become one of `execute`.
    """

    calls: Literal["computing", "files", "program"] = "computing"
    read: tuple[str, ...] = ()
    write: tuple[str, ...] = ()
    execute: tuple[str, ...] = ()


COMPUTING = Walls()


def _prctl(option: int, *values: int) -> None:
    padded = [ctypes.c_ulong(value) for value in (*values, 0, 0, 0, 0)[:4]]
    if _LIBC.prctl(option, *padded) != 0:
        raise Refusal("SANDBOX", f"prctl {option} failed with errno {ctypes.get_errno()}")


def die_with_parent(parent: int) -> None:
    """Ask to be killed when the parent ends; ends at once when it already has."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(70)


def limit(limits: Limits) -> None:
    """Set the resource limits, soft and hard alike."""
    for which, value in (
        (resource.RLIMIT_AS, limits.memory),
        (resource.RLIMIT_FSIZE, limits.output),
        (resource.RLIMIT_CPU, limits.cpu_s),
        (resource.RLIMIT_NOFILE, limits.files),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(which, (value, value))


def no_new_privileges() -> None:
    """No program started from here on gains rights by its file's mode."""
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)


def drop_root() -> None:
    """Become nobody when started as root; an ordinary user stays who they are."""
    if os.geteuid() == 0:
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)


def _instruction(code: int, yes: int, no: int, value: int) -> bytes:
    return struct.pack("HBBI", code, yes, no, value)


def _gives(call: syscalls.Call, machine: str, what: int) -> list[bytes]:
    number = call.on(machine)
    if number is None:
        return []
    return [_instruction(_EQUAL, 0, 1, number), _instruction(_GIVE, 0, 0, what)]


def _never(call: syscalls.Call, machine: str, bit: int, argument: int) -> list[bytes]:
    """EPERM when an argument has the bit, else on with the list."""
    number = call.on(machine)
    if number is None:
        return []
    return [
        _instruction(_EQUAL, 0, 4, number),
        _instruction(_LOAD, 0, 0, _ARGUMENTS + 8 * argument),
        _instruction(_ANY_BIT, 0, 1, bit),
        _instruction(_GIVE, 0, 0, _ERRNO | _EPERM),
        _instruction(_LOAD, 0, 0, _NUMBER),
    ]


def _judged(call: syscalls.Call, machine: str, test: int, value: int, argument: int = 0) -> list[bytes]:
    """Allowed when the low half of an argument passes the test, else EPERM."""
    number = call.on(machine)
    if number is None:
        return []
    return [
        _instruction(_EQUAL, 0, 4, number),
        _instruction(_LOAD, 0, 0, _ARGUMENTS + 8 * argument),
        _instruction(test, 0, 1, value),
        _instruction(_GIVE, 0, 0, _ALLOW),
        _instruction(_GIVE, 0, 0, _ERRNO | _EPERM),
    ]


def program(machine: str, calls: str = "computing") -> bytes:
    """The classic BPF filter for a machine and a reach; unknown machines raise Refusal SANDBOX.

    A foreign architecture, the x32 numbering and the calls of KILLED end the process; a call outside the list fails with EPERM.
    """
    if machine not in _AUDIT_ARCH:
        raise Refusal("SANDBOX", "no system-call list for this machine")
    code = [
        _instruction(_LOAD, 0, 0, _ARCH),
        _instruction(_EQUAL, 1, 0, _AUDIT_ARCH[machine]),
        _instruction(_GIVE, 0, 0, _KILL),
        _instruction(_LOAD, 0, 0, _NUMBER),
        _instruction(_AT_LEAST, 0, 1, _X32_BIT),
        _instruction(_GIVE, 0, 0, _KILL),
    ]
    allowed = {
        "computing": syscalls.COMPUTING,
        "files": syscalls.COMPUTING + syscalls.FILES,
        "program": syscalls.COMPUTING + syscalls.FILES + syscalls.PROGRAM,
    }[calls]
    if calls == "program":
        # Asked whether /tmp can be written to, it hears no, and LibreOffice puts its socket into the job's folder.
        code += _never(syscalls.ACCESS, machine, _W_OK, 1) + _never(syscalls.FACCESSAT, machine, _W_OK, 2)
    for call in allowed:
        code += _gives(call, machine, _ALLOW)
    for call in syscalls.KILLED:
        code += _gives(call, machine, _KILL)
    if calls != "computing":
        code += _gives(
            syscalls.CLONE3, machine, _ERRNO | _ENOSYS
        )  # Its flags lie in memory; the C library goes on to clone.
        code += _judged(syscalls.CLONE, machine, _ANY_BIT, _CLONE_THREAD)
    if calls == "program":
        code += _judged(syscalls.SOCKET, machine, _EQUAL, _AF_UNIX)
    return b"".join([*code, _instruction(_GIVE, 0, 0, _ERRNO | _EPERM)])


class _Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_void_p)]


def filter_calls(calls: str = "computing") -> None:
    """Load the filter; it cannot be taken off again."""
    code = program(platform.machine(), calls)
    buffer = ctypes.create_string_buffer(code, len(code))
    loaded = _Program(len(code) // 8, ctypes.addressof(buffer))
    if _LIBC.prctl(
        _PR_SET_SECCOMP,
        ctypes.c_ulong(_SECCOMP_MODE_FILTER),
        ctypes.byref(loaded),
        ctypes.c_ulong(0),
        ctypes.c_ulong(0),
    ):
        raise Refusal("SANDBOX", f"the system-call filter was not taken, errno {ctypes.get_errno()}")


def enter(parent: int, limits: Limits, walls: Walls = COMPUTING) -> None:
    """Raise every wall, in the order in which each still permits the next. Any failure raises Refusal SANDBOX.

    Call it after everything to be imported is imported: afterwards only what `walls` names can be opened.
    """
    try:
        os.chdir(walls.write[0] if walls.write else "/")
        os.umask(0o077)
        os.environ.clear()
        limit(limits)
        no_new_privileges()
        landlock.restrict(read=walls.read, write=walls.write, execute=walls.execute)
        drop_root()
        die_with_parent(parent)  # Changing the user clears the request made at start.
        _prctl(_PR_SET_DUMPABLE, 0)
        filter_calls(walls.calls)
    except (OSError, ValueError) as error:
        raise Refusal(
            "SANDBOX", f"a wall of the sandbox could not be raised: {type(error).__name__}"
        ) from error
