"""The client without a database: what it takes, what it shows, how it waits."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

import orchestra
from orchestra.client import progress, waiting, words
from orchestra.client.datasets import DataSets
from orchestra.client.handover import Handover, pack
from orchestra.client.session import Session
from orchestra.client.settings import UNCHANGED, new_settings
from orchestra.client.task import Task
from orchestra.config import SETTINGS, Settings, load
from orchestra.domain import errors
from orchestra.domain.errors import (
    BadInput,
    ConfigurationError,
    DatabaseUnavailable,
    NotDone,
    OrchestraError,
    Refused,
    TimedOut,
)
from orchestra.domain.models import tasks as models
from orchestra.domain.models.task_settings import NewSettings
from orchestra.domain.models.tasks import Counts, Limit
from orchestra.domain.states import JobStatus, PendingOperation, TaskState
from support.tasks import a_task


def test_orchestra_itself_stays_light() -> None:
    script = (
        "import sys, orchestra; light = set(sys.modules)\n"
        "assert 'Client' in dir(orchestra) or 'Client' in orchestra.__all__\n"
        "orchestra.Client\n"
        "heavy = {'psycopg', 'rich', 'pandas', 'IPython', 'numpy', 'orchestra.wiring', 'orchestra.cli'}\n"
        "print(sorted(heavy & set(sys.modules)), 'orchestra.client' in light, len(light) < 120)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[] False True"
    with pytest.raises(AttributeError, match="no attribute 'Clint'"):
        _ = orchestra.Clint  # type: ignore[attr-defined]


# What it takes


def test_durations_sizes_and_limits_are_numbers_or_words() -> None:
    assert words.seconds("timeout", 90) == words.seconds("timeout", "1.5m") == 90
    assert words.seconds("timeout", timedelta(hours=1)) == 3600
    assert words.seconds("grace", 0.25) == 0.25
    assert words.size("memory", "4GB") == words.size("memory", 4_000_000_000)
    policy = words.policy(
        bypass=False,
        test_jobs=None,
        test_for=None,
        retries=2,
        timeout="2h",
        grace=5,
        priority=-1,
        max_fails="5%",
        resume=True,
    )
    assert policy == models.Policy(
        retries=2, timeout=7200, grace=5, priority=-1, max_fails=Limit(percent=5.0), resume=True
    )
    assert words.variables({"A": 1, "B": "x"}) == {"A": "1", "B": "x"}
    listed: list[str | Path] = ["python3", Path("/a b/100%DATA's"), "-c", "%IN"]
    assert words.command(listed) == """python3 '/a b/100%%DATA'"'"'s' -c %IN"""
    assert words.command("f %IN | g > %OUT/x") == "f %IN | g > %OUT/x"
    assert words.status("Failed") is JobStatus.FAILED
    asked = words.result_query(
        where="lr < 1", group_by="lr, width", sort=None, best=3, direction="max", columns=None
    )
    assert (asked.group_by, asked.best, asked.highest) == (("lr", "width"), 3, True)
    assert asked.where


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: words.highest("up"), """direction must be "min" or "max", not 'up'"""),
        (lambda: words.whole("retries", -1, least=0), "retries needs a whole number of at least 0, not -1"),
        (lambda: words.whole("cores", 1.5, least=1), "cores needs a whole number of at least 1, not 1.5"),  # type: ignore[arg-type]
        (lambda: words.whole("cores", "2", least=1), "not '2'"),  # type: ignore[arg-type]
        (lambda: words.whole("cores", True, least=1), "not True"),
        (lambda: words.seconds("timeout", -3), "timeout needs seconds or a string like '10m', not -3"),
        (lambda: words.seconds("timeout", float("nan")), "not nan"),
        (lambda: words.seconds("timeout", [1]), "not [1]"),  # type: ignore[arg-type]
        (lambda: words.seconds("timeout", float("inf")), "is longer than 100 years"),
        (lambda: words.seconds("timeout", "soon"), '"soon" is not a duration'),
        (lambda: words.some_seconds("timeout", 0), "timeout must be longer than 0 s"),
        (lambda: words.size("memory", 0), "memory needs bytes or a string like '4GB', not 0"),
        (lambda: words.seconds("timeout", 10**5000), "is longer than 100 years"),
        (lambda: words.size("memory", float("inf")), "memory is more than any machine has"),  # type: ignore[arg-type]
        (lambda: words.size("memory", float("nan")), "not nan"),  # type: ignore[arg-type]
        (lambda: words.size("memory", -(10**5000)), "not a number below that"),
        (lambda: words.whole("cores", 10**5000, least=1), "cores is at most 2,147,483,647"),
        (lambda: words.whole("cores", -(10**5000), least=1), "of at least 1, not a number below that"),
        (lambda: words.size("memory", "0 GB"), "memory needs bytes or a string like '4GB', not '0 GB'"),
        (lambda: words.size("memory", "much"), '"much" is not a size'),
        (lambda: words.command(7), "a command must be a string, or a list of strings and paths, not 7"),  # type: ignore[arg-type]
        (lambda: words.command(["a", 7]), "not ['a', 7]"),  # type: ignore[list-item]
        (lambda: words.queue("tpu"), "queue must be \"cpu\" or \"gpu\", not 'tpu'"),
        (lambda: words.status("dead"), "there is no job state 'dead'"),
        (lambda: words.variables({"A B": "x"}), '"A B" is not a valid name'),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_a_sentence(call: Any, sentence: str) -> None:
    with pytest.raises(BadInput) as caught:
        call()
    assert sentence in str(caught.value)


def test_a_test_and_no_test_do_not_go_together() -> None:
    with pytest.raises(BadInput, match="bypass skips the test"):
        words.policy(
            bypass=True,
            test_jobs=3,
            test_for=None,
            retries=0,
            timeout=None,
            grace=1,
            priority=0,
            max_fails=None,
            resume=False,
        )


def test_settings_that_are_given_win(tmp_path: Path) -> None:
    path = tmp_path / "other.json"
    path.write_text('{"username": "bob", "email": "bob@example.org", "smtp_port": 25}')
    environ = {"MAESTRO_EMAIL": "b@example.org"}
    given = {"username": "carla", "volume": tmp_path, "smtp_port": None}
    settings = load(str(path), environ, given)
    assert (settings.username, settings.email) == ("carla", "b@example.org")
    assert (settings.volume, settings.smtp_port) == (tmp_path, None)
    assert settings.origin("username") == "the program"
    with pytest.raises(
        ConfigurationError, match=r'"postgre" is not a setting. Did you mean "postgres"'
    ):
        load(str(path), {}, {"postgre": "x"})
    with pytest.raises(ConfigurationError, match='the program: "smtp_port" must be a whole number'):
        load(str(path), {}, {"smtp_port": "many"})


def test_a_configuration_that_others_can_read_is_warned_of(tmp_path: Path) -> None:
    path = tmp_path / "other.json"
    path.write_text('{"postgres": "postgresql://a:secret@h/d"}')
    path.chmod(0o644)
    with pytest.warns(UserWarning, match="can be read by others"):
        client = orchestra.Client(path, username="ana")
    assert "secret" not in repr(client)
    assert repr(client) == "<orchestra.Client of ana>"


@pytest.fixture
def sets(tmp_path: Path) -> DataSets:
    return DataSets(Session(load(environ={"HOME": str(tmp_path)}, given={"sweep_limit": 3})))


def test_a_sweep_is_a_dictionary_or_a_file(sets: DataSets, tmp_path: Path) -> None:
    import numpy as np

    varied = {"grid": {"lr": np.array([0.5, 0.25]), "seed": range(2)}, "base": {"n": np.int64(3)}}
    seen = sets.preview_sweep(varied)
    assert seen.points == 4
    assert seen.first[1] == ("1_lr=0.5_seed=1.json", '{"n": 3, "lr": 0.5, "seed": 1}\n')
    assert len(seen.first) == 3
    file = tmp_path / "grid.yaml"
    file.write_text("grid: {lr: [0.5, 0.25], seed: [0, 1]}\nbase: {n: 3}\n")
    assert sets.preview_sweep(file) == seen
    assert sets.preview_sweep(varied, format="yaml").first[0][0].endswith(".yaml")


@pytest.mark.parametrize(
    ("sweep", "options", "sentence"),
    [
        ({}, {}, "the sweep varies nothing"),
        ({"grit": {"a": [1]}}, {}, "grit"),
        ({"grid": {"a": [1]}}, {"format": "toml"}, "format must be"),
        ("nowhere.yaml", {}, "nowhere.yaml"),
    ],
)
def test_a_sweep_that_cannot_be_meant(
    sets: DataSets, sweep: Any, options: dict[str, str], sentence: str
) -> None:
    with pytest.raises(BadInput, match=sentence):
        sets.preview_sweep(sweep, **options)  # type: ignore[arg-type]


def test_too_many_configs_are_refused_before_anything_is_asked(
    sets: DataSets, tmp_path: Path
) -> None:
    with pytest.raises(Refused, match="this sweep has 4 configs"):
        sets.sweep("user.ana.grid", {"grid": {"a": range(4)}}, tmp_path / "configs")
    assert not (tmp_path / "configs").exists()


# How it waits


class Story:
    """What a task looks like at each look, and why nothing runs while its reason says so; an error is raised."""

    def __init__(self, *looks: models.Task | OrchestraError, reason: str = "") -> None:
        self.looks = iter(looks)
        self.slept: list[float] = []
        self.reason = reason

    def look(self) -> tuple[models.Task, str]:
        found = next(self.looks)
        if isinstance(found, OrchestraError):
            raise found
        return found, self.reason if found.state.is_live else ""

    def wait(self, timeout: float | None = None, **options: Any) -> models.Task:
        options = {"progress": False, "sleep": self.slept.append, **options}
        return waiting.wait(self.look, timeout, **options)


def test_it_waits_for_the_counts_to_be_final() -> None:
    moving = a_task(TaskState.KILLED, pending_operation=PendingOperation.KILL)
    over = a_task(TaskState.KILLED)
    story = Story(a_task(), moving, over)
    assert story.wait() is over
    assert len(story.slept) == 2


def test_a_database_that_goes_away_is_waited_for(capsys: pytest.CaptureFixture[str]) -> None:
    away = DatabaseUnavailable("the database at h:5432 cannot be reached.")
    story = Story(a_task(), away, away, a_task(TaskState.DONE, done=8))
    assert story.wait(progress=True).state is TaskState.DONE
    assert capsys.readouterr().err.splitlines() == [
        "user.ana.mlp RUNNING [##########..........] 4 of 8 jobs done",
        "    the database at h:5432 cannot be reached. Waiting for it.",
        "user.ana.mlp DONE [####################] 8 of 8 jobs done",
    ]
    with pytest.raises(DatabaseUnavailable):
        Story(a_task(), away).wait(patience=-1)


def test_a_time_limit() -> None:
    with pytest.raises(
        TimedOut, match=r"task 3 \(user.ana.mlp\) is RUNNING; it has not ended within 0"
    ):
        Story(a_task()).wait(timeout=0)
    story = Story(*[a_task()] * 1_000_000)
    with pytest.raises(TimedOut):
        story.wait(timeout=0.05)
    assert max(story.slept) <= 0.05


def test_an_end_that_is_not_done() -> None:
    waiting.check(a_task(TaskState.DONE))
    with pytest.raises(NotDone, match="is FINALIZED: 4 of 8 jobs are done") as caught:
        waiting.check(a_task(TaskState.FINALIZED))
    assert "show task 3" in (caught.value.hint or "")


# What it shows


def test_the_line_says_what_matters() -> None:
    counts = Counts(done=2, running=3, failed=1, assigned=2)
    task = a_task(counts=counts, typical_seconds=60.0)
    assert progress.line(task) == (
        "user.ana.mlp RUNNING [#####xx.............] 2 of 8 jobs done, 3 running, 1 failed, ends in 1 min"
    )


def test_a_reason_why_nothing_runs_is_said_once(capsys: pytest.CaptureFixture[str]) -> None:
    looks = (a_task(), a_task(), a_task(TaskState.DONE, done=8))
    Story(*looks, reason="No node has a pilot.").wait(progress=True)
    assert capsys.readouterr().err.splitlines() == [
        "user.ana.mlp RUNNING [##########..........] 4 of 8 jobs done",
        "    No node has a pilot.",
        "user.ana.mlp DONE [####################] 8 of 8 jobs done",
    ]


def test_on_a_terminal_the_line_is_written_over(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "30")
    looks = (a_task(), a_task(), a_task(TaskState.DONE, done=8))
    Story(*looks, reason="It is held by bob: the disk is full").wait(progress=True)
    written = capsys.readouterr().err
    assert written.endswith("\n")
    lines = written.rstrip("\n").split("\r\x1b[K")
    assert lines == [
        "",
        "It is held by bob: the disk is full\nuser.ana.mlp RUNNING [#######",
        "user.ana.mlp RUNNING [#######"[:29],
        "user.ana.mlp DONE [###########"[:29],
    ]


@pytest.fixture
def shell() -> Iterator[Any]:
    """IPython as a kernel would have it."""
    from IPython.core.interactiveshell import InteractiveShell

    shell = InteractiveShell.instance()
    shell.kernel = object()
    yield shell
    InteractiveShell.clear_instance()


def test_in_a_notebook_one_output_changes(shell: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    published: list[tuple[str, bool]] = []

    def publish(data: dict[str, str], **options: Any) -> None:
        published.append((data["text/plain"], bool(options.get("update"))))

    monkeypatch.setattr(shell.display_pub, "publish", publish)
    looks = (a_task(), a_task(), a_task(TaskState.DONE, done=8))
    Story(*looks, reason="No node has a pilot.").wait(progress=True)
    assert published == [
        (
            "user.ana.mlp RUNNING [##########..........] 4 of 8 jobs done\nNo node has a pilot.",
            False,
        ),
        ("user.ana.mlp DONE [####################] 8 of 8 jobs done", True),
    ]


def test_a_task_looks_like_itself() -> None:
    session = Session(load(environ={}))
    task = Task(session, a_task())
    assert repr(task) == "<task 3 user.ana.mlp: RUNNING, 4 of 8 jobs done>"
    assert task == Task(session, a_task(TaskState.DONE))
    assert len({task, Task(session, a_task())}) == 1
    assert task.last_seen.state is TaskState.RUNNING


def test_without_pandas_a_sentence_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    task = Task(Session(load(environ={})), a_task())
    with pytest.raises(Refused, match=r"frame\(\) needs pandas, which is not installed") as caught:
        task.frame()
    assert caught.value.hint == "pip install 'orchestra-hpc[notebook]'"


def test_a_closed_client_says_so() -> None:
    with orchestra.Client(username="ana") as client:
        pass
    with pytest.raises(Refused, match="this client is closed"):
        _ = client.user


def test_no_password_is_pickled_and_what_lacks_one_says_so_at_its_first_call() -> None:
    given = "postgresql://ana:secret@db:5433/lab?sslpassword=secret&sslmode=require"
    client = orchestra.Client(postgres=given, username="ana", password="secret", token="secret")
    assert copy.deepcopy(client)._session is copy.copy(client)._session is client._session
    assert pickle.loads(pickle.dumps(client))._session is client._session
    pickled = pickle.dumps(client)
    assert b"secret" not in pickled
    del client
    elsewhere = pickle.loads(pickled)
    with pytest.raises(
        ConfigurationError, match="the password for the database at db:5433 is not passed"
    ):
        _ = elsewhere.user
    assert repr(elsewhere) == "<orchestra.Client>"


def test_no_token_is_pickled_and_none_is_sent_to_another_server(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    client = orchestra.Client(server="https://o.example.org", token="orc_secret")
    assert repr(client) == "<orchestra.Client at https://o.example.org>"
    pickled = pickle.dumps(client)
    assert b"orc_secret" not in pickled
    del client
    handed = pickle.loads(pickled)._session._settings
    assert isinstance(handed, Handover)
    monkeypatch.setenv("MAESTRO_TOKEN", "orc_other")
    for server in ("", "https://other.example.org"):
        monkeypatch.setenv("MAESTRO_SERVER", server)
        with pytest.raises(ConfigurationError, match="the token for the server at"):
            handed.unpacked()
    monkeypatch.setenv("MAESTRO_SERVER", "https://o.example.org")
    assert handed.unpacked().token == "orc_other"
    without = pack(Settings(server="unix:/run/o/socket")).unpacked()
    assert (without.server, without.token) == ("unix:/run/o/socket", None)


def test_what_is_handed_over_is_what_the_client_had(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "own.json"
    file.write_text('{"postgres": "postgresql://ana:secret@db/lab", "lease": "2 h"}')
    file.chmod(0o600)
    found = load(str(file), given={"volume": "/data", "username": "ana"})
    handed = pickle.loads(pickle.dumps(pack(found)))
    assert handed == pack(found)
    monkeypatch.setenv("MAESTRO_VOLUME", "/elsewhere")
    again = handed.unpacked()
    assert {each.name: getattr(again, each.name) for each in SETTINGS} == {
        each.name: getattr(found, each.name) for each in SETTINGS
    }
    file.write_text('{"postgres": "postgresql://ana:secret@other/lab"}')
    with pytest.raises(ConfigurationError, match="does not have it"):
        handed.unpacked()
    assert (
        pack(load(given={"postgres": "postgresql:///lab"})).unpacked().postgres
        == "postgresql:///lab"
    )


def test_errors_come_back_whole_from_another_process() -> None:
    kinds = [
        each
        for each in vars(errors).values()
        if isinstance(each, type) and issubclass(each, OrchestraError)
    ]
    assert OrchestraError in kinds
    for kind in kinds:
        back = pickle.loads(pickle.dumps(kind("no.", hint="do.")))
        assert (type(back), str(back), back.hint) == (kind, "no.", "do.")


def test_new_settings_say_what_stays_what_is_new_and_what_is_none() -> None:
    def given(**settings: Any) -> NewSettings:
        nullable = dict.fromkeys(
            (
                *("max_fails", "max_running", "timeout", "memory", "goal", "gpu_memory", "scratch"),
                *("walltime", "constraint", "node", "not_node"),
            ),
            UNCHANGED,
        )
        others = dict.fromkeys(
            ("priority", "retries", "grace", "cores", "cpus", "gpus", "exclusive")
        )
        return new_settings(**{**others, **nullable, **settings})

    assert given() == NewSettings()
    assert given(timeout="2h", memory="4GB", max_fails="5%", max_running=3, goal="min:loss") == (
        NewSettings(
            timeout=7200.0,
            memory_bytes=4 * 10**9,
            max_fails=Limit(percent=5.0),
            max_running=3,
            goal="min:loss",
        )
    )
    removed = given(timeout=None, memory=None, max_fails=None, max_running=None, goal=None)
    nothing = NewSettings(timeout=0, memory_bytes=0, max_fails=Limit(), max_running=0, goal="")
    assert removed == nothing
    assert given(gpus=0.5, walltime="2h", exclusive=True, node="gpu[01-02]", cpus=0) == NewSettings(
        gpus=1, gpu_milli=500, walltime=7200.0, exclusive=True, nodes=("gpu[01-02]",), cpus=0
    )
    assert given(gpus=2, constraint=None, node=None, gpu_memory=None) == NewSettings(
        gpus=2, gpu_milli=0, constraint="", nodes=(), vram_bytes=0
    )
    for wrong in (
        {"timeout": 0},
        {"memory": 0},
        {"cores": 0},
        {"priority": "high"},
        {"gpus": 0},
        {"gpus": 1.5},
    ):
        with pytest.raises(BadInput):
            given(**wrong)
