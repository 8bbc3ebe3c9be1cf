"""Every command that can go over HTTP prints the same there, and so does every mistake."""

from __future__ import annotations

import re
import shlex
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from orchestra.cli.registry import WORDS
from orchestra.interface.task_changes import KillTask
from orchestra.store.driver.database import connect
from orchestra.wiring.settings import load_settings
from support.commands import Done, Forkserver
from support.http_server import serving
from support.maestro import Maestro
from support.remote_maestro import RemoteMaestro, is_local
from support.server import Server
from support.waiting import wait_until
from support.world import World

COMMANDS = r"""
user list
user list -o json
user list -u nobody
user create -n bob -e bob@example.org
user create -n bob -e bob@example.org
user create -n 'b b' -e bob@example.org
user set -n bob --mail off -e b@example.org
user set -n zoe --mail off
user set --mail on
user set
queue
queue --queue gpu
queue -o json
queue -q
queue --queue x
user limit -n bob --cpus 40 --gpus 2.5 --running 500 --shares 2
user limit -n bob --running none -o json
user limit -n bob --gpus many
user limit -n bob --cpus -1
user limit -n bob --shares 0
user limit -n zoe --cpus 1
user limit -n bob
user list
user show
user show -n bob
user show -n zoe -o json
user delete -n ana
user delete -n bob -x
user delete -n bob
user tokens
user revoke 77
dataset create -n grid -p configs
dataset create -n grid -p configs
dataset create -n one -p data.txt
dataset create -n x -p nowhere
dataset create -n bad/name -p configs
dataset create -n user.bob.x -p configs
dataset create -n 'b d' -p configs
dataset create -n odd -p odd
dataset create -n latin -p latin
dataset list
dataset list -a -o json
dataset show grid
dataset show grid -o json
dataset show ..
dataset show 'a/b?c#d%25'
dataset show ''
dataset update grid
dataset update nothing
dataset delete one -x
dataset sweep -n swept --grid lr=0.1,0.01 --grid n=1,2 swept
dataset sweep -n swept2 --grid lr=nan,inf,-inf swept2
dataset show swept2 -o json
task create -t fit -c grid -d one --exec 'run %DATA %IN %OUT' --dry-run
task create -t fit -c grid -d one --exec 'run %DATA %IN %OUT'
task create -t fit -c grid -d one --exec 'run %DATA %IN %OUT'
task create -t fit -c grid -d none --exec 'run %DATA %IN %OUT'
task create -t big -c grid -d one --exec 'run %DATA %IN %OUT' --retries 99999999999999999999
task create -t big -c grid -d one --exec 'run %DATA %IN %OUT' --priority -99999999999
task create -t big -c grid -d one --exec 'run %DATA %IN %OUT' --timeout 1e400h
task create -t big -c grid -d one --exec 'run %DATA %IN %OUT' --env 'A=a"\é' --timeout 1d
task create -t bad -c grid -d one --exec 'run %DATA %IN %OUT' --env A=\xff
task clone 0 -t twin --priority 3
task clone 0 -t half --queue gpu --gpus 0.5 --cpus 2 --gpu-memory 1GB --constraint 'gpu=a100|h100' --node gauss
task clone 0 -t twin
task clone 77 -t twin
task list
task list -a -o json
task list -u bob
task list --limit 1
task show 0
task show 0 -o json
task show user.ana.fit
task show ..
task show 99999999999999999999
task show -1
task show 'a b'
usage --by user -q
usage -u ana --since 2020 --until 2021
usage --by usr
usage --by user,user
usage --since 2026-11 --until 2026-10
usage --since soon
usage -u nobody
usage --out usage.txt
task queue
task queue gpu
task queue -o json
task set 0 --priority 7 --goal 'low loss'
task set 0 --cpus 2 --scratch 1GB --exclusive on --constraint gpu=a100 --not-node 'gpu[01-02]' --walltime 1h
task set 0 --exclusive off --constraint none --not-node none --scratch none --walltime none
task set 0 --gpus 0.5
task set 0 --constraint 'gpu='
task set 0
task set 0 --retries 5 --timeout 3h --max-running 2 -o json
task hold 0 -r 'a reason: é "x"'
task hold 0
task release 0
task release 77
task add 0 more/9.json
task add 0 configs
task results 3
task results 3 -o json
task results 0
task results 0 --sort nothing
task results 0 --out results.csv
task report 3 --out report.html
task logs 3
task clean 3
task clean 0 --dry_run
task retry 0
task retry 3
task retry 3 --failed
task kill 3
task delete 3
task kill 77
task wait 4 --timeout 1s
task delete 0 --force
task list -a
job list 4
job list 4 -o json
job list --state failed
job list --state fialed
job list --since 1d --node gauss
job show 4/1
job show 4/1 -o json
job show 4/99
job show 4
job show 4/1/2
job explain 4/0
job explain 4/2 -o json
job logs 4/1
job logs 4/0 --tail 3
job logs 4/77
job retry 4/2
job retry 4/0
job kill 4/1-2 -r because
job kill 'x/*'
node create -n euler -ec 4 -mc 8
node create -n 'gpu[01-03]' -eg 2 -mg 2
node create -n euler -ec 4 -mc 8
node create -n bad/name -ec 1
node set -n euler --label gpu=a100 --label rack=3 --label rack=
node set -n euler --label rack
node set -n euler --label rack=3,4
node set -n euler --open 'mon-fri 19-7, sat' --memory 64GB --nice 5
node set -n euler --open nights
node set -n euler --memory much
node set -n euler --nice 20
node drain -n euler --at '2099-12-01 18:00' -r 'a disk'
node drain -n euler --at yesterday
node list
node list -o json
node show euler
node show nobody
node set -n euler -ec 5
node set -n euler -ec 500
node drain -n euler -r 'a disk'
node drain -n nobody
node show euler -o json
node resume -n euler
node stop -n euler
node lost -n gauss --yes
node lost -n euler --yes
node delete -n gpu[01-02]
node delete -n gauss
pool create here --engine local --cpus 2 --memory 4GB --max-pilots 3
pool create here --engine local
pool create 'b d' --engine local
pool create x --engine slurn
pool create x --engine slurm --sbatch '--wrap=x'
pool create x --engine slurm --min-pilots 3 --max-pilots 2
pool create x --engine local --partition long
pool create x --engine slurm --walltime soon
pool list
pool list -o json
pool list -q
pool show here
pool show here -o json
pool show here --script
pool show her
pool dry-run here
pool dry-run here -o json
pool set here --max-pilots 2 --walltime 04:00:00 --idle 5m
pool set here --walltime none --owner zoe
pool set here
pool pause here -r 'a reason: é "x"'
pool show here
pool resume here
pool resume here
pool delete there
pool delete here --drain --now
pool delete here
mail list
mail list -a -o json
mail show 1
mail show 77
mail retry
mail retry 77
mail test
mail test nobody
mail test ana@example.org
completion --names task
completion --names dataset
completion --names node
completion --names pool
completion --names user
task list --json
job list 4 --state
task cerate
run train.py configs --detach
run nowhere.py configs
run train.py
version
"""

_SAME = (
    (r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?(\+00:00|Z)?", "TIME"),
    (r"\d{4}-\d\d-\d\d", "DAY"),
    (r"\b\d\d:\d\d:\d\d\b", "TIME"),
    (r'"modified_ns": \d+', '"modified_ns": TIME'),
    (r"(waits +|task is waiting\. |\"waits\": ).*", r"\1A REASON, which changes in seconds"),
    (r"\b\d+(\.\d+)? (ms|s|min|h)\b", "DURATION"),
    (r'"(\w*seconds|age|latency)": [\d.]+', r'"\1": SECONDS'),
    (r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f-]{22}", "UUID"),
    (r"\d{8}-\d{6}[\w.-]*\.eml|\S+\.eml", "MAIL"),
    (r" +", " "),
)
"""What differs between two runs of a command: times, paths, what is random, and the width of columns with times."""


@pytest.fixture(scope="module")
def with_driver() -> Iterator[Forkserver]:
    """What runs commands with a connection."""
    found = Forkserver(driver=True)
    yield found
    found.close()


def prepare(url: str, folder: Path) -> None:
    """What the commands find: data, a program, and a task of everything that can become of jobs."""
    (folder / "configs").mkdir(parents=True)
    (folder / "more").mkdir()
    (folder / "odd").mkdir()
    (folder / "latin").mkdir()
    for number in range(3):
        (folder / f"configs/{number}.json").write_text(f'{{"lr": 0.{number}}}')
    (folder / "more/9.json").write_text("{}")
    (folder / "odd" / "a\n b'\"$(x).json").write_text("{}")
    (folder / "odd" / "é ☃ #?%.json").write_text("{}")
    (folder / "latin" / "caf\udce9.json").write_text("{}")
    (folder / "data.txt").write_text("data")
    (folder / "train.py").write_text("print(1)\n")
    with connect(url) as conn:
        world = World(conn)
        world.task(3, "user.ana.old0")
        for number in range(1, 4):
            world.task(4, f"user.ana.old{number}", test_jobs=0)
        world.run_all(failing=[1, 2])


@pytest.mark.slow
def test_commands_print_the_same_over_http(
    database_server: Server, tmp_path: Path, commands: Forkserver, with_driver: Forkserver
) -> None:
    differ: list[str] = []
    with ExitStack() as stack:
        ways = []
        for way, runner in (("postgresql", with_driver), ("http", commands)):
            url = stack.enter_context(database_server.clone(f"both_ways_{way}_{tmp_path.name[-1]}"))
            home = tmp_path / way
            home.mkdir()
            prepare(url, home / "work")
            env = {"MAESTRO_STATE_DIR": str(home / "state")}
            user = RemoteMaestro(home, home / "work", env, commands=runner)
            stack.callback(user.end)
            user.configure(postgres=url, username="ana", email="ana@example.org")
            ways.append((user, user.environment() if way == "http" else user.local_environment()))
        for command in filter(None, COMMANDS.splitlines()):
            words = [word.replace(r"\xff", "\udcff") for word in shlex.split(command)]
            one, other = (
                user.commands.run(words, folder=user.folder, env=env, typed=None, timeout=60)
                for user, env in ways
            )
            if other.loaded:
                differ.append(f"$ maestro {command}\n--- over HTTP, it loads {other.loaded}")
            texts = [_text(done, user) for done, (user, _) in zip((one, other), ways, strict=True)]
            if texts[0] != texts[1]:
                differ.append(f"$ maestro {command}\n{texts[0]}--- over HTTP\n{texts[1]}")
    assert not differ, "\n".join(differ)


def test_who_waits_for_a_task_goes_on_when_the_server_is_back(
    newcomer: Maestro, database_url: str, world: World, tmp_path: Path
) -> None:
    task = world.task(1)
    settings = load_settings(given={"postgres": database_url, "username": "ana"})
    said = tmp_path / "said"
    with said.open("w") as file, tempfile.TemporaryDirectory(dir="/tmp") as folder:
        path = f"{folder}/socket"
        newcomer.env["MAESTRO_SERVER"] = f"unix:{path}"
        with serving(settings, path):
            waiting = newcomer.start("task", "show", task, "--watch", stdout=file, stderr=file)
            wait_until(lambda: "REGISTERED" in said.read_text(), 30, said.read_text)
        away = "there is no server at " + path
        wait_until(lambda: away in said.read_text(), 30, said.read_text)
        with serving(settings, path):
            wait_until(lambda: "The server is back." in said.read_text(), 30, said.read_text)
            world.interface()(KillTask(task))
            world.conduct(3)
            assert waiting.wait(30) == 0
    assert "KILLED" in said.read_text()
    assert "database" not in said.read_text()


def test_every_command_is_tried_that_can_go_over_http() -> None:
    tried = {tuple(shlex.split(line)[:2]) for line in COMMANDS.splitlines() if line}
    elsewhere = {("task", "plot"), ("task", "repro"), ("user", "token")}
    """Tried in tests of their own."""
    for word in WORDS:
        for verb in word.verbs():
            words = (word.name, verb.name) if word.is_noun else (word.name,)
            known = any(each[: len(words)] == words for each in tried) or words in elsewhere
            assert known or is_local(list(words)), words


def _text(done: Done, user: RemoteMaestro) -> str:
    text = f"{done.out}\n{done.err}\n-> {done.status}\n"
    text = text.replace(str(user.home), "HOME")
    for pattern, word in _SAME:
        text = re.sub(pattern, word, text)
    return text
