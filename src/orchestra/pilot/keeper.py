"""The keeper: the parent process of the jobs on a node. It outlives the agents, which make the decisions.

One file that uses the standard library only, is run by its path and imports nothing of Orchestra, so that an upgrade
of the installation does not affect it: `python -I keeper.py --folder FOLDER --id ID`. The command returns as soon as
the detached keeper listens; an error before that is one sentence on stderr and exit status 1. A folder is used by one
keeper, once:

    socket      where its agent connects
    spool       the running attempts and the unacknowledged outcomes (see `Spool`); locked while the keeper lives
    keeper.log  its own log, at most 1 MiB

The keeper starts processes, waits for them, ends them, and records how they ended. It never opens a file on the
volume: it receives open descriptors, and `argv[0]` should be an absolute path on a local disk (a shell, which then
changes into the job's folder), because starting a process blocks until the program is loaded. It ignores TERM, INT, HUP
and QUIT. As a child subreaper it becomes the parent of all processes that a job leaves behind. So an attempt is over
when its leader has ended and the keeper has no other child that belongs to the attempt: by the token in its
environment, by session, process group or cgroup, by a working directory or output in the attempt's folder, or because
it was a descendant of the leader when the attempt was ended. Processes that a leader leaves behind get TERM, and KILL
after the attempt's grace. A process that has removed all these marks and has lost its parents is killed when no job is
left.

Protocol 1
==========
A Unix stream socket; each message is a JSON object in one line of ASCII, at most 16 MiB. Times are in seconds. A `pid`
is valid only together with `start_time` (clock ticks after boot, /proc/PID/stat) and the boot id. Every field is
required, unknown fields are ignored. A message that cannot be understood closes the connection (`error` says why) and
changes nothing else. Only root and the keeper's own account may connect. A message without an answer may or may not
have taken effect: the next `hello` tells.

Messages of the agent
  {"type":"hello", "protocol":1, "agent":NAME}
        The first message, in a protocol that both sides speak; the spool states the keeper's. From now on this
        connection decides; the one that decided before gets `superseded` and is closed, and its messages that were not
        read yet are dropped. Answered by `hello`. May be repeated.
  {"type":"environment", "env":{...}}
        The base environment of the following spawns of this connection, which contain only the changes to it. It is
        empty at first.
  {"type":"spawn", "attempt":"3/17/2", "token":T, "argv":[...], "env":{...}, "timeout":S|null, "grace":S,
   "memory":BYTES|null, "note":X, "after":T|null, "folder":PATH, "nice":N}
        Start argv[0] in a new session with exactly this environment (null removes a variable), plus ORCHESTRA_TOKEN=T;
        stdin is /dev/null, stdout and stderr are the descriptor that is sent along (SCM_RIGHTS; the n-th spawn uses the
        n-th descriptor, which may arrive early but not late). Answered by `started` or `refused`, or, for a known
        token, by its `started` or `ended`: a repeated spawn starts nothing. `attempt` and `token` are up to 64 of
        A-Z a-z 0-9 _ . : / -; `note` belongs to the agent (JSON of up to 3000 bytes) and is returned in `running` and
        `ended`. After `timeout` seconds (not counting those in which the machine is suspended) the attempt is ended.
        `memory` is the limit of all its processes together: enforced by a cgroup of its own where one can be created,
        else by a check once a second. With `after`, it is started and answered once nothing is left of that attempt, or
        at once if no such attempt runs or is pending. Each attempt can be followed by one. A pending spawn is in no
        `hello`, and is dropped when this connection ends or says hello again. `folder` is the attempt's own folder,
        with all symlinks resolved, as the kernel names the paths of processes; by default it is ORCHESTRA_OUT of the
        environment. `nice`, by default 0, is added to the keeper's own niceness, up to 19.
  {"type":"end", "token":T, "grace":S, "reason":TEXT}
        TERM to every process of the attempt now, KILL to those left after `grace` (0: at once). May be repeated, and
        then can only shorten the grace. A pending spawn is withdrawn. Other tokens are ignored. The first 50 characters
        of TEXT are kept.
  {"type":"withdraw", "token":T}
        A pending spawn is `refused`, and the one that follows it takes its place. Other tokens are ignored.
  {"type":"deadline", "boottime":S, "on_lost":"kill"|"keep"}
        The lease, by CLOCK_BOOTTIME; replaces the previous one, and is valid without an agent. Once it has expired
        nothing is started, and with `kill` all running attempts are ended (cause `lease`, each with its own grace).
  {"type":"ack", "sequences":[N, ...]}
        These outcomes are stored elsewhere, and are removed from the spool. May be repeated.
  {"type":"heir", "argv":[...]|null, "env":{...}, "lock":PATH, "after":S}
        The successor: the agent to start when there are jobs or unacknowledged outcomes and there has been no agent for
        `after` seconds. It is argv[0] in a new session, with exactly this environment, which the keeper holds in memory
        only. It is not started while a process holds a lock (flock) on PATH, as agents do, for example one that waits
        for the database. The start is repeated, each time after twice as long. Replaces the previous one; null removes
        it.
  {"type":"stop"}
        Start nothing more, and exit once there are neither jobs nor unacknowledged outcomes.

Messages of the keeper
  {"type":"hello", "protocol":1, "keeper":ID, "boot_id":ID, "pid":N, "version":TEXT, "running":[...], "outcomes":[...]}
        `running` holds the `started` and `outcomes` the `ended` messages of all attempts that are known now.
  {"type":"started", "attempt":A, "token":T, "pid":N, "start_time":N, "boottime":S, "cgroup":PATH|null,
   "note":X}
        It has been running since `boottime` (CLOCK_BOOTTIME), in a cgroup of its own if that limits its memory.
  {"type":"refused", "attempt":A, "token":T, "reason":R, "errno":N|null, "message":TEXT}
        Nothing was started and the token is forgotten: the same spawn may be tried again. R is `spawn` (errno and
        message are the system's), `spool` (no room to record its outcome), `lease`, `stopping`, `invalid`, `withdrawn`.
  {"type":"ended", "sequence":N, "attempt":A, "token":T, "cause":C, "reason":TEXT|null, "exit_status":N|null,
   "signal":N|null, "seconds":S, "cpu_seconds":S, "max_rss_bytes":N, "boottime":S, "note":X}
        No process of it is left. C is `exit`, `signal` (not sent by the keeper), `memory` (it has failed, and exceeded
        its limit or was killed by the kernel for lack of memory), or, if the keeper ended it, `timeout`, `lease` or
        `ended` (with the agent's reason). Exit status, signal and `seconds` from start to end are the leader's. CPU
        time and memory are those of the leader, of the processes it waited for, and of those it left to the keeper;
        memory is never below the keeper's own (a property of Linux), and with `memory` it is the maximum of all
        together. The outcome is in the spool before it is sent, and is sent in every `hello` until it is acknowledged;
        `sequence` grows by one with each.
  {"type":"superseded"}   Another agent has taken over; the connection is closed.
  {"type":"error", "message":TEXT}   A message could not be understood; the connection is closed.

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
import threading
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
OLDEST_PROTOCOL = 1  # that is supported: at least the previous one, on both sides
TOKEN_VARIABLE = "ORCHESTRA_TOKEN"  # noqa: S105 (a name)
FOLDER_VARIABLE = "ORCHESTRA_OUT"
SLOT_BYTES = 4096
NOTE_BYTES = 3000
REASON_LENGTH = 50
LINE_BYTES = 16 << 20
LOG_BYTES = 1 << 20
MAX_DESCRIPTORS = 253  # per message: SCM_MAX_FD of Linux
MAX_CONNECTIONS = 32
MALFORMED = (
    ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError,
)  # fmt: skip
NAME = re.compile(r"[A-Za-z0-9_.:/-]{1,64}")
IGNORED_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)
RESTORED_SIGNALS = signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}
SET_CHILD_SUBREAPER = 36  # linux/prctl.h
RECHECK_AFTER = 0.02
KILL_EVERY = 0.5
POLL_AT_MOST = 10.0
# Wait statuses: of a leader that was killed, and of a shell whose child was.
KILLED_STATUSES = (signal.SIGKILL, 128 + signal.SIGKILL << 8)
CHECK_MEMORY_EVERY = 1.0
COUNT_OOM_KILLS_EVERY = 5.0
STALE_CGROUP = 60.0
SET_AUTOGROUPS_EVERY = 0.11  # seconds; the kernel allows an ordinary account one change in 0.1 s
CGROUP_PREFIX = "orchestra-"  # before the token
CGROUP_PATH_LENGTH = 400  # `started` contains the path and must fit into its slot
SUCCESSOR_PAUSE_AT_MOST = 300.0
CLONE_PARENT = 0x8000  # linux/sched.h
CLONE_NUMBERS = {"x86_64": 56, "aarch64": 220, "ppc64le": 120, "riscv64": 220}  # of the system call

Message = dict[str, Any]


class ProtocolError(Exception):
    """A message of an agent cannot be understood."""


class Refusal(Exception):
    """A job was not started; the arguments are `reason`, `message` and `errno` of `refused`."""


def _no_nan(name: str) -> float:
    """Allow infinity, for a time that never comes, but not NaN, which would make min() wrong."""
    if name == "NaN":
        raise ValueError("NaN is not allowed")
    return float(name)


encode = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode
decode = json.JSONDecoder(parse_constant=_no_nan).decode


def boottime() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def log(text: str) -> None:
    """Append a line to keeper.log, which is stderr of this process, up to its maximum size."""
    try:
        if os.fstat(2).st_size < LOG_BYTES:
            os.write(2, f"{time.strftime('%F %T')} {text}\n".encode())
    except OSError:
        pass  # a full disk must not end the keeper


# The spool


def seal(record: Message) -> bytes:
    body = encode(record).encode()
    return b"%08x %s\n" % (zlib.crc32(body), body)


def unseal(slot: bytes) -> Message | None:
    """The record in a slot; None if the slot is free or incomplete."""
    checksum, _, body = slot.partition(b"\n")[0].partition(b" ")
    if checksum != b"%08x" % zlib.crc32(body):
        return None
    record: Message = json.loads(body)
    return record


class Spool:
    """The state that must outlive the keeper: a file of slots of one page each, written in place.

    A slot is allocated before a job starts. It holds `started` while the job runs, then `ended`, and is freed once that
    is acknowledged, so that there is always room for an outcome. The first slot holds the keeper's `hello`. Nothing is
    synced: written data survives any death of the keeper, and a power failure ends the jobs as well. A KILL cannot tear
    a write within one page; after a power failure the checksum shows it.
    """

    growth = 32 * SLOT_BYTES

    def __init__(self, path: str) -> None:
        self.descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        fcntl.flock(self.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self.size = 0
        self.free: list[int] = []
        self.header = self.allocate()

    def allocate(self) -> int:
        """Return a free slot. Raises OSError if the disk is full."""
        if not self.free:
            os.posix_fallocate(self.descriptor, self.size, self.growth)
            self.free.extend(range(self.size, self.size + self.growth, SLOT_BYTES)[::-1])
            self.size += self.growth
        return self.free.pop()

    def write(self, slot: int, record: Message) -> None:
        try:
            os.pwrite(self.descriptor, seal(record), slot)
        except OSError as error:
            log(f"spool: {error}: kept in memory only: {encode(record)}")

    def release(self, slot: int) -> None:
        try:
            os.pwrite(self.descriptor, b"\0", slot)
        except OSError as error:
            log(f"spool: {error}: an acknowledged outcome may be sent again")
        self.free.append(slot)


# Processes


def read(path: str) -> bytes:
    """Return the content of a file in /proc, twice as fast as pathlib."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return b"".join(iter(partial(os.read, descriptor, 1 << 16), b""))
    finally:
        os.close(descriptor)


def stat_fields(pid: int | str) -> list[bytes]:
    """The fields of /proc/PID/stat from the third on: state, parent, group, session, ...; [19] is the start time."""
    text = read(f"/proc/{pid}/stat")
    return text[text.rindex(b")") + 2 :].split()


def start_time_of(child: int) -> int:
    """The start time of a child, dead or alive; 0 if the system is out of file descriptors."""
    try:
        return int(stat_fields(child)[19])
    except OSError as error:
        log(f"the start time of {child} is unknown: {error}")
        return 0


def process_tree() -> dict[int, list[int]]:
    """The children of every process on this machine."""
    children = defaultdict(list)
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            children[int(stat_fields(name)[1])].append(int(name))
        except OSError:
            continue  # it has ended
    return children


PROCESS_LINKS = ("cwd", "fd/0", "fd/1", "fd/2")


class Mounts:
    """Resolves paths to the device and the path in its file system, which are the same through every mount.

    Reads /proc only and accesses no other file system, because that may hang. For short use: mounts change.
    """

    def __init__(self) -> None:
        self.by_namespace: dict[str, list[tuple[str, str]]] = {}

    def locate(self, path: str, pid: int | str = "self") -> str:
        """The location of a path without symlinks, as seen by a process."""
        for point, origin in self.mounts_of(pid):
            if path == point or path.startswith(f"{point}/"):
                return origin + path[len(point) :]
        return path

    def locations_of(self, pid: int, names: Iterable[str] = PROCESS_LINKS) -> set[str]:
        """The locations of a process's working directory and of its stdin, stdout and stderr.

        Each path is resolved twice: that of a process in a container may be one of the container, or one of this
        process if it was opened outside.
        """
        locations = set()
        for name in names:
            try:
                path = os.readlink(f"/proc/{pid}/{name}").removesuffix(" (deleted)")  # noqa: PTH115
            except OSError:
                continue
            locations |= {self.locate(path), self.locate(path, pid)}
        return locations

    def mounts_of(self, pid: int | str) -> list[tuple[str, str]]:
        """The mount points and their locations as seen by a process, the last mount first: it hides earlier ones."""
        try:
            namespace = os.readlink(f"/proc/{pid}/ns/mnt")  # noqa: PTH115
            if namespace not in self.by_namespace:
                lines = read(f"/proc/{pid}/mountinfo").removesuffix(b"\n").split(b"\n")
                self.by_namespace[namespace] = [
                    parse_mount(os.fsdecode(line)) for line in reversed(lines)
                ]
            return self.by_namespace[namespace]
        except OSError:
            return []


def parse_mount(line: str) -> tuple[str, str]:
    """The mount point and the location of a line of /proc/PID/mountinfo."""
    device, root, point = line.split(" ", 5)[2:5]
    return unescape(point).rstrip("/"), f"{device} {unescape(root).rstrip('/')}"


def unescape(path: str) -> str:
    """Decode a path of mountinfo, in which white space and backslashes are octal numbers."""
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), path)


def own_children() -> set[int]:
    """The children of this process, including zombies."""
    pid = os.getpid()
    try:
        return set(map(int, read(f"/proc/self/task/{pid}/children").split()))
    except FileNotFoundError:  # the kernel has no CONFIG_PROC_CHILDREN
        return set(process_tree().get(pid, ()))


def with_descendants(roots: Iterable[int], children: dict[int, list[int]]) -> Iterator[int]:
    queue = deque(roots)
    while queue:
        pid = queue.popleft()
        yield pid
        queue.extend(children.get(pid, ()))


RELAYS, INITS = (b"starter", b"starter-suid"), (b"appinit", b"sinit")
"""Processes of Apptainer and Singularity that pass TERM on, by name: their leaders, and PID 1 of their containers."""


def spared(processes: Iterable[int], children: dict[int, list[int]]) -> set[int]:
    """Those of the processes that get no TERM, so that a command in a container gets it once.

    The container's first processes would pass it on, and others beside it serve the file system of its image. So once
    the command runs, only what is below the container's PID 1 gets the signal.
    """
    found: set[int] = set()
    for pid in processes:
        if children.get(pid) and name_of(pid) in RELAYS:
            inits = [child for child in children[pid] if name_of(child) in INITS]
            if commands := [each for init in inits for each in children.get(init, ())]:
                beside = set(with_descendants([pid], children))
                found |= beside.difference(with_descendants(commands, children))
    return found


def name_of(pid: int) -> bytes:
    try:
        return read(f"/proc/{pid}/comm").strip()
    except OSError:
        return b""


def send_signal(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except OSError:
        pass  # it has ended, or has switched to another account: then the attempt lasts until it ends


def reap() -> Iterator[tuple[int, int, resource.struct_rusage]]:
    """Yield the pid, wait status and resource usage of every child that has ended."""
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
    """A request to start an attempt. `argv` and `env` are checked when it is started."""

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
    nice: int

    @classmethod
    def parse(cls, message: Message, environment: Message) -> Spawn:
        """Raises one of MALFORMED if the message is not a valid spawn."""
        timeout, memory, changes = message["timeout"], message["memory"], message["env"]
        after = message["after"]
        env = {**environment, **changes}
        for name in [name for name, value in changes.items() if value is None]:
            del env[name]
        folder = message.get("folder", env.get(FOLDER_VARIABLE, ""))
        names = [message["attempt"], message["token"], folder, *([] if after is None else [after])]
        if not all(isinstance(name, str) for name in names):
            raise TypeError("attempt, token, after and folder must be strings")
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
            nice=int(message.get("nice", 0)),
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
    """An attempt with a living process. `due` and `kill_at` are times of the monotonic clock."""

    attempt: str
    token: str
    note: object
    grace: float
    slot: int
    pid: int
    started_at: float
    started_boottime: float
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
    descendants: set[int] = field(default_factory=set)
    memory: int | None = None
    cgroup: Cgroup | None = None
    peak_bytes: int = 0

    def record_exit(self, status: int) -> None:
        self.status = status
        self.seconds = monotonic() - self.started_at
        self.boottime = boottime()
        self.cause = self.cause or ("signal" if os.WIFSIGNALED(status) else "exit")

    def owns(self, pid: int, mounts: Mounts) -> bool:
        """Whether a process is in the attempt's cgroup, or works in the attempt's folder."""
        if self.cgroup and pid in self.cgroup.processes():
            return True
        if not self.folder:
            return False
        folder = mounts.locate(self.folder)
        return any(f"{place}/".startswith(f"{folder}/") for place in mounts.locations_of(pid))

    def add_usage(self, usage: resource.struct_rusage) -> None:
        self.cpu_seconds += usage.ru_utime + usage.ru_stime
        self.max_rss_bytes = max(self.max_rss_bytes, usage.ru_maxrss * 1024)

    def started(self) -> Message:
        return {
            "type": "started",
            "attempt": self.attempt,
            "token": self.token,
            "pid": self.pid,
            "start_time": self.start_time,
            "boottime": self.started_boottime,
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
    """The memory cgroup of one attempt, of version 1 or 2."""

    path: str
    version: int

    def holds(self, pid: int) -> bool:
        """Whether a process is in it, or was in it to its end: the kernel shows the root cgroup for a zombie."""
        name = os.path.basename(self.path)  # noqa: PTH119 (the keeper's paths are strings)
        try:
            inside = name.encode() in read(f"/proc/{pid}/cgroup")
            return inside or read(f"/proc/{pid}/stat").rpartition(b") ")[2][:1] in b"ZX"
        except OSError:
            return True

    def oom_kills(self) -> int:
        """The number of its processes that the kernel has killed because of the limit."""
        counts = self._read("memory.oom_control" if self.version == 1 else "memory.events")
        found = re.search(rb"^oom_kill (\d+)$", counts, re.MULTILINE)
        return int(found[1]) if found else 0

    def peak(self) -> int:
        peak = self._read("memory.max_usage_in_bytes" if self.version == 1 else "memory.peak")
        return int(peak or 0)

    def processes(self) -> list[int]:
        return [int(pid) for pid in self._read("cgroup.procs").split()]

    def remove(self) -> bool:
        """Remove it; False while it contains processes."""
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


class MemoryController:
    """Creates memory cgroups in `path`, the cgroup where this process may do so; None if there is none.

    Version 1: the process's own cgroup. Version 2: its parent, since a cgroup with processes cannot have children with
    controllers.
    """

    def __init__(
        self, mounts: str = "/proc/self/mountinfo", own: str = "/proc/self/cgroup"
    ) -> None:
        self.path: str | None = None
        self.version = 0
        try:
            self._find(read(mounts).decode(), read(own).decode())
        except (OSError, ValueError) as error:
            log(f"cgroups cannot be used: {error}")

    def _find(self, mounts: str, own: str) -> None:
        paths = {line.split(":")[1]: line.split(":", 2)[2] for line in own.splitlines()}
        for line in mounts.splitlines():
            before, _, after = line.partition(" - ")
            root, point = before.split()[3:5]
            kind, _, options = after.split()[:3]
            if kind == "cgroup" and "memory" in options.split(",") and "memory" in paths:
                self._choose(point + below(paths["memory"], root), 1)
            elif kind == "cgroup2" and paths.get("", "/") != "/":
                parent = os.path.dirname(point + below(paths[""], root))  # noqa: PTH120
                if b"memory" in read(f"{parent}/cgroup.subtree_control").split():
                    self._choose(parent, 2)

    def _choose(self, path: str, version: int) -> None:
        if (
            not self.path
            and os.access(path, os.W_OK)
            and os.access(f"{path}/cgroup.procs", os.W_OK)
        ):
            self.path, self.version = path, version

    def create(self, token: str, limit: int) -> Cgroup | None:
        """Create a cgroup with a limit in bytes; None if that is not possible."""
        if not self.path or "/" in token or len(self.path) > CGROUP_PATH_LENGTH:
            return None
        cgroup = Cgroup(f"{self.path}/{CGROUP_PREFIX}{token}", self.version)
        try:
            os.mkdir(cgroup.path)  # noqa: PTH102
            for name, value, needed in limit_files(limit, self.version):
                write_control_file(f"{cgroup.path}/{name}", value, needed=needed)
        except OSError as error:
            log(f"a cgroup cannot be created: {error}")
            cgroup.remove()
            self.path = None  # later attempts are checked once a second as well
            return None
        return cgroup

    def remove_stale(self) -> None:
        """Remove cgroups of dead keepers, unless they contain processes."""
        for entry in os.scandir(self.path) if self.path else ():
            old = time.time() - entry.stat().st_ctime > STALE_CGROUP
            if entry.name.startswith(CGROUP_PREFIX) and old:
                Cgroup(entry.path, self.version).remove()


def below(path: str, root: str) -> str:
    """Return a path of the hierarchy relative to `root`, the part of it that is mounted."""
    return path.removeprefix(root).rstrip("/") if root != "/" else path.rstrip("/")


def limit_files(limit: int, version: int) -> list[tuple[str, str, bool]]:
    """The files to write: name, value, whether it is required. Swap is limited as well."""
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


def write_control_file(path: str, value: str, *, needed: bool) -> None:
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
    """The memory of processes together in bytes; if it exceeds `enough`, with shared pages counted proportionally."""
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
    """The number of processes that the kernel has killed for lack of memory, on the whole machine.

    Without those in cgroups of attempts: these have their own counts and say nothing about other attempts. They are
    found in the kernel's log; if that cannot be read, they are included.
    """

    def __init__(self, counts: str = "/proc/vmstat", kernel_log: str = "/dev/kmsg") -> None:
        self.counts = counts
        self.log: int | None = None
        self.in_own_cgroup = False
        self.in_cgroups = 0
        try:
            self.log = os.open(kernel_log, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            os.lseek(self.log, 0, os.SEEK_END)
        except OSError as error:
            log(f"{kernel_log}: {error.strerror}")
        self.counted_at = 0.0
        self.count = self.previous = self.read_count()
        self.sample()

    def sample(self) -> None:
        """Read the count, unless that was done within the last seconds."""
        if monotonic() - self.counted_at >= COUNT_OOM_KILLS_EVERY:
            self.counted_at, self.previous, self.count = monotonic(), self.count, self.read_count()

    def has_risen(self) -> bool:
        """Whether it has risen within the last seconds: a container's end is noticed some time after its process's."""
        return self.read_count() > self.previous

    def read_count(self) -> int:
        try:
            found = re.search(rb"^oom_kill (\d+)$", read(self.counts), re.MULTILINE)
        except OSError:
            found = None
        self.read_log()  # second: the kernel writes to the log before it counts
        return (int(found[1]) if found else 0) - self.in_cgroups

    def read_log(self) -> None:
        """Count the new entries of the kernel's log about kills in cgroups of attempts."""
        while self.log is not None:
            try:
                entry = os.read(self.log, 1 << 16)
            except BrokenPipeError:
                continue  # entries were overwritten before they were read
            except OSError:
                return
            if not entry:
                return
            for line in entry.split(b"\n"):
                if b"oom-kill:" in line:
                    self.in_own_cgroup = b"/" + CGROUP_PREFIX.encode() in line
                elif b"Memory cgroup out of memory: Killed process" in line:
                    self.in_cgroups += self.in_own_cgroup


# The agent's connection


class Connection:
    """A non-blocking connection to an agent: lines and descriptors in, lines out."""

    def __init__(self, peer: socket.socket) -> None:
        peer.setblocking(False)
        self.socket = peer
        self.partial = bytearray()
        self.environment: Message = {}
        self.descriptors: deque[int] = deque()
        self.outgoing = bytearray()
        self.closed = False

    def receive(self) -> list[Message]:
        """Return the complete messages. Raises EOFError, OSError or ProtocolError if the connection must be closed."""
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
            raise ProtocolError("descriptors were lost")
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
        """Send as much as the socket takes."""
        try:
            while self.outgoing:
                del self.outgoing[: self.socket.send(self.outgoing)]
        except BlockingIOError:
            pass
        except OSError:
            self.outgoing.clear()  # the agent is gone; the next read raises

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
    """The attempts with living processes, and the unacknowledged outcomes.

    `on_outcome` is called with each outcome once it is in the spool. `due`, `recheck_at`, `check_memory_at` and
    `set_autogroups_at` are the times at which `run_due` must be called, by the monotonic clock; `due` may be too early.
    """

    def __init__(self, spool: Spool, on_outcome: Callable[[Message], None]) -> None:
        self.spool, self.on_outcome = spool, on_outcome
        self.alive: dict[str, Job] = {}  # by token
        self.leaders: dict[int, Job] = {}  # by pid
        self.orphans: dict[int, Job] = {}  # processes left behind by leaders, by pid
        self.unknown: dict[int, float] = {}  # orphans of unknown attempts, with when first seen
        self.outcomes: dict[int, tuple[Message, int]] = {}  # with the slot, by sequence
        self.sequences: dict[str, int] = {}  # by token
        self.sequence = 0
        self.unniced: dict[str, int] = {}  # niceness of the autogroups still to be set, by token
        self.due = self.recheck_at = self.check_memory_at = self.set_autogroups_at = math.inf
        self.memory_controller = MemoryController()
        self.memory_controller.remove_stale()
        self.oom_kills = OomKills()
        self.empty_cgroups: list[Cgroup] = []

    def last_message(self, token: str) -> Message | None:
        """The latest message about an attempt: `started`, `ended`, or None."""
        if token in self.alive:
            return self.alive[token].started()
        if token in self.sequences:
            return self.outcomes[self.sequences[token]][0]
        return None

    def start(self, spawn: Spawn, output: int) -> Job:
        """Start a process, and record it here and in the spool. Raises Refusal."""
        slot = self.reserve()
        cgroup = None
        if spawn.memory is not None:
            cgroup = self.memory_controller.create(spawn.token, spawn.memory)
        try:
            started_at, started_boottime = monotonic(), boottime()
            pid = launch(spawn, output, cgroup)
        except Refusal:
            self.spool.release(slot)
            if cgroup:
                cgroup.remove()
            raise
        job = Job(
            spawn.attempt,
            spawn.token,
            spawn.note,
            spawn.grace,
            slot,
            pid,
            started_at,
            started_boottime,
        )
        job.memory, job.cgroup = spawn.memory, cgroup
        job.folder = spawn.folder
        if spawn.memory is not None:
            self.check_memory_at = min(self.check_memory_at, started_at + CHECK_MEMORY_EVERY)
        self.alive[job.token] = self.leaders[pid] = job
        job.start_time = start_time_of(pid)
        if spawn.nice:
            self.unniced[job.token] = spawn.nice
            self.set_autogroups_at = min(self.set_autogroups_at, started_at)
        self.set_due(job, started_at + spawn.timeout)
        self.spool.write(slot, job.started())
        return job

    def reserve(self) -> int:
        try:
            return self.spool.allocate()
        except OSError as error:
            text = f"no room to record the outcome: {error.strerror}"
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

    def reap_children(self) -> None:
        """Collect the exit status of every child that has ended."""
        for pid, status, usage in reap():
            job = self.leaders.pop(pid, None)
            if job:
                job.record_exit(status)
            else:
                job = self.orphans.pop(pid, None)
            if job:
                job.add_usage(usage)
        self.finish_ended()

    def finish_ended(self) -> None:
        """Finish the attempts without processes, and end the processes that other leaders have left behind."""
        self.recheck_at = monotonic() + RECHECK_AFTER  # also if an error occurs below
        ended = [job for job in self.alive.values() if job.status is not None]
        if self.find_orphans() and ended:
            return
        unfinished = set(self.orphans.values())
        for job in ended:
            if job not in unfinished:
                self.finish(job)
            elif job.kill_at == math.inf:
                self.end(job, job.grace)
        if not self.alive:
            self.kill_unknown()
        self.recheck_at = math.inf

    def find_orphans(self) -> bool:
        """Find the owners of new orphans; True if some must be checked again soon.

        During an exec a process has no readable environment for a moment.
        """
        now = monotonic()
        unknown = {}
        for pid in own_children() - self.leaders.keys() - self.orphans.keys():
            owner = self.owner(pid)
            if owner:
                self.orphans[pid] = owner
                if owner.kill_at <= now:
                    send_signal(pid, signal.SIGKILL)  # before it can fork and escape again
            else:
                unknown[pid] = self.unknown.get(pid, now)
        self.unknown = unknown
        return any(now - seen < RECHECK_AFTER for seen in unknown.values())

    def owner(self, pid: int) -> Job | None:
        """The job of a process: by its token, session, process group or cgroup, else by where it works."""
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
        # A former descendant comes last: pids are reused.
        former = (job for job in self.alive.values() if pid in job.descendants)
        return next(owners, None) or next(former, None)

    def kill_unknown(self) -> None:
        """Kill the processes without a known owner: every job that can have started them is over."""
        for pid in self.unknown:
            log(f"killing process {pid}, left behind by an unknown job")
            send_signal(pid, signal.SIGKILL)

    def finish(self, job: Job) -> None:
        """Record the outcome in the spool, then report it."""
        self.sequence += 1
        self.attribute_to_memory(job)
        outcome = job.ended(self.sequence)
        self.spool.write(job.slot, outcome)
        self.outcomes[self.sequence] = outcome, job.slot
        self.sequences[job.token] = self.sequence
        del self.alive[job.token]
        self.on_outcome(outcome)

    # Memory

    def attribute_to_memory(self, job: Job) -> None:
        """Set the cause `memory` if the attempt has failed for lack of memory."""
        if job.cgroup:
            if job.cgroup.oom_kills() and job.status and job.cause in ("exit", "signal"):
                job.cause = "memory"
            if job.cause == "memory":
                job.peak_bytes = job.cgroup.peak()
            self.empty_cgroups.append(job.cgroup)
            self.remove_cgroups()
        elif (
            job.cause in ("exit", "signal")
            and job.status in KILLED_STATUSES
            and self.oom_kills.has_risen()
        ):
            job.cause = "memory"

    def remove_cgroups(self) -> None:
        self.empty_cgroups = [cgroup for cgroup in self.empty_cgroups if not cgroup.remove()]

    def enforce_memory_limits(self, now: float) -> None:
        """Kill attempts that exceed their limit and have no cgroup that enforces it."""
        limited = [job for job in self.alive.values() if job.memory is not None]
        self.check_memory_at = now + CHECK_MEMORY_EVERY if limited else math.inf
        self.remove_cgroups()
        for job in limited:
            if job.cgroup and job.status is None and not job.cgroup.holds(job.pid):
                self.empty_cgroups.append(job.cgroup)
                job.cgroup = None
        for job in limited:
            # Version 1 kills one process only; most jobs would wait for it forever.
            if job.cgroup and job.kill_at == math.inf and job.cgroup.oom_kills():
                self.end(job, 0.0, "memory")
        watched = [job for job in limited if not job.cgroup and job.kill_at == math.inf]
        children = process_tree() if watched else {}
        for job in watched:
            used = memory_of(with_descendants(self.roots(job), children), job.memory or 0)
            job.peak_bytes = max(job.peak_bytes, used)
            if job.memory is not None and used > job.memory:
                self.end(job, 0.0, "memory")

    def set_autogroups(self, now: float) -> None:
        """Make the sessions of attempts nice, too, sched(7): a process is nice to those of its own session only."""
        self.set_autogroups_at = math.inf
        for token, nice in list(self.unniced.items()):
            job = self.alive.get(token)
            try:
                if job and job.status is None:
                    write_control_file(
                        f"/proc/{job.pid}/autogroup", str(min(nice, 19)), needed=True
                    )
            except BlockingIOError:
                self.set_autogroups_at = now + SET_AUTOGROUPS_EVERY
                return
            except OSError:
                pass  # the kernel has none
            del self.unniced[token]

    def roots(self, job: Job) -> list[int]:
        """The processes of an attempt that are children of the keeper."""
        roots = [pid for pid, owner in self.orphans.items() if owner is job]
        return roots if job.status is not None else [*roots, job.pid]

    # Ending

    def end(self, job: Job, grace: float, cause: str | None = None, reason: str = "") -> None:
        """End an attempt: TERM at the next `run_due`, KILL after the grace. The first cause is kept."""
        if job.cause is None:
            job.cause, job.reason = cause, reason[:REASON_LENGTH] or None
        job.kill_at = min(job.kill_at, monotonic() + grace)
        self.set_due(job, 0.0)

    def run_due(self) -> None:
        """Do what is due: check orphans again, enforce memory limits and timeouts, send signals."""
        now = monotonic()
        if self.alive:
            self.oom_kills.sample()
        if now >= self.recheck_at:
            self.finish_ended()
        if now >= self.check_memory_at:
            self.enforce_memory_limits(now)
        if now >= self.set_autogroups_at:
            self.set_autogroups(now)
        if now >= self.due:
            self.signal_due([job for job in self.alive.values() if job.due <= now], now)
            self.due = min((job.due for job in self.alive.values()), default=math.inf)

    def signal_due(self, jobs: list[Job], now: float) -> None:
        if not jobs:
            return
        self.find_orphans()
        children = process_tree()
        for job in jobs:
            if job.kill_at == math.inf:
                self.end(job, job.grace, "timeout")
            self.signal_all(job, children, now)

    def signal_all(self, job: Job, children: dict[int, list[int]], now: float) -> None:
        killing = job.kill_at <= now
        roots = self.roots(job)
        if job.cgroup:
            roots += job.cgroup.processes()
        processes = dict.fromkeys(with_descendants(roots, children))
        job.descendants.update(processes)  # to know them when this signal has ended their parents
        skipped = set() if killing else spared(processes, children)
        for pid in processes:
            if pid in skipped:
                continue
            send_signal(pid, signal.SIGKILL if killing else signal.SIGTERM)
            send_signal(pid, signal.SIGCONT)  # a stopped process cannot handle TERM
        # Repeatedly: a process can fork between the listing and the KILL.
        job.due = now + KILL_EVERY if killing else job.kill_at


ENTER_CGROUP = 'echo $$ 2> /dev/null > "$0"; exec "$@"'


def launch(spawn: Spawn, output: int, cgroup: Cgroup | None = None) -> int:
    """Start a process as the leader of a new session and return its pid. Raises Refusal."""
    argv = spawn.argv
    try:
        # A shell enters the cgroup and then execs the program, so that all its memory is counted there.
        entering = ["/bin/sh", "-c", ENTER_CGROUP, f"{cgroup.path}/cgroup.procs"] if cgroup else []
        start = partial(
            os.posix_spawn,
            (entering or argv)[0],
            [*entering, *argv],
            {**spawn.env, TOKEN_VARIABLE: spawn.token},
            file_actions=[(os.POSIX_SPAWN_DUP2, output, number) for number in (1, 2)],
            setsid=True,
            setsigmask=(),
            setsigdef=RESTORED_SIGNALS,
        )
        return start_niced(start, spawn.nice) if spawn.nice else start()
    except OSError as error:
        raise Refusal("spawn", f"{argv[0]}: {error.strerror}", error.errno) from None
    except (LookupError, TypeError, ValueError) as error:
        raise Refusal("invalid", f"argv or env: {error}") from None


def start_niced(start: Callable[[], int], nice: int) -> int:
    """Call `start` in a thread with a higher niceness, which its process has from its first instruction on.

    Niceness belongs to a thread, sched(7), and this process could not lower its own again.
    """
    pids: list[int] = []
    errors: list[Exception] = []

    def run() -> None:
        try:
            os.nice(nice)
            pids.append(start())
        except Exception as error:  # noqa: BLE001 - it is raised by the other thread
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    for error in errors:
        raise error
    return pids[0]


class PendingSpawns:
    """Spawns that wait for another attempt to end, so that slots are refilled without a message from the agent.

    `by_predecessor` maps the token of the other attempt to the spawn and its output; `predecessors` maps the spawn's
    token to that of the other attempt.
    """

    def __init__(self) -> None:
        self.by_predecessor: dict[str, tuple[Spawn, int]] = {}
        self.predecessors: dict[str, str] = {}

    def __contains__(self, token: str) -> bool:
        return token in self.predecessors

    def add(self, spawn: Spawn, output: int, after: str) -> None:
        """Add a spawn and take over its output. Raises ValueError if another one waits for the same attempt."""
        if after in self.by_predecessor:
            os.close(output)
            raise ValueError(f"another spawn already follows {after}")
        self.by_predecessor[after] = spawn, output
        self.predecessors[spawn.token] = after

    def pop(self, after: str) -> tuple[Spawn, int] | None:
        """Remove and return the spawn that waits for an attempt, with its output."""
        found = self.by_predecessor.pop(after, None)
        if found:
            del self.predecessors[found[0].token]
        return found

    def withdraw(self, token: str) -> Spawn | None:
        """Remove a spawn; the one that waits for it now waits for its predecessor."""
        after = self.predecessors.get(token)
        found = self.pop(after) if after is not None else None
        if after is None or not found:
            return None
        os.close(found[1])
        follower = self.pop(token)
        if follower:
            self.add(*follower, after)
        return found[0]

    def clear(self) -> None:
        for _, output in self.by_predecessor.values():
            os.close(output)
        self.by_predecessor.clear()
        self.predecessors.clear()


# The next agent


@dataclass(slots=True)
class Successor:
    """The agent to start when there is none. `due` is a time of the monotonic clock."""

    argv: list[str]
    env: dict[str, str]
    lock: str
    after: float
    due: float = math.inf
    pause: float = 0.0

    def wait(self) -> None:
        """Begin to wait: the agent is gone."""
        self.pause = self.after
        self.due = monotonic() + self.pause

    def start(self) -> None:
        """Start it, unless an agent holds the lock, and schedule a retry."""
        self.pause = min(max(self.pause, 0.1) * 2, SUCCESSOR_PAUSE_AT_MOST)
        self.due = monotonic() + self.pause
        if is_locked(self.lock):
            return
        log(f"no agent: starting {' '.join(self.argv)!r}")
        try:
            start_unrelated(self.argv, self.env)
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


def start_unrelated(argv: list[str], env: dict[str, str]) -> None:
    """Start a process as a child of this process's parent, so that it and its orphans are not considered a job's.

    After a plain double fork it would become a child of this process, the subreaper.
    """
    number = CLONE_NUMBERS.get(platform.machine())
    if number is None:
        raise OSError(f"clone is not supported on {platform.machine()}")
    # PyDLL keeps the interpreter's lock: the new process has only this thread, which must be able to continue.
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
            os.execve(argv[0], argv, env)  # noqa: S606 (no shell is needed)
        finally:
            os._exit(127)


# The keeper


class Keeper:
    """The event loop, the lease, and the connection of the deciding agent. `run` returns when nothing is left to do."""

    def __init__(self, options: argparse.Namespace, spool: Spool, listener: socket.socket) -> None:
        self.options, self.listener = options, listener
        self.boot_id = read("/proc/sys/kernel/random/boot_id").decode().strip()
        self.jobs = Jobs(spool, self.on_outcome)
        self.pending = PendingSpawns()
        self.agent: Connection | None = None
        self.without_agent_since = monotonic()
        self.successor: Successor | None = None
        self.lease_until = math.inf  # by CLOCK_BOOTTIME
        self.end_jobs_at = math.inf  # when jobs are ended because the lease has expired
        self.stopping = False
        self.handlers = {
            "environment": self.on_environment,
            "spawn": self.on_spawn,
            "end": self.on_end,
            "withdraw": self.on_withdraw,
            "deadline": self.on_deadline,
            "ack": self.on_ack,
            "heir": self.on_successor,
            "stop": self.on_stop,
        }
        self.selector = selectors.DefaultSelector()
        self.child_exits = become_subreaper()
        self.selector.register(self.child_exits, selectors.EVENT_READ, self.on_child_exit)
        self.selector.register(listener, selectors.EVENT_READ, self.on_connection)
        spool.write(spool.header, self.hello())

    def run(self) -> None:
        log(f"keeper {self.options.id}, version {self.options.version}, pid {os.getpid()}")
        while not self.may_exit():
            self.safely(self.run_once)

    @staticmethod
    def safely(act: Callable[[], None]) -> None:
        """Log any exception instead of raising it: the keeper must survive its own bugs."""
        try:
            act()
        except Exception:  # noqa: BLE001
            log(traceback.format_exc())
            time.sleep(0.1)

    def run_once(self) -> None:
        for key, events in self.selector.select(self.seconds_until_due()):
            self.safely(partial(key.data, events))  # no connection may stop jobs from being ended
        self.safely(self.enforce_lease)
        self.safely(self.jobs.run_due)
        if self.agent:
            self.flush(self.agent)
        elif self.successor and monotonic() >= self.successor_due():
            self.successor.start()

    def seconds_until_due(self) -> float | None:
        """Seconds until something is due; at most POLL_AT_MOST, since the clock of a poll stops during suspend."""
        if self.agent and not self.jobs.alive:
            return None
        jobs = self.jobs
        due = min(
            jobs.due,
            jobs.recheck_at,
            jobs.check_memory_at,
            jobs.set_autogroups_at,
            self.exit_at(),
            self.successor_due(),
        )
        due -= monotonic()
        return max(0.0, min(due, self.end_jobs_at - boottime(), POLL_AT_MOST))

    def exit_at(self) -> float:
        if self.agent or self.jobs.alive or self.jobs.outcomes:
            return math.inf
        return self.without_agent_since + float(self.options.linger)

    def successor_due(self) -> float:
        if self.agent or not self.successor or not (self.jobs.alive or self.jobs.outcomes):
            return math.inf
        return self.successor.due

    def may_exit(self) -> bool:
        empty = not self.jobs.alive and not self.jobs.outcomes
        return (self.stopping and empty) or monotonic() >= self.exit_at()

    def on_child_exit(self, _events: int) -> None:
        os.read(self.child_exits, 1 << 16)
        self.jobs.reap_children()

    def enforce_lease(self) -> None:
        if boottime() < self.end_jobs_at:
            return
        self.jobs.reap_children()
        log(f"the lease has expired: ending {len(self.jobs.alive)} jobs")
        for job in self.jobs.alive.values():
            self.jobs.end(job, job.grace, "lease")
        self.end_jobs_at = math.inf  # last, so that it is repeated after an error

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
            return  # only writable again: `run_once` flushes it
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
        except MALFORMED as error:
            raise ProtocolError(f"cannot understand {kind!r}: {error!r}") from error

    def send_to_agent(self, message: Message) -> None:
        if self.agent:
            self.agent.send(message)

    def flush(self, connection: Connection) -> None:
        """Send, and wait for the socket to become writable if it did not take all."""
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
            self.pending.clear()
            self.without_agent_since = monotonic()
            if self.successor:
                self.successor.wait()

    # Messages

    def on_hello(self, connection: Connection, message: Message) -> None:
        if not OLDEST_PROTOCOL <= message["protocol"] <= PROTOCOL:
            raise ProtocolError(f"this keeper speaks protocol {PROTOCOL}")
        if self.agent and self.agent is not connection:
            self.agent.send({"type": "superseded"})
            self.drop(self.agent)
        self.pending.clear()
        self.agent = connection
        log(f"agent {message['agent']!r} is connected")
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
            spawn = Spawn.parse(message, self.agent.environment)
        except MALFORMED:
            os.close(output)
            raise
        known, after = self.jobs.last_message(spawn.token), spawn.after
        if known:
            self.send_to_agent(known)
        if known or spawn.token in self.pending:
            os.close(output)
        elif after is not None and (after in self.jobs.alive or after in self.pending):
            self.pending.add(spawn, output, after)
        else:
            self.start(spawn, output)

    def start(self, spawn: Spawn, output: int) -> bool:
        """Start the attempt, or refuse it, and report that; True if it runs. Closes the output."""
        try:
            self.check_spawn(spawn)
            job = self.jobs.start(spawn, output)
        except Refusal as refusal:
            self.send_to_agent(spawn.refused(*refusal.args))
            return False
        finally:
            os.close(output)
        self.send_to_agent(job.started())
        return True

    def on_outcome(self, outcome: Message) -> None:
        """Report an outcome and start the next pending spawn. If that is refused, start the one after it."""
        self.send_to_agent(outcome)
        token = outcome["token"]
        while following := self.pending.pop(token):
            if self.start(*following):
                break
            token = following[0].token

    def check_spawn(self, spawn: Spawn) -> None:
        if self.stopping:
            raise Refusal("stopping", "the keeper is stopping")
        if boottime() >= self.lease_until:
            raise Refusal("lease", "the lease has expired")
        if not (NAME.fullmatch(spawn.attempt) and NAME.fullmatch(spawn.token)):
            raise Refusal(
                "invalid", "attempt and token must be up to 64 letters, digits, _ . : / -"
            )
        if len(encode(spawn.note)) > NOTE_BYTES:
            raise Refusal("invalid", f"the note is longer than {NOTE_BYTES} bytes")

    def on_end(self, message: Message) -> None:
        self.jobs.reap_children()  # first: an attempt that has just ended by itself is not ended by the agent
        token, grace, reason = message["token"], float(message["grace"]), str(message["reason"])
        if job := self.jobs.alive.get(token):
            self.jobs.end(job, grace, "ended", reason)
        else:
            self.on_withdraw(message)

    def on_withdraw(self, message: Message) -> None:
        if spawn := self.pending.withdraw(message["token"]):
            self.send_to_agent(spawn.refused("withdrawn", "it was withdrawn"))

    def on_deadline(self, message: Message) -> None:
        if message["on_lost"] not in ("kill", "keep"):
            raise ValueError(message["on_lost"])
        self.lease_until = float(message["boottime"])
        self.end_jobs_at = self.lease_until if message["on_lost"] == "kill" else math.inf

    def on_ack(self, message: Message) -> None:
        for sequence in message["sequences"]:
            self.jobs.acknowledge(sequence)

    def on_successor(self, message: Message) -> None:
        argv, env = message["argv"], message["env"]
        if argv is None:
            self.successor = None
            return
        if not all(isinstance(text, str) for text in [*argv, *env, *env.values()]):
            raise ValueError("argv or env")
        self.successor = Successor(argv, env, str(message["lock"]), float(message["after"]))

    def on_stop(self, _message: Message) -> None:
        self.stopping = True


# Starting


def become_subreaper() -> int:
    """Become a subreaper that ignores signals; return a descriptor that is readable when a child has ended."""
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
    """Continue as a daemon. The exit of the first process signals that the keeper listens."""
    if os.fork():
        os._exit(0)
    os.setsid()
    output = os.open("keeper.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for descriptor, number in (os.open(os.devnull, os.O_RDONLY), 0), (output, 1), (output, 2):
        os.dup2(descriptor, number)
    os.chdir("/")


def main() -> None:
    parser = argparse.ArgumentParser(description="The parent process of the jobs on a node.")
    parser.add_argument("--folder", required=True, help="a folder that no other keeper has used")
    parser.add_argument("--id", required=True, help="the keeper's id, by which it can be fenced")
    parser.add_argument("--version", default="", help="of the package, reported to agents")
    parser.add_argument(
        "--linger",
        type=float,
        default=60.0,
        help="seconds to live without an agent, jobs and outcomes",
    )
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
    log("nothing left to do: exiting")


if __name__ == "__main__":
    main()
