"""The walls of the child process. Every layer must stand, or the job is refused.

Own session, death with the parent, resource limits, no new privileges, no root, and a system-call filter that knows only what
computing in memory needs: no file can be opened, no socket made, no program or process started.
"""

import ctypes
import os
import platform
import resource
import signal
import struct
from dataclasses import dataclass

from watermark.errors import Refusal

_PR_SET_PDEATHSIG, _PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS, _PR_SET_DUMPABLE = 1, 22, 38, 4
_SECCOMP_MODE_FILTER = 2
_NOBODY = 65534
_LIBC = ctypes.CDLL(None, use_errno=True)

# Numbers from asm/unistd_64.h (x86_64) and asm-generic/unistd.h (aarch64), in the same order of names.
# read write close fstat poll|ppoll lseek mmap mprotect munmap brk rt_sigaction rt_sigprocmask rt_sigreturn pread64 pwrite64
# readv writev sched_yield mremap madvise dup nanosleep getpid exit fcntl fsync ftruncate gettimeofday getrusage sysinfo
# getuid getgid geteuid getegid getppid sigaltstack gettid futex sched_getaffinity restart_syscall clock_gettime
# clock_getres clock_nanosleep exit_group set_robust_list getrandom membarrier rseq
_NUMBERS = {
    "x86_64": (
        0, 1, 3, 5, 7, 8, 9, 10, 11, 12, 13, 14, 15, 17, 18, 19, 20, 24, 25, 28, 32, 35, 39, 60, 72, 74, 77, 96, 98, 99,
        102, 104, 107, 108, 110, 131, 186, 202, 204, 219, 228, 229, 230, 231, 273, 318, 324, 334,
    ),
    "aarch64": (
        63, 64, 57, 80, 73, 62, 222, 226, 215, 214, 134, 135, 139, 67, 68, 65, 66, 124, 216, 233, 23, 101, 172, 93, 25, 82, 46,
        169, 165, 179, 174, 176, 175, 177, 173, 132, 178, 98, 123, 128, 113, 114, 115, 94, 99, 278, 283, 293,
    ),
}  # fmt: skip
_AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_X32_BIT = 0x40000000
_EPERM = 1
_ALLOW, _KILL, _ERRNO = 0x7FFF0000, 0x80000000, 0x00050000


@dataclass(frozen=True, slots=True)
class Limits:
    """Budgets of one job: bytes of address space, of output, and seconds of processor time."""

    memory: int
    output: int
    cpu_s: int


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
        (resource.RLIMIT_NOFILE, 32),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(which, (value, value))


def _drop_root() -> None:
    if os.geteuid() == 0:
        os.setgroups([])
        os.setresgid(_NOBODY, _NOBODY, _NOBODY)
        os.setresuid(_NOBODY, _NOBODY, _NOBODY)


def _instruction(code: int, yes: int, no: int, value: int) -> bytes:
    return struct.pack("HBBI", code, yes, no, value)


def program(machine: str) -> bytes:
    """The classic BPF filter for a machine; unknown machines raise Refusal SANDBOX.

    A foreign architecture or the x32 numbering is killed; a call outside the list fails with EPERM.
    """
    if machine not in _NUMBERS:
        raise Refusal("SANDBOX", "no system-call list for this machine")
    numbers = _NUMBERS[machine]
    load, equal, at_least, give = 0x20, 0x15, 0x35, 0x06
    code = [
        _instruction(load, 0, 0, 4),
        _instruction(equal, 1, 0, _AUDIT_ARCH[machine]),
        _instruction(give, 0, 0, _KILL),
    ]
    code += [
        _instruction(load, 0, 0, 0),
        _instruction(at_least, 0, 1, _X32_BIT),
        _instruction(give, 0, 0, _KILL),
    ]
    for index, number in enumerate(numbers):
        code.append(_instruction(equal, len(numbers) - index, 0, number))
    code += [_instruction(give, 0, 0, _ERRNO | _EPERM), _instruction(give, 0, 0, _ALLOW)]
    return b"".join(code)


class _Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_void_p)]


def _filter_calls() -> None:
    code = program(platform.machine())
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


def enter(parent: int, limits: Limits) -> None:
    """Raise every wall, in the order in which each still permits the next. Any failure raises Refusal SANDBOX.

    Call it after everything to be imported is imported: afterwards no file can be opened.
    """
    try:
        os.chdir("/")
        os.umask(0o077)
        os.environ.clear()
        limit(limits)
        _drop_root()
        die_with_parent(parent)  # Changing the user clears the request made at start.
        _prctl(_PR_SET_DUMPABLE, 0)
        _prctl(_PR_SET_NO_NEW_PRIVS, 1)
        _filter_calls()
    except (OSError, ValueError) as error:
        raise Refusal(
            "SANDBOX", f"a wall of the sandbox could not be raised: {type(error).__name__}"
        ) from error
