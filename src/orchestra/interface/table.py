"""All operations: their names, their requests, and who may make them.

The test of rights, the server's routes, its OpenAPI document and the interface over HTTP are made from this table. A
name, a method and a path never change once they have been released.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any, Literal, get_args

from orchestra.interface.later import (
    Reference,
    changes,
    cluster,
    consequences,
    dataset_changes,
    datasets,
    events,
    explanations,
    failures,
    job_changes,
    job_matches,
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
    overview,
    pool_changes,
    pools,
    queues,
    reports,
    results,
    runs,
    selection,
    sessions,
    task_changes,
    task_inputs,
    task_reports,
    tasks,
    tokens,
    usage,
    user_changes,
    users,
)
from orchestra.interface.operation import Change, Request

Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]


class Who(Enum):
    """Who may make a request. The services enforce it; a test compares them with this table."""

    ANYBODY = "any user"
    OWNER = "the owner of what is changed, and admins"
    SELF = "the user who is meant, and admins"
    ADMIN = "admins"


@dataclass(frozen=True, slots=True)
class Operation:
    """One row of the table: a name that never changes, the request, and who may make it.

    Args:
        reference: to the class of the request.
        method, path: where a server offers it below `/api/v1`. What the path does not name of the request is in the
            query or, for POST, PUT and PATCH, in the body. `{address.task}/.../{address.index}` are the parts of a
            job's address.
        secret: the answer has a secret, which is shown once and never kept: such a change takes no idempotency key.
    """

    name: str
    reference: Reference
    method: Method
    path: str
    who: Who = Who.ANYBODY
    secret: bool = False

    @property
    def request(self) -> type[Request[Any]]:
        """The class of the request."""
        found: type[Request[Any]] = self.reference.load()
        return found

    @property
    def changes(self) -> bool:
        """Whether the request changes something."""
        return issubclass(self.request, Change)

    @property
    def takes_key(self) -> bool:
        """Whether it is made once under an idempotency key, however often it arrives."""
        once = issubclass(self.request, Change) and not self.request.repeatable
        return once and not self.secret

    @property
    def answer(self) -> Any:
        """The type of the answer, as the request declares it: `Question[Node]` is answered by a Node."""
        (answer,) = get_args(self.request.__orig_bases__[0])  # type: ignore[attr-defined]
        return answer


OPERATIONS = (
    # Users
    Operation("user.me", me.Me, "GET", "/me"),
    Operation("user.list", users.ListUsers, "GET", "/users"),
    Operation("user.get", users.GetUser, "GET", "/users/{name}"),
    Operation("user.create", user_changes.CreateUser, "POST", "/users", Who.SELF),
    Operation("user.set", user_changes.SetUser, "PATCH", "/users/{name}", Who.SELF),
    Operation("user.limit", user_changes.LimitUser, "PATCH", "/users/{name}/limits", Who.ADMIN),
    Operation("user.delete", user_changes.DeleteUser, "DELETE", "/users/{name}", Who.SELF),
    Operation("token.create", tokens.CreateToken, "POST", "/tokens", Who.SELF, secret=True),
    Operation("token.list", tokens.ListTokens, "GET", "/tokens", Who.SELF),
    Operation("token.revoke", tokens.RevokeToken, "DELETE", "/tokens/{token}", Who.SELF),
    Operation("session.code", sessions.MakeSignInCode, "POST", "/sign-in-codes", secret=True),
    Operation("session.list", sessions.ListSessions, "GET", "/sessions"),
    Operation("session.end", sessions.EndSession, "DELETE", "/sessions/{session}", Who.SELF),
    # Data sets
    Operation("dataset.list", datasets.ListDataSets, "GET", "/datasets"),
    Operation("dataset.get", datasets.GetDataSet, "GET", "/datasets/{name}"),
    Operation("dataset.files", datasets.ListFiles, "GET", "/datasets/{name}/files"),
    Operation("dataset.versions", datasets.ListVersions, "GET", "/datasets/{name}/versions"),
    Operation("dataset.check", dataset_changes.CheckNewDataSet, "GET", "/datasets/{name}/check"),
    Operation("dataset.register", dataset_changes.RegisterDataSet, "POST", "/datasets"),
    Operation("dataset.own", dataset_changes.OwnDataSet, "GET", "/datasets/{name}/own", Who.OWNER),
    Operation(
        "dataset.update",
        dataset_changes.UpdateDataSet,
        "PUT",
        "/datasets/{name}/manifest",
        Who.OWNER,
    ),
    Operation(
        "dataset.delete", dataset_changes.DeleteDataSet, "DELETE", "/datasets/{name}", Who.OWNER
    ),
    # Tasks
    Operation("task.find", selection.FindTask, "GET", "/tasks/{word}"),
    Operation("task.select", selection.FindTasks, "POST", "/selections"),
    Operation("task.list", tasks.ListTasks, "GET", "/tasks"),
    Operation("task.show", task_reports.ShowTask, "GET", "/tasks/{word}/show"),
    Operation("task.report", reports.ReportTask, "GET", "/tasks/{word}/report"),
    Operation("task.waits", task_reports.WhyTaskWaits, "GET", "/tasks/{task}/waits"),
    Operation("task.failures", failures.FailuresOf, "GET", "/tasks/{word}/failures"),
    Operation(
        "task.consequences",
        consequences.ConsequencesOf,
        "GET",
        "/tasks/{word}/consequences",
    ),
    Operation("task.existing", new_tasks.FindOwnTask, "GET", "/me/tasks/{name}"),
    Operation("task.settings", new_tasks.SettingsOf, "GET", "/tasks/{word}/settings"),
    Operation("task.plan", new_tasks.PlanTask, "POST", "/plans"),
    Operation("task.create", new_tasks.CreateTask, "POST", "/tasks"),
    Operation("task.plan_run", runs.PlanRun, "POST", "/runs/plans"),
    Operation("task.run", runs.CreateRun, "POST", "/runs"),
    Operation("task.changes", changes.ChangesSince, "GET", "/changes"),
    Operation("event.list", events.ListEvents, "GET", "/events"),
    Operation("task.own", task_changes.OwnTask, "GET", "/tasks/{task}/own", Who.OWNER),
    Operation("task.hold", task_changes.HoldTask, "POST", "/tasks/{task}/hold", Who.OWNER),
    Operation("task.pilots_to_answer", task_changes.PilotsToAnswer, "GET", "/pilots-to-answer"),
    Operation("task.release", task_changes.ReleaseTask, "POST", "/tasks/{task}/release", Who.OWNER),
    Operation("task.set", task_changes.SetTask, "PATCH", "/tasks/{task}", Who.OWNER),
    Operation("task.retry", task_changes.RetryTask, "POST", "/tasks/{task}/retry", Who.OWNER),
    Operation("task.inputs", task_inputs.InputsOf, "GET", "/tasks/{task}/inputs", Who.OWNER),
    Operation("task.update", task_inputs.UpdateTask, "POST", "/tasks/{task}/update", Who.OWNER),
    Operation("task.add", task_inputs.AddConfigs, "POST", "/tasks/{task}/configs", Who.OWNER),
    Operation("task.kill", task_changes.KillTask, "POST", "/tasks/{task}/kill", Who.OWNER),
    Operation(
        "task.finish_kill", task_changes.FinishKill, "POST", "/tasks/{task}/finish-kill", Who.OWNER
    ),
    Operation(
        "task.removable", task_changes.RemovableFolders, "GET", "/tasks/{task}/folders", Who.OWNER
    ),
    Operation("task.delete", task_changes.DeleteTask, "DELETE", "/tasks/{task}", Who.OWNER),
    Operation(
        "task.acknowledge",
        overview.AcknowledgeTask,
        "POST",
        "/tasks/{task}/acknowledge",
        Who.OWNER,
    ),
    Operation("task.results", results.FindResults, "GET", "/tasks/{word}/results"),
    Operation("queue.order", queues.ShowOrder, "GET", "/queues"),
    Operation("queue.show", queues.ShowQueue, "GET", "/queues/{queue}"),
    # Jobs
    Operation("job.list", jobs.ListJobs, "GET", "/tasks/{word}/jobs"),
    Operation("job.search", job_search.SearchJobs, "GET", "/jobs"),
    Operation("job.show", jobs.ShowJob, "GET", "/tasks/{address.task}/jobs/{address.index}"),
    Operation(
        "job.attempt", jobs.ShowAttempt, "GET", "/tasks/{task}/jobs/{index}/attempts/{attempt}"
    ),
    Operation("job.log", logs.ReadLog, "GET", "/tasks/{task}/jobs/{index}/attempts/{attempt}/tail"),
    Operation(
        "job.log_part",
        logs.ReadLogPart,
        "GET",
        "/tasks/{task}/jobs/{index}/attempts/{attempt}/log-part",
    ),
    Operation(
        "job.explain",
        explanations.ExplainJob,
        "GET",
        "/tasks/{address.task}/jobs/{address.index}/explain",
    ),
    Operation("job.retry", job_changes.RetryJobs, "POST", "/jobs/retry", Who.OWNER),
    Operation("job.kill", job_changes.KillJobs, "POST", "/jobs/kill", Who.OWNER),
    Operation(
        "job.retry_matching",
        job_matches.RetryMatching,
        "POST",
        "/tasks/{task}/jobs/retry",
        Who.OWNER,
    ),
    Operation(
        "job.kill_matching",
        job_matches.KillMatching,
        "POST",
        "/tasks/{task}/jobs/kill",
        Who.OWNER,
    ),
    # Nodes
    Operation("node.list", nodes.ListNodes, "GET", "/nodes"),
    Operation("node.get", nodes.GetNode, "GET", "/nodes/{name}"),
    Operation("node.create", node_changes.CreateNode, "POST", "/nodes"),
    Operation("node.set", node_changes.SetNode, "PATCH", "/nodes/{name}", Who.OWNER),
    Operation("node.drain", node_changes.DrainNode, "POST", "/nodes/{name}/drain", Who.OWNER),
    Operation("node.resume", node_changes.ResumeNode, "POST", "/nodes/{name}/resume", Who.OWNER),
    Operation("node.stop", node_changes.StopNode, "POST", "/nodes/{name}/stop", Who.OWNER),
    Operation(
        "node.at_stake", node_changes.AttemptsAtStake, "GET", "/nodes/{name}/at-stake", Who.OWNER
    ),
    Operation(
        "node.ended_by_hours",
        node_changes.AttemptsEndedByHours,
        "GET",
        "/nodes/{name}/ended-by-hours",
        Who.OWNER,
    ),
    Operation("node.lose", node_changes.LoseNode, "POST", "/nodes/{name}/lost", Who.OWNER),
    Operation("node.delete", node_changes.DeleteNode, "DELETE", "/nodes/{name}", Who.OWNER),
    Operation("node.create_all", node_groups.CreateNodes, "POST", "/node-groups/create"),
    Operation("node.set_all", node_groups.SetNodes, "POST", "/node-groups/set", Who.OWNER),
    Operation("node.drain_all", node_groups.DrainNodes, "POST", "/node-groups/drain", Who.OWNER),
    Operation("node.resume_all", node_groups.ResumeNodes, "POST", "/node-groups/resume", Who.OWNER),
    Operation("node.stop_all", node_groups.StopNodes, "POST", "/node-groups/stop", Who.OWNER),
    Operation("node.delete_all", node_groups.DeleteNodes, "POST", "/node-groups/delete", Who.OWNER),
    # Pools
    Operation("pool.list", pools.ListPools, "GET", "/pools"),
    Operation("pool.show", pools.ShowPool, "GET", "/pools/{name}"),
    Operation("pool.plan", pools.PlanPool, "GET", "/pools/{name}/plan"),
    Operation("pool.create", pool_changes.CreatePool, "POST", "/pools"),
    Operation("pool.set", pool_changes.SetPool, "PATCH", "/pools/{name}", Who.OWNER),
    Operation("pool.pause", pool_changes.PausePool, "POST", "/pools/{name}/pause", Who.OWNER),
    Operation("pool.resume", pool_changes.ResumePool, "POST", "/pools/{name}/resume", Who.OWNER),
    Operation(
        "pool.at_stake", pool_changes.AllocationsAtStake, "GET", "/pools/{name}/at-stake", Who.OWNER
    ),
    Operation("pool.delete", pool_changes.DeletePool, "DELETE", "/pools/{name}", Who.OWNER),
    # Mail
    Operation("mail.list", mails.ListMails, "GET", "/mails"),
    Operation("mail.show", mails.ShowMail, "GET", "/mails/{mail}", Who.OWNER),
    Operation("mail.retry", mails.RetryMails, "POST", "/mails/retry", Who.OWNER),
    # The cluster, and names
    Operation("cluster.overview", overview.ShowOverview, "GET", "/overview"),
    Operation("usage.list", usage.ListUsage, "GET", "/usage"),
    Operation("cluster.settling", cluster.WhySettling, "GET", "/cluster/settling"),
    Operation("name.list", names.ListNames, "GET", "/names/{kind}"),
    Operation("name.free", names.FreeName, "GET", "/free-name"),
)
