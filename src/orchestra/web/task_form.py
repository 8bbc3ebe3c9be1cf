"""The form for a new task: its fields, what they mean as a request, and how a request is typed into them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

from orchestra.domain.errors import BadInput, about
from orchestra.domain.human import one_line
from orchestra.domain.models.new_tasks import NewTask
from orchestra.domain.models.tasks import METRICS_FILE, Policy, Resources
from orchestra.domain.node_ranges import squeeze
from orchestra.domain.placement import placement_of
from orchestra.domain.quantities import (
    parse_duration,
    parse_gpus,
    parse_limit,
    parse_size,
    typed_duration,
    typed_gpus,
    typed_limit,
    typed_size,
)
from orchestra.domain.short_names import ShortNames
from orchestra.domain.states import Queue
from orchestra.domain.storable import LARGEST
from orchestra.domain.task_resources import with_cpus
from orchestra.domain.variables import parse_variable
from orchestra.domain.wording import Field as Named
from orchestra.web.forms import Form
from orchestra.web.page_words import LABELS

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Field:
    """A field of the form. `kind` is that of its input: "text", "lines", "queue" or "tick"."""

    name: str
    label: str
    hint: str = ""
    kind: str = "text"
    placeholder: str = ""
    required: bool = False
    datasets: bool = False


def _field(named: Named, hint: str = "", **more: object) -> Field:
    label = LABELS[named]
    return Field(named.value, label[0].upper() + label[1:], hint, **more)  # type: ignore[arg-type]


IMPORTANT = (
    Field("name", "Name", placeholder="fit", required=True),
    Field(
        "config", "Configs",
        "The data set with a file for each job, %IN. task:NAME takes the outputs of another task.",
        required=True, datasets=True,
    ),
    _field(Named.DATA, "The data set that all jobs read, %DATA.", datasets=True),
    _field(
        Named.COMMAND, "%IN, %OUT and %DATA are replaced by paths: python3 /data/train.py -c %IN -d %DATA -o %OUT",
        kind="lines", required=True,
    ),
    _field(Named.QUEUE, kind="queue"),
    _field(Named.VOLUME, "The folder for the results, as the nodes see it.", required=True),
    _field(Named.IMAGE, "A container to run in: docker://NAME:TAG, or the path of a SIF file or folder."),
)  # fmt: skip
LIMITS = (
    _field(Named.TEST_JOBS, "They run first; the others follow if all of them succeed. 0: no test.", placeholder="10"),
    Field("test_for", "Enough for a test job", "A test job that has run this long has passed: 10m."),
    _field(Named.RETRIES, "Of a job that fails.", placeholder="0"),
    Field("timeout", "Time limit", "A job that runs longer is ended: 2h."),
    Field("grace", "Time to end", "Between SIGTERM and SIGKILL.", placeholder="30s"),
    Field("max_fails", "Failures at most", "The task is held when so many jobs have failed: 3, or 5%."),
    _field(Named.MAX_RUNNING, "So many jobs at a time."),
    _field(Named.PRIORITY, "Tasks with a higher one go first; it can be negative.", placeholder="0"),
    Field("resume", "Retry a job in the folder of its previous attempt", kind="tick"),
)  # fmt: skip
RESOURCES = (
    _field(Named.CORES, "On the queue gpu: the processors that its libraries use; they take no slot.", placeholder="1"),
    _field(Named.CPUS, "On the queue gpu: the slots that a job takes besides its GPU."),
    _field(Named.GPUS, "On the queue gpu at least one; 0.5 is half of one, which other jobs share."),
    _field(Named.GPU_MEMORY, "That it needs on each GPU, and takes of a shared one: 20GB."),
    _field(Named.MEMORY, "The node must have it free; a job that uses more is ended: 4GB."),
    _field(Named.SCRATCH, "On the node's own disk, for $ORCHESTRA_SCRATCH: 20GB."),
    Field("exclusive", "Run no other job on its node", kind="tick"),
    _field(Named.WALLTIME, "To plan with; it ends no job. Else the time limit counts: 2h."),
)  # fmt: skip
NODES = (
    _field(Named.CONSTRAINT, "Labels that a node must have: gpu=a100|h100, memory>=64GB"),
    _field(Named.NODE, "Separated by spaces: gpu[01-04]"),
    _field(Named.NOT_NODE),
)
MORE = (
    _field(Named.SECONDARY, "A tag with its data set a line: %REF user.ana.ref", kind="lines"),
    _field(Named.AFTER, "Numbers or names of tasks that must be DONE first."),
    _field(Named.ENV, "A variable a line: NAME=VALUE", kind="lines"),
    _field(Named.BIND, "A folder or file of the machine a line: /data:/data:ro", kind="lines"),
    _field(Named.METRICS, "The file that each job writes into %OUT.", placeholder=METRICS_FILE),
    _field(Named.GOAL, "Which job is best: min:loss or max:accuracy."),
    Field("attach_report", "Attach the report to the mail at its end", kind="tick"),
)  # fmt: skip
PARTS = (
    ("Test, retries and limits", LIMITS),
    ("Resources of a job", RESOURCES),
    ("Which nodes", NODES),
    ("More", MORE),
)
FIELDS = {
    field.name: field for part in (IMPORTANT, LIMITS, RESOURCES, NODES, MORE) for field in part
}


def request(
    form: Form, user: str, *, account: str, host: str, complete_file: str | None
) -> NewTask:
    """Return the task that a form describes.

    Args:
        user: who creates it, for short names.

    Raises:
        BadInput: a field cannot be read; the error's params name it as `field`.
    """
    names = ShortNames(user)
    queue = form.text("queue", "cpu")
    if queue not in set(Queue):
        raise BadInput(f'there is no queue "{one_line(queue)}".', field="queue")
    for name, field in FIELDS.items():
        if field.required and not form.text(name):
            raise BadInput(f"“{field.label}” is empty.", field=name)
    return NewTask(
        name=form.text("name"),
        command=form.text("command"),
        config=names.config(form.text("config")),
        data=names.dataset(form.text("data")) if form.text("data") else None,
        volume=form.text("volume"),
        account=account,
        host=host,
        secondary=dict(_secondary(form, names)),
        queue=Queue(queue),
        image=form.text("image") or None,
        env=dict(_read(form, "env", lambda text: [*map(parse_variable, _lines(text))]) or ()),
        policy=_policy(form),
        resources=_resources(form, Queue(queue)),
        placement=placement_of(
            form.text("constraint"), form.text("node").split(), form.text("not_node").split()
        ),
        complete_file=complete_file,
        binds=tuple(_lines(form.text("bind"))),
        metrics_file=form.text("metrics") or METRICS_FILE,
        after=tuple(names.task(word) for word in re.split(r"[\s,]+", form.text("after")) if word),
        goal=form.text("goal") or None,
        attach_report=form.ticked("attach_report"),
    )


def _resources(form: Form, queue: Queue) -> Resources:
    gpus, milli = _read(form, "gpus", parse_gpus) or (0, None)
    asked = Resources(
        cores=_whole(form, "cores", 1, least=1),
        gpus=gpus,
        gpu_milli=milli,
        vram_bytes=_positive(form, "gpu_memory", parse_size),
        memory_bytes=_positive(form, "memory", parse_size),
        scratch_bytes=_positive(form, "scratch", parse_size),
        exclusive=form.ticked("exclusive"),
    )
    cpus = _whole(form, "cpus", 0) if form.text("cpus") else None
    return with_cpus(queue, asked, cpus, asked.cores if form.text("cores") else None)


def _policy(form: Form) -> Policy:
    usual = Policy()
    grace = _read(form, "grace", parse_duration)
    return Policy(
        test_jobs=_whole(form, "test_jobs", usual.test_jobs),
        test_for=_positive(form, "test_for", parse_duration),
        retries=_whole(form, "retries", usual.retries),
        timeout=_positive(form, "timeout", parse_duration),
        grace=usual.grace if grace is None else grace,
        priority=_whole(form, "priority", usual.priority, least=-LARGEST),
        max_fails=_read(form, "max_fails", parse_limit),
        resume=form.ticked("resume"),
        max_running=_whole(form, "max_running", 0, least=1) or None,
        walltime=_positive(form, "walltime", parse_duration),
    )


def _read(form: Form, name: str, parse: Callable[[str], T]) -> T | None:
    with about(name):
        return parse(form.text(name)) if form.text(name) else None


def _positive(form: Form, name: str, parse: Callable[[str], T]) -> T | None:
    found = _read(form, name, parse)
    if found == 0:
        raise BadInput(f"“{FIELDS[name].label}” must be greater than zero.", field=name)
    return found


def _whole(form: Form, name: str, default: int, *, least: int = 0) -> int:
    text = form.text(name)
    if not text:
        return default
    if not re.fullmatch("-?[0-9]{1,10}", text) or not least <= int(text) <= LARGEST:
        known = f" of at least {least}" if least >= 0 else ""
        raise BadInput(
            f'“{FIELDS[name].label}” needs a whole number{known}, not "{one_line(text, 40)}".',
            field=name,
        )
    return int(text)


def _lines(text: str) -> Iterator[str]:
    return filter(None, (line.strip() for line in text.split("\n")))


def _secondary(form: Form, names: ShortNames) -> Iterator[tuple[str, str]]:
    for line in _lines(form.text("secondary")):
        tag, *rest = re.split(r"[\s=:]+", line, maxsplit=1)
        if not rest or not rest[0]:
            raise BadInput(
                f'"{one_line(line)}" names no tag with a data set.',
                hint="For example %REF user.ana.ref",
                field="secondary",
            )
        yield tag, names.dataset(rest[0])


def typed(new: NewTask) -> Mapping[str, str]:
    """Return how a request is typed into the form. What is usual is left empty."""
    policy, resources, usual = new.policy, new.resources, Policy()
    amounts = {
        "test_for": policy.test_for and typed_duration(policy.test_for),
        "timeout": policy.timeout and typed_duration(policy.timeout),
        "grace": typed_duration(policy.grace) if policy.grace != usual.grace else "",
        "max_fails": policy.max_fails and typed_limit(policy.max_fails),
        "walltime": policy.walltime and typed_duration(policy.walltime),
        "gpu_memory": resources.vram_bytes and typed_size(resources.vram_bytes),
        "memory": resources.memory_bytes and typed_size(resources.memory_bytes),
        "scratch": resources.scratch_bytes and typed_size(resources.scratch_bytes),
        "constraint": new.placement.constraint,
        "node": squeeze(new.placement.nodes),
        "not_node": squeeze(new.placement.not_nodes),
    }
    numbers = {
        "test_jobs": (policy.test_jobs, usual.test_jobs),
        "retries": (policy.retries, usual.retries),
        "priority": (policy.priority, usual.priority),
        "max_running": (policy.max_running, None),
        "cores": (resources.cores, max(1, resources.cpus_gpu_job)),
        "cpus": (resources.cpus_gpu_job, 0),
        "gpus": (typed_gpus(resources.gpus, resources.gpu_milli), str(int(new.queue is Queue.GPU))),
    }
    return {
        "name": new.name,
        "config": new.config,
        "data": new.data or "",
        "command": new.command,
        "queue": new.queue.value,
        "volume": new.volume,
        "image": new.image or "",
        **{name: amount or "" for name, amount in amounts.items()},
        **{
            name: "" if found == usual_one else str(found)
            for name, (found, usual_one) in numbers.items()
        },
        "resume": "true" if policy.resume else "",
        "exclusive": "true" if resources.exclusive else "",
        "secondary": _joined(
            f"%{tag.removeprefix('%')} {name}" for tag, name in new.secondary.items()
        ),
        "after": " ".join(new.after),
        "env": _joined(f"{name}={value}" for name, value in new.env.items()),
        "bind": _joined(new.binds),
        "metrics": "" if new.metrics_file == METRICS_FILE else new.metrics_file,
        "goal": new.goal or "",
        "attach_report": "true" if new.attach_report else "",
    }


def _joined(lines: Iterable[str]) -> str:
    return "\n".join(lines)
