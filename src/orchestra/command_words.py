"""The command line's words for the actions and fields of a sentence: `maestro task retry 3`, `--queue gpu`.

The command line, mails and logs use them, and the client for what has no counterpart in Python.
"""

from __future__ import annotations

import shlex

from orchestra.domain.errors import OrchestraError
from orchestra.domain.wording import (
    Action,
    Field,
    Sentence,
    Term,
    reworded,
    words,
)

COMMANDS = {
    Action.START_ALL: "maestro up",
    Action.RUN_SCRIPT: "maestro run train.py configs/",
    Action.RUN_COMMAND: "maestro run --exec {command} configs/",
    Action.STOP_ALL: "maestro down",
    Action.LIST_TASKS: "maestro task list",
    Action.LIST_ALL_TASKS: "maestro task list -a",
    Action.LIST_TASKS_OF: "maestro task list -u {user}",
    Action.SHOW_TASK: "maestro task show {task}",
    Action.CREATE_TASK: "maestro run --help",
    Action.CREATE_TASK_FROM: "maestro task create -c task:{task}",
    Action.RELEASE_TASK: "maestro task release {task}",
    Action.RETRY_TASK: "maestro task retry {task}",
    Action.UPDATE_TASK: "maestro task retry {task} --update",
    Action.RETRY_OR_KILL_TASK: "maestro task retry {task} and task kill {task}",
    Action.LIST_JOBS: "maestro job list {task}",
    Action.SHOW_JOB: "maestro job show {task}/{job}",
    Action.READ_LOG: "maestro job logs {task}/{job}",
    Action.FOLLOW_LOG: "maestro job logs {task}/{job} -f",
    Action.RETRY_JOB: "maestro job retry {task}/{job}",
    Action.KILL_JOB: "maestro job kill {task}/{job}",
    Action.LIST_ALL_DATASETS: "maestro dataset list -a",
    Action.LIST_DATASETS_OF: "maestro dataset list -u {user}",
    Action.CREATE_DATASET: "maestro dataset create -n {name} -p {path}",
    Action.UPDATE_DATASET: "maestro dataset update -n {name}",
    Action.LIST_NODES: "maestro node list",
    Action.CREATE_NODE: "maestro node create",
    Action.CREATE_NODE_NAMED: "maestro node create -n {name} -ec CPU_SLOTS -eg GPU_SLOTS",
    Action.SET_NODE: "maestro node set -n {name}",
    Action.RESUME_NODE: "maestro node resume -n {name}",
    Action.STOP_NODE: "maestro node stop -n {name}",
    Action.LOSE_NODE: "maestro node lost -n {name}",
    Action.LIST_PILOTS: "maestro pilot list",
    Action.RUN_PILOT: "maestro pilot run",
    Action.RUN_PILOT_OF: "maestro pilot run -n {name}",
    Action.STOP_PILOT: "maestro pilot stop -n NODE",
    Action.STOP_PILOT_NOW: "maestro pilot stop -n {name} --now",
    Action.CREATE_POOL: "maestro pool create {name} --engine slurm",
    Action.SET_POOL: "maestro pool set {name}",
    Action.RESUME_POOL: "maestro pool resume {name}",
    Action.RUN_POOL: "maestro pool run {name}",
    Action.LIST_USERS: "maestro user list",
    Action.CREATE_USER: "maestro user create -n {name} -e ADDRESS",
    Action.MAKE_ADMIN: "maestro user set -n {name} --admin on",
    Action.MAKE_TOKEN: "maestro user token",
    Action.LIST_TOKENS: "maestro user tokens",
    Action.SIGN_IN: "maestro web",
    Action.LIST_MAILS: "maestro mail list",
    Action.MAKE_SCHEMA: "maestro user init",
    Action.START_DATABASE: "maestro db start",
    Action.STOP_DATABASE_AT_ONCE: "maestro db stop --immediate",
    Action.DUMP_DATABASE: "maestro db dump FILE",
    Action.RESTORE_DATABASE: "maestro db restore FILE",
}
OPTIONS = {
    Field.ACCOUNT: "--account",
    Field.AFTER: "--after",
    Field.AGAINST: "--against",
    Field.ALL_FILES: "--all-files",
    Field.BIND: "--bind",
    Field.COMMAND: "--exec",
    Field.CONSTRAINT: "--constraint",
    Field.CORES: "--cores",
    Field.CPU: "-ec",
    Field.CPUS: "--cpus",
    Field.CPU_MAXIMUM: "-mc",
    Field.DATA: "-d",
    Field.DIRECTION: "--direction",
    Field.DRAIN: "--drain",
    Field.ENV: "--env",
    Field.EXCLUDE: "--exclude",
    Field.EXCLUSIVE: "--exclusive",
    Field.FILE: "--file",
    Field.FIRST: "--id_min",
    Field.FORCE: "--force",
    Field.FORMAT: "--format",
    Field.GOAL: "--goal",
    Field.GPU: "-eg",
    Field.GPU_MAXIMUM: "-mg",
    Field.GPUS: "--gpus",
    Field.GPU_MEMORY: "--gpu-memory",
    Field.GRES: "--gres",
    Field.GRID: "--grid",
    Field.IDLE: "--idle",
    Field.IF_NOT_EXISTS: "--if-not-exists",
    Field.IMAGE: "--image",
    Field.INCLUDE: "--include",
    Field.LABELS: "--label",
    Field.LAST: "--id_max",
    Field.MAX_PENDING: "--max-pending",
    Field.MAX_PILOTS: "--max-pilots",
    Field.MAX_RUNNING: "--max-running",
    Field.MEMORY: "--memory",
    Field.METRICS: "--metrics",
    Field.MIN_PILOTS: "--min-pilots",
    Field.MIN_WORK: "--min-work",
    Field.NODE: "--node",
    Field.NODES: "--nodes",
    Field.NOT_NODE: "--not-node",
    Field.NOW: "--now",
    Field.OVER: "--over",
    Field.PARTITION: "--partition",
    Field.PATH: "-p",
    Field.PRIORITY: "--priority",
    Field.QOS: "--qos",
    Field.QUEUE: "--queue",
    Field.RETRIES: "--retries",
    Field.REUSE: "--reuse",
    Field.SBATCH: "--sbatch",
    Field.SCRATCH: "--scratch",
    Field.SECONDARY: "--sd",
    Field.SEEDS: "--seeds",
    Field.SERVE_ALL: "--serve-all",
    Field.SORT: "--sort",
    Field.TEST_JOBS: "--test-jobs",
    Field.VOLUME: "-v",
    Field.WALLTIME: "--walltime",
    Field.WHERE: "--where",
}


def worded(said: Sentence) -> str:
    """Return a sentence in the words of the command line."""
    return str(reworded(said, term))


def message_of(error: OrchestraError) -> str:
    """Return what is wrong."""
    return worded(error.message)


def hint_of(error: OrchestraError) -> str | None:
    """Return what to do next, or None if the error does not say."""
    return None if error.remedy is None else worded(error.remedy)


def term(part: Term) -> str:
    """Return one term as it is typed."""
    match part:
        case Term(action=Action() as action, values=values):
            return COMMANDS[action].format(**{name: shlex.quote(str(v)) for name, v in values})
        case Term(field=Field() as field, value=None | True):
            return OPTIONS[field]
        case Term(field=Field() as field, value=value):
            return f"{OPTIONS[field]} {value}"
        case _:
            return str(words(part))
