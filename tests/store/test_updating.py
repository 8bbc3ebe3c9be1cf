"""`task retry --update` and `task add`: inputs as they are now, in every state of a task."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from orchestra.domain.caller import Caller
from orchestra.domain.errors import BadInput, NotAllowed, Refused
from orchestra.domain.models.new_tasks import NewTask
from orchestra.domain.models.tasks import Policy, Task
from orchestra.domain.models.work import Grant
from orchestra.domain.states import Cause, HoldCause, JobState, TaskState
from orchestra.domain.transitions import TaskInput
from orchestra.files import file_lists
from orchestra.files.results import read as read_results
from orchestra.interface import rereading
from orchestra.interface.answers.task_inputs import Added, Updated
from orchestra.interface.task_inputs import AddConfigs, UpdateTask
from orchestra.services import datasets
from orchestra.services.jobs import explain, views
from orchestra.services.tasks import actions, lifecycle, results
from orchestra.store.tasks import config_lists
from orchestra.store.tasks import tasks as store
from support.making import make
from support.people import caller, interface
from support.registering import register, update
from support.world import Pilot, World

pytestmark = pytest.mark.servers("embedded")
both_servers = pytest.mark.servers("embedded", "debian15")
"""Of tests whose statements are particular to this."""

D, F, K = JobState.DONE, JobState.FAILED, JobState.KILLED


@dataclass
class Lab:
    """Ana's task over four configs, `a` to `d`, with a script and data."""

    world: World
    folder: Path
    pilot: Pilot
    task: int

    @property
    def grid(self) -> Path:
        return self.folder / "grid"

    def write(self, **configs: str | None) -> None:
        for name, text in configs.items():
            path = self.grid / f"{name}.json"
            path.unlink() if text is None else path.write_text(text)

    def update(self, *, every: bool = False) -> Updated:
        return rereading.update(interface(self.world.conn), self.task, every=every)[1]

    def add(self, *paths: Path, task: int | None = None) -> Added:
        files = file_lists.of_paths(paths)
        asked = AddConfigs(self.task if task is None else task, files)
        return interface(self.world.conn)(asked)

    def run(self, failing: Mapping[int, int] | None = None) -> list[Grant]:
        """Run what can be claimed to its end; jobs in `failing` with that exit status."""
        ran: list[Grant] = []
        for _ in range(3):
            self.world.conduct(2)
            grants = self.pilot.claim(cpu=8)
            self.pilot.start(*grants)
            for grant in grants:
                self.pilot.end(grant, status=(failing or {}).get(grant.key.index, 0))
            ran += grants
        self.world.conduct(2)
        return ran

    @property
    def info(self) -> Task:
        found = store.by_id(self.world.conn, self.task)
        assert found
        return found

    @property
    def state(self) -> TaskState:
        return self.world.state(self.task)

    @property
    def jobs(self) -> list[JobState]:
        return self.world.jobs(self.task)

    @property
    def configs(self) -> list[str]:
        listed = config_lists.of_version(self.world.conn, self.info.config_version_id)
        return [str(Path(config.path).relative_to(self.folder)) for config in listed]

    def check(self) -> None:
        """The counts that triggers maintain are those of the jobs."""
        assert self.world.counts(self.task) == self.world.true_counts(self.task)
        removed = self.world._one(
            "select count(*) from job where task_id = %s and removed and state = 'killed'",
            self.task,
        )
        assert self.info.removed == removed
        assert self.info.jobs == len(self.jobs) == self.info.counts.total + removed


@pytest.fixture
def lab(world: World, ana: Caller, tmp_path: Path) -> Lab:
    for folder in ("grid", "volume"):
        (tmp_path / folder).mkdir()
    for name in "abcd":
        (tmp_path / "grid" / f"{name}.json").write_text(f'{{"lr": "{name}"}}')
    (tmp_path / "train.py").write_text("print(1)")
    (tmp_path / "data.npz").write_text("data")
    register(world.conn, ana, "user.ana.grid", tmp_path / "grid")
    register(world.conn, ana, "user.ana.train", tmp_path / "train.py")
    register(world.conn, ana, "user.ana.data", tmp_path / "data.npz")
    new = NewTask(
        name="user.ana.fit",
        command="python %SCRIPT %DATA %IN %OUT",
        config="user.ana.grid",
        data="user.ana.data",
        secondary={"SCRIPT": "user.ana.train"},
        volume=str(tmp_path / "volume"),
        account="ana",
        host="gauss",
        policy=Policy(test_jobs=0),
    )
    return Lab(world, tmp_path, world.pilot(is_root=True), make(world.conn, ana, new).id)


@both_servers
def test_fix_and_rerun(lab: Lab) -> None:
    lab.run(failing={2: 3})
    assert (lab.state, lab.jobs) == (TaskState.FINALIZED, [D, D, F, D])
    (lab.folder / "train.py").write_text("print(2)")
    lab.write(b="changed", d=None, e="new")
    done = lab.update()
    assert str(done.changes) == ("script train.py changed; 1 config changed, 1 new, 1 removed")
    assert (done.revision, done.again, done.step.state) == (2, 2, TaskState.RUNNING)
    assert done.changes.stale.first == ((1, "b.json"),)
    assert lab.configs == [
        "grid/a.json",
        "grid/b.json",
        "grid/c.json",
        "grid/d.json",
        "grid/e.json",
    ]
    lab.check()
    ran = lab.run()
    assert sorted((grant.key.index, grant.revision) for grant in ran) == [(2, 2), (4, 2)]
    assert (lab.state, lab.jobs) == (TaskState.DONE, [D] * 5)
    found = results.look_up(lab.world.conn, str(lab.task))
    assert [(job.index, job.revision) for job in found.jobs] == [
        (0, 1),
        (1, 1),
        (2, 2),
        (3, 1),
        (4, 2),
    ]
    assert found.jobs[1].config == '{"lr": "b"}'
    lab.check()


@both_servers
def test_a_removed_job_is_not_run_keeps_nothing_waiting_and_comes_back(lab: Lab) -> None:
    lab.run(failing={1: 3, 3: 3})
    lab.write(d=None)
    lab.update()
    assert (lab.jobs[3], lab.info.removed) == (K, 1)
    lab.check()
    lab.run()
    assert (lab.state, lab.jobs) == (TaskState.DONE, [D, D, D, K])
    conn = lab.world.conn
    assert views.show(conn, f"{lab.task}/3").job.removed
    headline = explain.explain(conn, f"{lab.task}/3").explanation.headline
    assert headline.endswith("is removed: its config is no longer among the files of its task.")
    with pytest.raises(Refused, match=r"0/3 is removed: its config is no longer"):
        lifecycle.retry_jobs(conn, lab.task, [3], by="ana")
    assert (
        lifecycle.apply(conn, lab.task, TaskInput.RETRY_ALL, by="ana").state is TaskState.REGISTERED
    )
    lab.run()
    assert (lab.state, lab.jobs) == (TaskState.DONE, [D, D, D, K])
    lab.write(d="back")
    done = lab.update()
    assert (str(done.changes), done.step.state) == ("1 config back", TaskState.RUNNING)
    assert done.again == 1
    assert [grant.key.index for grant in lab.run()] == [3]
    assert (lab.state, lab.jobs, lab.info.removed) == (TaskState.DONE, [D] * 4, 0)
    lab.check()


def test_a_task_whose_only_failure_is_removed_is_done(lab: Lab) -> None:
    lab.run(failing={0: 3})
    lab.write(a=None)
    assert lab.update().again == 0
    assert lab.run() == []
    assert lab.state is TaskState.DONE
    assert lab.info.active_jobs == 3


def test_without_changes_nothing_happens(lab: Lab) -> None:
    lab.run(failing={0: 3})
    done = lab.update()
    assert not done.changes
    assert (lab.state, lab.info.revision) == (TaskState.FINALIZED, 1)


def test_a_live_task_that_is_held_for_its_inputs_goes_on(lab: Lab) -> None:
    lab.world.conduct(2)
    (grant, other, waiting) = lab.pilot.claim(cpu=3)
    lab.pilot.start(grant, other)
    lab.pilot.end(other, status=3)
    lab.write(c="changed", d="changed")
    lab.pilot.end(waiting, cause=Cause.INPUT)
    lifecycle.apply(
        lab.world.conn, lab.task, TaskInput.HOLD, by="orchestra", why="c.json has changed",
        cause=HoldCause.FILES,
    )  # fmt: skip
    done = lab.update()
    assert (done.before.counts.living, done.hold, done.step.state) == (1, None, TaskState.RUNNING)
    assert lab.info.hold is None
    lab.check()
    lab.pilot.end(grant)
    ran = lab.run()
    assert sorted((each.key.index, each.revision) for each in ran) == [(1, 2), (2, 2), (3, 2)]
    assert lab.state is TaskState.DONE
    assert [job.revision for job in results.look_up(lab.world.conn, "0").jobs] == [1, 2, 2, 2]


def test_a_persons_hold_stays(lab: Lab) -> None:
    actions.hold(lab.world.conn, caller(lab.world.conn), lab.task, "later")
    lab.write(a="changed")
    done = lab.update()
    assert done.hold is not None
    assert (done.hold.reason, done.step.state) == ("later", TaskState.REGISTERED)


def test_a_hold_for_failures_ends_with_them(lab: Lab) -> None:
    lab.world.conn.execute("update task set max_fails = 2")
    lab.world.conduct(2)
    for grant in lab.pilot.claim(cpu=2):
        lab.pilot.start(grant)
        lab.pilot.end(grant, status=3)
    lab.world.conduct(2)
    assert lab.info.hold is not None
    (lab.folder / "train.py").write_text("fixed")
    lab.update()
    assert [lab.info.hold, lab.info.counts.failed] == [None, 0]
    lab.run()
    assert lab.state is TaskState.DONE


@both_servers
def test_a_living_job_whose_config_is_gone_is_ended(lab: Lab) -> None:
    lab.world.conduct(2)
    first, second, *_ = lab.pilot.claim(cpu=2)
    lab.pilot.start(first, second)
    lab.write(a=None, b=None)
    lab.update()
    lab.check()
    told = explain.explain(lab.world.conn, "0/0").explanation.told
    assert any("because its config is no longer" in str(each) for each in told)
    lab.pilot.end(first, cause=Cause.ENDED)
    lab.pilot.end(second)
    lab.check()
    lab.run()
    assert (lab.state, lab.jobs) == (TaskState.DONE, [K, D, D, D])


def test_in_a_test_the_failed_ones_rejoin_and_new_ones_follow(lab: Lab) -> None:
    lab.world.conn.execute("update task set test_jobs = 2")
    lab.world.conduct()
    assert lab.state is TaskState.TESTING
    first, second = lab.pilot.claim(cpu=8)
    lab.pilot.start(first, second)
    lab.pilot.end(first, status=3)
    lab.write(b=None, a="fixed", e="new")
    done = lab.update()
    assert done.step.state is TaskState.TESTING
    lab.pilot.end(second, cause=Cause.ENDED)
    lab.check()
    lab.run()
    assert (lab.state, lab.jobs) == (TaskState.DONE, [D, K, D, D, D])


@pytest.mark.parametrize("ended", [TaskState.BROKEN, TaskState.KILLED])
def test_a_task_that_broke_or_was_killed_is_tested_again(lab: Lab, ended: TaskState) -> None:
    lab.world.conn.execute("update task set test_jobs = 1")
    if ended is TaskState.KILLED:
        actions.kill(lab.world.conn, caller(lab.world.conn), lab.task)
        lab.world.conduct(2)
    else:
        lab.run(failing={0: 3})
    assert lab.state is ended
    lab.write(a="fixed", d=None, e="new")
    assert lab.update().step.state is TaskState.REGISTERED
    lab.check()
    lab.run()
    assert (lab.state, lab.jobs) == (TaskState.DONE, [D, D, D, K, D])


def test_a_done_task_runs_only_what_is_new_unless_all_is_wanted(lab: Lab) -> None:
    lab.run()
    lab.write(a="changed")
    done = lab.update()
    assert (done.step.state, done.again, lab.info.revision) == (TaskState.DONE, 0, 2)
    lab.write(e="new")
    assert lab.update().step.state is TaskState.RUNNING
    assert [grant.key.index for grant in lab.run()] == [4]
    lab.write(a="changed again", b=None)
    done = lab.update(every=True)
    assert (done.step.state, done.again) == (TaskState.REGISTERED, 4)
    assert sorted(grant.key.index for grant in lab.run()) == [0, 2, 3, 4]
    assert (lab.state, lab.jobs) == (TaskState.DONE, [D] * 5)


def test_what_a_live_task_refuses(lab: Lab) -> None:
    with pytest.raises(Refused, match=r"the inputs of task 0 .* are as registered, and it is REG"):
        lab.update()
    lab.write(a="changed")
    with pytest.raises(Refused, match="its done jobs can run again only when it has ended"):
        lab.update(every=True)
    lab.world.conduct(2)
    lab.pilot.start(*lab.pilot.claim(cpu=1))
    actions.kill(lab.world.conn, caller(lab.world.conn), lab.task)
    for attempt in (lab.update, lambda: lab.add(lab.folder / "train.py")):
        with pytest.raises(Refused, match="its jobs are still being ended"):
            attempt()


def test_data_sets_that_are_gone_unreadable_or_somebody_elses(lab: Lab, ana: Caller) -> None:
    conn = lab.world.conn
    lab.run(failing={0: 3})
    bob = caller(conn, "bob")
    with pytest.raises(NotAllowed, match=r'task 0 .* belongs to user "ana"'):
        interface(conn, "bob")(UpdateTask(lab.task))
    conn.execute("update dataset set owner_id = %s where name = 'user.ana.data'", [bob.user.id])
    (lab.folder / "data.npz").write_text("newer")
    assert not lab.update().changes  # ana makes no version of bob's data set
    update(conn, bob, "user.ana.data")
    assert str(lab.update().changes) == "data.npz changed (user.ana.data version 2)"
    lab.run(failing={0: 3})
    (lab.folder / "train.py").rename(lab.folder / "moved.py")
    lab.write(a="changed")
    with pytest.raises(BadInput, match=r"there is no file or folder .*/train\.py"):
        lab.update()
    assert (
        datasets.find(conn, "user.ana.grid").version == 1
    )  # all are read before one is registered
    datasets.remove(conn, ana, "user.ana.train")
    with pytest.raises(Refused, match=r"data set user\.ana\.train of task 0 .* has been deleted"):
        lab.update()


def test_outputs_stay_as_they_were_recorded(lab: Lab, ana: Caller) -> None:
    lab.run()
    new = NewTask(
        "user.ana.eval", "eval %DATA %IN %OUT", f"task:{lab.task}", "user.ana.data",
        str(lab.folder / "volume"), "ana", "gauss", policy=Policy(test_jobs=0),
    )  # fmt: skip
    outputs = make(lab.world.conn, ana, new).id
    lab.run()
    (lab.folder / "data.npz").write_text("newer")
    read, done = rereading.update(interface(lab.world.conn), outputs)
    assert read.fixed_configs
    assert str(done.changes) == "data.npz changed (user.ana.data version 2)"
    with pytest.raises(Refused, match="are the outputs of another task, so no files can be added"):
        lab.add(lab.folder / "train.py", task=outputs)


def test_the_configs_of_a_task_stay_while_another_waits_for_its_outputs(
    lab: Lab, ana: Caller
) -> None:
    new = NewTask(
        "user.ana.eval", "eval %DATA %IN %OUT", f"task:{lab.task}", "user.ana.data",
        str(lab.folder / "volume"), "ana", "gauss", after=(str(lab.task),),
    )  # fmt: skip
    make(lab.world.conn, ana, new)
    lab.write(e="new")
    refused = (
        r"task 1 \(user.ana.eval\) waits for the outputs of task 0 .* none can be added or removed"
    )
    with pytest.raises(Refused, match=refused):
        lab.update()
    with pytest.raises(Refused, match=refused):
        lab.add(lab.grid / "e.json")
    assert lab.info.jobs == 4
    lab.write(e=None, a="changed")
    lab.update()
    assert lab.info.revision == 2


@pytest.mark.parametrize(
    "ended", [TaskState.DONE, TaskState.FINALIZED, TaskState.BROKEN, TaskState.KILLED]
)
def test_configs_are_added_to_a_task_that_has_ended(lab: Lab, ended: TaskState) -> None:
    if ended is TaskState.KILLED:
        actions.kill(lab.world.conn, caller(lab.world.conn), lab.task)
        lab.world.conduct(2)
    elif ended is TaskState.BROKEN:
        lab.world.conn.execute("update task set test_jobs = 1")
    lab.run(failing={} if ended is TaskState.DONE else {0: 3})
    assert lab.state is ended
    before = lab.jobs
    more = lab.folder / "more"
    more.mkdir()
    for name in ("y.json", "x.json"):
        (more / name).write_text("{}")
    added = lab.add(more / "y.json", more / "x.json", lab.grid / "a.json")
    assert added.added.first == ((4, "more/x.json"), (5, "more/y.json"))
    assert added.there.first == ((0, "grid/a.json"),)
    assert added.step.state is (
        TaskState.RUNNING
        if ended in (TaskState.DONE, TaskState.FINALIZED)
        else TaskState.REGISTERED
    )
    lab.check()
    assert sorted(grant.key.index for grant in lab.run()) == [4, 5]
    assert lab.jobs == [*before, D, D]
    assert lab.state is (TaskState.DONE if ended is TaskState.DONE else TaskState.FINALIZED)
    assert datasets.find(lab.world.conn, "user.ana.grid").version == 1


def test_a_result_is_read_with_the_config_of_its_revision(lab: Lab) -> None:
    lab.run()
    (lab.folder / "other").mkdir()
    (lab.folder / "other" / "z.json").write_text('{"lr": "z"}')
    lab.add(lab.folder / "other" / "z.json")
    lab.run()
    Path(lab.info.folder).mkdir()
    lab.world.conn.execute("delete from dataset_text")  # as of large configs
    table = read_results(results.look_up(lab.world.conn, "0"))
    assert [row["lr"] for row in table.records()] == [*"abcd", "z"]
    assert [row["run.revision"] for row in table.records()] == [1, 1, 1, 1, 2]


def test_configs_are_added_to_a_task_that_lives(lab: Lab) -> None:
    (lab.folder / "e.json").write_text("{}")
    lab.world.conn.execute("update task set test_jobs = 1, max_fails_percent = 50")
    lab.world.conduct()
    assert lab.add(lab.folder / "e.json").step.state is TaskState.TESTING
    lab.check()
    assert [grant.key.index for grant in lab.run()] == [0, 1, 2, 3, 4]
    assert lab.state is TaskState.DONE


@both_servers
def test_what_was_added_stays_at_an_update_and_is_read_again(lab: Lab) -> None:
    extra = lab.folder / "extra"
    extra.mkdir()
    for name in ("p.json", "q.json"):
        (extra / name).write_text("{}")
    lab.add(extra)
    lab.write(e="new")
    assert str(lab.update().changes) == "1 config new"
    assert lab.configs[4:] == ["extra/p.json", "extra/q.json", "grid/e.json"]
    (extra / "p.json").write_text("changed")
    (extra / "q.json").unlink()
    done = lab.update()
    assert done.changes.configs_changed.first == ((4, "extra/p.json"),)
    assert done.changes.removed.first == ((5, "extra/q.json"),)
    (extra / "q.json").write_text("{}")
    assert str(lab.update().changes) == "1 config back"
    lab.check()
    lab.run()
    assert (lab.state, lab.jobs) == (TaskState.DONE, [D] * 7)


def test_files_that_a_task_has_are_not_added_again(lab: Lab) -> None:
    lab.write(b="changed")
    with pytest.raises(Refused, match=r"has these 2 files already: jobs 0 and 1\.") as refused:
        lab.add(lab.grid / "a.json", lab.grid / "b.json")
    assert "takes what has changed" in str(refused.value.remedy)
    with pytest.raises(Refused, match=r"has this file already: job 0\."):
        lab.add(lab.grid / "a.json")


def test_a_data_set_that_a_live_task_reads_by_a_list_of_its_own_is_not_deleted(
    lab: Lab, ana: Caller
) -> None:
    lab.add(lab.folder / "train.py")
    with pytest.raises(Refused, match=r"task 0 .* still uses user\.ana\.grid"):
        datasets.remove(lab.world.conn, ana, "user.ana.grid")
    actions.kill(lab.world.conn, ana, lab.task)
    lab.world.conduct(2)
    assert not datasets.remove(lab.world.conn, ana, "user.ana.grid").forgotten


@both_servers
def test_a_deleted_task_takes_its_lists_with_it(lab: Lab, ana: Caller) -> None:
    from orchestra.store.tasks import purge

    conn = lab.world.conn
    lab.add(lab.folder / "train.py")
    lab.add(lab.folder / "data.npz")
    actions.kill(conn, ana, lab.task)
    lab.world.conduct(2)
    actions.delete(conn, ana, lab.task)
    while purge.purge_deleted(conn, 1000):
        pass
    left = conn.execute("select count(*) from dataset_version where dataset_id is null").fetchone()
    assert left == (0,)


def test_a_task_that_changes_meanwhile_is_left_alone(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    from orchestra.services.tasks import relisting

    planned = relisting.to_add

    def meanwhile(*given: object) -> relisting.Plan:
        plan = planned(*given)  # type: ignore[arg-type]
        monkeypatch.undo()
        lab.add(lab.folder / "data.npz")
        return plan

    monkeypatch.setattr(relisting, "to_add", meanwhile)
    with pytest.raises(Refused, match="is being changed at the moment"):
        lab.add(lab.folder / "train.py")
    assert lab.info.jobs == 5
