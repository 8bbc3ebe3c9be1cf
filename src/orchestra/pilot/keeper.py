"""The keeper: the parent of the jobs on a node, which outlives the agents that decide.

One file, standard library only, run by path and importing nothing of Orchestra, so that an upgrade under it
changes nothing: `python -I keeper.py --folder FOLDER --id ID`. It returns as soon as a detached keeper listens;
what goes wrong before that is one sentence on stderr and exit status 1. A folder serves one keeper, once:

    socket      where its agent connects
    spool       what it runs and the outcomes that nobody has acknowledged (see `Spool`); locked while it lives
    keeper.log  its own few words, at most 1 MiB

The keeper starts processes, waits for them, ends them, and writes down how they ended. It never opens a file on
the volume: it is handed open descriptors, and `argv[0]` should be an absolute path on a local disk (a shell, which
then changes into the job's folder), because a start lasts until the program is loaded. It ignores TERM, INT, HUP
and QUIT. Being a child subreaper it becomes the parent of whatever a job leaves behind, so an attempt is over when
its leader has ended and no child of the keeper is left that belongs to it: by token in the environment, by session,
process group or cgroup, by a working directory or output in the attempt's folder, or because it was seen below the
leader when the attempt was ended. What a leader leaves behind is sent TERM, then KILL after the
attempt's grace. What hid all these marks and has lost its parents is killed when no job is left.

Protocol 1
==========
A Unix stream socket; each message is a JSON object in one line of ASCII, at most 16 MiB. Times are in seconds; `pid`
counts only with `start_time` (clock ticks after boot, /proc/PID/stat) and the boot id. Every field is required,
unknown ones are ignored; what cannot be understood closes the connection (`error` says why) and changes nothing else.
Only root and the keeper's own account may connect. A message that was not answered may or may not have happened: the
next `hello` tells.

The agent says
  {"type":"hello", "protocol":1, "agent":NAME}
        The first message, in a protocol that both speak; the keeper's own is in its spool. This connection decides from
        now on; one that did so before is told `superseded` and closed, and what it had sent and was not yet read never
        happens. Answered by `hello`. May be repeated.
  {"type":"environment", "env":{...}}
        What the environments of this connection's spawns from now on are told as changes of; at first it is empty.
  {"type":"spawn", "attempt":"3/17/2", "token":T, "argv":[...], "env":{...}, "timeout":S|null, "grace":S,
   "memory":BYTES|null, "note":X, "after":T|null, "folder":PATH}
        Start argv[0] in a new session with exactly this environment (null takes a variable out), plus
        ORCHESTRA_TOKEN=T; stdin is /dev/null, stdout and stderr the descriptor that comes with it (SCM_RIGHTS; the n-th
        spawn takes the n-th descriptor, which may arrive early but not late). Answered by `started` or `refused`, or,
        for a token that the keeper knows, by the `started` or `ended` that it knows: a repeated spawn starts nothing.
        `attempt` and `token` are up to 64 of A-Z a-z 0-9 _ . : / -; `note` is the agent's own (JSON of up to 3000
        bytes), given back in `running` and `ended`. After `timeout` seconds (of the machine's waking time) the attempt
        is ended. `memory` is what its processes may use together: by a cgroup of its own where one can be made, else
        they are looked at once a second and killed. With `after` it is answered, and started, once nothing is left of
        that attempt; at once where the keeper knows no such attempt that runs or waits in this way. Each can be
        followed by one. What waits is in no `hello` and never happens once this connection has ended or has said hello
        again. `folder` is the attempt's own, with every symbolic link resolved, since the kernel names the places of
        processes so; left out, it is ORCHESTRA_OUT of the environment.
  {"type":"end", "token":T, "grace":S, "reason":TEXT}
        TERM to every process of the attempt now, KILL to what is left after `grace` (0: at once). May be repeated,
        and then only shortens the grace. What waits for another attempt is withdrawn. Does nothing to other tokens.
        50 letters of TEXT are kept.
  {"type":"withdraw", "token":T}
        What waits for another attempt is `refused`, and what waits for it takes its place. Does nothing to others.
  {"type":"deadline", "boottime":S, "on_lost":"kill"|"keep"}
        The lease, by CLOCK_BOOTTIME; replaces the one before, and holds without an agent. Once it has passed nothing
        is started, and with `kill` everything that runs then is ended (cause `lease`, each with its own grace).
  {"type":"ack", "sequences":[N, ...]}
        These outcomes are safe elsewhere: they leave the spool. May be repeated.
  {"type":"heir", "argv":[...]|null, "env":{...}, "lock":PATH, "after":S}
        Who is to be started when there are jobs or unacknowledged outcomes and there has been no agent for `after`
        seconds: argv[0] in a new session, with exactly this environment, which the keeper holds in its memory alone.
        Not while somebody holds a lock (flock) on PATH, as agents do: one that lives and waits for the database, say.
        From time to time again, twice as long after each time. Replaces the one before; null: nobody is.
  {"type":"stop"}
        Start nothing more and exit once there are neither jobs nor unacknowledged outcomes.

The keeper says
  {"type":"hello", "protocol":1, "keeper":ID, "boot_id":ID, "pid":N, "version":TEXT, "running":[...], "outcomes":[...]}
        `running` holds the `started` and `outcomes` the `ended` message of all that is known at this moment.
  {"type":"started", "attempt":A, "token":T, "pid":N, "start_time":N, "boottime":S, "cgroup":PATH|null,
   "note":X}
        It runs since `boottime` (CLOCK_BOOTTIME), in a cgroup of its own where there is a limit of its memory.
  {"type":"refused", "attempt":A, "token":T, "reason":R, "errno":N|null, "message":TEXT}
        Nothing was started and the token is forgotten: the same spawn may be tried again. R is `spawn` (errno and
        message say what the system said), `spool` (no room to write its outcome down), `lease`, `stopping`, `invalid`,
        `withdrawn`.
  {"type":"ended", "sequence":N, "attempt":A, "token":T, "cause":C, "reason":TEXT|null, "exit_status":N|null,
   "signal":N|null, "seconds":S, "cpu_seconds":S, "max_rss_bytes":N, "boottime":S, "note":X}
        No process of it is left. C is `exit`, `signal` (not the keeper's), `memory` (it has failed, and used more than
        its limit, or the kernel killed it when the machine had none left), or, where the keeper had to end it,
        `timeout`, `lease` or `ended` (with the reason that the agent gave); status or signal, and `seconds` from
        start to end, are the leader's. CPU time and memory are those of the leader, of the processes it waited for,
        and of those it left to the keeper; memory is never below the keeper's own (a trait of Linux), and with
        `memory` it is the most that all used together. It is in
        the spool before it is sent, is sent in every `hello` until it is acknowledged, and `sequence` grows by one
        with each.
  {"type":"superseded"}   Another agent has taken over; the connection is closed.
  {"type":"error", "message":TEXT}   What came could not be understood; the connection is closed.

With no agent, no jobs and no outcomes for `--linger` seconds the keeper exits.
"""

from __future__ import annotations

import argparse
import array
import ctypes
import fcntl
import json
import math
import os
import platform
import re
import resource
import selectors
import signal
import socket
import struct
import sys
import time
import traceback
import zlib
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any

PROTOCOL = 1
OLDEST_PROTOCOL = 1  # that is still spoken: at least the one before, on both sides
TOKEN_VARIABLE = "ORCHESTRA_TOKEN"  # noqa: S105 (the name of it)
FOLDER_VARIABLE = "ORCHESTRA_OUT"
SLOT_BYTES = 4096
NOTE_BYTES = 3000
REASON_LETTERS = 50
LINE_BYTES = 16 << 20
LOG_BYTES = 1 << 20
MAX_DESCRIPTORS = 253  # with one message: SCM_MAX_FD of Linux
MAX_CONNECTIONS = 32
MISUNDERSTOOD = (
    ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError,
)  # fmt: skip
NAME = re.compile(r"[A-Za-z0-9_.:/-]{1,64}")
IGNORED_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)
RESTORED_SIGNALS = signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}
SET_CHILD_SUBREAPER = 36  # linux/prctl.h
SECOND_LOOK = 0.02
KILL_AGAIN = 0.5
POLL = 10.0
KILLED = (
    signal.SIGKILL,
    128 + signal.SIGKILL << 8,
)  # wait statuses: of the leader; of what a shell waited for
LOOK_AT_MEMORY = 1.0
COUNT_OOM_KILLS = 5.0
OLD_CGROUP = 60.0
CGROUP_NAME = "orchestra-"  # and the token
CGROUP_LETTERS = 400  # `started` names it, and has to fit into its slot
HEIR_AT_MOST = 300.0
CLONE_PARENT = 0x8000  # linux/sched.h
CLONE = {"x86_64": 56, "aarch64": 220, "ppc64le": 120, "riscv64": 220}  # its number, by machine

Message = dict[str, Any]


class ProtocolError(Exception):
    """What an agent sent cannot be understood."""


class Refusal(Exception):
    """A job was not started: the `reason`, `message` and `errno` of `refused`."""


def _no_nan(name: str) -> float:
    """Infinity is a moment that never comes; NaN is none, and would hide all others from min()."""
    if name == "NaN":
        raise ValueError("NaN is no number")
    return float(name)


encode = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode
decode = json.JSONDecoder(parse_constant=_no_nan).decode


def boottime() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def log(text: str) -> None:
    """Add a line to keeper.log, which is stderr here, as long as it is small."""
    try:
        if os.fstat(2).st_size < LOG_BYTES:
            os.write(2, f"{time.strftime('%F %T')} {text}\n".encode())
    except OSError:
        pass  # a full disk must not end the parent of the jobs


# The spool


def seal(record: Message) -> bytes:
    body = encode(record).encode()
    return b"%08x %s\n" % (zlib.crc32(body), body)


def unseal(slot: bytes) -> Message | None:
    """The record in a slot; None where it is free or was not written whole."""
    checksum, _, body = slot.partition(b"\n")[0].partition(b" ")
    if checksum != b"%08x" % zlib.crc32(body):
        return None
    record: Message = json.loads(body)
    return record


class Spool:
    """What must outlive the keeper: a file of slots of one page each, written in place.

    A slot is taken before a job starts. It holds `started` while the job runs, then `ended`, and is free again once
    that was acknowledged, so that an outcome always has its room. The first slot says whose spool it is. Nothing is
    synced: what was written outlives any death of the keeper, and a machine that loses its power has lost the jobs as
    well. A KILL does not tear a write within one page; after a power cut the checksum tells.
    """

    growth = 32 * SLOT_BYTES

    def __init__(self, path: str) -> None:
        self.descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        fcntl.flock(self.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self.size = 0
        self.free: list[int] = []
        self.header = self.take()

    def take(self) -> int:
        """A free slot. Raises OSError where the disk has no room for one."""
        if not self.free:
            os.posix_fallocate(self.descriptor, self.size, self.growth)
            self.free.extend(range(self.size, self.size + self.growth, SLOT_BYTES)[::-1])
            self.size += self.growth
        return self.free.pop()

    def write(self, slot: int, record: Message) -> None:
        try:
            os.pwrite(self.descriptor, seal(record), slot)
        except OSError as error:
            log(f"spool: {error}: kept in memory alone: {encode(record)}")

    def release(self, slot: int) -> None:
        try:
            os.pwrite(self.descriptor, b"\0", slot)
        except OSError as error:
            log(f"spool: {error}: an acknowledged outcome may come again")
        self.free.append(slot)


# Processes


def read(path: str) -> bytes:
    """The content of a file in /proc; twice as fast as pathlib's."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return b"".join(iter(partial(os.read, descriptor, 1 << 16), b""))
    finally:
        os.close(descriptor)


def stat_fields(pid: int | str) -> list[bytes]:
    """/proc/PID/stat from the state on: state, parent, group, session, ...; the 20th is the start time."""
    text = read(f"/proc/{pid}/stat")
    return text[text.rindex(b")") + 2 :].split()


def start_time_of(child: int) -> int:
    """The start time of a child, dead or alive; 0 where the system has no descriptor left to tell it."""
    try:
        return int(stat_fields(child)[19])
    except OSError as error:
        log(f"the start time of {child} is not known: {error}")
        return 0


def family_tree() -> dict[int, list[int]]:
    """The children of every process of this machine."""
    children = defaultdict(list)
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            children[int(stat_fields(name)[1])].append(int(name))
        except OSError:
            continue  # it has ended meanwhile
    return children


PLACES = ("cwd", "fd/0", "fd/1", "fd/2")


class Mounts:
    """What paths name, through whatever mount they are seen: the device, and the path in its file system.

    It reads /proc alone and asks no file system, because that may hang. For one look: mounts come and go.
    """

    def __init__(self) -> None:
        self.spaces: dict[str, list[tuple[str, str]]] = {}

    def place(self, path: str, pid: int | str = "self") -> str:
        """The place of a path that has no symbolic links, as a process sees it."""
        for point, origin in self.of(pid):
            if path == point or path.startswith(f"{point}/"):
                return origin + path[len(point) :]
        return path

    def places_of(self, pid: int, names: Iterable[str] = PLACES) -> set[str]:
        """The working directory of a process, and the files behind its first three descriptors.

        A path of a container's process may be one of the container or, where it was opened outside, one of ours.
        """
        places = set()
        for name in names:
            try:
                path = os.readlink(f"/proc/{pid}/{name}").removesuffix(" (deleted)")  # noqa: PTH115
            except OSError:
                continue
            places |= {self.place(path), self.place(path, pid)}
        return places

    def of(self, pid: int | str) -> list[tuple[str, str]]:
        """Where a process sees what: the last mount first, which covers those before it."""
        try:
            space = os.readlink(f"/proc/{pid}/ns/mnt")  # noqa: PTH115
            if space not in self.spaces:
                lines = read(f"/proc/{pid}/mountinfo").removesuffix(b"\n").split(b"\n")
                self.spaces[space] = [mount(os.fsdecode(line)) for line in reversed(lines)]
            return self.spaces[space]
        except OSError:
            return []


def mount(line: str) -> tuple[str, str]:
    """A line of /proc/PID/mountinfo: where something is mounted, and its place."""
    device, root, point = line.split(" ", 5)[2:5]
    return unescaped(point).rstrip("/"), f"{device} {unescaped(root).rstrip('/')}"


def unescaped(path: str) -> str:
    """A path of mountinfo, which has white space and backslashes as octal numbers."""
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), path)


def own_children() -> set[int]:
    """The children of this process, with those that have ended and wait for it."""
    pid = os.getpid()
    try:
        return set(map(int, read(f"/proc/self/task/{pid}/children").split()))
    except FileNotFoundError:  # a kernel without CONFIG_PROC_CHILDREN
        return set(family_tree().get(pid, ()))


def with_descendants(roots: Iterable[int], children: dict[int, list[int]]) -> Iterator[int]:
    waiting = deque(roots)
    while waiting:
        pid = waiting.popleft()
        yield pid
        waiting.extend(children.get(pid, ()))


def send_signal(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except OSError:
        pass  # it has ended, or took another account's rights: then the attempt lasts as long as it does


def reaped() -> Iterator[tuple[int, int, resource.struct_rusage]]:
    """Every child that has ended: pid, wait status and what it used."""
    while True:
        try:
            pid, status, usage = os.wait4(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        yield pid, status, usage


@dataclass(frozen=True, slots=True)
class Spawn:
    """What an agent wants started. `argv` and `env` are checked by the start itself."""

    attempt: str
    token: str
    argv: Any
    env: dict[str, Any]
    timeout: float
    grace: float
    memory: int | None
    note: object
    after: str | None
    folder: str

    @classmethod
    def read(cls, message: Message, environment: Message) -> Spawn:
        """Raises one of MISUNDERSTOOD where it is none."""
        timeout, memory, changes = message["timeout"], message["memory"], message["env"]
        after = message["after"]
        env = {**environment, **changes}
        for name in [name for name, value in changes.items() if value is None]:
            del env[name]
        folder = message.get("folder", env.get(FOLDER_VARIABLE, ""))
        names = [message["attempt"], message["token"], folder, *([] if after is None else [after])]
        if not all(isinstance(name, str) for name in names):
            raise TypeError("attempt, token, after and folder are texts")
        return cls(
            attempt=message["attempt"],
            token=message["token"],
            argv=message["argv"],
            env=env,
            timeout=math.inf if timeout is None else float(timeout),
            grace=float(message["grace"]),
            memory=None if memory is None else int(memory),
            note=message["note"],
            after=after,
            folder=folder,
        )

    def refused(self, reason: str, message: str, errno: int | None = None) -> Message:
        return {
            "type": "refused",
            "attempt": self.attempt,
            "token": self.token,
            "reason": reason,
            "message": message,
            "errno": errno,
        }


@dataclass(slots=True, eq=False)
class Job:
    """An attempt of which a process is alive. `due` and `kill_at` are by the monotonic clock."""

    attempt: str
    token: str
    note: object
    grace: float
    slot: int
    pid: int
    began: float
    began_boottime: float
    start_time: int = 0
    due: float = math.inf
    kill_at: float = math.inf
    cause: str | None = None
    reason: str | None = None
    status: int | None = None
    seconds: float = 0.0
    boottime: float = 0.0
    cpu_seconds: float = 0.0
    max_rss_bytes: int = 0
    folder: str = ""
    family: set[int] = field(default_factory=set)
    memory: int | None = None
    cgroup: Cgroup | None = None
    peak_bytes: int = 0

    def close(self, status: int) -> None:
        self.status = status
        self.seconds = monotonic() - self.began
        self.boottime = boottime()
        self.cause = self.cause or ("signal" if os.WIFSIGNALED(status) else "exit")

    def owns(self, pid: int, mounts: Mounts) -> bool:
        """Whether a process is in the attempt's cgroup, or one of its places is in the attempt's folder."""
        if self.cgroup and pid in self.cgroup.processes():
            return True
        if not self.folder:
            return False
        folder = mounts.place(self.folder)
        return any(f"{place}/".startswith(f"{folder}/") for place in mounts.places_of(pid))

    def charge(self, usage: resource.struct_rusage) -> None:
        self.cpu_seconds += usage.ru_utime + usage.ru_stime
        self.max_rss_bytes = max(self.max_rss_bytes, usage.ru_maxrss * 1024)

    def started(self) -> Message:
        return {
            "type": "started",
            "attempt": self.attempt,
            "token": self.token,
            "pid": self.pid,
            "start_time": self.start_time,
            "boottime": self.began_boottime,
            "cgroup": self.cgroup.path if self.cgroup else None,
            "note": self.note,
        }

    def ended(self, sequence: int) -> Message:
        assert self.status is not None
        code = os.waitstatus_to_exitcode(self.status)
        return {
            "type": "ended",
            "sequence": sequence,
            "attempt": self.attempt,
            "token": self.token,
            "cause": self.cause,
            "reason": self.reason,
            "exit_status": code if code >= 0 else None,
            "signal": -code if code < 0 else None,
            "seconds": round(self.seconds, 6),
            "cpu_seconds": round(self.cpu_seconds, 6),
            "max_rss_bytes": max(self.max_rss_bytes, self.peak_bytes),
            "boottime": self.boottime,
            "note": self.note,
        }


# Memory


@dataclass(frozen=True, slots=True)
class Cgroup:
    """A folder of the memory controller, of version 1 or 2, for one attempt."""

    path: str
    version: int

    def holds(self, pid: int) -> bool:
        name = os.path.basename(self.path)  # noqa: PTH119 (the keeper's paths are text)
        try:
            return name.encode() in read(f"/proc/{pid}/cgroup")
        except OSError:
            return True  # it has ended: nothing is to be watched

    def oom_kills(self) -> int:
        """How many of its processes the kernel killed because of the limit."""
        counts = self._read("memory.oom_control" if self.version == 1 else "memory.events")
        found = re.search(rb"^oom_kill (\d+)$", counts, re.MULTILINE)
        return int(found[1]) if found else 0

    def peak(self) -> int:
        peak = self._read("memory.max_usage_in_bytes" if self.version == 1 else "memory.peak")
        return int(peak or 0)

    def processes(self) -> list[int]:
        return [int(pid) for pid in self._read("cgroup.procs").split()]

    def remove(self) -> bool:
        """False while processes are in it."""
        try:
            os.rmdir(self.path)  # noqa: PTH106
        except FileNotFoundError:
            return True
        except OSError:
            return False
        return True

    def _read(self, name: str) -> bytes:
        try:
            return read(f"{self.path}/{name}")
        except OSError:
            return b""


class MemoryHome:
    """The folder of the memory controller where this process may make cgroups; None where there is none.

    Version 1: the process's own cgroup. Version 2: the one above it, since a cgroup with processes may have no
    children with controllers.
    """

    def __init__(
        self, mounts: str = "/proc/self/mountinfo", own: str = "/proc/self/cgroup"
    ) -> None:
        self.path: str | None = None
        self.version = 0
        try:
            self._find(read(mounts).decode(), read(own).decode())
        except (OSError, ValueError) as error:
            log(f"no cgroups: {error}")

    def _find(self, mounts: str, own: str) -> None:
        paths = {line.split(":")[1]: line.split(":", 2)[2] for line in own.splitlines()}
        for line in mounts.splitlines():
            before, _, after = line.partition(" - ")
            root, place = before.split()[3:5]
            kind, _, options = after.split()[:3]
            if kind == "cgroup" and "memory" in options.split(",") and "memory" in paths:
                self._try(place + below(paths["memory"], root), 1)
            elif kind == "cgroup2" and paths.get("", "/") != "/":
                parent = os.path.dirname(place + below(paths[""], root))  # noqa: PTH120
                if b"memory" in read(f"{parent}/cgroup.subtree_control").split():
                    self._try(parent, 2)

    def _try(self, path: str, version: int) -> None:
        if (
            not self.path
            and os.access(path, os.W_OK)
            and os.access(f"{path}/cgroup.procs", os.W_OK)
        ):
            self.path, self.version = path, version

    def make(self, token: str, limit: int) -> Cgroup | None:
        """A cgroup with a limit; None where none can be made."""
        if not self.path or "/" in token or len(self.path) > CGROUP_LETTERS:
            return None
        made = Cgroup(f"{self.path}/{CGROUP_NAME}{token}", self.version)
        try:
            os.mkdir(made.path)  # noqa: PTH102
            for name, value, needed in limits(limit, self.version):
                write_word(f"{made.path}/{name}", value, needed=needed)
        except OSError as error:
            log(f"no cgroup: {error}")
            made.remove()
            self.path = None  # the others' tree is looked at as well
            return None
        return made

    def sweep(self) -> None:
        """Remove what dead keepers have left. One with processes stays."""
        for entry in os.scandir(self.path) if self.path else ():
            old = time.time() - entry.stat().st_ctime > OLD_CGROUP
            if entry.name.startswith(CGROUP_NAME) and old:
                Cgroup(entry.path, self.version).remove()


def below(path: str, root: str) -> str:
    """A path of the hierarchy as seen in a mount of the part below `root`."""
    return path.removeprefix(root).rstrip("/") if root != "/" else path.rstrip("/")


def limits(limit: int, version: int) -> list[tuple[str, str, bool]]:
    """The files to write: name, value, whether there is no limit without it. Swap is no way out."""
    if version == 1:
        return [
            ("memory.limit_in_bytes", str(limit), True),
            ("memory.memsw.limit_in_bytes", str(limit), False),
        ]
    return [
        ("memory.max", str(limit), True),
        ("memory.swap.max", "0", False),
        ("memory.oom.group", "1", False),
    ]


def write_word(path: str, value: str, *, needed: bool) -> None:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(descriptor, value.encode())
        finally:
            os.close(descriptor)
    except OSError:
        if needed:
            raise


def memory_of(pids: Iterable[int], enough: int) -> int:
    """What processes use together: resident pages; where that is more than enough, shared ones are split."""
    pids = list(pids)
    resident = sum(resident_bytes(pid) for pid in pids)
    return resident if resident <= enough else sum(map(proportional_bytes, pids))


def resident_bytes(pid: int) -> int:
    try:
        return int(read(f"/proc/{pid}/statm").split()[1]) * resource.getpagesize()
    except (OSError, LookupError):
        return 0


def proportional_bytes(pid: int) -> int:
    try:
        found = re.search(rb"^Pss: +(\d+) kB", read(f"/proc/{pid}/smaps_rollup"), re.MULTILINE)
    except OSError:
        found = None
    return int(found[1]) * 1024 if found else resident_bytes(pid)


class OomKills:
    """The kernel's count of processes that it killed for want of memory, on the whole machine.

    Less those in the cgroups of attempts: each of these has its own count, and says nothing of others. They are told by
    the kernel's log; where that may not be read, they count.
    """

    def __init__(self, counts: str = "/proc/vmstat", kernel_log: str = "/dev/kmsg") -> None:
        self.counts = counts
        self.log: int | None = None
        self.in_attempt = False
        self.of_attempts = 0
        try:
            self.log = os.open(kernel_log, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            os.lseek(self.log, 0, os.SEEK_END)
        except OSError as error:
            log(f"{kernel_log}: {error.strerror}")
        self.counted_at = 0.0
        self.count = self.before = self.now()
        self.look()

    def look(self) -> None:
        """Count, unless that was done just now."""
        if monotonic() - self.counted_at >= COUNT_OOM_KILLS:
            self.counted_at, self.before, self.count = monotonic(), self.count, self.now()

    def rose(self) -> bool:
        """Whether it grew within the last seconds: a container's end is known some time after its process's."""
        return self.now() > self.before

    def now(self) -> int:
        try:
            found = re.search(rb"^oom_kill (\d+)$", read(self.counts), re.MULTILINE)
        except OSError:
            found = None
        self.read_log()  # after that: the kernel writes first and then counts
        return (int(found[1]) if found else 0) - self.of_attempts

    def read_log(self) -> None:
        """Count what the kernel has said since the last time of kills in cgroups of attempts."""
        while self.log is not None:
            try:
                said = os.read(self.log, 1 << 16)
            except BrokenPipeError:
                continue  # it has said more than it keeps
            except OSError:
                return
            if not said:
                return
            for line in said.split(b"\n"):
                if b"oom-kill:" in line:
                    self.in_attempt = b"/" + CGROUP_NAME.encode() in line
                elif b"Memory cgroup out of memory: Killed process" in line:
                    self.of_attempts += self.in_attempt


# The agent's connection


class Connection:
    """An agent's end of the socket: lines and descriptors in, lines out. Nothing here ever blocks."""

    def __init__(self, peer: socket.socket) -> None:
        peer.setblocking(False)
        self.socket = peer
        self.partial = bytearray()
        self.environment: Message = {}
        self.descriptors: deque[int] = deque()
        self.outgoing = bytearray()
        self.closed = False

    def receive(self) -> list[Message]:
        """The messages that have arrived whole. Raises EOFError, OSError or ProtocolError where no more can come."""
        try:
            data, ancillary, flags, _ = self.socket.recvmsg(
                1 << 16, socket.CMSG_SPACE(4 * MAX_DESCRIPTORS), socket.MSG_CMSG_CLOEXEC
            )
        except BlockingIOError:
            return []
        for _, kind, payload in ancillary:
            if kind == socket.SCM_RIGHTS:
                self.descriptors.extend(array.array("i", payload[: len(payload) & ~3]))
        if flags & socket.MSG_CTRUNC:
            raise ProtocolError("descriptors were lost on the way")
        if len(self.descriptors) > 2 * MAX_DESCRIPTORS:
            raise ProtocolError("descriptors came without their spawns")
        if not data:
            raise EOFError
        return [self.parse(line) for line in self.lines(data)]

    def lines(self, data: bytes) -> list[bytes]:
        self.partial += data
        lines: list[bytes] = []
        if b"\n" in data:
            *whole, rest = self.partial.split(b"\n")
            lines, self.partial = [bytes(line) for line in whole], rest
        if len(self.partial) > LINE_BYTES:
            raise ProtocolError(f"a line is longer than {LINE_BYTES} bytes")
        return lines

    def parse(self, line: bytes) -> Message:
        try:
            message = decode(line.decode())
        except (ValueError, RecursionError) as error:
            raise ProtocolError(f"a line is not JSON: {error}") from None
        if not isinstance(message, dict):
            raise ProtocolError("a line is not an object")
        return message

    def take_descriptor(self) -> int:
        if not self.descriptors:
            raise ProtocolError("a spawn came without its descriptor")
        return self.descriptors.popleft()

    def send(self, message: Message) -> None:
        self.outgoing += encode(message).encode() + b"\n"

    def flush(self) -> None:
        """Send what the agent has room for."""
        try:
            while self.outgoing:
                del self.outgoing[: self.socket.send(self.outgoing)]
        except BlockingIOError:
            pass
        except OSError:
            self.outgoing.clear()  # it has gone, and reading will say so

    def close(self) -> None:
        self.closed = True
        self.flush()
        self.socket.close()
        while self.descriptors:
            os.close(self.descriptors.popleft())


def may_connect(peer: socket.socket) -> bool:
    _, uid, _ = struct.unpack("3i", peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    return uid in (0, os.geteuid())


# The jobs


class Jobs:
    """The attempts of which a process is alive, and the outcomes that nobody has acknowledged.

    `announce` is called with each outcome, which then is in the spool. `due` and `look_again` are when `attend` has
    something to do, by the monotonic clock; `due` may be too early.
    """

    def __init__(self, spool: Spool, announce: Callable[[Message], None]) -> None:
        self.spool, self.announce = spool, announce
        self.alive: dict[str, Job] = {}  # by token
        self.leaders: dict[int, Job] = {}  # by pid
        self.orphans: dict[int, Job] = {}  # what jobs have left to the keeper, by pid
        self.strays: dict[int, float] = {}  # the same of unknown jobs: when each was first seen
        self.outcomes: dict[int, tuple[Message, int]] = {}  # with the slot, by sequence
        self.sequences: dict[str, int] = {}  # by token
        self.sequence = 0
        self.due = self.look_again = self.look_at_memory = math.inf
        self.memory_home = MemoryHome()
        self.memory_home.sweep()
        self.oom_kills = OomKills()
        self.empty_cgroups: list[Cgroup] = []

    def known(self, token: str) -> Message | None:
        """What was last said about an attempt: `started`, `ended`, or nothing."""
        if token in self.alive:
            return self.alive[token].started()
        if token in self.sequences:
            return self.outcomes[self.sequences[token]][0]
        return None

    def start(self, spawn: Spawn, output: int) -> Job:
        """Start a process, and remember it here and in the spool. Raises Refusal."""
        slot = self.reserve()
        cgroup = None
        if spawn.memory is not None:
            cgroup = self.memory_home.make(spawn.token, spawn.memory)
        try:
            began, began_boottime = monotonic(), boottime()
            pid = launch(spawn, output, cgroup)
        except Refusal:
            self.spool.release(slot)
            if cgroup:
                cgroup.remove()
            raise
        job = Job(
            spawn.attempt, spawn.token, spawn.note, spawn.grace, slot, pid, began, began_boottime
        )
        job.memory, job.cgroup = spawn.memory, cgroup
        job.folder = spawn.folder
        if spawn.memory is not None:
            self.look_at_memory = min(self.look_at_memory, began + LOOK_AT_MEMORY)
        self.alive[job.token] = self.leaders[pid] = job
        job.start_time = start_time_of(pid)
        self.set_due(job, began + spawn.timeout)
        self.spool.write(slot, job.started())
        return job

    def reserve(self) -> int:
        try:
            return self.spool.take()
        except OSError as error:
            text = f"no room to write the outcome down: {error.strerror}"
            raise Refusal("spool", text, error.errno) from None

    def set_due(self, job: Job, moment: float) -> None:
        job.due = moment
        self.due = min(self.due, moment)

    def acknowledge(self, sequence: int) -> None:
        outcome, slot = self.outcomes.pop(sequence, (None, 0))
        if outcome:
            del self.sequences[outcome["token"]]
            self.spool.release(slot)

    # Waiting

    def collect(self) -> None:
        """Take the exit status of every child that has ended."""
        for pid, status, usage in reaped():
            job = self.leaders.pop(pid, None)
            if job:
                job.close(status)
            else:
                job = self.orphans.pop(pid, None)
            if job:
                job.charge(usage)
        self.settle()

    def settle(self) -> None:
        """Finish the attempts of which nothing is left, and end what other leaders left behind."""
        self.look_again = monotonic() + SECOND_LOOK  # also where something below goes wrong
        over = [job for job in self.alive.values() if job.status is not None]
        if self.find_orphans() and over:
            return
        unfinished = set(self.orphans.values())
        for job in over:
            if job not in unfinished:
                self.finish(job)
            elif job.kill_at == math.inf:
                self.end(job, job.grace)
        if not self.alive:
            self.kill_strays()
        self.look_again = math.inf

    def find_orphans(self) -> bool:
        """Learn whose processes were left to the keeper; True where it takes a second look to know.

        In the middle of an exec a process shows no environment for a moment.
        """
        now = monotonic()
        strays = {}
        for pid in own_children() - self.leaders.keys() - self.orphans.keys():
            owner = self.owner(pid)
            if owner:
                self.orphans[pid] = owner
                if owner.kill_at <= now:
                    send_signal(pid, signal.SIGKILL)  # before it can fork and be gone once more
            else:
                strays[pid] = self.strays.get(pid, now)
        self.strays = strays
        return any(now - seen < SECOND_LOOK for seen in strays.values())

    def owner(self, pid: int) -> Job | None:
        """The job that a process belongs to: by its token, session, process group or cgroup, else by where it works."""
        try:
            environment = set(read(f"/proc/{pid}/environ").split(b"\0"))
            groups = {int(field) for field in stat_fields(pid)[2:4]}
        except OSError:
            return None
        for job in self.alive.values():
            mark = f"{TOKEN_VARIABLE}={job.token}".encode()
            if job.pid in groups or mark in environment:
                return job
        mounts = Mounts()
        owners = (job for job in self.alive.values() if job.owns(pid, mounts))
        # What was seen below a leader counts last: a number of a process comes back some day.
        seen_below = (job for job in self.alive.values() if pid in job.family)
        return next(owners, None) or next(seen_below, None)

    def kill_strays(self) -> None:
        """End what hid where it came from, now that every job that it can have come from is over."""
        for pid in self.strays:
            log(f"process {pid} was left behind by an unknown job")
            send_signal(pid, signal.SIGKILL)

    def finish(self, job: Job) -> None:
        """Write the outcome down, then tell."""
        self.sequence += 1
        self.judge_memory(job)
        outcome = job.ended(self.sequence)
        self.spool.write(job.slot, outcome)
        self.outcomes[self.sequence] = outcome, job.slot
        self.sequences[job.token] = self.sequence
        del self.alive[job.token]
        self.announce(outcome)

    # Memory

    def judge_memory(self, job: Job) -> None:
        """Say so where it is for want of memory that an attempt has failed."""
        if job.cgroup:
            if job.cgroup.oom_kills() and job.status and job.cause in ("exit", "signal"):
                job.cause = "memory"
            if job.cause == "memory":
                job.peak_bytes = job.cgroup.peak()
            self.empty_cgroups.append(job.cgroup)
            self.remove_cgroups()
        elif job.cause in ("exit", "signal") and job.status in KILLED and self.oom_kills.rose():
            job.cause = "memory"

    def remove_cgroups(self) -> None:
        self.empty_cgroups = [cgroup for cgroup in self.empty_cgroups if not cgroup.remove()]

    def watch_memory(self, now: float) -> None:
        """Kill what uses more than its limit and has no cgroup that sees to it."""
        limited = [job for job in self.alive.values() if job.memory is not None]
        self.look_at_memory = now + LOOK_AT_MEMORY if limited else math.inf
        self.remove_cgroups()
        for job in limited:
            if job.cgroup and job.status is None and not job.cgroup.holds(job.pid):
                self.empty_cgroups.append(job.cgroup)
                job.cgroup = None
        for job in limited:
            # Version 1 kills one process and leaves the others; most jobs would wait for it for ever.
            if job.cgroup and job.kill_at == math.inf and job.cgroup.oom_kills():
                self.end(job, 0.0, "memory")
        watched = [job for job in limited if not job.cgroup and job.kill_at == math.inf]
        children = family_tree() if watched else {}
        for job in watched:
            used = memory_of(with_descendants(self.roots(job), children), job.memory or 0)
            job.peak_bytes = max(job.peak_bytes, used)
            if job.memory is not None and used > job.memory:
                self.end(job, 0.0, "memory")

    def roots(self, job: Job) -> list[int]:
        """The processes of an attempt that are the keeper's own children."""
        roots = [pid for pid, owner in self.orphans.items() if owner is job]
        return roots if job.status is not None else [*roots, job.pid]

    # Ending

    def end(self, job: Job, grace: float, cause: str | None = None, reason: str = "") -> None:
        """Have an attempt ended: TERM at the next `attend`, KILL after the grace. The first cause stays."""
        if job.cause is None:
            job.cause, job.reason = cause, reason[:REASON_LETTERS] or None
        job.kill_at = min(job.kill_at, monotonic() + grace)
        self.set_due(job, 0.0)

    def attend(self) -> None:
        """Do what is due: look at orphans again, send TERM or KILL, notice a time-out."""
        now = monotonic()
        if self.alive:
            self.oom_kills.look()
        if now >= self.look_again:
            self.settle()
        if now >= self.look_at_memory:
            self.watch_memory(now)
        if now >= self.due:
            self.press([job for job in self.alive.values() if job.due <= now], now)
            self.due = min((job.due for job in self.alive.values()), default=math.inf)

    def press(self, jobs: list[Job], now: float) -> None:
        if not jobs:
            return
        self.find_orphans()
        children = family_tree()
        for job in jobs:
            if job.kill_at == math.inf:
                self.end(job, job.grace, "timeout")
            self.signal_all(job, children, now)

    def signal_all(self, job: Job, children: dict[int, list[int]], now: float) -> None:
        killing = job.kill_at <= now
        roots = self.roots(job)
        if job.cgroup:
            roots += job.cgroup.processes()
        for pid in with_descendants(roots, children):
            job.family.add(pid)  # what loses its parents to this signal is told by it
            send_signal(pid, signal.SIGKILL if killing else signal.SIGTERM)
            send_signal(pid, signal.SIGCONT)  # a stopped process cannot heed a TERM
        # Again and again: a process can fork between the look and the KILL.
        job.due = now + KILL_AGAIN if killing else job.kill_at


ENTER = 'echo $$ 2> /dev/null > "$0"; exec "$@"'


def launch(spawn: Spawn, output: int, cgroup: Cgroup | None = None) -> int:
    """The pid of a new process, the leader of its own session. Raises Refusal."""
    argv = spawn.argv
    try:
        # A shell enters the cgroup and then becomes the program: not a byte of it is counted elsewhere.
        entering = ["/bin/sh", "-c", ENTER, f"{cgroup.path}/cgroup.procs"] if cgroup else []
        return os.posix_spawn(
            (entering or argv)[0],
            [*entering, *argv],
            {**spawn.env, TOKEN_VARIABLE: spawn.token},
            file_actions=[(os.POSIX_SPAWN_DUP2, output, number) for number in (1, 2)],
            setsid=True,
            setsigmask=(),
            setsigdef=RESTORED_SIGNALS,
        )
    except OSError as error:
        raise Refusal("spawn", f"{argv[0]}: {error.strerror}", error.errno) from None
    except (LookupError, TypeError, ValueError) as error:
        raise Refusal("invalid", f"argv or env: {error}") from None


class Line:
    """What waits for other attempts to end, so that the next one in their slots begins without a word from the agent.

    `following` is by the token of the attempt that is waited for; `ahead` gives that token by one's own.
    """

    def __init__(self) -> None:
        self.following: dict[str, tuple[Spawn, int]] = {}
        self.ahead: dict[str, str] = {}

    def __contains__(self, token: str) -> bool:
        return token in self.ahead

    def add(self, spawn: Spawn, output: int, after: str) -> None:
        """Raises ValueError where another waits for that one already. The output is this line's from here on."""
        if after in self.following:
            os.close(output)
            raise ValueError(f"{after} is followed by another already")
        self.following[after] = spawn, output
        self.ahead[spawn.token] = after

    def pop(self, after: str) -> tuple[Spawn, int] | None:
        """Take what waits for an attempt. Its output is the caller's from here on."""
        found = self.following.pop(after, None)
        if found:
            del self.ahead[found[0].token]
        return found

    def withdraw(self, token: str) -> Spawn | None:
        """Take something out; what waits for it waits for the one ahead of it from then on."""
        after = self.ahead.get(token)
        found = self.pop(after) if after is not None else None
        if after is None or not found:
            return None
        os.close(found[1])
        behind = self.pop(token)
        if behind:
            self.add(*behind, after)
        return found[0]

    def clear(self) -> None:
        for _, output in self.following.values():
            os.close(output)
        self.following.clear()
        self.ahead.clear()


# The next agent


@dataclass(slots=True)
class Heir:
    """The agent to start when there is none. `due` is by the monotonic clock."""

    argv: list[str]
    env: dict[str, str]
    lock: str
    after: float
    due: float = math.inf
    pause: float = 0.0

    def wait(self) -> None:
        """Begin to wait: the agent has gone."""
        self.pause = self.after
        self.due = monotonic() + self.pause

    def start(self) -> None:
        """Start it, unless some agent lives; and be due again if that comes to nothing."""
        self.pause = min(max(self.pause, 0.1) * 2, HEIR_AT_MOST)
        self.due = monotonic() + self.pause
        if is_locked(self.lock):
            return
        log(f"no agent: starting {' '.join(self.argv)!r}")
        try:
            start_apart(self.argv, self.env)
        except (OSError, TypeError, ValueError) as error:
            log(f"no agent could be started: {error}")


def is_locked(path: str) -> bool:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False


def start_apart(argv: list[str], env: dict[str, str]) -> None:
    """Start a process that is no child of this one, so that neither it nor what it leaves behind is taken for a job's.

    It becomes a child of this process's own parent. A plain double fork would come back to us, the subreaper.
    """
    number = CLONE.get(platform.machine())
    if number is None:
        raise OSError(f"clone is not known on {platform.machine()}")
    # PyDLL keeps the interpreter's lock: the copy has this thread alone, and goes on in it.
    pid = ctypes.PyDLL(None, use_errno=True).syscall(
        ctypes.c_long(number), ctypes.c_long(CLONE_PARENT | signal.SIGCHLD), *[ctypes.c_long(0)] * 4
    )
    if pid < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    if pid == 0:
        try:
            os.setsid()
            for handled in (*IGNORED_SIGNALS, signal.SIGCHLD):
                signal.signal(handled, signal.SIG_DFL)
            os.execve(argv[0], argv, env)  # noqa: S606 (there is a shell where one is wanted)
        finally:
            os._exit(127)


# The keeper


class Keeper:
    """The loop, the lease, and the one agent that decides. `run` returns when nothing is left to keep."""

    def __init__(self, options: argparse.Namespace, spool: Spool, listener: socket.socket) -> None:
        self.options, self.listener = options, listener
        self.boot_id = read("/proc/sys/kernel/random/boot_id").decode().strip()
        self.jobs = Jobs(spool, self.on_outcome)
        self.line = Line()
        self.agent: Connection | None = None
        self.alone_since = monotonic()
        self.heir: Heir | None = None
        self.lease = math.inf  # by CLOCK_BOOTTIME
        self.reckoning = math.inf  # when jobs are ended because the lease is over
        self.stopping = False
        self.handlers = {
            "environment": self.on_environment,
            "spawn": self.on_spawn,
            "end": self.on_end,
            "withdraw": self.on_withdraw,
            "deadline": self.on_deadline,
            "ack": self.on_ack,
            "heir": self.on_heir,
            "stop": self.on_stop,
        }
        self.selector = selectors.DefaultSelector()
        self.alarm = become_parent_of_orphans()
        self.selector.register(self.alarm, selectors.EVENT_READ, self.on_children)
        self.selector.register(listener, selectors.EVENT_READ, self.on_connection)
        spool.write(spool.header, self.hello())

    def run(self) -> None:
        log(f"keeper {self.options.id}, version {self.options.version}, pid {os.getpid()}")
        while not self.may_leave():
            self.safely(self.turn)

    @staticmethod
    def safely(act: Callable[[], None]) -> None:
        """Do something, whatever goes wrong: the parent of the jobs must outlive its own faults."""
        try:
            act()
        except Exception:  # noqa: BLE001
            log(traceback.format_exc())
            time.sleep(0.1)

    def turn(self) -> None:
        for key, events in self.selector.select(self.patience()):
            self.safely(partial(key.data, events))  # no connection keeps jobs from their ends
        self.safely(self.guard_lease)
        self.safely(self.jobs.attend)
        if self.agent:
            self.flush(self.agent)
        elif self.heir and monotonic() >= self.heir_due():
            self.heir.start()

    def patience(self) -> float | None:
        """Seconds until something is due; at most POLL, since a poll's clock stands still in a suspended machine."""
        if self.agent and not self.jobs.alive:
            return None
        jobs = self.jobs
        due = min(jobs.due, jobs.look_again, jobs.look_at_memory, self.leave_at(), self.heir_due())
        due -= monotonic()
        return max(0.0, min(due, self.reckoning - boottime(), POLL))

    def leave_at(self) -> float:
        if self.agent or self.jobs.alive or self.jobs.outcomes:
            return math.inf
        return self.alone_since + float(self.options.linger)

    def heir_due(self) -> float:
        if self.agent or not self.heir or not (self.jobs.alive or self.jobs.outcomes):
            return math.inf
        return self.heir.due

    def may_leave(self) -> bool:
        empty = not self.jobs.alive and not self.jobs.outcomes
        return (self.stopping and empty) or monotonic() >= self.leave_at()

    def on_children(self, _events: int) -> None:
        os.read(self.alarm, 1 << 16)
        self.jobs.collect()

    def guard_lease(self) -> None:
        if boottime() < self.reckoning:
            return
        self.jobs.collect()
        log(f"the lease is over: ending {len(self.jobs.alive)} jobs")
        for job in self.jobs.alive.values():
            self.jobs.end(job, job.grace, "lease")
        self.reckoning = math.inf  # last: what went wrong before is tried again

    # Connections

    def on_connection(self, _events: int) -> None:
        peer, _ = self.listener.accept()
        if not may_connect(peer) or len(self.selector.get_map()) > MAX_CONNECTIONS:
            peer.close()
            return
        serve = partial(self.serve, Connection(peer))
        self.selector.register(peer, selectors.EVENT_READ, serve)

    def serve(self, connection: Connection, events: int) -> None:
        if connection.closed or not events & selectors.EVENT_READ:
            return  # where it only has room again, `turn` makes use of it
        try:
            for message in connection.receive():
                self.handle(connection, message)
        except ProtocolError as error:
            log(f"agent: {error}")
            connection.send({"type": "error", "message": str(error)})
            self.drop(connection)
        except (EOFError, OSError):
            self.drop(connection)

    def handle(self, connection: Connection, message: Message) -> None:
        kind = message.get("type", "")
        try:
            if kind == "hello":
                self.on_hello(connection, message)
            elif connection is not self.agent:
                raise ProtocolError("the first message must be a hello")
            else:
                self.handlers[kind](message)
        except MISUNDERSTOOD as error:
            raise ProtocolError(f"cannot understand {kind!r}: {error!r}") from error

    def announce(self, message: Message) -> None:
        if self.agent:
            self.agent.send(message)

    def flush(self, connection: Connection) -> None:
        """Send, and be woken when the agent has room again where it had none."""
        connection.flush()
        wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if connection.outgoing else 0)
        key = self.selector.get_key(connection.socket)
        if key.events != wanted:
            self.selector.modify(connection.socket, wanted, key.data)

    def drop(self, connection: Connection) -> None:
        self.selector.unregister(connection.socket)
        connection.close()
        if connection is self.agent:
            self.agent = None
            self.line.clear()
            self.alone_since = monotonic()
            if self.heir:
                self.heir.wait()

    # Messages

    def on_hello(self, connection: Connection, message: Message) -> None:
        if not OLDEST_PROTOCOL <= message["protocol"] <= PROTOCOL:
            raise ProtocolError(f"this keeper speaks protocol {PROTOCOL}")
        if self.agent and self.agent is not connection:
            self.agent.send({"type": "superseded"})
            self.drop(self.agent)
        self.line.clear()
        self.agent = connection
        log(f"agent {message['agent']!r} decides")
        connection.send(self.hello())

    def hello(self) -> Message:
        return {
            "type": "hello",
            "protocol": PROTOCOL,
            "keeper": self.options.id,
            "boot_id": self.boot_id,
            "pid": os.getpid(),
            "version": self.options.version,
            "running": [job.started() for job in self.jobs.alive.values()],
            "outcomes": [outcome for outcome, _ in self.jobs.outcomes.values()],
        }

    def on_environment(self, message: Message) -> None:
        assert self.agent
        self.agent.environment = dict(message["env"])

    def on_spawn(self, message: Message) -> None:
        assert self.agent
        output = self.agent.take_descriptor()
        try:
            spawn = Spawn.read(message, self.agent.environment)
        except MISUNDERSTOOD:
            os.close(output)
            raise
        known, after = self.jobs.known(spawn.token), spawn.after
        if known:
            self.announce(known)
        if known or spawn.token in self.line:
            os.close(output)
        elif after is not None and (after in self.jobs.alive or after in self.line):
            self.line.add(spawn, output, after)
        else:
            self.start(spawn, output)

    def start(self, spawn: Spawn, output: int) -> bool:
        """Start it or refuse it, and say so; True where it runs. Closes the output."""
        try:
            self.check(spawn)
            job = self.jobs.start(spawn, output)
        except Refusal as refusal:
            self.announce(spawn.refused(*refusal.args))
            return False
        finally:
            os.close(output)
        self.announce(job.started())
        return True

    def on_outcome(self, outcome: Message) -> None:
        """Tell, and start what has waited for that one; what is refused makes way for what waits for it."""
        self.announce(outcome)
        token = outcome["token"]
        while following := self.line.pop(token):
            if self.start(*following):
                break
            token = following[0].token

    def check(self, spawn: Spawn) -> None:
        if self.stopping:
            raise Refusal("stopping", "the keeper was told to stop")
        if boottime() >= self.lease:
            raise Refusal("lease", "the lease is over")
        if not (NAME.fullmatch(spawn.attempt) and NAME.fullmatch(spawn.token)):
            raise Refusal("invalid", "attempt and token are up to 64 letters, digits, _ . : / -")
        if len(encode(spawn.note)) > NOTE_BYTES:
            raise Refusal("invalid", f"the note is longer than {NOTE_BYTES} bytes")

    def on_end(self, message: Message) -> None:
        self.jobs.collect()  # what has just ended by itself has not been ended
        token, grace, reason = message["token"], float(message["grace"]), str(message["reason"])
        if job := self.jobs.alive.get(token):
            self.jobs.end(job, grace, "ended", reason)
        else:
            self.on_withdraw(message)

    def on_withdraw(self, message: Message) -> None:
        if spawn := self.line.withdraw(message["token"]):
            self.announce(spawn.refused("withdrawn", "it was taken out of the line"))

    def on_deadline(self, message: Message) -> None:
        if message["on_lost"] not in ("kill", "keep"):
            raise ValueError(message["on_lost"])
        self.lease = float(message["boottime"])
        self.reckoning = self.lease if message["on_lost"] == "kill" else math.inf

    def on_ack(self, message: Message) -> None:
        for sequence in message["sequences"]:
            self.jobs.acknowledge(sequence)

    def on_heir(self, message: Message) -> None:
        argv, env = message["argv"], message["env"]
        if argv is None:
            self.heir = None
            return
        if not all(isinstance(text, str) for text in [*argv, *env, *env.values()]):
            raise ValueError("argv or env")
        self.heir = Heir(argv, env, str(message["lock"]), float(message["after"]))

    def on_stop(self, _message: Message) -> None:
        self.stopping = True


# Starting


def become_parent_of_orphans() -> int:
    """Be a subreaper that no signal ends; gives the descriptor that wakes when a child has ended."""
    ctypes.CDLL(None).prctl(SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    for number in IGNORED_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    reading, writing = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    return reading


def listen(path: str) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(path)
    listener.listen()
    listener.setblocking(False)
    return listener


def detach() -> None:
    """Go on below init in a session of its own; that the first process ends says that the keeper listens."""
    if os.fork():
        os._exit(0)
    os.setsid()
    output = os.open("keeper.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for descriptor, number in (os.open(os.devnull, os.O_RDONLY), 0), (output, 1), (output, 2):
        os.dup2(descriptor, number)
    os.chdir("/")


def main() -> None:
    parser = argparse.ArgumentParser(description="the parent of the jobs on a node")
    parser.add_argument("--folder", required=True, help="its own, which no keeper has used")
    parser.add_argument("--id", required=True, help="what attempts are fenced by")
    parser.add_argument("--version", default="", help="of the package; told to agents")
    parser.add_argument("--linger", type=float, default=60.0, help="seconds")
    options = parser.parse_args()
    folder = Path(options.folder).absolute()
    try:
        folder.chmod(0o700)
        os.chdir(folder)
        spool, listener = Spool("spool"), listen("socket")
    except OSError as error:
        sys.exit(f"{folder}: {error.strerror or error}")
    detach()
    Keeper(options, spool, listener).run()
    (folder / "socket").unlink(missing_ok=True)
    log("nothing left to keep")


if __name__ == "__main__":
    main()
