"""All operations: their names, what is asked, and who may ask it.

From this table come the test of everybody's rights and, later, what a server offers: what is not in it cannot be asked
from outside. A name stays as it is once it was released.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any, get_args

from orchestra.interface import (
    cluster,
    explanations,
    jobs,
    mails,
    me,
    names,
    nodes,
    queues,
    results,
    selection,
    task_reports,
    tasks,
    users,
)
from orchestra.interface.operation import Change, Request


class Who(Enum):
    """Who may make a request. The services enforce it; the table says it, and a test compares the two."""

    ANYBODY = "any user"
    OWNER = "the owner of what is changed, and admins"
    SELF = "the user who is meant, and admins"
    ADMIN = "admins"


@dataclass(frozen=True, slots=True)
class Operation:
    """One line of the table: a name that stays as it is, what is asked, and who may ask it."""

    name: str
    request: type[Request[Any]]
    who: Who = Who.ANYBODY

    @property
    def changes(self) -> bool:
        """Whether it changes something."""
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
    # Tasks
    Operation("task.find", selection.FindTask),
    Operation("task.select", selection.FindTasks),
    Operation("task.list", tasks.ListTasks),
    Operation("task.show", task_reports.ShowTask),
    Operation("task.waits", task_reports.WhyTaskWaits),
    Operation("queue.show", queues.ShowQueue),
    # Jobs
    Operation("job.list", jobs.ListJobs),
    Operation("job.show", jobs.ShowJob),
    Operation("job.explain", explanations.ExplainJob),
    # Nodes
    Operation("node.list", nodes.ListNodes),
    Operation("node.get", nodes.GetNode),
    # Results
    Operation("task.results", results.FindResults),
    # Mails
    Operation("mail.list", mails.ListMails),
    Operation("mail.show", mails.ShowMail),
    Operation("mail.retry", mails.RetryMails, Who.SELF),
    # What there is
    Operation("cluster.settling", cluster.WhySettling),
    Operation("name.list", names.ListNames),
)
