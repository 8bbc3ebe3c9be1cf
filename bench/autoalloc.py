"""HyperQueue with automatic allocation on Slurm, from its Python package, which brings no program `hq`.

    python -m bench.autoalloc FOLDER JOBS SECONDS --idle 30 --backlog 4

prints when the first job ran and when the last one had ended, and leaves when its standard input ends.

The package's local cluster is HyperQueue's own server, automatic allocation included. What is missing are two commands.
`hq alloc add` is one message of HyperQueue's protocol: frames of a little-endian length and what bincode makes of the
types in its crates/hyperqueue/src/transfer/messages.rs; a local cluster does not encrypt. `hq worker start`, which the
server writes into its batch scripts, is `worker` below: the package's own worker, which reaches the server through a
relay that adds to its registration what the options `--manager` and `--idle-timeout` would have added.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import struct
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

VERSION = "v0.27.0"
"""What the messages below belong to."""
_ADD_QUEUE, _JOB_INFO, _QUEUE_CREATED = (9, 3), 4, 9


def _seconds(words: str) -> float:
    """Read a time such as 1m 30s."""
    return sum(float(word[:-1]) * {"s": 1, "m": 60, "h": 3600}[word[-1]] for word in words.split())


def _text(words: str) -> bytes:
    return struct.pack("<Q", len(words.encode())) + words.encode()


def _maybe(value: bytes | None) -> bytes:
    return b"\0" if value is None else b"\1" + value


def _duration(seconds: float) -> bytes:
    return struct.pack("<QI", int(seconds), int(seconds % 1 * 1e9))


def _list(items: Sequence[bytes]) -> bytes:
    return struct.pack("<Q", len(items)) + b"".join(items)


@dataclass(frozen=True, slots=True)
class Queue:
    """What `hq alloc add slurm` is told."""

    idle: float
    backlog: int
    walltime: float
    max_workers: int
    wrap: str
    """What starts a worker; followed by the words that HyperQueue would start one with."""
    sbatch: tuple[str, ...]

    def message(self) -> bytes:
        """Return the request that adds this queue, without a trial submission."""
        slurm, workers_of_one = 1, 1
        return b"".join(
            (
                struct.pack("<II", *_ADD_QUEUE),
                struct.pack("<III", slurm, workers_of_one, self.backlog),
                _duration(self.walltime),
                _maybe(None),  # its name
                _maybe(struct.pack("<I", self.max_workers)),
                struct.pack("<f", 0.0),  # how busy a new worker has to be at least
                _list([_text(word) for word in self.sbatch]),
                _maybe(None) * 2,  # commands before and after a worker
                _maybe(_text(self.wrap)),
                _maybe(None),  # resources that are not detected
                _list([]),
                _maybe(_duration(self.idle)),
                b"\0",  # no dry run
            )
        )


class Door:
    """A connection to the server as `hq` has one."""

    def __init__(self, folder: Path) -> None:
        access = json.loads((folder / "hq-current" / "access.json").read_text())
        if access["version"] != VERSION or access["client"]["secret_key"]:
            raise ValueError(
                f"these messages are for {VERSION} without encryption, not for {access['version']}"
            )
        self._socket = socket.create_connection(
            (access["client"]["host"], access["client"]["port"])
        )
        self._socket.sendall(
            _frame(struct.pack("<I", 0) + _text("hq-client") + struct.pack("<I", 0))
        )
        self._socket.sendall(_frame(struct.pack("<I", 0)))  # no encryption
        for _ in range(2):
            _read(self._socket)

    def ask(self, request: bytes) -> bytes:
        self._socket.sendall(_frame(request))
        return _read(self._socket)

    def add(self, queue: Queue) -> None:
        """Add a queue of allocations.

        Raises:
            ValueError: the server refused it; with the start of its answer.
        """
        answer = self.ask(queue.message())
        if struct.unpack_from("<III", answer) != (_QUEUE_CREATED, 0, 0):
            raise ValueError(f"HyperQueue refused the queue: {answer[:400]!r}")

    def counts(self, job: int) -> tuple[int, int]:
        """Return how many tasks of a job run and have finished."""
        one = struct.pack("<IIQIIIBB", _JOB_INFO, 2, 1, job, 1, 1, 0, 0)
        answer = self.ask(one)
        name = struct.unpack_from("<Q", answer, 16)[0]
        _, running, finished = struct.unpack_from("<III", answer, 24 + name)
        return running, finished


def _frame(body: bytes) -> bytes:
    return struct.pack("<I", len(body)) + body


def _read(peer: socket.socket) -> bytes:
    return _exactly(peer, struct.unpack("<I", _exactly(peer, 4))[0])


def _exactly(peer: socket.socket, size: int) -> bytes:
    found = b""
    while len(found) < size:
        more = peer.recv(size - len(found))
        if not more:
            raise EOFError("HyperQueue closed the connection")
        found += more
    return found


def serve(folder: Path, queue: Queue, jobs: int, command: Sequence[str]) -> dict[str, float]:
    """Run jobs on a new server; return when they were submitted, when the first one ran and the last one had ended."""
    from hyperqueue import Job, LocalCluster

    cluster = LocalCluster(str(folder / "server"))
    door = Door(folder / "server")
    door.add(queue)
    (folder / "jobs").mkdir()
    job = Job(default_workdir=folder / "jobs")
    for _ in range(jobs):
        job.program(list(command))
    times = {"submitted": time.time()}
    number = cluster.client().submit(job).id
    finished = 0
    while finished < jobs:
        running, finished = door.counts(number)
        if running or finished:
            times.setdefault("began", time.time())
        time.sleep(0.01)
    return {**times, "ended": time.time()}


def worker(idle: float, server: Path) -> None:
    """Be a worker in an allocation of Slurm until it has been idle for so long."""
    with tempfile.TemporaryDirectory(prefix="hq-worker-") as own:
        here = Path(own)
        access = json.loads((server / "access.json").read_text())
        relay = Relay(access, idle)
        pid = os.fork()
        if pid == 0:
            relay.run()
            os._exit(0)
        _work(
            here,
            {**access, "worker": {**access["worker"], "host": "127.0.0.1", "port": relay.port}},
        )
        os.waitpid(pid, 0)  # it ends when the worker has left; the other children are the worker's


def _work(here: Path, access: dict[str, object]) -> None:
    from hyperqueue.ffi.cluster import (
        Cluster,
    )  # without a server of its own, the package starts no worker

    cluster = Cluster(str(here))
    file = here / "hq-current" / "access.json"
    file.chmod(0o600)
    file.write_text(json.dumps(access))
    cluster.add_worker(int(os.environ["SLURM_CPUS_ON_NODE"]))


class Relay:
    """Passes the bytes between one worker and the server on, and amends the worker's registration."""

    def __init__(self, access: dict[str, dict[str, object]], idle: float) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self._server = (str(access["worker"]["host"]), int(str(access["worker"]["port"])))
        self._idle = idle

    def run(self) -> None:
        own, _ = self._listening.accept()
        server = socket.create_connection(self._server)
        for side in (own, server):
            side.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for giver, taker in ((server, own), (own, server), (server, own), (own, server)):
            taker.sendall(_frame(_read(giver)))  # who each side is, and that nothing is encrypted
        server.sendall(_frame(self._with_manager(_read(own))))
        threading.Thread(target=_pass_on, args=(server, own), daemon=True).start()
        _pass_on(own, server)

    def _with_manager(self, registration: bytes) -> bytes:
        """Add what the options would have to the worker's configuration: limits, and the allocation that it is in.

        The limits follow the interval of heartbeats and two fields that have nothing to say; the map of strings in
        which the allocation stands is the last field.
        """
        key, pulse = _text("ProcessPid"), _duration(10.0) + bytes(9)
        before, _, pid = registration.rpartition(struct.pack("<Q", 1) + key)
        head, found, tail = before.rpartition(pulse + bytes(2))
        if not found:
            raise ValueError(f"this is not the registration of {VERSION}: {registration!r}")
        walltime = {"secs": 3600, "nanos": 0}
        of = {
            "manager": "Slurm",
            "allocation_id": os.environ["SLURM_JOB_ID"],
            "time_limit": walltime,
        }
        named = _text("JobManager") + _text(json.dumps({**of, "max_memory_mb": None}))
        limits = _maybe(_duration(self._idle)) + _maybe(_duration(3600.0))
        return head + pulse + limits + tail + struct.pack("<Q", 2) + key + pid + named


def _pass_on(giver: socket.socket, taker: socket.socket) -> None:
    with suppress(OSError):
        while some := giver.recv(1 << 16):
            taker.sendall(some)
        taker.shutdown(socket.SHUT_RDWR)


def main() -> None:
    if sys.argv[2:4] == [
        "worker",
        "start",
    ]:  # as HyperQueue's script starts one: PROGRAM worker start OPTIONS
        words = dict(zip(sys.argv[4::2], sys.argv[5::2], strict=True))
        return worker(_seconds(words["--idle-timeout"]), Path(words["--server-dir"]))
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("jobs", type=int)
    parser.add_argument("seconds", type=float)
    parser.add_argument("--idle", type=float, default=300.0)  # its own default, too
    parser.add_argument("--backlog", type=int, default=1)
    args = parser.parse_args()
    wrap = f"{sys.executable} -I {__file__}"
    queue = Queue(args.idle, args.backlog, 3600.0, 4, wrap, ("--cpus-per-task=4",))
    command = ("/bin/sh", "-c", f"sleep {args.seconds:g}" if args.seconds else "true")
    print(json.dumps(serve(args.folder, queue, args.jobs, command)), flush=True)
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    main()
