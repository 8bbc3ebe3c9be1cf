"""All operations: their names, what is asked, and who may ask it.

From this table come the test of everybody's rights and, later, what a server offers: what is not in it cannot be asked
from outside. A name stays as it is once it was released.
"""

from __future__ import annotations

from orchestra.interface import (
    cluster,
    explanations,
    jobs,
    names,
    nodes,
    queues,
    task_reports,
    tasks,
    users,
)
from orchestra.interface.operation import Operation

OPERATIONS = (
    # Users
    Operation("user.me", users.Me),
    Operation("user.list", users.ListUsers),
    Operation("user.get", users.GetUser),
    # Tasks
    Operation("task.find", tasks.FindTask),
    Operation("task.select", tasks.FindTasks),
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
    # What there is
    Operation("cluster.settling", cluster.WhySettling),
    Operation("name.list", names.ListNames),
)
