"""`maestro task`: making, watching, holding, retrying and ending tasks."""

from __future__ import annotations

from orchestra.cli import (
    task_change,
    task_create,
    task_look,
    task_options,
    task_plot,
    task_results,
    task_select,
    task_show,
)
from orchestra.cli.registry import Verb

_EXEC = '--exec "python3 /data/ana/train.py -d %DATA -c %IN -o %OUT"'

VERBS = (
    Verb(
        "create",
        "run a command once for each file of a data set",
        task_create.create,
        task_options.create_arguments,
        example=f"maestro task create -c user.ana.grid -d user.ana.digits -t user.ana.mlp {_EXEC} --queue cpu",
        output=True,
    ),
    Verb(
        "repro",
        "run a command once for each output of an older task",
        task_create.repro,
        task_options.repro_arguments,
        example=f"maestro task repro --old_task user.ana.mlp --new_task user.ana.eval -d user.ana.digits {_EXEC}",
        output=True,
    ),
    Verb(
        "list",
        "show my tasks that are not done",
        task_look.list_tasks,
        task_look.list_arguments,
        example="maestro task list\nmaestro task list -a -o json",
        output=True,
    ),
    Verb(
        "show",
        "show all that is known of a task",
        task_show.show_task,
        task_show.show_arguments,
        example="maestro task show 0 --watch",
        output=True,
    ),
    Verb(
        "results",
        "show what the jobs wrote, beside what their configs say",
        task_results.show_results,
        task_results.results_arguments,
        example=task_results.EXAMPLE,
        output=True,
        forms=task_results.FORMS,
        description=task_results.DESCRIPTION,
    ),
    Verb(
        "plot",
        "draw a metric against what the configs say",
        task_plot.plot,
        task_plot.plot_arguments,
        example=task_plot.EXAMPLE,
        description=task_plot.DESCRIPTION,
    ),
    Verb(
        "queue",
        "show what runs on a queue, and what comes next",
        task_look.show_queue,
        task_look.queue_arguments,
        example="maestro task queue -n gpu",
        output=True,
    ),
    Verb(
        "hold",
        "let no new job of a task start",
        task_change.hold,
        task_change.hold_arguments,
        example='maestro task hold 0 --reason "new data arrive tonight"',
    ),
    Verb(
        "release",
        "let jobs of a held task start again",
        task_change.release,
        task_select.several_tasks,
        example="maestro task release 0",
    ),
    Verb(
        "retry",
        "run the jobs that are not done again",
        task_change.retry,
        task_change.retry_arguments,
        example="maestro task retry 0\nmaestro task retry --id 0 1 2\nmaestro task retry -t user.ana.mlp --all",
    ),
    Verb(
        "kill",
        "end a task; what is done stays done",
        task_change.kill,
        task_change.kill_arguments,
        example="maestro task kill 0\nmaestro task kill --id_min 3 --id_max 8",
    ),
    Verb(
        "delete",
        "take an ended task off the lists; its files stay",
        task_change.delete,
        task_change.delete_arguments,
        example="maestro task delete 0\nmaestro task delete --id 0 1 --remove --force",
    ),
    Verb(
        "clean",
        "free the space of attempts that a later one has replaced",
        task_change.clean_tasks,
        task_change.clean_arguments,
        example="maestro task clean 0",
    ),
    Verb(
        "wait",
        "wait until tasks are over",
        task_change.wait,
        task_change.wait_arguments,
        example="maestro task wait 0 && ls results",
        description=task_change.WAIT_DESCRIPTION,
    ),
)
