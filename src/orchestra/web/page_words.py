"""The pages' words for the actions and fields of a sentence: a link to the page that does it, or what to type.

Like `command_words` for the command line. Actions that have no page are commands.
"""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import quote

from markupsafe import Markup, escape

from orchestra import command_words
from orchestra.domain.wording import Action, Field, Sentence, Setting, Term

PAGES = {
    Action.LIST_TASKS: ("the list of tasks", "/tasks"),
    Action.LIST_ALL_TASKS: ("the list of all tasks", "/tasks?all=true"),
    Action.LIST_TASKS_OF: ("the tasks of {user}", "/tasks?user={user}"),
    Action.SHOW_TASK: ("task {task}", "/tasks/{task}"),
    Action.CREATE_TASK: ("create a task", "/tasks/new"),
    Action.CREATE_TASK_FROM: ("create a task like {task}", "/tasks/new?from={task}"),
    Action.RELEASE_TASK: ("release task {task}", "/tasks/{task}/release"),
    Action.RETRY_TASK: ("retry task {task}", "/tasks/{task}/retry"),
    Action.RETRY_OR_KILL_TASK: ("“retry” and “kill” on the page of task {task}", "/tasks/{task}"),
    Action.LIST_JOBS: ("the jobs of task {task}", "/tasks/{task}"),
    Action.SHOW_JOB: ("job {task}/{job}", "/tasks/{task}/jobs/{job}"),
    Action.READ_LOG: ("the log of job {task}/{job}", "/tasks/{task}/jobs/{job}#log"),
    Action.FOLLOW_LOG: ("the log of job {task}/{job}", "/tasks/{task}/jobs/{job}#log"),
    Action.RETRY_JOB: ("retry job {task}/{job}", "/tasks/{task}/jobs/{job}/retry"),
    Action.KILL_JOB: ("kill job {task}/{job}", "/tasks/{task}/jobs/{job}/kill"),
    Action.LIST_ALL_DATASETS: ("the list of data sets", "/datasets?all=true"),
    Action.LIST_DATASETS_OF: ("the data sets of {user}", "/datasets?user={user}"),
    Action.LIST_NODES: ("the list of nodes", "/nodes"),
    Action.SET_NODE: ("the page of node {name}", "/nodes/{name}"),
    Action.RESUME_NODE: ("resume node {name}", "/nodes/{name}/resume"),
    Action.STOP_NODE: ("stop node {name}", "/nodes/{name}/stop"),
    Action.LOSE_NODE: ("give up node {name}", "/nodes/{name}/lost"),
    Action.LIST_MAILS: ("your mails", "/mails"),
    Action.LIST_USERS: ("the list of users", "/users"),
    Action.LIST_MAILS: ("your mails", "/mails"),
    Action.LIST_TOKENS: ("the list of your tokens", "/tokens"),
}
"""The words of a link, and the path of its page below the server's root."""

LABELS = {
    Field.ACCOUNT: "account",
    Field.AFTER: "start after",
    Field.AGAINST: "compare with",
    Field.ALL_FILES: "all files",
    Field.BIND: "folders in the container",
    Field.COMMAND: "command",
    Field.CONSTRAINT: "nodes with",
    Field.CORES: "CPU slots a job",
    Field.CPU: "CPU slots",
    Field.CPUS: "CPU slots a GPU job",
    Field.CPU_MAXIMUM: "CPU slots at most",
    Field.DATA: "data",
    Field.DIRECTION: "direction",
    Field.DRAIN: "let jobs end first",
    Field.ENV: "environment",
    Field.EXCLUDE: "leave out",
    Field.EXCLUSIVE: "a node of its own",
    Field.FILE: "file",
    Field.FIRST: "first number",
    Field.FORCE: "end it first",
    Field.FORMAT: "format",
    Field.GOAL: "goal",
    Field.GPU: "GPU slots",
    Field.GPU_MAXIMUM: "GPU slots at most",
    Field.GPUS: "GPU slots a job",
    Field.GPU_MEMORY: "memory of a GPU",
    Field.GRES: "generic resources",
    Field.GRID: "values",
    Field.IDLE: "leave after",
    Field.IF_NOT_EXISTS: "only if there is none",
    Field.IMAGE: "image",
    Field.INCLUDE: "only these files",
    Field.LABELS: "labels",
    Field.LAST: "last number",
    Field.MAX_PENDING: "pending at most",
    Field.MAX_PILOTS: "pilots at most",
    Field.MAX_RUNNING: "running at most",
    Field.MEMORY: "memory at most",
    Field.METRICS: "metrics",
    Field.MIN_PILOTS: "pilots at least",
    Field.MIN_WORK: "work for one more",
    Field.NODE: "only on nodes",
    Field.NODES: "nodes in an allocation",
    Field.NOT_NODE: "not on nodes",
    Field.NOW: "end them now",
    Field.OVER: "configs",
    Field.PARTITION: "partition",
    Field.PATH: "folder",
    Field.PRIORITY: "priority",
    Field.QOS: "QOS",
    Field.QUEUE: "queue",
    Field.RETRIES: "retries",
    Field.REUSE: "use what exists",
    Field.SBATCH: "words for sbatch",
    Field.SCRATCH: "scratch space",
    Field.SECONDARY: "more data",
    Field.SEEDS: "seeds",
    Field.SERVE_ALL: "serve all accounts",
    Field.SORT: "sort by",
    Field.TEST_JOBS: "test jobs",
    Field.VOLUME: "volume",
    Field.WALLTIME: "expected time at most",
    Field.WHERE: "filter",
}
"""The labels of the fields of forms; a form takes its labels from here, so that sentences name what is there."""


def worded(said: Sentence, url: Callable[[str], str]) -> Markup:
    """Return a sentence as HTML, with links where a page does what it recommends.

    Args:
        url: turns a path below the server's root into an address.
    """
    if isinstance(said, str):
        return escape(said)
    return Markup("").join(
        escape(part) if isinstance(part, str) else term(part, url) for part in said.parts
    )


def page_of(part: Term) -> tuple[str, str]:
    """Return the words of a link for an action that has a page, and the path of the page.

    Raises:
        KeyError: it has none.
    """
    assert part.action is not None
    said, path = PAGES[part.action]
    quoted = {name: quote(str(value), safe="") for name, value in part.values}
    return said.format_map(dict(part.values)), path.format_map(quoted)


def term(part: Term, url: Callable[[str], str]) -> Markup:
    """Return one term as HTML."""
    match part:
        case Term(action=Action() as action) if action in PAGES:
            said, path = page_of(part)
            return Markup('<a href="{}">{}</a>').format(url(path), said)
        case Term(field=Field() as field, value=None | True):
            return Markup("“{}”").format(LABELS[field])
        case Term(field=Field() as field, value=value):
            return Markup("“{}” {}").format(LABELS[field], value)
        case Term(setting=Setting() as setting):
            return Markup("<code>{}</code> in the server’s configuration").format(setting.value)
        case _:
            return Markup("<code>{}</code>").format(command_words.term(part))
