"""All operations: their names, their requests, and who may make them.

The test of rights is made from this table, and a server will offer what is in it. A name never changes once it has been
released.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any, get_args

from orchestra.interface import (
    changes,
    cluster,
    dataset_changes,
    datasets,
    explanations,
    job_changes,
    job_search,
    jobs,
    logs,
    mails,
    me,
    names,
    new_tasks,
    node_changes,
    node_groups,
    nodes,
    queues,
    reports,
    results,
    runs,
    selection,
    task_changes,
    task_inputs,
    task_reports,
    tasks,
    user_changes,
    users,
)
from orchestra.interface.operation import Change, Request


class Who(Enum):
    """Who may make a request. The services enforce it; a test compares them with this table."""

    ANYBODY = "any user"
    OWNER = "the owner of what is changed, and admins"
    SELF = "the user who is meant, and admins"
    ADMIN = "admins"


@dataclass(frozen=True, slots=True)
class Operation:
    """One row of the table: a name that never changes, the request, and who may make it."""

    name: str
    request: type[Request[Any]]
    who: Who = Who.ANYBODY

    @property
    def changes(self) -> bool:
        """Whether the request changes something."""
        return issubclass(self.request, Change)

    @property
    def answer(self) -> Any:
        """The type of the answer, as the request declares it: `Question[Node]` is answered by a Node."""
        (answer,) = get_args(self.request.__orig_bases__[0])  # type: ignore[attr-defined]
        return answer


OPERATIONS = (
    # Users
    Operation("user.me", me.Me),
    Operation("user.list", users.ListUsers),
    Operation("user.get", users.GetUser),
    Operation("user.create", user_changes.CreateUser, Who.SELF),
    Operation("user.set", user_changes.SetUser, Who.SELF),
    Operation("user.delete", user_changes.DeleteUser, Who.SELF),
    # Data sets
    Operation("dataset.list", datasets.ListDataSets),
    Operation("dataset.get", datasets.GetDataSet),
    Operation("dataset.files", datasets.ListFiles),
    Operation("dataset.check", dataset_changes.CheckNewDataSet),
    Operation("dataset.register", dataset_changes.RegisterDataSet),
    Operation("dataset.own", dataset_changes.OwnDataSet, Who.OWNER),
    Operation("dataset.update", dataset_changes.UpdateDataSet, Who.OWNER),
    Operation("dataset.delete", dataset_changes.DeleteDataSet, Who.OWNER),
    # Tasks
    Operation("task.find", selection.FindTask),
    Operation("task.select", selection.FindTasks),
    Operation("task.list", tasks.ListTasks),
    Operation("task.show", task_reports.ShowTask),
    Operation("task.report", reports.ReportTask),
    Operation("task.waits", task_reports.WhyTaskWaits),
    Operation("task.existing", new_tasks.FindOwnTask),
    Operation("task.settings", new_tasks.SettingsOf),
    Operation("task.plan", new_tasks.PlanTask),
    Operation("task.create", new_tasks.CreateTask),
    Operation("task.plan_run", runs.PlanRun),
    Operation("task.run", runs.CreateRun),
    Operation("task.changes", changes.ChangesSince),
    Operation("task.own", task_changes.OwnTask, Who.OWNER),
    Operation("task.hold", task_changes.HoldTask, Who.OWNER),
    Operation("task.pilots_to_answer", task_changes.PilotsToAnswer),
    Operation("task.release", task_changes.ReleaseTask, Who.OWNER),
    Operation("task.set", task_changes.SetTask, Who.OWNER),
    Operation("task.retry", task_changes.RetryTask, Who.OWNER),
    Operation("task.inputs", task_inputs.InputsOf, Who.OWNER),
    Operation("task.update", task_inputs.UpdateTask, Who.OWNER),
    Operation("task.add", task_inputs.AddConfigs, Who.OWNER),
    Operation("task.kill", task_changes.KillTask, Who.OWNER),
    Operation("task.finish_kill", task_changes.FinishKill, Who.OWNER),
    Operation("task.removable", task_changes.RemovableFolders, Who.OWNER),
    Operation("task.delete", task_changes.DeleteTask, Who.OWNER),
    Operation("task.results", results.FindResults),
    Operation("queue.show", queues.ShowQueue),
    # Jobs
    Operation("job.list", jobs.ListJobs),
    Operation("job.search", job_search.SearchJobs),
    Operation("job.show", jobs.ShowJob),
    Operation("job.log", logs.ReadLog),
    Operation("job.explain", explanations.ExplainJob),
    Operation("job.retry", job_changes.RetryJobs, Who.OWNER),
    Operation("job.kill", job_changes.KillJobs, Who.OWNER),
    # Nodes
    Operation("node.list", nodes.ListNodes),
    Operation("node.get", nodes.GetNode),
    Operation("node.create", node_changes.CreateNode),
    Operation("node.set", node_changes.SetNode, Who.OWNER),
    Operation("node.drain", node_changes.DrainNode, Who.OWNER),
    Operation("node.resume", node_changes.ResumeNode, Who.OWNER),
    Operation("node.stop", node_changes.StopNode, Who.OWNER),
    Operation("node.at_stake", node_changes.AttemptsAtStake, Who.OWNER),
    Operation("node.lose", node_changes.LoseNode, Who.OWNER),
    Operation("node.delete", node_changes.DeleteNode, Who.OWNER),
    Operation("node.create_all", node_groups.CreateNodes),
    Operation("node.set_all", node_groups.SetNodes, Who.OWNER),
    Operation("node.drain_all", node_groups.DrainNodes, Who.OWNER),
    Operation("node.resume_all", node_groups.ResumeNodes, Who.OWNER),
    Operation("node.stop_all", node_groups.StopNodes, Who.OWNER),
    Operation("node.delete_all", node_groups.DeleteNodes, Who.OWNER),
    # Mail
    Operation("mail.list", mails.ListMails),
    Operation("mail.show", mails.ShowMail, Who.OWNER),
    Operation("mail.retry", mails.RetryMails, Who.OWNER),
    # Names
    Operation("cluster.settling", cluster.WhySettling),
    Operation("name.list", names.ListNames),
    Operation("name.free", names.FreeName),
)
