"""System calls by name and number, for the filters of the sandbox.

Numbers from asm/unistd_64.h (x86_64) and asm-generic/unistd.h (aarch64); a dash stands where a machine has no such call.
"""

from dataclasses import dataclass

MACHINES = ("x86_64", "aarch64")


@dataclass(frozen=True, slots=True)
class Call:
    """One system call and its number on each of MACHINES, None where it does not exist."""

    name: str
    numbers: tuple[int | None, int | None]

    def on(self, machine: str) -> int | None:
        """Its number on a machine; ValueError for one without a table."""
        return self.numbers[MACHINES.index(machine)]


def _table(text: str) -> tuple[Call, ...]:
    calls = []
    for word in text.split():
        name, *numbers = word.split(":")
        first, second = (None if number == "-" else int(number) for number in numbers)
        calls.append(Call(name, (first, second)))
    return tuple(calls)


# What computing on open descriptors needs: no call here opens, makes or starts anything.
COMPUTING = _table(
    """
    read:0:63 write:1:64 close:3:57 fstat:5:80 poll:7:- ppoll:271:73 lseek:8:62 mmap:9:222 mprotect:10:226
    munmap:11:215 brk:12:214 rt_sigaction:13:134 rt_sigprocmask:14:135 rt_sigreturn:15:139 pread64:17:67
    pwrite64:18:68 readv:19:65 writev:20:66 sched_yield:24:124 mremap:25:216 madvise:28:233 dup:32:23
    nanosleep:35:101 getpid:39:172 exit:60:93 fcntl:72:25 fsync:74:82 ftruncate:77:46 gettimeofday:96:169
    getrusage:98:165 sysinfo:99:179 getuid:102:174 getgid:104:176 geteuid:107:175 getegid:108:177
    getppid:110:173 sigaltstack:131:132 gettid:186:178 futex:202:98 sched_getaffinity:204:123
    restart_syscall:219:128 clock_gettime:228:113 clock_getres:229:114 clock_nanosleep:230:115
    exit_group:231:94 set_robust_list:273:99 getrandom:318:278 membarrier:324:283 rseq:334:293
    """
)
# What reading files and running threads needs besides; Landlock says which files.
FILES = _table(
    """
    open:2:- openat:257:56 stat:4:- lstat:6:- newfstatat:262:79 statx:332:291 access:21:- faccessat:269:48
    faccessat2:439:439 readlink:89:- readlinkat:267:78 getdents:78:- getdents64:217:61 getcwd:79:17
    uname:63:160 set_tid_address:218:96 prlimit64:302:261 getrlimit:97:163 fadvise64:221:223 statfs:137:43
    fstatfs:138:44 prctl:157:167 sched_setaffinity:203:122 sched_getparam:143:121
    sched_getscheduler:145:120 sched_get_priority_max:146:125 sched_get_priority_min:147:126
    eventfd2:290:19 epoll_create1:291:20 epoll_ctl:233:21 epoll_wait:232:- epoll_pwait:281:22 pipe:22:-
    pipe2:293:59 dup2:33:- dup3:292:24 ioctl:16:29
    """
)
# What a program of its own needs besides: LibreOffice listens on a socket in its folder and never connects.
PROGRAM = _table(
    """
    execve:59:221 arch_prctl:158:- mkdir:83:- mkdirat:258:34 rmdir:84:- unlink:87:- unlinkat:263:35
    rename:82:- renameat:264:38 renameat2:316:276 chmod:90:- fchmod:91:52 fchmodat:268:53 chown:92:-
    fchown:93:55 lchown:94:- fchownat:260:54 umask:95:166 symlink:88:- symlinkat:266:36 link:86:-
    linkat:265:37 utimensat:280:88 utime:132:- utimes:235:- futimesat:261:- flock:73:32 fallocate:285:47
    fdatasync:75:83 copy_file_range:326:285 sendfile:40:71 preadv:295:69 pwritev:296:70 select:23:-
    pselect6:270:72 times:100:153 getpgrp:111:- getpgid:121:155 getsid:124:156 setpgid:109:154
    getresuid:118:148 getresgid:120:150 getgroups:115:158 capget:125:90 timer_create:222:107
    timer_settime:223:110 timer_delete:226:111 timer_gettime:224:108 timerfd_create:283:85
    timerfd_settime:286:86 sched_setscheduler:144:119 mlock:149:228 munlock:150:229 msync:26:227
    mincore:27:232 getpriority:140:141 setpriority:141:140 getitimer:36:102 setitimer:38:103 wait4:61:260
    waitid:247:95 chdir:80:49 fchdir:81:50 getxattr:191:8 lgetxattr:192:9 listxattr:194:11
    fgetxattr:193:10 memfd_create:319:279 inotify_init1:294:26 inotify_add_watch:254:27
    inotify_rm_watch:255:28 time:201:- creat:85:- alarm:37:- tgkill:234:131 getcpu:309:168
    getsockname:51:204 getsockopt:55:209 setsockopt:54:208 bind:49:200 listen:50:201 accept:43:202
    accept4:288:242 shutdown:48:210 rt_sigtimedwait:128:137 rt_sigsuspend:130:133 rt_sigpending:127:136
    """
)
# Calls that no parser makes by mistake: the process ends at once.
KILLED = _table(
    """
    ptrace:101:117 bpf:321:280 io_uring_setup:425:425 io_uring_enter:426:426 io_uring_register:427:427
    userfaultfd:323:282 mount:165:40 umount2:166:39 unshare:272:97 setns:308:268 keyctl:250:219
    add_key:248:217 request_key:249:218 process_vm_readv:310:270 process_vm_writev:311:271
    kexec_load:246:104 init_module:175:105 finit_module:313:273 perf_event_open:298:241
    open_by_handle_at:304:- pivot_root:155:41
    """
)
# Calls judged by an argument: threads but no processes, sockets of the local family only, no asking whether a folder can be
# written to.
ACCESS, FACCESSAT = Call("access", (21, None)), Call("faccessat", (269, 48))
CLONE, CLONE3, SOCKET = Call("clone", (56, 220)), Call("clone3", (435, 435)), Call("socket", (41, 198))
