"""`maestro task`: making, watching, holding, retrying and ending tasks."""

from __future__ import annotations

from orchestra.cli.registry import Verb, later

_EXEC = '--exec "python3 /data/ana/train.py -d %DATA -c %IN -o %OUT"'
RESULT_FORMS = ("table", "json", "csv", "parquet")
_RESULTS = (
    "Show a row for each job that is done: the values of its config (JSON, YAML or TOML) and those of the\n"
    "metrics.json that it left in %OUT. Values within values are called a.b; a list is one value. Where a config\n"
    "and the metrics say different things under one name, they are config.NAME and metrics.NAME.\n\n"
    "--best takes the metric whose name tells that its highest (accuracy, auc, f1, score, ...) or its lowest\n"
    "(loss, error, ...) value is best; --sort names another."
)
_RESULTS_EXAMPLE = (
    "maestro task results 0\nmaestro task results 0 --best 5\nmaestro task results 0 --sort -accuracy -o csv\n"
    "maestro task results 0 --out results.parquet"
)
_PLOT = (
    "Draw a metric against each value that differs between the configs (numbers as points with their medians, the\n"
    "rest as boxes), how long the jobs took, and how much memory they used."
)
_PLOT_EXAMPLE = "maestro task plot 0\nmaestro task plot 0 -m val.loss --out loss.png"
_WAIT = """Wait until tasks are over. The exit status says how they ended, the worst of several counts:
0 all jobs done, 1 ended with some jobs not done (FINALIZED), 3 BROKEN in the test, 4 KILLED,
5 not over within --timeout; 2 is a mistake on the command line, as everywhere."""

VERBS = (
    Verb(
        "create",
        "run a command once for each file of a data set",
        later("orchestra.cli.task_create:create"),
        later("orchestra.cli.task_options:create_arguments"),
        example=f"maestro task create -c user.ana.grid -d user.ana.digits -t user.ana.mlp {_EXEC} --queue cpu",
        output=True,
    ),
    Verb(
        "repro",
        "run a command once for each output of an older task",
        later("orchestra.cli.task_create:repro"),
        later("orchestra.cli.task_options:repro_arguments"),
        example=f"maestro task repro --old_task user.ana.mlp --new_task user.ana.eval -d user.ana.digits {_EXEC}",
        output=True,
    ),
    Verb(
        "list",
        "show my tasks that are not done",
        later("orchestra.cli.task_list:list_tasks"),
        later("orchestra.cli.task_list:list_arguments"),
        example="maestro task list\nmaestro task list -a -o json",
        output=True,
    ),
    Verb(
        "show",
        "show all that is known of a task",
        later("orchestra.cli.task_show:show_task"),
        later("orchestra.cli.task_show:show_arguments"),
        example="maestro task show 0 --watch",
        output=True,
    ),
    Verb(
        "results",
        "show what the jobs wrote, beside what their configs say",
        later("orchestra.cli.task_results:show_results"),
        later("orchestra.cli.task_results:results_arguments"),
        example=_RESULTS_EXAMPLE,
        output=True,
        forms=RESULT_FORMS,
        description=_RESULTS,
    ),
    Verb(
        "plot",
        "draw a metric against what the configs say",
        later("orchestra.cli.task_plot:plot"),
        later("orchestra.cli.task_plot:plot_arguments"),
        example=_PLOT_EXAMPLE,
        description=_PLOT,
    ),
    Verb(
        "queue",
        "show what runs on a queue, and what comes next",
        later("orchestra.cli.task_queue:show_queue"),
        later("orchestra.cli.task_queue:queue_arguments"),
        example="maestro task queue -n gpu",
        output=True,
    ),
    Verb(
        "hold",
        "let no new job of a task start",
        later("orchestra.cli.task_change:hold"),
        later("orchestra.cli.task_change:hold_arguments"),
        example='maestro task hold 0 --reason "new data arrive tonight"',
    ),
    Verb(
        "release",
        "let jobs of a held task start again, or one begin that waits for another",
        later("orchestra.cli.task_change:release"),
        later("orchestra.cli.task_select:several_tasks"),
        example="maestro task release 0",
    ),
    Verb(
        "retry",
        "run the jobs that are not done again",
        later("orchestra.cli.task_change:retry"),
        later("orchestra.cli.task_change:retry_arguments"),
        example="maestro task retry 0\nmaestro task retry --id 0 1 2\nmaestro task retry -t user.ana.mlp --all",
    ),
    Verb(
        "kill",
        "end a task; what is done stays done",
        later("orchestra.cli.task_change:kill"),
        later("orchestra.cli.task_change:kill_arguments"),
        example="maestro task kill 0\nmaestro task kill --id_min 3 --id_max 8",
    ),
    Verb(
        "delete",
        "take an ended task off the lists; its files stay",
        later("orchestra.cli.task_change:delete"),
        later("orchestra.cli.task_change:delete_arguments"),
        example="maestro task delete 0\nmaestro task delete --id 0 1 --remove --force",
    ),
    Verb(
        "clean",
        "free the space of attempts that a later one has replaced",
        later("orchestra.cli.task_change:clean_tasks"),
        later("orchestra.cli.task_change:clean_arguments"),
        example="maestro task clean 0",
    ),
    Verb(
        "wait",
        "wait until tasks are over",
        later("orchestra.cli.task_change:wait"),
        later("orchestra.cli.task_change:wait_arguments"),
        example="maestro task wait 0 && ls results",
        description=_WAIT,
    ),
)
