"""A task in words: its jobs by state, its limits, and what happened to it. Pure.

For `task show`, its report and its mail. Texts of users are as they are; who prints them escapes them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from orchestra.domain import human
from orchestra.domain.goals import parse_goal
from orchestra.domain.models.events import Event
from orchestra.domain.models.placement import Placement
from orchestra.domain.models.tasks import Counts, Limit, Origin, Policy, Task
from orchestra.domain.node_ranges import squeeze
from orchestra.domain.resource_text import gpus_in_words, needs_in_words
from orchestra.domain.states import ENDED_TASK_STATES, JobStatus

_ORDER = (
    JobStatus.DONE, JobStatus.FAILED, JobStatus.KILLED, JobStatus.BROKEN, JobStatus.TESTING,
    JobStatus.RUNNING, JobStatus.KILL, JobStatus.ASSIGNED, JobStatus.REGISTERED,
)  # fmt: skip
STATUS_WORDS: Mapping[JobStatus, str] = {
    JobStatus.KILL: "being ended",
    JobStatus.ASSIGNED: "waiting",
}
_SHOWN_DIGITS = 12
_ENDED = {state.value for state in ENDED_TASK_STATES}
_STATE_WORDS = {"KILL": "being killed"}


def by_status(counts: Counts) -> Iterator[tuple[JobStatus, int]]:
    """Yield how many jobs have each status that there is, the ended ones first."""
    for status in _ORDER:
        if counts[status]:
            yield status, counts[status]


def counts_in_words(counts: Counts, removed: int = 0) -> str:
    """`34 done, 2 failed, 1 removed`, without zeros."""
    parts = [
        f"{human.number(jobs)} {STATUS_WORDS.get(status, status.value)}"
        for status, jobs in by_status(counts)
    ]
    return ", ".join([*parts, *([f"{human.number(removed)} removed"] if removed else [])])


def policy_in_words(task: Task) -> list[str]:
    """The queue, what a job gets, and the limits that differ from the default."""
    policy, resources = task.policy, task.resources
    parts = [f"queue {task.queue}"]
    if resources.cores > 1 and resources.cores != resources.cpus_gpu_job:
        parts.append(f"{resources.cores} cores a job")
    if resources.gpus > 1 or resources.gpu_milli:
        parts.append(f"{gpus_in_words(resources)} a job")
    parts += [f"{need} a job" for need in needs_in_words(resources)]
    if resources.exclusive:
        parts.append("each job alone on its node")
    parts += placement_in_words(task.placement)
    if policy.retries:
        parts.append(f"up to {human.count(policy.retries, 'retry', 'retries')}")
    if policy.timeout:
        parts.append(f"at most {human.duration(policy.timeout)} a job")
    if policy.walltime:
        parts.append(f"expected to take at most {human.duration(policy.walltime)} a job")
    if policy.max_fails:
        parts.append(f"held at {limit_in_words(policy.max_fails)} failures")
    if policy.max_running:
        parts.append(f"at most {human.count(policy.max_running, 'job')} at a time")
    if policy.priority:
        parts.append(f"priority {policy.priority}")
    return parts


def placement_in_words(placement: Placement) -> Iterator[str]:
    """Yield where jobs may run: `on nodes with gpu=a100`, `only on gpu[01-04]`, `not on gpu03`."""
    if placement.constraint:
        yield f"on nodes with {placement.constraint}"
    if placement.nodes:
        yield f"only on {squeeze(placement.nodes)}"
    if placement.not_nodes:
        yield f"not on {squeeze(placement.not_nodes)}"


def limit_in_words(limit: Limit) -> str:
    """`5`, `10 %`."""
    return f"{limit.percent:g} %" if limit.percent else str(limit.count)


def goal_in_words(goal: str) -> str:
    """`the lowest loss`."""
    stated = parse_goal(goal)
    return f"the {'highest' if stated.highest else 'lowest'} {stated.metric}"


def origin_in_words(origin: Origin | None) -> Iterator[tuple[str, str]]:
    """Yield what is known of where a task's program came from, each with its name."""
    if origin is None:
        return
    if origin.script:
        checksum = f" (SHA-256 {origin.sha256[:_SHOWN_DIGITS]})" if origin.sha256 else ""
        yield "script", f"{origin.script}{checksum}"
    if origin.interpreter:
        yield "python", origin.interpreter
    if words := commit_in_words(origin):
        yield "commit", words


def commit_in_words(origin: Origin) -> str:
    """`1a2b3c4d5e6f, with changes that are not committed`; empty if there was no commit."""
    if not origin.commit:
        return ""
    changed = ", with changes that are not committed" if origin.dirty else ""
    return origin.commit[:_SHOWN_DIGITS] + changed


def without_repeats(events: Iterable[Event]) -> Iterator[Event]:
    """Return events without those that repeat the one before, as in a test whose jobs fail one by one."""
    before = None
    for event in events:
        words = event_in_words(event)
        if words != before:
            yield event
        before = words


def event_in_words(event: Event) -> str:
    """Return an event of a task in words: "testing: 10 jobs released", "retried by ana"."""
    parts = [event.why] if event.why else []
    if event.jobs and event.from_state:
        parts.insert(0, f"{human.count(event.jobs, 'job')} released")
    by = "" if event.who == "orchestra" else f" by {event.who}"
    if event.from_state is None and event.to_state == "REGISTERED":
        return f"registered{by} {event.why or ''}".rstrip()
    if event.kind == "set":
        return f"{event.why} changed from {event.from_state} to {event.to_state}{by}"
    return f"{_what_happened(event)}{by}" + (f": {', '.join(parts)}" if parts else "")


def _what_happened(event: Event) -> str:
    if event.kind == "after":
        return "no longer waits"
    if event.kind == "hold":
        return "held" if event.to_state == "held" else "released"
    if event.from_state in _ENDED and event.to_state not in _ENDED | {"deleted"}:
        return "retried"
    to = event.to_state or event.kind
    return _STATE_WORDS.get(to, to.lower())


def first_in_words(policy: Policy, jobs: int) -> str:
    """What of a new task starts first: `10 jobs as a test; the other 26 follow if all of them succeed`."""
    tests = min(policy.test_jobs, jobs)
    if tests == 0:
        return "no test; all jobs can start at once"
    if tests == jobs:
        return (
            f"all {human.count(tests, 'job')} at once, as a test" if tests > 1 else "its only job"
        )
    return (
        f"{human.count(tests, 'job')} as a test; the other {human.number(jobs - tests)} follow "
        + ("if all of them succeed" if tests > 1 else "if it succeeds")
    )
