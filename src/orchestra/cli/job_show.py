"""`maestro job show`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from orchestra.cli.job_record import job_record
from orchestra.cli.output import Record, clean, local
from orchestra.domain import human
from orchestra.domain.gpus import assigned_in_words
from orchestra.domain.job_text import attempt_state, state_word
from orchestra.domain.outcome_text import leaves_log
from orchestra.domain.resource_text import gpus_in_words, needs_in_words

if TYPE_CHECKING:
    from datetime import datetime

    from orchestra.cli.context import Context
    from orchestra.domain.models.jobs import Attempt
    from orchestra.interface.answers.jobs import JobReport


def show(ctx: Context) -> None:
    """Show a job and its attempts."""
    from orchestra.interface.jobs import ShowJob

    with ctx.interface() as ask:
        report = ask(ShowJob(ctx.names.job(ctx.args.job)))
    ctx.out.item(
        report,
        _lines,
        record=_record,
        key=lambda found: f"{found.task.id}/{found.job.index}",
    )


def _lines(report: JobReport) -> Iterator[str]:
    task, job = report.task, report.job
    address = f"{task.id}/{job.index}"
    attempts = human.count(len(report.attempts), "attempt")
    if job.handed_back:
        attempts += f", {job.handed_back} of them returned before a start"
    yield f"job {address} of {task.name}   {state_word(job).upper()}   {attempts}"
    yield f"  config    {clean(report.config_path)}"
    if job.removed:
        yield "  removed   this config is no longer among the task's files, so the job is not run"
    if job.done_attempt is not None:
        yield f"  result    {clean(task.folder)}/job_configId_{job.index}   attempt {job.done_attempt}"
    for attempt in report.attempts:
        yield from _attempt_lines(attempt, revised=task.revision > 1)
        if task.revision > 1 or attempt.resources.asks_more:
            yield f"    limits  {', '.join(_limits(attempt))}"
    for reason in report.waits:
        yield f"  waits     {clean(reason)}"
    if any(a.started_at or leaves_log(a.cause, None) for a in report.attempts):
        yield f"  log       maestro job logs {address}"
    yield f"  by hand   maestro job run --here {address}"


def _clock(moment: datetime, before: datetime) -> str:
    """Return the time of day, with the date if that differs from the moment before."""
    here = moment.astimezone()
    return f"{here:%H:%M:%S}" if here.date() == before.astimezone().date() else local(moment, False)


def _attempt_lines(attempt: Attempt, *, revised: bool) -> Iterator[str]:
    on = f"on {attempt.node}"
    if attempt.devices:
        on += f", {clean(assigned_in_words(attempt.devices, attempt.device_models))}"
    test = ", a test" if attempt.is_test else ""
    revision = f", revision {attempt.revision}" if revised else ""
    yield f"  attempt {attempt.number}   {on}{revision}{test}   {clean(attempt_state(attempt))}"
    times = [f"claimed {local(attempt.claimed_at)}"]
    if attempt.started_at:
        times.append(f"started {_clock(attempt.started_at, attempt.claimed_at)}")
    if attempt.ended_at:
        times.append(f"ended {_clock(attempt.ended_at, attempt.started_at or attempt.claimed_at)}")
    yield f"    times   {', '.join(times)}"
    if used := _used(attempt):
        yield f"    used    {used}"
    yield f"    folder  {clean(attempt.folder)}"
    if attempt.config_sha256:
        yield f"    config  sha256 {attempt.config_sha256.hex()}"
    if attempt.inputs_note:
        yield f"    inputs  {clean(attempt.inputs_note)}"
    if attempt.image_digest:
        yield f"    image   {attempt.image_digest}"


def _limits(attempt: Attempt) -> Iterator[str]:
    """Yield what a job had in this attempt."""
    yield human.count(attempt.cores, "core")
    if gpus := gpus_in_words(attempt.resources):
        yield gpus
    yield from needs_in_words(attempt.resources)
    if attempt.exclusive:
        yield "alone on its node"
    yield f"at most {human.duration(attempt.timeout)}" if attempt.timeout else "no timeout"


def _used(attempt: Attempt) -> str:
    lasted = () if attempt.seconds is None else (human.duration(attempt.seconds),)
    return ", ".join((*lasted, *attempt.usage.in_words()))


def _record(report: JobReport) -> Record:
    return {
        **job_record(report.job),
        "task": report.task.name,
        "config_path": report.config_path,
        "runs": [_attempt_record(attempt) for attempt in report.attempts],
        "waiting": list(report.waits),
    }


def _attempt_record(attempt: Attempt) -> Record:
    return {
        "attempt": attempt.number,
        "node": attempt.node,
        "run": attempt.run,
        "revision": attempt.revision,
        "timeout_seconds": attempt.timeout,
        "cores": attempt.cores,
        "gpus": attempt.gpus,
        "memory_limit_bytes": attempt.memory_limit,
        "cpus_gpu_job": attempt.cpus_gpu_job,
        "gpu_milli": attempt.gpu_milli,
        "vram_bytes": attempt.vram_bytes,
        "scratch_bytes": attempt.scratch_bytes,
        "exclusive": attempt.exclusive,
        "is_test": attempt.is_test,
        "claimed_at": attempt.claimed_at,
        "started_at": attempt.started_at,
        "ended_at": attempt.ended_at,
        "lost_at": attempt.lost_at,
        "folder": attempt.folder,
        "devices": attempt.devices,
        "device_models": list(attempt.device_models),
        "cause": attempt.cause.value if attempt.cause else None,
        "exit_status": attempt.exit_status,
        "signal": attempt.signal,
        "reason": attempt.reason,
        "seconds": attempt.seconds,
        **attempt.usage.by_name(),
        "accepted": attempt.accepted,
        "log_bytes": attempt.log_bytes,
        "config_sha256": attempt.config_sha256.hex() if attempt.config_sha256 else None,
        "image_digest": attempt.image_digest,
        "inputs_note": attempt.inputs_note,
    }
