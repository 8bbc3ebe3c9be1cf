"""The keeper and the link to it, with real processes: every guarantee in keeper.py."""

from __future__ import annotations

import array
import contextlib
import errno
import fcntl
import json
import os
import random
import re
import resource
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from orchestra.domain.models.work import AttemptKey
from orchestra.domain.states import Cause
from orchestra.pilot import keeper, orphan_reaper
from orchestra.pilot.keeper_link import KeeperLink, connect
from orchestra.pilot.keeper_messages import (
    Ended,
    Event,
    Hello,
    KeeperError,
    KeeperGone,
    KeeperSilent,
    KeeperSuperseded,
    Refused,
    SpoolDamaged,
    Started,
    Successor,
)
from orchestra.pilot.keeper_process import start_keeper
from orchestra.pilot.keeper_spool import is_alive, read_spool
from support.needs import need
from support.waiting import wait_until

ENVIRONMENT = {"PATH": os.environ["PATH"]}


class Agent:
    """A small agent: it spawns scripts, and records and waits for the keeper's messages."""

    def __init__(self, link: KeeperLink, folder: Path) -> None:
        self.link = link
        self.folder = folder
        self.events: list[Event] = []
        self.heirs: list[Agent] = []

    def spawn(
        self,
        script: str | list[str],
        *,
        key: AttemptKey | None = None,
        grace: float = 5.0,
        **more: Any,
    ) -> AttemptKey:
        key = key or new_key()
        argv = ["/bin/bash", "-c", script] if isinstance(script, str) else script
        log = os.open(self.log(key), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self.link.send_spawn(
            key, argv, {**ENVIRONMENT, **more.pop("env", {})}, log, grace=grace, **more
        )
        self.link.flush()
        return key

    def log(self, key: AttemptKey) -> Path:
        return self.folder.parent / f"{key.token}.log"

    def pump(self, patience: float = 0.02) -> None:
        writing = [self.link] if self.link.wants_write else []
        if select.select([self.link], writing, [], patience)[0]:
            self.events += self.link.receive()
        self.link.flush()

    def said(self, kind: type[Started | Refused | Ended], key: AttemptKey) -> Any:
        """The last event of that kind about an attempt, once there is one."""

        def last() -> Event | None:
            found = [e for e in self.events if isinstance(e, kind) and e.key == key]
            if not found:
                self.pump()
            return found[-1] if found else None

        return wait_until(
            last, describe=lambda: f"{self.events} {self.log(key).read_text()!r}", pause=0
        )

    def started(self, key: AttemptKey) -> Started:
        event = self.said(Started, key)
        assert isinstance(event, Started)
        return event

    def ended(self, key: AttemptKey) -> Ended:
        event = self.said(Ended, key)
        assert isinstance(event, Ended)
        return event

    def refused(self, key: AttemptKey) -> Refused:
        event = self.said(Refused, key)
        assert isinstance(event, Refused)
        return event

    def line(self, key: AttemptKey) -> str:
        """The first whole line of a job's log, once it is there."""
        log = self.log(key)
        wait_until(lambda: "\n" in log.read_text(), describe=str(self.events))
        return log.read_text().split("\n")[0]

    def run(self, script: str | list[str], **more: Any) -> Ended:
        return self.ended(self.spawn(script, **more))

    def again(self) -> Agent:
        """Another agent for the same keeper."""
        self.heirs.append(Agent(connect(self.folder, agent="another"), self.folder))
        return self.heirs[-1]

    def close(self) -> None:
        self.link.close()
        for heir in self.heirs:
            heir.close()


_keys = iter(range(1, 1 << 30))


def new_key() -> AttemptKey:
    return AttemptKey(3, next(_keys), 1, uuid4())


def is_running(pid: int) -> bool:
    """Whether a process lives and is not a zombie."""
    try:
        return keeper.stat_fields(pid)[0] != b"Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def descriptors(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


def end_by_pid(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def end_keeper(pid: int) -> None:
    """End a keeper and all its descendants."""
    below = list(keeper.with_descendants([pid], keeper.process_tree())) if is_running(pid) else []
    for process in below:
        end_by_pid(process)


StartAgent = Callable[..., Agent]


@pytest.fixture
def start_agent(tmp_path: Path) -> Iterator[StartAgent]:
    agents: list[Agent] = []

    def start(folder: Path | None = None, **more: Any) -> Agent:
        folder = folder or tmp_path / f"keeper{len(agents)}"
        agents.append(Agent(start_keeper(folder, uuid4(), agent="test", **more), folder))
        return agents[-1]

    yield start
    for agent in agents:
        agent.close()
        end_keeper(agent.link.hello.pid)


@pytest.fixture
def agent(start_agent: StartAgent) -> Agent:
    return start_agent()


# How a job is started


def test_hello_identifies_the_keeper(start_agent: StartAgent) -> None:
    hello = start_agent(version="1.2.3").link.hello
    assert hello.version == "1.2.3"
    assert hello.protocol == keeper.PROTOCOL
    assert hello.boot_id == Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    assert (hello.running, hello.outcomes) == ((), ())
    assert os.getsid(hello.pid) == hello.pid


def test_started_names_the_process(agent: Agent) -> None:
    key = agent.spawn("sleep 60", note={"devices": "0,1"})
    started = agent.started(key)
    assert started.start_time == int(keeper.stat_fields(started.pid)[19])
    assert started.note == {"devices": "0,1"}
    assert 0 <= time.clock_gettime(time.CLOCK_BOOTTIME) - started.boottime < 10


def test_job_inherits_only_its_log_and_environment(agent: Agent) -> None:
    script = 'echo out; echo err >&2; env; ls /proc/self/fd; cat; grep -E "Sig(Blk|Ign)" /proc/self/status'
    key = agent.spawn(script, env={"NAME": "a'; $(x)\né"})
    assert agent.ended(key).exit_status == 0
    log = agent.log(key).read_text()
    assert log.startswith("out\nerr\n")
    assert f"ORCHESTRA_TOKEN={key.token}\n" in log
    assert "NAME=a'; $(x)\né\n" in log
    assert "HOME=" not in log
    assert "\n0\n1\n2\n3\nSig" in log  # 3 is the folder that ls reads; and stdin was empty
    blocked, ignored = re.findall(r"Sig...:\t(\w+)", log)
    assert int(blocked, 16) == 0
    assert int(ignored, 16) & ~(3 << 31) == 0  # 32 and 33 are the C library's own


def test_bytes_that_are_not_utf8_arrive_unchanged(agent: Agent) -> None:
    name = os.fsdecode(b"\xff\xfe\n")
    key = agent.spawn(["/bin/bash", "-c", 'printf %s "$1"', "bash", name])
    agent.ended(key)
    assert agent.log(key).read_bytes() == b"\xff\xfe\n"


def test_job_leads_a_session(agent: Agent) -> None:
    pid = agent.started(agent.spawn("sleep 60")).pid
    assert os.getsid(pid) == os.getpgid(pid) == pid


def test_a_folder_may_have_any_name_and_length(start_agent: StartAgent, hostile_dir: Path) -> None:
    agent = start_agent(hostile_dir / ("long" * 40))
    assert agent.run("true").exit_status == 0


@pytest.mark.parametrize(
    ("argv", "reason", "number"),
    [
        (["/no/such/program"], "spawn", errno.ENOENT),
        (["/etc/passwd"], "spawn", errno.EACCES),
        (["/bin/echo", "x" * (1 << 20)], "spawn", errno.E2BIG),
        (["/bin/echo", "a\0b"], "invalid", None),
        ([], "invalid", None),
    ],
)
def test_spawn_that_fails_is_refused_and_forgotten(
    agent: Agent, argv: list[str], reason: str, number: int | None
) -> None:
    agent.run("true")
    before, size = descriptors(agent.link.hello.pid), (agent.folder / "spool").stat().st_size
    for _ in range(size // keeper.SLOT_BYTES):
        agent.spawn(argv)
    key = agent.spawn(argv)
    refused = agent.refused(key)
    assert (refused.reason, refused.errno) == (reason, number)
    agent.spawn("exit 4", key=key)
    assert agent.ended(key).exit_status == 4
    assert descriptors(agent.link.hello.pid) == before
    assert (agent.folder / "spool").stat().st_size == size


def test_too_long_note_is_refused(agent: Agent) -> None:
    assert agent.refused(agent.spawn("true", note="x" * keeper.NOTE_BYTES)).reason == "invalid"
    fits = "x" * (keeper.NOTE_BYTES - 2)
    assert agent.run("true", note=fits).note == fits
    assert [outcome.note for outcome in read_spool(agent.folder).outcomes] == [fits]


def test_a_repeated_spawn_starts_nothing(agent: Agent) -> None:
    key = agent.spawn("echo once; sleep 60")
    first = agent.started(key)
    agent.events.clear()
    assert agent.started(agent.spawn("echo twice", key=key)) == first
    agent.link.send_end(key, grace=0, reason="enough")
    outcome = agent.ended(key)
    agent.events.clear()
    agent.spawn("echo thrice", key=key)
    assert agent.ended(key) == outcome
    assert "twice" not in agent.log(key).read_text()
    assert "thrice" not in agent.log(key).read_text()


# How it ended


@pytest.mark.parametrize("status", [0, 1, 3, 126, 255])
def test_the_exit_status_is_exact(agent: Agent, status: int) -> None:
    outcome = agent.run(f"exit {status}")
    assert (outcome.cause, outcome.exit_status, outcome.signal) == (Cause.EXIT, status, None)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV])
def test_signal_of_others_is_reported(agent: Agent, number: signal.Signals) -> None:
    outcome = agent.run(f"ulimit -c 0; kill -{int(number)} $$")
    assert (outcome.cause, outcome.exit_status, outcome.signal) == (Cause.SIGNAL, None, number)


def test_time_and_memory_are_measured(agent: Agent) -> None:
    burn = "import time\nx = bytearray(100 << 20)\nwhile time.process_time() < 0.3: pass\ntime.sleep(0.2)"
    outcome = agent.run([sys.executable, "-S", "-c", burn])
    assert outcome.exit_status == 0
    assert 0.3 <= (outcome.usage.cpu_seconds or 0) < 3
    assert 0.5 <= outcome.seconds < 20
    assert 100 << 20 <= (outcome.usage.max_rss_bytes or 0) < 200 << 20
    assert 0 <= time.clock_gettime(time.CLOCK_BOOTTIME) - outcome.boottime < 10


def test_a_nice_job_and_all_that_it_starts_is_nice_and_nothing_else_is(agent: Agent) -> None:
    base = os.getpriority(os.PRIO_PROCESS, 0)
    nice = agent.spawn("(nice); sleep 1000", nice=7)
    plain = agent.spawn("(nice); sleep 1000")
    assert [agent.line(nice), agent.line(plain)] == [str(min(base + 7, 19)), str(base)]
    pids = agent.started(nice).pid, agent.started(plain).pid, agent.link.hello.pid
    found = [os.getpriority(os.PRIO_PROCESS, pid) for pid in pids]
    assert found == [min(base + 7, 19), base, base]
    group = Path(f"/proc/{pids[0]}/autogroup")
    if group.exists():  # the kernel may have none
        wait_until(lambda: group.read_text().endswith(" nice 7\n"), describe=group.read_text)
    too_much = agent.run("nice", nice=100)
    assert (too_much.cause, too_much.exit_status) == (Cause.EXIT, 0)


# Memory

MB = 1 << 20
TAKE = "x = bytearray({megabytes} << 20); print('took it', flush=True)\nimport time; time.sleep({seconds})"


def take(megabytes: int, seconds: float = 0.0) -> list[str]:
    return [sys.executable, "-S", "-c", TAKE.format(megabytes=megabytes, seconds=seconds)]


@pytest.fixture(params=["cgroup", "watched"])
def limiting(
    request: pytest.FixtureRequest, start_agent: StartAgent, monkeypatch: pytest.MonkeyPatch
) -> Agent:
    """An agent whose keeper can create cgroups, and one whose keeper cannot."""
    if request.param == "cgroup":
        need("memory cgroup")
        return start_agent()
    without = Path(keeper.__file__).read_text().replace("/proc/self/mountinfo", os.devnull)
    copy = request.getfixturevalue("tmp_path") / "keeper.py"
    copy.write_text(without)
    monkeypatch.setattr(keeper, "__file__", str(copy))
    return start_agent()


def test_exceeding_the_memory_limit_ends_the_attempt(limiting: Agent) -> None:
    outcome = limiting.run(take(400, 60), memory=200 * MB)
    assert outcome.cause is Cause.OUT_OF_MEMORY
    assert (outcome.usage.max_rss_bytes or 0) > 190 * MB
    assert outcome.seconds < 30


def test_memory_limit_is_for_the_whole_tree(limiting: Agent) -> None:
    program, *_, script = take(80, 60)
    one = f"'{program}' -S -c '{script.replace(chr(39), chr(34))}' &"
    wait = "until [ $(grep -c 'took it' /dev/stderr) -ge $i ]; do sleep 0.05; done"
    outcome = limiting.run(f"for i in 1 2 3; do {one} {wait}; done; wait", memory=200 * MB)
    assert outcome.cause is Cause.OUT_OF_MEMORY
    assert limiting.log(outcome.key).read_text().count("took it") >= 2


def test_memory_below_the_limit_is_allowed(limiting: Agent) -> None:
    outcome = limiting.run(take(50), memory=200 * MB)
    assert (outcome.cause, outcome.exit_status) == (Cause.EXIT, 0)
    failed = limiting.run("exit 3", memory=200 * MB)
    assert (failed.cause, failed.exit_status) == (Cause.EXIT, 3)
    killed = limiting.run("kill -9 $$", memory=200 * MB)
    assert killed.cause is Cause.SIGNAL


def test_a_limited_job_can_be_ended(limiting: Agent) -> None:
    key = limiting.spawn("setsid sleep 1000 & sleep 1000", memory=200 * MB)
    limiting.started(key)
    limiting.link.send_end(key, grace=0.2, reason="test")
    limiting.link.flush()
    assert limiting.ended(key).cause is Cause.ENDED


@pytest.mark.needs("memory cgroup")
def test_cgroups_are_removed(agent: Agent) -> None:
    key = agent.spawn("cat /proc/self/cgroup; sleep 1000", memory=200 * MB)
    cgroup = agent.started(key).cgroup
    assert cgroup
    assert Path(cgroup).name == f"orchestra-{key.token}"
    assert str(key.token) in wait_until(lambda: agent.log(key).read_text())
    agent.link.send_end(key, grace=1.0, reason="test")
    agent.link.flush()
    agent.ended(key)
    wait_until(lambda: not Path(cgroup).exists())


def test_a_zombie_has_not_left_its_cgroup() -> None:
    cgroup = keeper.Cgroup("/sys/fs/cgroup/memory/orchestra-0f1e", 1)
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as process:
        assert not cgroup.holds(process.pid), "it never was in it"
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert cgroup.holds(process.pid)
    assert cgroup.holds(process.pid), "it is gone"


@pytest.mark.needs("memory cgroup")
def test_cgroups_of_dead_keepers_are_removed(agent: Agent) -> None:
    key = agent.spawn("sleep 1000", memory=200 * MB)
    started = agent.started(key)
    assert started.cgroup
    end_by_pid(agent.link.hello.pid)
    wait_until(lambda: not is_alive(agent.folder))
    [known] = read_spool(agent.folder).running
    orphan_reaper.end(known, grace=1.0)
    assert not Path(started.cgroup).exists()


V2_MOUNTS = "41 31 0:38 / {place} rw,relatime - cgroup2 cgroup2 rw\n"


@pytest.mark.parametrize("controllers", ["cpu memory pids\n", "cpu pids\n"])
def test_cgroup_v2_is_used_if_the_parent_delegates_memory(tmp_path: Path, controllers: str) -> None:
    place = tmp_path / "cgroup"
    (place / "slice" / "unit").mkdir(parents=True)
    (place / "slice" / "cgroup.subtree_control").write_text(controllers)
    (place / "slice" / "cgroup.procs").write_text("")
    (tmp_path / "mounts").write_text(V2_MOUNTS.format(place=place))
    (tmp_path / "own").write_text("0::/slice/unit\n")
    home = keeper.MemoryController(str(tmp_path / "mounts"), str(tmp_path / "own"))
    if "memory" not in controllers:
        assert home.path is None
        return
    assert (home.path, home.version) == (str(place / "slice"), 2)
    assert keeper.limit_files(5, 2) == [
        ("memory.max", "5", True),
        ("memory.swap.max", "0", False),
        ("memory.oom.group", "1", False),
    ]


def test_kill_by_the_kernel_is_distinguished_from_others() -> None:
    kills = keeper.OomKills()
    assert not kills.has_risen()
    kills.previous -= 1
    assert kills.has_risen()


KERNEL_SAYS = """\
4,1,1,-;python invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=0
6,2,1,-;oom-kill:constraint=CONSTRAINT_{kind},nodemask=(null),cpuset=/,oom_memcg={memcg},task_memcg={memcg},task=x,pid=9
3,3,1,-;{whose} of memory: Killed process 9 (x) total-vm:1kB, anon-rss:1kB
3,4,1,-;{whose} of memory: Killed process 10 (x) total-vm:1kB, anon-rss:1kB
"""


@pytest.mark.parametrize(
    ("kind", "memcg", "whose", "counts"),
    [
        ("MEMCG", "/a/orchestra-0f1e", "Memory cgroup out", False),
        ("MEMCG", "/docker/abc", "Memory cgroup out", True),
        ("NONE", "/a/orchestra-0f1e", "Out", True),
    ],
    ids=["in another attempt's cgroup", "in a container", "of the machine's memory"],
)
def test_oom_kill_in_another_attempt_does_not_count(
    tmp_path: Path, kind: str, memcg: str, whose: str, counts: bool
) -> None:
    vmstat, kernel_log = tmp_path / "vmstat", tmp_path / "kmsg"
    vmstat.write_text("oom_kill 7\n")
    before = KERNEL_SAYS.format(kind="MEMCG", memcg="/a/orchestra-0", whose="Memory cgroup out")
    kernel_log.write_text(before)
    kills = keeper.OomKills(str(vmstat), str(kernel_log))
    with kernel_log.open("a") as file:
        file.write(KERNEL_SAYS.format(kind=kind, memcg=memcg, whose=whose))
    vmstat.write_text("oom_kill 9\n")
    assert kills.has_risen() == counts


def test_orphans_are_measured_as_well(agent: Agent) -> None:
    burn = "import time\nwhile time.process_time() < 0.3: pass\nprint(flush=True)\ntime.sleep(60)"
    outcome = agent.run(
        f"{sys.executable} -S -c '{burn}' & until [ -s /dev/stdout ]; do sleep 0.02; done"
    )
    assert outcome.exit_status == 0
    assert (outcome.usage.cpu_seconds or 0) >= 0.3


def test_sequences_grow(agent: Agent) -> None:
    sequences = [agent.run("true").sequence for _ in range(5)]
    assert sequences == [1, 2, 3, 4, 5]
    agent.link.send_ack([1, 2, 3])
    assert agent.run("true").sequence == 6, "no number is given twice, whatever was acknowledged"


# Ending


def test_timeout_ends_the_attempt(agent: Agent) -> None:
    outcome = agent.run("sleep 60", timeout=0.2)
    assert (outcome.cause, outcome.signal) == (Cause.TIMEOUT, signal.SIGTERM)
    assert 0.2 <= outcome.seconds < 10


def test_timeout_is_enforced_without_an_agent(agent: Agent) -> None:
    key = agent.spawn("sleep 60", timeout=0.3)
    agent.started(key)
    agent.link.close()
    wait_until(lambda: read_spool(agent.folder).outcomes)
    assert [outcome.cause for outcome in agent.again().link.hello.outcomes] == [Cause.TIMEOUT]


def test_job_can_handle_term(agent: Agent) -> None:
    key = agent.spawn("trap 'echo bye; exit 7' TERM; echo ready; while :; do sleep 0.05; done")
    assert agent.line(key) == "ready"
    agent.link.send_end(key, grace=20, reason="a user asked")
    outcome = agent.ended(key)
    assert (outcome.cause, outcome.reason, outcome.exit_status) == (Cause.ENDED, "a user asked", 7)
    assert agent.log(key).read_text().endswith("bye\n")


def test_command_in_a_container_gets_term_once_and_its_image_stays(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    names = {1: b"starter", 2: b"appinit", 3: b"squashfuse", 4: b"sh", 5: b"python3", 6: b"starter"}
    monkeypatch.setattr(keeper, "name_of", lambda pid: names.get(pid, b"sh"))
    children = {1: [2, 3], 2: [4], 4: [5]}
    assert keeper.spared([1, 2, 3, 4, 5], children) == {1, 2, 3}
    assert keeper.spared([1, 2, 3], {1: [2, 3]}) == set()  # nothing runs in it yet
    assert keeper.spared([6, 7], {6: [7]}) == set()
    assert keeper.spared([7, 8], {7: [8]}) == set()  # no container


def test_job_that_ignores_term_is_killed_after_the_grace(agent: Agent) -> None:
    key = agent.spawn("trap '' TERM; echo ready; while :; do sleep 0.05; done")
    assert agent.line(key) == "ready"
    asked = time.monotonic()
    agent.link.send_end(key, grace=0.4, reason="kill")
    outcome = agent.ended(key)
    assert (outcome.cause, outcome.signal) == (Cause.ENDED, signal.SIGKILL)
    assert time.monotonic() - asked >= 0.4


def test_a_second_end_shortens_the_grace(agent: Agent) -> None:
    key = agent.spawn("trap '' TERM; echo ready; while :; do sleep 0.05; done")
    assert agent.line(key) == "ready"
    agent.link.send_end(key, grace=600, reason="first")
    agent.link.send_end(key, grace=0, reason="second")
    outcome = agent.ended(key)
    assert (outcome.reason, outcome.signal) == ("first", signal.SIGKILL)


def test_stopped_job_gets_term(agent: Agent) -> None:
    key = agent.spawn("trap 'exit 7' TERM; kill -STOP $$; sleep 60")
    pid = agent.started(key).pid
    wait_until(lambda: keeper.stat_fields(pid)[0] == b"T")
    agent.link.send_end(key, grace=60, reason="kill")
    assert agent.ended(key).exit_status == 7


def test_end_of_unknown_token_changes_nothing(agent: Agent) -> None:
    key = agent.spawn("sleep 60")
    agent.link.send_end(new_key(), grace=0, reason="kill")
    assert agent.run("true").exit_status == 0
    assert is_running(agent.started(key).pid)


HIDDEN = "no environment, another session"
"""Its owner is unknown once its parents have ended; it is ended when no job is left."""

WAYS_TO_LEAVE = {
    "the same group": "sleep 1000 & echo $!;",
    "another group": "set -m; sleep 1000 & echo $!;",
    "another session": "setsid bash -c 'echo $$; exec sleep 1000' &",
    "double fork": "(setsid bash -c '(echo $BASHPID; exec sleep 1000) & sleep 0.1' &);",
    "no environment, same session": "set -m; env -i sleep 1000 & echo $!;",
    HIDDEN: "env -i setsid bash -c 'echo $$; exec sleep 1000' &",
    "deaf": "bash -c 'trap \"\" TERM; echo $$; while :; do sleep 0.05; done' &",
    "deaf and far away": "setsid bash -c 'trap \"\" TERM; echo $$; while :; do sleep 0.05; done' &",
}


@pytest.mark.parametrize("way", WAYS_TO_LEAVE)
def test_orphans_of_a_leader_are_ended(agent: Agent, way: str) -> None:
    other = agent.spawn("sleep 1000")
    wait = "until [ -s /dev/stdout ]; do sleep 0.02; done"
    key = agent.spawn(f"{WAYS_TO_LEAVE[way]} {wait}; exit 3", grace=0.3)
    outcome = agent.ended(key)
    pid = int(agent.line(key))
    assert (outcome.cause, outcome.exit_status) == (Cause.EXIT, 3)
    if way != HIDDEN:
        assert not is_running(pid)
    agent.link.send_end(other, grace=5, reason="kill")
    agent.ended(other)
    wait_until(lambda: not is_running(pid))


@pytest.mark.parametrize("way", WAYS_TO_LEAVE)
def test_ending_reaches_the_whole_tree(agent: Agent, way: str) -> None:
    other = agent.spawn("setsid sleep 1000 & sleep 1000")
    key = agent.spawn(f"{WAYS_TO_LEAVE[way]} sleep 1000")
    pid = int(agent.line(key))
    agent.link.send_end(key, grace=0.3, reason="kill")
    outcome = agent.ended(key)
    assert (outcome.cause, outcome.signal) == (Cause.ENDED, signal.SIGTERM)
    if way != HIDDEN:
        assert not is_running(pid)
    assert is_running(agent.started(other).pid)
    agent.link.send_end(other, grace=5, reason="kill")
    agent.ended(other)
    wait_until(lambda: not is_running(pid))


def test_hidden_descendant_that_ignores_term_is_ended(agent: Agent) -> None:
    """It has no environment, session, folder or output of the job, but descends from the leader that was ended."""
    other = agent.spawn("sleep 1000")
    deaf = "echo $$; exec > /dev/null 2>&1; cd /; trap '' TERM; while :; do sleep 0.05; done"
    key = agent.spawn(f'env -i setsid bash -c "{deaf.replace("$", chr(92) + "$")}" & sleep 1000')
    pid = int(agent.line(key))
    agent.link.send_end(key, grace=0.3, reason="kill")
    assert agent.ended(key).cause is Cause.ENDED
    assert not is_running(pid)
    assert is_running(agent.started(other).pid)


WAYS_IN = {
    "its own name": 'cd "$REAL"; hide',
    "a link": 'ln -s "$REAL" "$OTHER"; cd "$OTHER"; hide',
    "another mount": 'mkdir "$OTHER"; export -f hide; export WAY; unshare --mount bash -c "$WAY"',
    "a folder that it removed": 'mkdir "$REAL/gone"; cd "$REAL/gone"; rmdir "$REAL/gone"; hide 2> /dev/null',
}
HIDE = "hide() { echo $(env -i setsid bash -c 'sleep 1000 > /dev/null 2>&1 < /dev/null & echo $!'); }; "


@pytest.mark.parametrize(
    "way", [pytest.param(way, marks=pytest.mark.needs("root") if "mount" in way else ()) for way in WAYS_IN]
)  # fmt: skip
def test_hidden_process_is_found_by_its_folder(agent: Agent, tmp_path: Path, way: str) -> None:
    """It has no environment, session or output of the job, and was never seen as a descendant of the leader."""
    real = tmp_path / "real é, with space"
    real.mkdir()
    other = agent.spawn("sleep 1000")
    bound = 'mount --bind "$REAL" "$OTHER"; cd "$OTHER"; hide'
    env = {"REAL": str(real), "OTHER": str(tmp_path / "another name"), "WAY": bound}
    key = agent.spawn(HIDE + WAYS_IN[way], env=env, folder=str(real), grace=0.3)
    assert agent.ended(key).exit_status == 0
    assert not is_running(int(agent.line(key)))
    assert is_running(agent.started(other).pid)


HOPPERS = """
import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
end = time.monotonic() + 20
os.fork(), os.fork()
while time.monotonic() < end:
    if os.fork():
        os._exit(0)
    os.setsid()
"""
"""Four processes that have ended by the time they are seen: each forks another one, and ends."""


def test_processes_that_fork_all_the_time_are_ended(agent: Agent) -> None:
    other = agent.spawn("sleep 1000")
    outcome = agent.run(
        [sys.executable, "-S", "-c", HOPPERS], grace=0.2
    )  # they would live for 20 s
    assert (outcome.cause, outcome.exit_status) == (Cause.EXIT, 0)
    assert is_running(agent.started(other).pid)


def test_attempt_lasts_until_its_last_process_has_ended(agent: Agent) -> None:
    key = agent.spawn(
        "setsid bash -c 'trap \"sleep 0.5; exit\" TERM; echo $$; while :; do sleep 0.05; done' & wait"
    )
    pid = int(agent.line(key))
    os.kill(agent.started(key).pid, signal.SIGKILL)
    outcome = agent.ended(key)
    assert (outcome.cause, outcome.signal) == (Cause.SIGNAL, signal.SIGKILL)
    assert not is_running(pid)


def test_helper_of_a_running_job_is_not_ended(agent: Agent) -> None:
    key = agent.spawn("(setsid bash -c 'echo $$; exec sleep 1000' &); sleep 1000")
    pid = int(agent.line(key))
    for _ in range(5):
        assert agent.run("true").exit_status == 0
    assert is_running(pid)


# The lease


def now() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def test_the_lease_ends_jobs_without_an_agent(agent: Agent) -> None:
    key = agent.spawn("sleep 60")
    agent.link.send_deadline(now() + 0.5, "kill")
    pid = agent.started(key).pid
    agent.link.close()
    wait_until(lambda: not is_running(pid))
    wait_until(lambda: read_spool(agent.folder).outcomes)
    second = agent.again()
    assert [outcome.cause for outcome in second.link.hello.outcomes] == [Cause.LEASE]
    assert second.refused(second.spawn("true")).reason == "lease"
    second.link.send_deadline(now() + 60, "kill")
    assert second.run("true").exit_status == 0


def test_an_extended_lease_ends_nothing(agent: Agent) -> None:
    agent.link.send_deadline(now() + 0.3, "kill")
    key = agent.spawn("sleep 0.6; exit 5")
    agent.link.send_deadline(now() + 60, "kill")
    assert agent.ended(key).exit_status == 5


def test_jobs_can_be_kept_beyond_the_lease(agent: Agent) -> None:
    key = agent.spawn("sleep 0.3; exit 5")
    agent.started(key)
    agent.link.send_deadline(now() - 1, "keep")
    assert agent.refused(agent.spawn("true")).reason == "lease"
    assert agent.ended(key).exit_status == 5


# Agents come and go


AGENT_THAT_DIES = """
import os, select, sys
from pathlib import Path
from uuid import UUID, uuid4
from orchestra.domain.models.work import AttemptKey
from orchestra.pilot.keeper_process import start_keeper
folder, log, script = sys.argv[1:]
link = start_keeper(Path(folder), uuid4(), agent="mortal")
key = AttemptKey(3, 17, 2, UUID(int=5))
output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
link.send_spawn(key, ["/bin/bash", "-c", script], {"PATH": os.environ["PATH"]}, output, grace=5, note="n")
link.flush()
select.select([link], [], [])
print(link.receive()[0].pid, link.hello.pid, flush=True)
select.select([], [], [])
"""


def test_a_job_outlives_its_agent_and_its_exit_status_is_exact(tmp_path: Path) -> None:
    folder, gate = tmp_path / "keeper", tmp_path / "gate"
    os.mkfifo(gate)
    script = f"read line < {gate}; exit $line"
    command = [sys.executable, "-c", AGENT_THAT_DIES, str(folder), str(tmp_path / "log"), script]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as mortal:
        assert mortal.stdout
        job, keeper_pid = map(int, mortal.stdout.readline().split())
        mortal.kill()
    try:
        agent = Agent(connect(folder, agent="heir"), folder)
        (running,) = agent.link.hello.running
        assert (running.pid, running.key.number, running.note) == (job, 2, "n")
        gate.write_text("42\n")
        outcome = agent.ended(running.key)
        assert (outcome.exit_status, outcome.note) == (42, "n")
        agent.link.close()
    finally:
        end_keeper(keeper_pid)


def test_outcome_is_sent_until_it_is_acknowledged(agent: Agent) -> None:
    first, second = agent.run("exit 1"), agent.run("exit 2")
    assert read_spool(agent.folder).outcomes == (first, second)
    heir = agent.again()
    assert heir.link.hello.outcomes == (first, second)
    heir.link.send_ack([first.sequence])
    heir.link.send_ack([first.sequence, 99])
    third = heir.run("exit 3")
    last = heir.again()
    assert last.link.hello.outcomes == (second, third)
    assert read_spool(agent.folder).outcomes == (second, third)
    last.spawn("exit 4", key=first.key)
    assert last.ended(first.key).exit_status == 4  # what was acknowledged is forgotten


def test_the_last_agent_decides(agent: Agent) -> None:
    key = agent.spawn("sleep 60")
    agent.started(key)
    second = agent.again()
    with pytest.raises(KeeperSuperseded):
        wait_until(agent.pump)
    agent.link.send_end(key, grace=0, reason="too late")
    agent.link.flush()
    with pytest.raises(KeeperSuperseded):
        agent.link.receive()
    assert second.run("true").exit_status == 0
    assert is_running(second.link.hello.running[0].pid)


def test_a_silent_agent_does_not_stop_the_keeper(agent: Agent) -> None:
    key = agent.spawn("sleep 0.5; exit 9", note="x" * 2900)
    for _ in range(400):
        agent.spawn("true", key=key)
        while agent.link.wants_write:
            agent.link.flush()
    wait_until(lambda: read_spool(agent.folder).outcomes)
    outcome = agent.ended(key)
    assert outcome.exit_status == 9
    assert sum(isinstance(event, Started | Ended) for event in agent.events) == 402


def test_a_keeper_that_is_stopped_is_silent_and_alive(agent: Agent) -> None:
    os.kill(agent.link.hello.pid, signal.SIGSTOP)
    with pytest.raises(KeeperSilent):
        connect(agent.folder, agent="impatient", timeout=0.2)
    assert is_alive(agent.folder)
    os.kill(agent.link.hello.pid, signal.SIGCONT)


def test_signals_do_not_end_the_keeper(agent: Agent) -> None:
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
        os.kill(agent.link.hello.pid, number)
    assert agent.run("exit 6").exit_status == 6


# The end of a keeper


def test_spool_survives_its_keeper(agent: Agent) -> None:
    outcome = agent.run("exit 8", note=["kept"])
    running = agent.started(agent.spawn("sleep 60"))
    acknowledged = agent.run("true")
    agent.link.send_ack([acknowledged.sequence])
    agent.link.flush()
    wait_until(lambda: len(read_spool(agent.folder).outcomes) == 1)
    os.kill(agent.link.hello.pid, signal.SIGKILL)
    wait_until(lambda: not is_alive(agent.folder))
    try:
        with pytest.raises(KeeperGone):
            connect(agent.folder, agent="late")
        left = read_spool(agent.folder)
        assert left.keeper == agent.link.hello.keeper
        assert left.outcomes == (outcome,)
        assert left.running == (running,)
        with pytest.raises(KeeperError, match="File exists"):
            start_keeper(agent.folder, uuid4(), agent="late")
    finally:
        end_by_pid(running.pid)


LEFT_BY_A_DEAD_KEEPER = {
    **{way: script for way, script in WAYS_TO_LEAVE.items() if way != HIDDEN},
    "no environment, writes to the log": "env -i setsid bash -c 'echo $$; cd /; exec sleep 1000' &",
    "the same, and it is deaf": "env -i setsid bash -c 'trap \"\" TERM; echo $$; while :; do sleep 0.05; done' &",
    "hidden, below the leader": "env -i setsid bash -c 'echo $$; exec sleep 1000 > /dev/null 2>&1' &",
}


def grows_no_more(log: Path) -> bool:
    """Whether nothing is written to a log for some time."""
    size, later = log.stat().st_size, time.monotonic() + 0.3
    wait_until(lambda: time.monotonic() > later)
    return log.stat().st_size == size


@pytest.mark.parametrize("way", LEFT_BY_A_DEAD_KEEPER)
def test_orphans_of_a_dead_keeper_are_ended_and_nothing_else(agent: Agent, way: str) -> None:
    other = agent.started(agent.spawn("sleep 1000"))
    key = agent.spawn(f"{LEFT_BY_A_DEAD_KEEPER[way]} sleep 1000")
    pid, log = int(agent.line(key)), agent.log(key)
    agent.started(key)
    with subprocess.Popen(["tail", "-f", log], stdout=subprocess.DEVNULL, cwd=log.parent) as reader:
        end_by_pid(agent.link.hello.pid)
        try:
            wait_until(lambda: not is_alive(agent.folder))
            known = next(s for s in read_spool(agent.folder).running if s.key == key)
            orphan_reaper.end(known, grace=0.3, log=log)
            assert not is_running(known.pid)
            assert not is_running(pid)
            assert grows_no_more(log)
            assert is_running(other.pid)
            assert reader.poll() is None
        finally:
            reader.kill()
            for process in (other.pid, pid):
                end_by_pid(process)


def test_orphan_of_a_dead_keeper_is_found_by_its_log(agent: Agent, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    key = agent.spawn("(env -i setsid bash -c 'echo $$; cd /; exec sleep 1000' &); sleep 1000")
    pid, known = int(agent.line(key)), agent.started(key)
    end_by_pid(agent.link.hello.pid)
    try:
        wait_until(lambda: not is_alive(agent.folder))
        orphan_reaper.end(known, grace=0.3, log=tmp_path / "link" / agent.log(key).name)
        assert not is_running(pid)
    finally:
        end_by_pid(pid)


def test_reused_pid_is_not_signalled(agent: Agent) -> None:
    """The leader's pid was reused: the start time or the boot differs."""
    started = agent.started(agent.spawn("true"))
    wait_until(lambda: orphan_reaper.processes(started) == {})
    with subprocess.Popen(["sleep", "1000"], start_new_session=True) as stranger:
        try:
            reused = replace(started, pid=stranger.pid, start_time=started.start_time - 1)
            assert orphan_reaper.processes(reused) == {}
            orphan_reaper.end(reused, grace=0.0)
            assert stranger.poll() is None
        finally:
            stranger.kill()


def test_incomplete_slot_is_ignored(agent: Agent) -> None:
    first, second = agent.run("exit 1"), agent.run("exit 2")
    spool = agent.folder / "spool"
    content = bytearray(spool.read_bytes())
    content[content.index(str(first.key.token).encode())] ^= 1
    spool.write_bytes(content)
    assert read_spool(agent.folder).outcomes == (second,)


@pytest.mark.parametrize("lost", ["zeros", "cut short", "noise"])
def test_rest_of_a_damaged_spool_is_read(agent: Agent, lost: str) -> None:
    outcomes = [agent.run(f"exit {status}") for status in (1, 2, 3)]
    spool = agent.folder / "spool"
    content = spool.read_bytes()
    at = content.index(str(outcomes[2].key.token).encode()) // keeper.SLOT_BYTES * keeper.SLOT_BYTES
    rest = content[at + keeper.SLOT_BYTES :]
    damaged = {
        "zeros": content[:at] + bytes(keeper.SLOT_BYTES) + rest,
        "cut short": content[: at + 50],
        "noise": content[:at] + os.urandom(keeper.SLOT_BYTES) + rest,
    }
    spool.write_bytes(damaged[lost])
    assert read_spool(agent.folder).outcomes == tuple(outcomes[:2])


def test_spool_without_header_is_not_considered_empty(agent: Agent) -> None:
    agent.run("exit 1")
    spool = agent.folder / "spool"
    spool.write_bytes(bytes(keeper.SLOT_BYTES) + spool.read_bytes()[keeper.SLOT_BYTES :])
    with pytest.raises(SpoolDamaged, match="lost its beginning"):
        read_spool(agent.folder)


def test_file_that_is_not_a_spool_is_reported_as_damaged(tmp_path: Path) -> None:
    (tmp_path / "spool").write_bytes(keeper.seal({"type": "hello", "keeper": "7"}))
    with pytest.raises(SpoolDamaged, match="cannot be understood"):
        read_spool(tmp_path)


def test_file_instead_of_a_folder_is_not_a_keeper(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    assert not is_alive(file)
    with pytest.raises(KeeperGone):
        connect(file, agent="nobody")
    with pytest.raises(KeeperError, match="No keeper ever ran"):
        read_spool(file)


@pytest.mark.parametrize(
    "said",
    [
        b"garbage\n",
        b"[]\n",
        b'{"type":"fly"}\n',
        b'{"type":"started","attempt":"3/1/1"}\n',
        b"\xff\n",
    ],
)
def test_link_closes_at_invalid_message_after_earlier_ones(agent: Agent, said: bytes) -> None:
    near, far = socket.socketpair()
    hello = keeper.encode({
        "type": "hello", "protocol": 1, "keeper": str(uuid4()), "boot_id": "b", "pid": 1, "version": "1",
        "running": [], "outcomes": [],
    })  # fmt: skip
    refused = keeper.encode({
        "type": "refused", "attempt": "3/1/1", "token": str(uuid4()), "reason": "lease", "errno": None, "message": "",
    })  # fmt: skip
    with far:
        far.sendall(f"{hello}\n".encode())
        with KeeperLink(near, agent="test") as link:
            far.sendall(f"{refused}\n".encode() + said)
            [event] = wait_until(link.receive)
            assert isinstance(event, Refused)
            with pytest.raises(KeeperError, match="cannot be understood"):
                link.receive()


def test_folder_without_keeper_has_no_spool(tmp_path: Path) -> None:
    with pytest.raises(KeeperError, match="No keeper ever ran"):
        read_spool(tmp_path)
    with pytest.raises(KeeperGone):
        connect(tmp_path, agent="nobody")
    assert not is_alive(tmp_path)


# The next agent


def heir(tmp_path: Path, script: str, *, after: float = 0.2) -> Successor:
    """An agent that writes its pid, parent and session to `born`, and then runs the script."""
    born = f'set -- $(cat /proc/$$/stat); echo "$1 $4 $6 $SECRET" >> {tmp_path}/born; '
    env = {"SECRET": "hush", **ENVIRONMENT}
    return Successor(("/bin/sh", "-c", born + script), env, str(tmp_path / "agent.lock"), after)


def births(tmp_path: Path) -> list[list[str]]:
    path = tmp_path / "born"
    return [line.split() for line in path.read_text().splitlines()] if path.exists() else []


def leave(agent: Agent, heir: Successor | None) -> None:
    """Set the successor, and disconnect."""
    agent.link.send_successor(heir)
    agent.link.flush()
    agent.link.close()


def test_keeper_with_a_job_starts_the_successor(agent: Agent, tmp_path: Path) -> None:
    agent.started(agent.spawn("sleep 60"))
    leave(agent, heir(tmp_path, ""))
    [born] = wait_until(lambda: births(tmp_path))
    pid, parent, session, secret = born
    assert secret == "hush"
    assert session == pid
    assert int(parent) != agent.link.hello.pid, "what it leaves behind would be taken for a job's"
    keeper_process = Path(f"/proc/{agent.link.hello.pid}")
    assert b"hush" not in (keeper_process / "environ").read_bytes()
    assert b"hush" not in (keeper_process / "cmdline").read_bytes()
    wait_until(lambda: len(births(tmp_path)) >= 3, describe="it is tried again")


def test_orphans_of_the_successor_are_not_ended(agent: Agent, tmp_path: Path) -> None:
    key = agent.spawn("sleep 60", grace=1.0)
    agent.started(key)
    script = f"(setsid sleep 61 & echo $! > {tmp_path}/child)"
    leave(agent, heir(tmp_path, script, after=0.1))
    wait_until(lambda: (tmp_path / "child").exists() and (tmp_path / "child").read_text())
    child = int((tmp_path / "child").read_text())
    heiress = agent.again()
    heiress.link.send_end(key, grace=1.0, reason="test")
    heiress.link.flush()
    assert heiress.ended(key).cause is Cause.ENDED
    heiress.run("true")
    try:
        assert is_running(child)
    finally:
        end_by_pid(child)


def test_successor_is_not_started_while_an_agent_lives(agent: Agent, tmp_path: Path) -> None:
    agent.started(agent.spawn("sleep 60"))
    with (tmp_path / "agent.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)
        leave(agent, heir(tmp_path, "", after=0.05))
        later = time.monotonic() + 0.5  # it has been due some times by then
        wait_until(lambda: time.monotonic() > later)
        assert births(tmp_path) == []
    wait_until(lambda: births(tmp_path))


@pytest.mark.parametrize("why", ["nothing to keep", "said not to"])
def test_successor_is_not_started_without_need(agent: Agent, tmp_path: Path, why: str) -> None:
    if why == "said not to":
        agent.started(agent.spawn("sleep 60"))
        agent.link.send_successor(heir(tmp_path, "", after=0.05))
        leave(agent, None)
    else:
        leave(agent, heir(tmp_path, "", after=0.05))
    later = time.monotonic() + 0.5
    wait_until(lambda: time.monotonic() > later)
    assert births(tmp_path) == []


def test_unacknowledged_outcome_starts_the_successor(agent: Agent, tmp_path: Path) -> None:
    agent.spawn("sleep 0.3")
    leave(agent, heir(tmp_path, "", after=0.6))
    wait_until(lambda: births(tmp_path))


def test_stop_waits_for_jobs_and_outcomes(agent: Agent) -> None:
    key = agent.spawn("sleep 0.3; exit 2")
    agent.link.send_stop()
    assert agent.refused(agent.spawn("true")).reason == "stopping"
    outcome = agent.ended(key)
    assert is_running(agent.link.hello.pid)
    agent.link.send_ack([outcome.sequence])
    with pytest.raises(KeeperGone):
        wait_until(agent.pump)
    wait_until(lambda: not is_running(agent.link.hello.pid))
    assert not (agent.folder / "socket").exists()


def test_keeper_without_jobs_exits(start_agent: StartAgent) -> None:
    agent = start_agent(linger=0.2)
    outcome = agent.run("true")
    agent.link.close()
    time.sleep(0.4)  # it must still be there then: the outcome is not acknowledged
    heir = agent.again()
    heir.link.send_ack([outcome.sequence])
    heir.link.flush()
    heir.link.close()
    wait_until(lambda: not is_running(agent.link.hello.pid))


# What it can bear


def test_spawn_is_refused_if_the_spool_is_full(agent: Agent) -> None:
    size = (agent.folder / "spool").stat().st_size
    resource.prlimit(agent.link.hello.pid, resource.RLIMIT_FSIZE, (size, size))
    outcomes = [agent.run("true") for _ in range(size // keeper.SLOT_BYTES - 1)]
    refused = agent.refused(agent.spawn("true"))
    assert (refused.reason, refused.errno) == ("spool", errno.EFBIG)
    agent.link.send_ack([outcomes[0].sequence])
    assert agent.run("exit 3").exit_status == 3
    assert len(read_spool(agent.folder).outcomes) == len(outcomes)


def test_thousands_of_jobs_leave_nothing_behind(agent: Agent) -> None:
    agent.link.send_ack([agent.run("true").sequence])
    before, size = descriptors(agent.link.hello.pid), (agent.folder / "spool").stat().st_size
    for _ in range(40):
        keys = [agent.spawn(["/bin/true"]) for _ in range(50)]
        agent.link.send_ack([agent.ended(key).sequence for key in keys])
        agent.events.clear()
    agent.run("true")
    assert descriptors(agent.link.hello.pid) == before
    assert (agent.folder / "spool").stat().st_size <= size + 2 * keeper.Spool.growth
    assert len(read_spool(agent.folder).outcomes) == 1


@contextlib.contextmanager
def raw(folder: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX) as peer:
        peer.settimeout(10)
        descriptor = os.open(folder, os.O_PATH)
        peer.connect(f"/proc/self/fd/{descriptor}/socket")
        os.close(descriptor)
        yield peer


def everything(peer: socket.socket) -> bytes:
    """The messages of the keeper until it closes the connection."""
    said = b""
    with contextlib.suppress(ConnectionResetError):
        while piece := peer.recv(1 << 16):
            said += piece
    return said


HELLO = b'{"type":"hello","protocol":1,"agent":"raw"}\n'


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        (b"garbage\n", b"not JSON"),
        (b"\xff\n", b"not JSON"),
        (b"[" * 100_000 + b"\n", b"not JSON"),
        (b"[]\n", b"not an object"),
        (b'{"type":"stop"}\n', b"hello"),
        (b'{"type":"hello","protocol":99,"agent":"raw"}\n', b"speaks protocol 1"),
        (HELLO + b'{"type":"fly"}\n', b"cannot understand"),
        (HELLO + b'{"type":["stop"]}\n', b"cannot understand"),
        (HELLO + b'{"type":"end","token":[],"grace":1,"reason":""}\n', b"cannot understand"),
        (HELLO + b'{"type":"ack","sequences":3}\n', b"cannot understand"),
        (HELLO + b'{"type":"deadline","boottime":0,"on_lost":"?"}\n', b"cannot understand"),
        (HELLO + b'{"type":"deadline","boottime":NaN,"on_lost":"kill"}\n', b"NaN"),
        (HELLO + b'{"type":"heir","argv":[],"env":[],"lock":"","after":1}\n', b"cannot understand"),
        (HELLO + b'{"type":"environment","env":7}\n', b"cannot understand"),
        (HELLO + b'{"type":"spawn","token":"t"}\n', b"without its descriptor"),
        (HELLO + b"x" * (keeper.LINE_BYTES + (1 << 20)), b"longer"),
    ],
)
def test_invalid_message_closes_the_connection_and_changes_nothing(
    agent: Agent, said: bytes, answer: bytes
) -> None:
    key = agent.spawn("sleep 60")
    pid = agent.started(key).pid
    with raw(agent.folder) as peer:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            peer.sendall(said)
        assert answer in everything(peer).splitlines()[-1]
    assert is_running(pid)
    heir = agent.again()
    assert heir.run("true").exit_status == 0


def test_connection_without_hello_does_not_affect_the_agent(agent: Agent) -> None:
    with raw(agent.folder) as peer:
        peer.sendall(b'{"type":"stop"}\n')
        everything(peer)
    assert agent.run("true").exit_status == 0


def test_lines_may_arrive_in_pieces(agent: Agent) -> None:
    with raw(agent.folder) as peer:
        for byte in HELLO:
            peer.sendall(bytes([byte]))
        assert peer.recv(1 << 16).startswith(b'{"type":"hello"')


def spawn_line(**changes: object) -> bytes:
    message: dict[str, object] = {
        "type": "spawn", "attempt": "3/1/1", "token": str(uuid4()), "argv": ["/bin/true"], "env": {},
        "timeout": None, "grace": 1, "memory": None, "note": None, "after": None,
    }  # fmt: skip
    message.update(changes)
    return json.dumps(message).encode() + b"\n"


NO_SPAWNS = {
    "nothing but its type": b'{"type":"spawn"}\n',
    "a token that is a list": spawn_line(token=[]),
    "a token that is a number": spawn_line(token=5),
    "an attempt that is none": spawn_line(attempt=None),
    "after a list": spawn_line(after=[]),
    "an endless number": spawn_line(timeout=10**400),
    "not a number": spawn_line(grace=float("nan")),
    "an environment that is a list": spawn_line(env=[1]),
    "memory in words": spawn_line(memory="much"),
}


@pytest.mark.parametrize("said", NO_SPAWNS.values(), ids=NO_SPAWNS.keys())
def test_invalid_spawn_leaks_no_descriptor(agent: Agent, said: bytes) -> None:
    pid = agent.started(agent.spawn("sleep 60")).pid
    reading, writing = os.pipe()
    with raw(agent.folder) as peer:
        peer.sendall(HELLO)
        peer.recv(1 << 16)
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [writing, writing]))]
        peer.sendmsg([said], rights)
        assert b'"error"' in everything(peer)
    os.close(writing)
    assert select.select([reading], [], [], 10)[0], "the keeper still holds the other end"
    os.close(reading)
    assert is_running(pid)
    assert agent.again().run("true").exit_status == 0


def test_descriptors_without_a_spawn_do_not_accumulate(agent: Agent) -> None:
    agent.run("true")
    keeper_pid = agent.link.hello.pid
    before = descriptors(keeper_pid)
    reading, writing = os.pipe()
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [writing] * 250))]
    with raw(agent.folder) as peer:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            for _ in range(8):
                peer.sendmsg([b" "], rights)
        assert b"descriptors" in everything(peer)
    os.close(writing)
    assert select.select([reading], [], [], 10)[0], "the keeper still holds the other end"
    os.close(reading)
    wait_until(lambda: descriptors(keeper_pid) == before)
    assert agent.run("true").exit_status == 0


def test_many_connections_do_not_stop_jobs_from_being_ended(agent: Agent) -> None:
    """Too many silent connections are refused; an agent can connect once they are closed."""
    key = agent.spawn("sleep 60", timeout=1.0, grace=0.1)
    agent.started(key)
    with contextlib.ExitStack() as stack:
        crowd = [stack.enter_context(raw(agent.folder)) for _ in range(100)]
        turned_away = wait_until(lambda: select.select(crowd, [], [], 0)[0])
        assert turned_away[0].recv(10) == b""
        assert agent.ended(key).cause is Cause.TIMEOUT
    heir = wait_until(lambda: let_in(agent))
    assert heir
    assert heir.run("true").exit_status == 0


def let_in(agent: Agent) -> Agent | None:
    try:
        return agent.again()
    except KeeperGone:
        return None


def test_random_messages_change_no_jobs_and_leak_no_descriptors(agent: Agent) -> None:
    """Messages with parts removed, duplicated or replaced, each with some descriptors."""
    chance = random.Random(5)
    pid = agent.started(agent.spawn("sleep 60")).pid
    before = descriptors(agent.link.hello.pid)
    odd: list[object] = [None, [], {}, "", "x" * 70, -1, 1e308, 10**400, True, {"a": []}, ["a"]]
    kinds: dict[str, dict[str, object]] = {
        "spawn": json.loads(spawn_line(argv=["/bin/false"])),
        "end": {"token": "t", "grace": 1, "reason": "r"},
        "deadline": {"boottime": 1e12, "on_lost": "keep"},
        "environment": {"env": {"A": "b"}},
        "ack": {"sequences": [1, 2]},
        "withdraw": {"token": "t"},
        "heir": {"argv": None, "env": {}, "lock": "", "after": 1},
        "hello": {"protocol": 1, "agent": "noise"},
    }
    with Path(os.devnull).open("wb") as null:
        for _ in range(300):
            lines = [HELLO]
            for _ in range(chance.randrange(1, 4)):
                kind = chance.choice(list(kinds))
                message = {"type": kind, **kinds[kind]}
                for name in chance.sample(list(message), chance.randrange(0, 2)):
                    message[name] = chance.choice(odd)
                lines.append(json.dumps(message).encode() + b"\n" * chance.randrange(0, 3))
            count = chance.randrange(0, 4)
            rights = [
                (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [null.fileno()] * count))
            ]
            with raw(agent.folder) as peer:
                peer.sendmsg([b"".join(lines)], rights if count else [])
                peer.shutdown(socket.SHUT_WR)
                everything(peer)
    assert is_running(pid)
    heir = agent.again()
    heir.link.send_deadline(1e12, "keep")
    assert heir.run("true").exit_status == 0
    wait_until(lambda: descriptors(agent.link.hello.pid) == before)
    assert b"Traceback" not in (agent.folder / "keeper.log").read_bytes()


def test_agent_that_dies_during_a_spawn_leaks_no_descriptor(agent: Agent) -> None:
    agent.run("true")
    before = descriptors(agent.link.hello.pid)
    reading, writing = os.pipe()
    with raw(agent.folder) as peer:
        peer.sendall(HELLO)
        peer.recv(1 << 16)
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [writing] * 100))]
        peer.sendmsg([b'{"type":"spawn","attempt":"3/1'], rights)
        wait_until(lambda: descriptors(agent.link.hello.pid) >= before + 100)
    os.close(writing)
    assert select.select([reading], [], [], 10)[0], "the keeper still holds the other end"
    os.close(reading)
    wait_until(
        lambda: descriptors(agent.link.hello.pid) == before - 1
    )  # the first agent's connection


@pytest.mark.needs("root")
def test_another_account_may_not_connect(tmp_path: Path, agent: Agent) -> None:
    with socket.socket(socket.AF_UNIX) as peer:
        peer.settimeout(10)
        os.chdir(agent.folder)
        agent.folder.chmod(0o777)
        Path("socket").chmod(0o777)
        os.seteuid(65534)
        try:
            peer.connect("socket")
        finally:
            os.seteuid(0)
            os.chdir(tmp_path)
        with contextlib.suppress(BrokenPipeError):
            peer.sendall(HELLO)
        assert everything(peer) == b""


# One after the other


def begun(agent: Agent, key: AttemptKey) -> bool:
    """Whether the keeper has reported the start of an attempt."""
    agent.pump()
    return any(isinstance(event, Started) and event.key == key for event in agent.events)


def gate(tmp_path: Path) -> tuple[Path, str]:
    """A file, and a script that ends once the file exists."""
    path = tmp_path / f"gate-{next(_keys)}"
    return path, f"until test -e {path}; do sleep 0.01; done"


def test_pending_spawn_starts_after_its_predecessor(
    start_agent: StartAgent, tmp_path: Path
) -> None:
    agent = start_agent()
    opened, script = gate(tmp_path)
    first = agent.spawn(script)
    second = agent.spawn("true", after=first)
    third = agent.spawn("exit 3", after=second)
    agent.started(first)
    assert not begun(agent, second)
    opened.touch()
    assert agent.ended(third).exit_status == 3
    said = [(type(event), event.key) for event in agent.events if not isinstance(event, Hello)]
    assert said == [
        (Started, first), (Ended, first), (Started, second), (Ended, second), (Started, third), (Ended, third),
    ]  # fmt: skip


def test_pending_spawn_waits_for_all_processes_of_its_predecessor(
    start_agent: StartAgent, tmp_path: Path
) -> None:
    agent = start_agent()
    opened, script = gate(tmp_path)
    deaf = tmp_path / "deaf"
    left = f"(trap '' TERM; touch {deaf}; {script}) &"
    first = agent.spawn(f"{left} until test -e {deaf}; do sleep 0.01; done", grace=30.0)
    second = agent.spawn("true", after=first)
    agent.started(first)
    for _ in range(10):
        assert not begun(agent, second)
    opened.touch()
    assert agent.ended(second).boottime >= agent.ended(first).boottime


def test_spawn_after_an_ended_attempt_starts_at_once(start_agent: StartAgent) -> None:
    agent = start_agent()
    first = agent.run("true").key
    assert agent.run("true", after=first).exit_status == 0
    assert agent.run("true", after=new_key()).exit_status == 0


@pytest.mark.parametrize("how", ["withdraw", "end"])
def test_follower_takes_the_place_of_a_withdrawn_spawn(
    start_agent: StartAgent, tmp_path: Path, how: str
) -> None:
    agent = start_agent()
    opened, script = gate(tmp_path)
    first = agent.spawn(script)
    second, third = agent.spawn("true", after=first), None
    third = agent.spawn("true", after=second)
    if how == "withdraw":
        agent.link.send_withdraw(second)
        agent.link.send_withdraw(first)  # it runs, so nothing happens to it
    else:
        agent.link.send_end(second, grace=0, reason="a test")
    assert agent.refused(second).reason == "withdrawn"
    assert not begun(agent, third)
    opened.touch()
    assert agent.ended(third).exit_status == 0
    assert agent.ended(first).exit_status == 0
    assert not begun(agent, second)


def test_follower_takes_the_place_of_a_failed_spawn(
    start_agent: StartAgent, tmp_path: Path
) -> None:
    agent = start_agent()
    opened, script = gate(tmp_path)
    first = agent.spawn(script)
    second = agent.spawn(["/no/such/program"], after=first)
    third = agent.spawn("true", after=second)
    opened.touch()
    assert agent.refused(second).errno == errno.ENOENT
    assert agent.ended(third).exit_status == 0


def test_pending_spawn_does_not_start_after_the_lease(
    start_agent: StartAgent, tmp_path: Path
) -> None:
    agent = start_agent()
    opened, script = gate(tmp_path)
    first = agent.spawn(script)
    second = agent.spawn("true", after=first)
    agent.started(first)
    agent.link.send_deadline(0.0, "keep")
    opened.touch()
    assert agent.refused(second).reason == "lease"


def test_pending_spawn_is_dropped_with_its_agent(start_agent: StartAgent, tmp_path: Path) -> None:
    agent = start_agent()
    opened, script = gate(tmp_path)
    first = agent.spawn(script)
    agent.started(first)
    before = descriptors(agent.link.hello.pid)
    second = agent.spawn("touch never", after=first)
    agent.pump()
    wait_until(lambda: descriptors(agent.link.hello.pid) > before)
    heir = agent.again()
    assert [started.key for started in heir.link.hello.running] == [first]
    opened.touch()
    assert heir.ended(first).exit_status == 0
    last = heir.run("true")
    assert [event.key for event in heir.events if isinstance(event, Started)] == [last.key]
    assert descriptors(agent.link.hello.pid) <= before
    assert heir.ended(heir.spawn("true", key=second)).exit_status == 0  # the token is free again


def test_two_spawns_cannot_follow_the_same_attempt(start_agent: StartAgent, tmp_path: Path) -> None:
    agent = start_agent()
    opened, script = gate(tmp_path)
    first = agent.spawn(script)
    agent.spawn("true", after=first)
    agent.spawn("true", after=first)
    with pytest.raises(KeeperError, match="another spawn already follows"):
        agent.ended(first)
    opened.touch()


def test_environments_are_sent_as_changes(start_agent: StartAgent) -> None:
    agent = start_agent()
    agent.run("true", env={"A": "1", "B": "2"})
    key = agent.run('echo "$A-${B-gone}-$C"', env={"A": "x", "C": "3"}).key
    assert agent.line(key) == "x-gone-3"
    key = agent.run('echo "$A-$B-${C-gone}"', env={"A": "1", "B": "2"}).key
    assert agent.line(key) == "1-2-gone"
