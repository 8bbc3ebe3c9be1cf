"""Sentences that name actions and fields of requests, which each edge words in its own terms. Pure.

`words("Kill it first, or use ", Field.FORCE(True), " to do both.")` says "use --force" on the command line and "use
force=True" in Python. A sentence without such terms is a str. Sentences are never parsed: their parts are kept apart.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

Value = str | int | bool


class Action(Enum):
    """An action that a sentence can recommend, and the values that it takes."""

    takes: tuple[str, ...]

    def __new__(cls, code: str, *takes: str) -> Action:
        member = object.__new__(cls)
        member._value_ = code
        member.takes = takes
        return member

    START_ALL = ("start_all",)
    RUN_SCRIPT = ("run_script",)
    RUN_COMMAND = "run_command", "command"
    STOP_ALL = ("stop_all",)

    LIST_TASKS = ("list_tasks",)
    LIST_ALL_TASKS = ("list_all_tasks",)
    LIST_TASKS_OF = "list_tasks_of", "user"
    SHOW_TASK = "show_task", "task"
    CREATE_TASK = ("create_task",)
    CREATE_TASK_FROM = "create_task_from", "task"
    RELEASE_TASK = "release_task", "task"
    RETRY_TASK = "retry_task", "task"
    UPDATE_TASK = "update_task", "task"
    RETRY_OR_KILL_TASK = "retry_or_kill_task", "task"

    LIST_JOBS = "list_jobs", "task"
    SHOW_JOB = "show_job", "task", "job"
    READ_LOG = "read_log", "task", "job"
    FOLLOW_LOG = "follow_log", "task", "job"
    RETRY_JOB = "retry_job", "task", "job"
    KILL_JOB = "kill_job", "task", "job"

    LIST_ALL_DATASETS = ("list_all_datasets",)
    LIST_DATASETS_OF = "list_datasets_of", "user"
    CREATE_DATASET = "create_dataset", "name", "path"
    UPDATE_DATASET = "update_dataset", "name"

    LIST_NODES = ("list_nodes",)
    CREATE_NODE = ("create_node",)
    CREATE_NODE_NAMED = "create_node_named", "name"
    SET_NODE = "set_node", "name"
    RESUME_NODE = "resume_node", "name"
    STOP_NODE = "stop_node", "name"
    LOSE_NODE = "lose_node", "name"

    LIST_PILOTS = ("list_pilots",)
    RUN_PILOT = ("run_pilot",)
    RUN_PILOT_OF = "run_pilot_of", "name"
    STOP_PILOT = ("stop_pilot",)
    STOP_PILOT_NOW = "stop_pilot_now", "name"

    CREATE_POOL = "create_pool", "name"
    SET_POOL = "set_pool", "name"
    RESUME_POOL = "resume_pool", "name"
    RUN_POOL = "run_pool", "name"

    LIST_USERS = ("list_users",)
    CREATE_USER = "create_user", "name"
    MAKE_ADMIN = "make_admin", "name"
    MAKE_TOKEN = ("make_token",)
    LIST_TOKENS = ("list_tokens",)
    SIGN_IN = ("sign_in",)

    LIST_MAILS = ("list_mails",)

    MAKE_SCHEMA = ("make_schema",)
    START_DATABASE = ("start_database",)
    STOP_DATABASE_AT_ONCE = ("stop_database_at_once",)
    DUMP_DATABASE = ("dump_database",)
    RESTORE_DATABASE = ("restore_database",)

    def __call__(self, **values: Value) -> Term:
        """Return the action with its values as a part of a sentence."""
        if tuple(values) != self.takes:
            raise TypeError(f"{self.name} takes {self.takes}, not {tuple(values)}")
        return Term(action=self, values=tuple(values.items()))


class Field(Enum):
    """A field of a request that a sentence can name, by its Python name."""

    ACCOUNT = "account"
    AFTER = "after"
    AGAINST = "against"
    ALL_FILES = "all_files"
    BIND = "bind"
    COMMAND = "command"
    CONSTRAINT = "constraint"
    CORES = "cores"
    CPU = "cpu"
    CPU_MAXIMUM = "cpu_maximum"
    CPUS = "cpus"
    DATA = "data"
    DIRECTION = "direction"
    DRAIN = "drain"
    ENV = "env"
    EXCLUDE = "exclude"
    EXCLUSIVE = "exclusive"
    FILE = "file"
    FIRST = "first"
    FORCE = "force"
    FORMAT = "format"
    GOAL = "goal"
    GPU = "gpu"
    GPU_MAXIMUM = "gpu_maximum"
    GPU_MEMORY = "gpu_memory"
    GPUS = "gpus"
    GRES = "gres"
    GRID = "grid"
    IDLE = "idle"
    IF_NOT_EXISTS = "if_not_exists"
    IMAGE = "image"
    INCLUDE = "include"
    LABELS = "labels"
    LAST = "last"
    MAX_PENDING = "max_pending"
    MAX_PILOTS = "max_pilots"
    MAX_RUNNING = "max_running"
    MEMORY = "memory"
    METRICS = "metrics"
    MIN_PILOTS = "min_pilots"
    MIN_WORK = "min_work"
    NODE = "node"
    NODES = "nodes"
    NOT_NODE = "not_node"
    NOW = "now"
    OVER = "over"
    PARTITION = "partition"
    PATH = "path"
    PRIORITY = "priority"
    QOS = "qos"
    QUEUE = "queue"
    RETRIES = "retries"
    REUSE = "reuse"
    SBATCH = "sbatch"
    SCRATCH = "scratch"
    SECONDARY = "secondary"
    SEEDS = "seeds"
    SERVE_ALL = "serve_all"
    SORT = "sort"
    TEST_JOBS = "test_jobs"
    VOLUME = "volume"
    WALLTIME = "walltime"
    WHERE = "where"

    def __call__(self, value: Value) -> Term:
        """Return the field with a value as a part of a sentence."""
        return Term(field=self, value=value)


class Setting(Enum):
    """A setting that a sentence can name; each edge knows its file or variable."""

    POSTGRES = "postgres"


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """An action with its values, a field of a request, or a setting, as a part of a sentence.

    One class, so that a sentence can be decoded by its type alone. `value` is the field's; True for a switch.
    """

    action: Action | None = None
    values: tuple[tuple[str, Value], ...] = ()
    field: Field | None = None
    value: Value | None = None
    setting: Setting | None = None


@dataclass(frozen=True, slots=True)
class Words:
    """A sentence with terms, made by `words`. Its str is readable without an edge's wording."""

    parts: tuple[str | Term, ...]

    def __str__(self) -> str:
        return "".join(map(_plain_text, self.parts))


Sentence = str | Words
"""A sentence; a str if it has no terms."""


def words(*parts: Sentence | Term | Action | Field | Setting) -> Sentence:
    """Join parts into a sentence; sentences among them are merged into it."""
    flat: list[str | Term] = []
    for part in parts:
        for each in part.parts if isinstance(part, Words) else (_term(part),):
            if isinstance(each, str) and flat and isinstance(flat[-1], str):
                flat[-1] += each
            else:
                flat.append(each)
    if len(flat) == 1 and isinstance(flat[0], str):
        return flat[0]
    return Words(tuple(flat))


def _term(part: str | Term | Action | Field | Setting) -> str | Term:
    if isinstance(part, Action):
        return part()
    if isinstance(part, Field):
        return Term(field=part)
    return Term(setting=part) if isinstance(part, Setting) else part


def reworded(said: Sentence, voice: Callable[[Term], str | Term]) -> Sentence:
    """Return a sentence with its terms worded by `voice`, which may leave some unchanged."""
    if isinstance(said, str):
        return said
    return words(*(part if isinstance(part, str) else voice(part) for part in said.parts))


def _plain_text(part: str | Term) -> str:
    """Format a part without an edge's terms: `retry task 3`, `queue=gpu`."""
    match part:
        case Term(action=Action() as action, values=values):
            return " ".join([action.value.replace("_", " "), *(str(value) for _, value in values)])
        case Term(field=Field() as field, value=None):
            return field.value
        case Term(field=Field() as field, value=value):
            return f"{field.value}={value}"
        case Term(setting=setting):
            return f'"{setting.value if setting else ""}" in your configuration'
        case _:
            return part
