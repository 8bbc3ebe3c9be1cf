"""The invariants after an ordeal, whatever faults were injected: pure functions from facts to violations in words."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from itertools import pairwise

from orchestra.domain.resources import WHOLE, Request, Room
from orchestra.domain.retry_policy import POISONOUS_LOSSES
from orchestra.domain.states import ENDED_JOB_STATES, ENDED_TASK_STATES, JobState, TaskState
from orchestra.domain.transitions import job_transitions, task_transitions
from ordeal.facts import Attempt, Facts, Job, JobName, Life

GRACE = 1.0
"""Seconds between TERM and KILL for the jobs of an ordeal."""
SLACK = GRACE + 2.0
"""Seconds within which running keepers and agents react, on a busy machine."""
MOST_SHARE, MOST_IDLE_SHARE = 0.7, 0.2
"""Shares of a core: a busy loop takes all that it can get."""

RECOGNISED = 20.0
"""Seconds within which every pilot has connected to a replaced database."""

Violations = Iterator[str]


def violations(facts: Facts) -> list[str]:
    """Return all violations, each with the name of its check."""
    return [f"{check.__name__}: {found}" for check in CHECKS for found in check(facts)]


def at_rest(facts: Facts) -> Violations:
    """Every task, job and attempt has ended."""
    yield from facts.unsettled
    for task in facts.tasks:
        if TaskState(task.state) not in ENDED_TASK_STATES:
            yield f"task {task.name} is still {task.state}"
    ended = {task.name for task in facts.tasks if TaskState(task.state) in ENDED_TASK_STATES}
    for job in facts.jobs:
        if job.name[0] in ended and JobState(job.state) not in ENDED_JOB_STATES:
            yield f"job {_name(job.name)} is still {job.state}"
    for row in facts.attempts:
        if not row.ended and not row.lost:
            yield f"attempt {_title(row)} is still open"


def moved_along_the_table(facts: Facts) -> Violations:
    """States have changed only along the transition tables."""
    jobs = {(before.value, after.value) for before, after in job_transitions()}
    tasks = {(before.value, after.value) for before, after in task_transitions()}
    for move in facts.moves:
        if (move.before, move.after) not in (tasks if move.index is None else jobs):
            yield f"{move.task}/{move.index} went from {move.before} to {move.after}"


def has_its_events(facts: Facts) -> Violations:
    """Every change has an event in the same transaction: its own, or one of its task for an operation on many jobs."""
    own = {(e.transaction, e.task, e.index, e.after) for e in facts.events}
    of_task = {(e.transaction, e.task) for e in facts.events if e.index is None}
    for move in facts.moves:
        if (move.transaction, move.task, move.index, move.after) in own:
            continue
        if move.index is None or (move.transaction, move.task) not in of_task:
            yield f"{move.task}/{move.index} became {move.after} without an event"
    yield from _broken_chains(facts)


def _broken_chains(facts: Facts) -> Violations:
    chains = defaultdict(list)
    for event in facts.events:
        if event.kind == "task":
            chains[event.task].append(event)
    for task, chain in chains.items():
        for first, second in pairwise(chain):
            if first.after != second.before:
                yield f"the events of task {task} go from {first.after} on with {second.before}"


def told_once(facts: Facts) -> Violations:
    """Every end of a task has exactly one notification."""
    ends = Counter(
        (move.task, move.after)
        for move in facts.moves
        if move.index is None and move.after in {state.value for state in ENDED_TASK_STATES}
    )
    notifications = Counter(
        (notification.task, notification.outcome) for notification in facts.notifications
    )
    for task, state in sorted(ends.keys() | notifications.keys()):
        ended, told = ends[task, state], notifications[task, state]
        if ended != told:
            yield f"task {task} became {state} {ended} times, and {told} notifications say so"


def counted_exactly(facts: Facts) -> Violations:
    """The counts in lists have always been equal to count(*)."""
    yield from facts.miscounts


def accepted_once(facts: Facts) -> Violations:
    """Only outcomes of the latest attempt were accepted, and each accepted success made its job done, once."""
    for each in facts.acceptances:
        if each.number != each.latest:
            yield f"attempt {_name(each.job)}/{each.number} was accepted while {each.latest} was the latest"
    successes = Counter(a.job for a in facts.acceptances if a.success)
    moves = Counter(
        (m.task, m.index) for m in facts.moves if m.index is not None and m.after == "done"
    )
    for job in successes.keys() | moves.keys():
        if successes[job] != moves[job]:
            yield f"job {_name(job)} became done {moves[job]} times by {successes[job]} accepted successes"


def agrees_with_the_truth(facts: Facts) -> Violations:
    """The database agrees with the records of the jobs themselves."""
    lives = {life.token: life for life in facts.lives}
    rows = {row.token: row for row in facts.attempts}
    for life in facts.lives:
        row = rows.get(life.token)
        if row is None and not _forgotten(facts, life.began):
            yield f"attempt {_life(life)} ran, and the database never granted it"
        elif row and (row.job, row.number) != (life.job, life.attempt):
            yield f"attempt {_life(life)} is {_title(row)} in the database"
    for row in facts.attempts:
        if row.cause == "exit" and (problem := _exit_is_false(row, lives.get(row.token))):
            yield problem
    for job in facts.jobs:
        yield from _falsely_done(job, facts)


def _forgotten(facts: Facts, at: float) -> bool:
    """Whether something may be unknown because the database was replaced by an older one later."""
    return facts.restored is not None and at < facts.restored + SLACK


def _exit_is_false(row: Attempt, life: Life | None) -> str | None:
    if life is None or life.status is None:
        return f"attempt {_title(row)} ended with {row.exit_status}, and never said so itself"
    if life.status != row.exit_status:
        return f"attempt {_title(row)} ended with {life.status}, not {row.exit_status}"
    return None


def _falsely_done(job: Job, facts: Facts) -> Violations:
    if job.state != "done":
        return
    found = [r for r in facts.attempts if r.job == job.name and r.number == job.done_attempt]
    if not any(r.accepted and r.cause == "exit" and r.exit_status == 0 for r in found):
        yield f"job {_name(job.name)} is done by attempt {job.done_attempt}, which was no success"
    if found and facts.restored is None and job.linked != found[0].folder_number:
        yield f"job {_name(job.name)}: its link points at {job.linked}, not at {found[0].folder_number}"


def never_twice_at_once(facts: Facts) -> Violations:
    """Two attempts of a job have overlapped only if the keeper of the earlier one could not run."""
    rows = {row.token: row for row in facts.attempts}
    numbers = {life.token: life.attempt for life in facts.lives}
    for life in facts.lives:
        for other in life.beside:
            earlier = min((life.token, other), key=lambda token: numbers.get(token, 0))
            row = rows.get(earlier)
            if _not_recognised(facts, life.began):
                continue
            if row is None or not _could_not_run(facts, row.keeper, life.began):
                yield f"attempt {_life(life)} began at {life.began:.2f} beside {other} ({numbers.get(other)})"


def _not_recognised(facts: Facts, at: float) -> bool:
    """Whether the database may have been an older state of itself that was not recognised yet.

    Where its files were exchanged, only a pilot that remembers more can tell, and it may be backing off or be cut off.
    """
    return facts.restored is not None and abs(at - facts.restored) < RECOGNISED


def _could_not_run(facts: Facts, keeper_id: str, at: float) -> bool:
    keeper = facts.keepers.get(keeper_id)
    if keeper is None:
        return False
    if keeper.was_stopped(at - SLACK, at):
        return True
    # The processes of a killed keeper are ended by the next agent.
    agentless = facts.agentless.get(keeper.node, [])
    dead = keeper.killed is not None and keeper.killed <= at
    return dead and any(span.touches(at - SLACK, at) for span in agentless)


def never_over_committed(facts: Facts) -> Violations:
    """No machine has ever run more than it has room for.

    A job that was killed did not record its end: it counts at its start alone.
    """
    requests = {task.name: task.request for task in facts.tasks}
    keepers = {row.token: row.keeper for row in facts.attempts}
    by_machine: dict[str, list[Life]] = defaultdict(list)
    for life in facts.lives:
        keeper = facts.keepers.get(keepers.get(life.token, ""))
        if keeper and life.job[0] in requests:
            by_machine[keeper.machine].append(life)
    for machine, lives in by_machine.items():
        for life in lives:
            beside = [other for other in lives if _runs_at(other, life.began) or other is life]
            wanted = [requests[other.job[0]] for other in beside]
            if too_much := list(_too_much(wanted, facts.room)):
                names = ", ".join(map(_life, beside))
                yield f"{machine} had too little {', '.join(too_much)} at {life.began:.2f} for {names}"


def _runs_at(life: Life, at: float) -> bool:
    return life.ended is not None and life.began <= at < life.ended


def _too_much(wanted: list[Request], room: Room) -> Iterator[str]:
    if sum(each.cpus for each in wanted) > room.cpus:
        yield "CPU slots"
    if sum(each.gpus * WHOLE + each.gpu_milli for each in wanted) > WHOLE * len(room.devices):
        yield "GPUs"
    if sum(each.memory_bytes for each in wanted) > (room.memory_bytes or 0):
        yield "memory"
    if len(wanted) > 1 and any(each.exclusive for each in wanted):
        yield "solitude"


def no_outcome_lost(facts: Facts) -> Violations:
    """The outcome of a job is known if its keeper can have seen it."""
    rows = {row.token: row for row in facts.attempts}
    for life in facts.lives:
        row = rows.get(life.token)
        if row is None or life.ended is None or not _was_seen(facts, row.keeper, life.ended):
            continue
        if _forgotten(facts, life.ended):
            continue
        if row.cause == "exit" or (row.cause == "signal" and life.token in facts.killed_jobs):
            continue
        if row.cause not in ("ended", "lease", "timeout"):  # ended by the keeper at the same time
            yield f"attempt {_life(life)} ended with {life.status}; the database says {row.cause}: {row.reason}"


def _was_seen(facts: Facts, keeper_id: str, ended: float) -> bool:
    keeper = facts.keepers.get(keeper_id)
    if keeper is None or keeper.killed is None:
        return True
    in_time = ended < keeper.killed - SLACK
    return in_time and not keeper.was_stopped(ended, keeper.killed)


def failed_for_a_reason(facts: Facts) -> Violations:
    """A job has failed by itself, by its time limit or by an injected KILL, or was lost too often; no task was held."""
    tasks = {task.name: task for task in facts.tasks}
    rows: dict[JobName, list[Attempt]] = defaultdict(list)
    for row in sorted(facts.attempts, key=lambda row: row.number):
        rows[row.job].append(row)
    for job in facts.jobs:
        if job.state == "failed" and not _explained(
            facts, tasks[job.name[0]].has_timeout, rows[job.name]
        ):
            last = rows[job.name][-1] if rows[job.name] else None
            yield f"job {_name(job.name)} failed: {last and (last.cause, last.reason)}"
    for task in facts.tasks:
        for reason in task.holds if facts.restored is None else ():
            yield f"task {task.name} was held: {reason}"


def _explained(facts: Facts, has_timeout: bool, rows: list[Attempt]) -> bool:
    if not rows:
        return False
    last = rows[-1]
    if last.cause == "exit":
        return last.exit_status != 0
    if last.cause == "timeout":
        return has_timeout
    if last.cause == "signal":
        return last.token in facts.killed_jobs
    return sum(row.lost for row in rows) >= POISONOUS_LOSSES and (last.lost or last.cause == "lost")


def folders_of_their_own(facts: Facts) -> Violations:
    """No two attempts have used the same folder, unless their task resumes."""
    resume = {task.name for task in facts.tasks if task.resume}
    owners: dict[str, Life] = {}
    for life in facts.lives:
        first = owners.setdefault(life.folder, life)
        if first.token != life.token and life.job[0] not in resume:
            yield f"attempts {_life(first)} and {_life(life)} shared {life.folder}"


def nothing_left(facts: Facts) -> Violations:
    """No process of a job, a keeper or an agent is left."""
    yield from facts.leftovers


def nobody_spins(facts: Facts) -> Violations:
    """No agent and no keeper has run in a busy loop."""
    for load in facts.loads:
        if load.share > (MOST_IDLE_SHARE if load.idle else MOST_SHARE):
            when = "while there was nothing to do" if load.idle else "at work"
            yield f"{load.who} used {load.share:.0%} of a core for {load.seconds:.1f} s {when}"


CHECKS: tuple[Callable[[Facts], Violations], ...] = (
    at_rest,
    moved_along_the_table,
    has_its_events,
    told_once,
    counted_exactly,
    accepted_once,
    agrees_with_the_truth,
    never_twice_at_once,
    never_over_committed,
    no_outcome_lost,
    failed_for_a_reason,
    folders_of_their_own,
    nothing_left,
    nobody_spins,
)


def evidence(facts: Facts, found: list[str], *, most: int = 5) -> list[str]:
    """Return all that is known about the first jobs that the violations name."""
    names = dict.fromkeys(re.findall(r"\b(t\d+)/(\d+)\b", "\n".join(found)))
    lines: list[str] = []
    for task, index in list(names)[:most]:
        job = (task, int(index))
        lines.append(f"{_name(job)}: {[j.state for j in facts.jobs if j.name == job]}")
        lines += [f"  {life}" for life in facts.lives if life.job == job]
        lines += [f"  {row}" for row in facts.attempts if row.job == job]
        lines += [f"  {e}" for e in facts.events if e.task == task and e.index in (None, job[1])]
        lines += [f"  {a}" for a in facts.acceptances if a.job == job]
    return [*lines, *(f"keeper {keeper}: {fate}" for keeper, fate in facts.keepers.items())]


def _name(job: JobName) -> str:
    return f"{job[0]}/{job[1]}"


def _title(row: Attempt) -> str:
    return f"{_name(row.job)}/{row.number}"


def _life(life: Life) -> str:
    return f"{_name(life.job)}/{life.attempt}"
