"""Machines of a lab, made of namespaces: each has a host name, network, processes, ids and local folders of its own.

They are on one network, 10.1.0.0/16, and share the home of ana, as with NFS. `ssh MACHINE COMMAND` runs a command on
another one. Only root can make them. Nothing is left of them: all their processes end with the first one, and that with
the test.
"""

from __future__ import annotations

import ctypes
import os
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from support.needs import missing
from support.ordinary import PACKAGES, SOURCE, Ordinary

NETWORK = "10.1.0.0/16"
SERVER, SERVER_NAME = "10.1.0.1", "db.example.org"
"""The address and the name of a machine where a database server may be."""
HOME = "/mnt/ana"
"""The home of ana on each machine: /home may contain what the tests need."""
_NEWNET = 0x40000000  # CLONE_NEWNET of linux/sched.h

# The first process reaps those that lose their parent, as a shell that waits does.
_FIRST = """
set -e
hostname {name}
mount --bind {folder}/machine-id /etc/machine-id
mount --bind {folder}/boot-id /proc/sys/kernel/random/boot_id
mount --bind {folder}/../hosts /etc/hosts
mount --bind {folder}/../passwd /etc/passwd
mount -t tmpfs -o mode=755 tmpfs /mnt
mkdir {home}
mount --bind {shared} {home}
for place in /var/lib /var/tmp /tmp; do mount -t tmpfs -o mode=1777 tmpfs $place; done
ip link set lo up
echo ready
while :; do sleep infinity & wait; done
"""

# The other end of `ssh`: runs the commands that come through a pipe, one after the other.
_SERVE_SSH = """
exec 3<> ~/.lab/$(hostname)
while read -r job <&3; do
    cd; bash -c "$(cat "$job/command")" < /dev/null > "$job/out" 2> "$job/err" 3<&-; echo $? > "$job/status"
done
"""
_SSH = """#!/bin/bash
job=$(mktemp -d ~/.lab/XXXXXX) && mkfifo "$job/status" || exit
host=$1; shift
echo "$*" > "$job/command"
echo "$job" > ~/.lab/"$host"
read -r status < "$job/status"
cat "$job/err" >&2; cat "$job/out"; exit "$status"
"""
_MAESTRO = """#!/bin/sh
exec "$PYTHON" -m orchestra.cli.main "$@"
"""


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine, by its first process; `pid` is that process's for this one."""

    name: str
    pid: int
    account: Ordinary

    def command(self, *words: str) -> tuple[str, ...]:
        """The command that runs another one there as ana, in her home."""
        kinds = ("--net", "--uts", "--mount", "--pid")
        ana = (f"--reuid={self.account.uid}", f"--regid={self.account.gid}", "--clear-groups")
        at_home = ("env", f"--chdir={HOME}")
        return ("nsenter", f"--target={self.pid}", *kinds, "setpriv", *ana, *at_home, *words)


def environment(interpreter: str) -> dict[str, str]:
    """The environment of ana's commands."""
    return {
        "HOME": HOME,
        "USER": "ana",
        "PATH": f"{HOME}/bin:{os.environ['PATH']}:/usr/sbin",
        "PYTHONPATH": f"{SOURCE}{os.pathsep}{PACKAGES}",
        "PYTHON": interpreter,
        "BASH_ENV": f"{HOME}/shell",
        "MAESTRO_SYSTEM_CONFIG": "",
        "MAESTRO_CONTAINER_RUNTIME": "none",
    }


@contextmanager
def lab(account: Ordinary, *names: str) -> Iterator[list[Machine]]:
    """Machines of these names, at 10.1.0.7 and the next addresses; db.example.org is beside them."""
    interpreter = account.interpreter()
    assert interpreter
    addresses = {SERVER_NAME: SERVER}
    addresses |= {name: f"10.1.0.{number}" for number, name in enumerate(names, 7)}
    with tempfile.TemporaryDirectory(prefix="orchestra-lab-") as name, ExitStack() as processes:
        folder = Path(name)
        _write(folder, account, addresses)
        serving: list[subprocess.Popen[bytes]] = []
        processes.callback(lambda: [process.wait() for process in serving])  # when all has ended
        machines = [
            processes.enter_context(_machine(each, folder / each, account)) for each in addresses
        ]
        _connect(machines, list(addresses.values()))
        for machine in machines[1:]:
            serve = machine.command("bash", "-c", _SERVE_SSH)
            serving.append(subprocess.Popen(serve, env=environment(interpreter)))
        yield machines


def _write(folder: Path, account: Ordinary, addresses: dict[str, str]) -> None:
    """Write the files of the machines, and what ana's home has from the start."""
    for name in addresses:
        (folder / name).mkdir()
        (folder / name / "machine-id").write_text(f"{uuid4().hex}\n")
        (folder / name / "boot-id").write_text(f"{uuid4()}\n")
    hosts = "".join(f"{address} {name}\n" for name, address in addresses.items())
    (folder / "hosts").write_text(f"127.0.0.1 localhost\n{hosts}")
    passwd = f"ana:x:{account.uid}:{account.gid}::{HOME}:/bin/bash\n"
    (folder / "passwd").write_text(passwd + Path("/etc/passwd").read_text())
    (account.home / "bin").mkdir()
    (account.home / ".lab").mkdir()
    for program, text in {"maestro": _MAESTRO, "ssh": _SSH}.items():
        (account.home / "bin" / program).write_text(text)
        (account.home / "bin" / program).chmod(0o755)
    for name in addresses:
        os.mkfifo(account.home / ".lab" / name)
    for path in (*account.home.rglob("*"), account.home):
        os.chown(path, account.uid, account.gid)


@contextmanager
def _machine(name: str, folder: Path, account: Ordinary) -> Iterator[Machine]:
    own = ("--net", "--uts", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc")
    script = _FIRST.format(name=name, folder=folder, home=HOME, shared=account.home)
    process = subprocess.Popen(
        ["setpriv", "--pdeathsig=KILL", "unshare", *own, "bash", "-c", script],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    assert process.stderr
    try:
        if process.stdout.readline() != "ready\n":
            process.kill()
            missing(f"no machine can be made of namespaces: {process.stderr.read().strip()}")
        [first] = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        yield Machine(name, int(first), account)
    finally:
        process.kill()  # with it, all in its namespaces
        process.communicate()


def _connect(machines: Sequence[Machine], addresses: Sequence[str]) -> None:
    """Connect all to a bridge, which belongs to the first one."""
    first = ["link add lab type bridge", f"addr add {addresses[0]}/16 dev lab", "link set lab up"]
    for machine in machines[1:]:
        port = f"to-{machine.name}"
        first += [
            f"link add {port} type veth peer name eth0 netns {machine.pid}",
            f"link set {port} master lab",
            f"link set {port} up",
        ]
    _ip(machines[0], first)
    for machine, address in zip(machines[1:], addresses[1:], strict=True):
        _ip(machine, [f"addr add {address}/16 dev eth0", "link set eth0 up"])


def _ip(machine: Machine, commands: Sequence[str]) -> None:
    words = ["nsenter", f"--net=/proc/{machine.pid}/ns/net", "ip", "-batch", "-"]
    subprocess.run(words, input="\n".join(commands), check=True, text=True)


@contextmanager
def database_at(machine: Machine, unix_socket: str) -> Iterator[None]:
    """Let a machine have the PostgreSQL server that listens on a socket of this one, at its port 5432."""
    listeners: list[socket.socket] = []

    def listen() -> None:
        with open(f"/proc/{machine.pid}/ns/net") as network:  # noqa: PTH123
            if ctypes.CDLL(None, use_errno=True).setns(network.fileno(), _NEWNET):
                return
        listeners.append(socket.create_server((SERVER, 5432)))

    thread = threading.Thread(target=listen)  # only this thread changes its network
    thread.start()
    thread.join()
    [listener] = listeners
    open_now: set[socket.socket] = set()
    accepting = threading.Thread(target=_accept, args=(listener, unix_socket, open_now))
    accepting.start()
    try:
        yield
    finally:
        for each in (listener, *open_now):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        accepting.join()
        listener.close()


def _accept(listener: socket.socket, unix_socket: str, open_now: set[socket.socket]) -> None:
    """Pass on each connection, until the listener is shut down; returns when all have ended."""
    relays: list[threading.Thread] = []
    with suppress(OSError):
        while True:
            client, _ = listener.accept()
            server = socket.socket(socket.AF_UNIX)
            open_now |= {client, server}
            server.connect(unix_socket)
            relays.append(threading.Thread(target=_relay, args=(client, server, open_now)))
            relays[-1].start()
    for relay in relays:
        relay.join()


def _relay(client: socket.socket, server: socket.socket, open_now: set[socket.socket]) -> None:
    back = threading.Thread(target=_pump, args=(server, client))
    back.start()
    _pump(client, server)
    back.join()
    open_now -= {client, server}
    client.close()
    server.close()


def _pump(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(1 << 16):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
