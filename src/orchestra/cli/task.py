"""`maestro task`: create, watch, hold, retry and kill tasks."""

from __future__ import annotations

from orchestra.cli.registry import RESULT_FORMS, Verb, later

_EXEC = '--exec "python3 /data/ana/train.py -d %DATA -c %IN -o %OUT"'
_RESULTS = (
    "Show a row for each done job: the values of its config (JSON, YAML or TOML) and of the metrics.json that it\n"
    "wrote into %OUT. Nested values are named a.b; a list is one value. If the config and the metrics have different\n"
    "values of the same name, they are shown as config.NAME and metrics.NAME.\n\n"
    "--best sorts by the task's goal (`task create --goal min:loss`), else by a metric whose name says whether high\n"
    "(accuracy, auc, f1, score, ...) or low (loss, error, ...) values are better. --sort takes another column, and\n"
    "--direction says which of its values are best.\n\n"
    "--where takes comparisons (< <= > >= == != in ~) of columns with numbers, 'texts', true, false, null or other\n"
    "columns; and, or, not and parentheses. A name with spaces is in backquotes. docs/results.md has the details.\n\n"
    "--group-by shows a row for each combination of values: the number of jobs (n), the best value and its job, and\n"
    "mean and sample standard deviation of each metric, for example over the seeds of each setting.\n\n"
    "--live includes the running jobs, with what they have written into the file so far: as lines of JSON, of which\n"
    "the last counts, or as a file that is written beside it and renamed.\n\n"
    "Several tasks are shown side by side, matched by the path and the values of their configs."
)
_RESULTS_EXAMPLE = (
    "maestro task results 0\nmaestro task results 0 --best 5\n"
    "maestro task results 0 --best 5 --sort chi --direction min\n"
    "maestro task results 0 --where 'lr < 0.1 and width == 64'\nmaestro task results 0 --group-by lr,width\n"
    "maestro task results 0 1 --sort diff\nmaestro task results 0 --live\n"
    "maestro task results 0 --sort -accuracy -o csv\n"
    "maestro task results 0 --out results.parquet"
)
_PLOT = (
    "Plot a metric against the values that differ between the configs, and the duration and peak memory of the jobs.\n"
    "Jobs that differ only in a seed are averaged, and two values also have a heat map; --kind selects. Numbers that\n"
    "span decades have a logarithmic axis, and texts are categories."
)
_PLOT_EXAMPLE = (
    "maestro task plot 0\nmaestro task plot 0 -m val.loss --direction min --out loss.pdf\n"
    "maestro task plot 0 --kind heatmap --against lr,width"
)
_REPORT = (
    "Write one HTML page about a task into the current folder: its state and history, the best results, plots,\n"
    "failures with the ends of their logs, a table of results, command, data sets, git commit, nodes and images. The\n"
    "page needs no other file and no network, has no scripts, and can be printed and mailed. An older report is\n"
    "replaced, another file is not. Values of --env are left out, because they may be secret."
)
_CLONE = (
    "Create a task with all the settings of another one, anybody's: command, data sets at their present versions,\n"
    "image, policy, resources. Each option replaces one of them; --env and --bind are added to the old ones. Without\n"
    "--name it is called like the old one, with the next free number: user.ana.mlp-2."
)
_RETRY = (
    "Run the jobs again that are not done; of a task that is DONE, all.\n\n"
    "--update takes configs, data sets and script as they are now, and says what has changed. A job keeps its number\n"
    "by the path of its config; new files get the next numbers, and those that are gone are named and not run. It\n"
    "also continues a task that is held because its inputs have changed. Running jobs keep what they started with."
)
_ADD = (
    "Add files, or the files of a folder, as further configs of a task. Their jobs get the next numbers. A task that\n"
    "has ended runs again, for these jobs alone. Its data set stays as it is; the task has a list of its own."
)
_SET = (
    "Change settings of tasks. Timeout, grace, cores, GPUs and memory count for jobs that have not started; running\n"
    "jobs keep what they were started with. Of a task that has ended, all settings count when it is retried."
)
_WAIT = """Wait until tasks have ended. The exit status tells how; of several tasks, the worst result counts:
0 all jobs are done, 1 FINALIZED (some jobs are not done), 3 BROKEN (the test failed), 4 KILLED,
5 not ended within --timeout. 2 is a mistake on the command line, as for every command.

On a terminal, it shows how many jobs are done, running and failed, their rate, and when the task ends; if nothing
runs, it says why. Elsewhere it prints a line for each change. Ctrl-C leaves the tasks running (exit status 130)."""
_LIST = """Show your tasks that are not DONE. WAITING counts the jobs that have not started, RUNNING those that run,
and ENDS is an estimate. A task is FINALIZED when all its jobs have ended and some are not done, and KILL while
its jobs are being ended.

--counts shows a column for each state of a job instead; ASSIGNED jobs wait for a slot. docs/glossary.md explains
all states. JSON always has all counts."""

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
        "run a command once for each output of another task",
        later("orchestra.cli.task_create:repro"),
        later("orchestra.cli.task_options:repro_arguments"),
        example=f"maestro task repro --old_task user.ana.mlp --new_task user.ana.eval -d user.ana.digits {_EXEC}",
        output=True,
    ),
    Verb(
        "clone",
        "create a task with the settings of another one",
        later("orchestra.cli.task_clone:clone"),
        later("orchestra.cli.task_clone:clone_arguments"),
        example="maestro task clone 0\nmaestro task clone 0 --name user.ana.slow --timeout 4h --env LR=0.01",
        output=True,
        description=_CLONE,
    ),
    Verb(
        "list",
        "show tasks with the progress of their jobs",
        later("orchestra.cli.task_list:list_tasks"),
        later("orchestra.cli.task_list:list_arguments"),
        example="maestro task list\nmaestro task list --counts\nmaestro task list -a -o json",
        output=True,
        description=_LIST,
    ),
    Verb(
        "show",
        "show a task in detail",
        later("orchestra.cli.task_show:show_task"),
        later("orchestra.cli.task_show:show_arguments"),
        example="maestro task show 0 --watch",
        output=True,
    ),
    Verb(
        "logs",
        "print the end of a log for each kind of failure",
        later("orchestra.cli.job_logs:task_logs"),
        later("orchestra.cli.job_logs:task_logs_arguments"),
        example="maestro task logs 0\nmaestro task logs 0 -n 100",
        aliases=("log",),
    ),
    Verb(
        "results",
        "show the results of the jobs beside the values of their configs",
        later("orchestra.cli.task_results:show_results"),
        later("orchestra.cli.task_results:results_arguments"),
        example=_RESULTS_EXAMPLE,
        output=True,
        forms=RESULT_FORMS,
        description=_RESULTS,
    ),
    Verb(
        "plot",
        "plot a metric against the values of the configs",
        later("orchestra.cli.task_plot:plot"),
        later("orchestra.cli.task_plot:plot_arguments"),
        example=_PLOT_EXAMPLE,
        description=_PLOT,
    ),
    Verb(
        "report",
        "write a page about a task: results, plots, failures, how it was run",
        later("orchestra.cli.task_report:write_report"),
        later("orchestra.cli.task_report:report_arguments"),
        example="maestro task report 0\nmaestro task report user.ana.mlp --file mlp-with-new-data.html",
        output=True,
        description=_REPORT,
    ),
    Verb(
        "queue",
        "show the jobs that run on a queue, and the next ones",
        later("orchestra.cli.task_queue:show_queue"),
        later("orchestra.cli.task_queue:queue_arguments"),
        example="maestro task queue -n gpu",
        output=True,
    ),
    Verb(
        "hold",
        "stop starting jobs of a task; running jobs continue",
        later("orchestra.cli.task_change:hold"),
        later("orchestra.cli.task_change:hold_arguments"),
        example='maestro task hold 0 --reason "new data arrive tonight"',
    ),
    Verb(
        "release",
        "start jobs of a held task again, or stop waiting for other tasks",
        later("orchestra.cli.task_change:release"),
        later("orchestra.cli.task_select:several_tasks"),
        example="maestro task release 0",
    ),
    Verb(
        "set",
        "change the priority, limits or resources of a task",
        later("orchestra.cli.task_set:set_tasks"),
        later("orchestra.cli.task_set:set_arguments"),
        example="maestro task set 0 --priority 5\nmaestro task set 0 --timeout 4h --memory 8GB --retries 2\n"
        "maestro task set --id 0 1 2 --max-running 20 --max-fails none",
        output=True,
        description=_SET,
    ),
    Verb(
        "retry",
        "rerun the jobs that are not done, or all jobs of a DONE task",
        later("orchestra.cli.task_change:retry"),
        later("orchestra.cli.task_change:retry_arguments"),
        example="maestro task retry 0\nmaestro task retry 0 --update\nmaestro task retry -t user.ana.mlp --all",
        description=_RETRY,
    ),
    Verb(
        "add",
        "add configs to a task, live or ended",
        later("orchestra.cli.task_update:add"),
        later("orchestra.cli.task_update:add_arguments"),
        example="maestro task add 0 configs/h64.json\nmaestro task add user.ana.mlp more/ --include '*.json'",
        output=True,
        description=_ADD,
    ),
    Verb(
        "kill",
        "kill tasks; done jobs stay done",
        later("orchestra.cli.task_change:kill"),
        later("orchestra.cli.task_change:kill_arguments"),
        example="maestro task kill 0\nmaestro task kill --id_min 3 --id_max 8",
    ),
    Verb(
        "delete",
        "delete ended tasks; their files stay",
        later("orchestra.cli.task_change:delete"),
        later("orchestra.cli.task_change:delete_arguments"),
        example="maestro task delete 0\nmaestro task delete --id 0 1 --remove --force",
    ),
    Verb(
        "clean",
        "remove the folders of attempts that a later one has superseded",
        later("orchestra.cli.task_change:clean_tasks"),
        later("orchestra.cli.task_change:clean_arguments"),
        example="maestro task clean 0",
    ),
    Verb(
        "wait",
        "wait until tasks have ended",
        later("orchestra.cli.task_wait:wait"),
        later("orchestra.cli.task_wait:wait_arguments"),
        example="maestro task wait 0 && ls results",
        description=_WAIT,
    ),
)
