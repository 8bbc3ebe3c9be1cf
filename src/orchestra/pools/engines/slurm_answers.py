"""What Slurm's commands say, and what it means. Pure.

The words are those of Slurm's sources (job_state_string in src/common/slurm_protocol_defs.c, src/common/
job_state_reason.c, src/common/slurm_errno.c), of 22.05 to 25.05.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection
from datetime import UTC, datetime
from uuid import UUID

from orchestra.domain import node_ranges
from orchestra.domain.errors import BadInput
from orchestra.domain.human import one_line
from orchestra.domain.models.pools import (
    EngineReport,
    EngineSays,
    Phase,
    Refusal,
    submission_name,
)

COLUMNS = "%i|%T|%e|%j|%P|%N|%r"
"""For `squeue -o`. Without a width nothing is cut; the last may have anything in it."""
NODE_COLUMNS = "%N|%T"
LIMIT_COLUMNS = "%P|%l"
"""For `sinfo -o`."""

_NAMES = submission_name(UUID(int=0)).partition("-")[0] + "-"

_PHASES = {
    Phase.WAITING: "PENDING REQUEUED REQUEUE_FED REQUEUE_HOLD RESV_DEL_HOLD SPECIAL_EXIT EXPEDITING",
    Phase.RUNNING: "RUNNING CONFIGURING POWER_UP_NODE RESIZING SIGNALING STOPPED SUSPENDED UPDATE_DB",
    Phase.ENDING: "COMPLETING STAGE_OUT",
    Phase.OVER: "BOOT_FAIL CANCELLED COMPLETED DEADLINE FAILED LAUNCH_FAILED NODE_FAIL OUT_OF_MEMORY"
    " PREEMPTED RECONFIG_FAIL TIMEOUT",
    # In a federation: another cluster runs it.
    Phase.UNCLEAR: "REVOKED",
}
_LOST = ("NODE_FAIL",)
_PHASE = {word: phase for phase, words in _PHASES.items() for word in words.split()}

# "Job reasons" that no waiting changes. Limits a job or a node can never be met by the same request; those a user, an
# account or a group can. PartitionNodeLimit is not among them: nodes that are down cause it, too.
_HOPELESS = re.compile(
    r"AccountNotAllowed|BadConstraints|DependencyNeverSatisfied|InvalidAccount|InvalidQOS|JobHeldAdmin"
    r"|JobHoldMaxRequeue|MaxMemPerLimit|PartitionConfig|PartitionTimeLimit|QOSNotAllowed"
    r"|ReservationDeleted|ReservationInvalid"
    r"|(QOS|Assoc)Max\w*Per(Job|Node)(Limit)?|QOSMin\w+|.*requeued[ _]held.*"
)

_OF_PARTITION = ("Partition", "AccountNotAllowed", "QOS", "MaxMemPerLimit", "BadConstraints")

# The controller has not been reached, or has not answered: "may have been submitted".
_SILENT = re.compile(
    r"Unable to contact slurm controller|Socket timed out|Connection (refused|reset|timed out)"
    r"|Zero Bytes were transmitted|Communication connection failure|Message (send|receive) failure"
    r"|Communication shutdown failure"
    r"|backup controller in standby|Could not establish a configuration source"
    r"|Unexpected missing socket error|Insane message length|Transport endpoint is not connected",
    re.IGNORECASE,
)
_UNKNOWN_ID = re.compile(r"Invalid job id|already completing or completed", re.IGNORECASE)

_NOT_NOW = "Requested node configuration is not available"
_FATAL = re.compile(
    r"Invalid partition name|No partition specified|group not permitted to use this partition"
    r"|Requested nodes not in this partition|More processors requested than permitted"
    r"|Node count specification invalid|CPU count specification invalid|Task count specification invalid"
    r"|Job size specification needs|Requested node configuration is not available"
    r"|Memory required by task is not available|Invalid feature specification|Invalid generic resource"
    r"|Invalid account|Invalid qos|Invalid wckey|Invalid license|Invalid user id|Access/permission denied"
    r"|Requested time limit is invalid|Access denied to requested reservation|Requested reservation is invalid"
    r"|unrecognized option|unrecognised option|invalid option|requires an argument|doesn.t allow an argument"
    r"|option .* is ambiguous|Invalid --?\w[\w-]* specification|invalid .* specification",
    re.IGNORECASE,
)
_ID = re.compile(r"([0-9]+)(;[^;\s]*)?")
# `5+0` is the first of a heterogeneous job; elements of an array are nobody's allocation.
_LINE_ID = re.compile(r"([0-9]+)(\+0)?")
_PREFIX = re.compile(r"^(\w+: (error: |fatal: )?|allocation failure: )")
_FAILED = "Batch job submission failed: "
_LONGEST = 300


def submitted_id(output: str) -> str | None:
    """Return the id that `sbatch --parsable` printed, without the cluster; plug-ins of a site may print around it."""
    found = [_ID.fullmatch(line.strip()) for line in output.splitlines()]
    return next((match[1] for match in reversed(found) if match), None)


def is_silence(errors: str) -> bool:
    """Return whether a command failed because it got no answer."""
    return bool(_SILENT.search(errors))


def is_about_unknown_ids(errors: str) -> bool:
    """Return whether all that a command complains of are ids that Slurm does not know, or jobs that are over."""
    lines = [line for line in errors.splitlines() if line.strip()]
    return bool(lines) and all(_UNKNOWN_ID.search(line) for line in lines)


def refusal(errors: str, *, test_only: bool = False) -> Refusal:
    """Return what `sbatch` said when it failed, in one line, without the names of programs.

    Args:
        test_only: it was called with `--test-only`, which also says that a configuration is not available while nodes
            are drained or a partition is down. A submission waits for them.
    """
    words = said(errors) or "sbatch failed and said nothing"
    is_fatal = bool(_FATAL.search(words)) and not (test_only and _NOT_NOW in words)
    return Refusal(words, is_fatal=is_fatal)


def said(errors: str) -> str:
    """Return what a command said, in one line."""
    lines = [_PREFIX.sub("", line.strip()).replace(_FAILED, "") for line in errors.splitlines()]
    kept = [line.rstrip(".") for line in lines if line and not line.startswith("Try ")]
    return one_line("; ".join(dict.fromkeys(kept)), _LONGEST)


def reports(output: str, ids: Collection[str], names: Collection[str]) -> EngineSays:
    """Return what `squeue -h -o COLUMNS` says of allocations, by id; lines about other jobs, or none, are skipped.

    A controller that has lost its state begins to count anew: jobs with other names are not what had these ids.
    """
    found = [each for line in output.splitlines() if (each := _report(line))]
    return {
        each.engine_id: each
        for each in found
        if each.name in names or (each.engine_id in ids and each.name.startswith(_NAMES))
    }


def strangers(output: str, ids: Collection[str]) -> frozenset[str]:
    """Return the ids under which `squeue -h -o COLUMNS` has other jobs than allocations."""
    found = [each for line in output.splitlines() if (each := _report(line))]
    return frozenset(
        each.engine_id
        for each in found
        if each.engine_id in ids and not each.name.startswith(_NAMES)
    )


def _report(line: str) -> EngineReport | None:
    fields = line.split("|", 6)
    number = _LINE_ID.fullmatch(fields[0].strip())
    if len(fields) < 7 or not number:
        return None
    _, word, end, name, partition, hosts, reason = (field.strip() for field in fields)
    phase = phase_of(word)
    return EngineReport(
        engine_id=number[1],
        name=name,
        phase=phase,
        word=one_line(word),
        reason="" if reason in ("None", "(null)") else one_line(reason, _LONGEST),
        # For one that waits it is a wish, such as that of --begin.
        ends_at=None if phase is Phase.WAITING else moment(end),
        hosts=_hosts(hosts),
        is_lost=word in _LOST,
        is_hopeless=phase is Phase.WAITING and _is_hopeless(reason, partition),
    )


def _is_hopeless(reason: str, partition: str) -> bool:
    # With several partitions it is that of the one that was tried last, while the job waits for another one.
    if "," in partition and reason.startswith(_OF_PARTITION):
        return False
    return bool(_HOPELESS.fullmatch(reason))


def phase_of(word: str) -> Phase:
    """Return what a word for a job's state means; words that no version known here says are unclear."""
    return _PHASE.get(word, Phase.UNCLEAR)


def moment(text: str) -> datetime | None:
    """Return a moment of `squeue`, which ran in UTC; None for `N/A`, `NONE`, `Unknown` or nothing."""
    try:
        return datetime.strptime(text.strip(), "%Y-%m-%dT%H:%M:%S").replace(tzinfo=UTC)
    except ValueError:
        return None


def too_long(output: str, walltime: float, partitions: str | None) -> str | None:
    """Return what is wrong with a walltime, by `sinfo -h -o LIMIT_COLUMNS`; None if a partition allows it.

    `sbatch --test-only` does not look at these limits, and a submission above them waits for ever. A QOS may lift them.

    Args:
        partitions: those of the submission, with commas; None for the default one, which has a star.
    """
    rows = dict(line.strip().split("|")[:2] for line in output.splitlines() if "|" in line)
    asked = partitions.split(",") if partitions else [name for name in rows if name.endswith("*")]
    limits = {
        name.rstrip("*"): limit
        for name, limit in rows.items()
        if {name, name.rstrip("*")} & set(asked)
    }
    longest = max((_seconds(limit) for limit in limits.values()), default=math.inf)
    if walltime <= longest:
        return None
    said = ", ".join(f"{limit} in partition {name}" for name, limit in limits.items())
    return f"the time limit is {said}, so it would wait for ever"


def _seconds(limit: str) -> float:
    """Return a time limit of `sinfo`, [days-]hours:minutes:seconds; infinite if it is no time."""
    found = re.fullmatch(r"(?:(\d+)-)?(?:(\d+):)?(\d+):(\d+)", limit.strip())
    if found is None:
        return math.inf
    days, hours, minutes, seconds = (int(each or 0) for each in found.groups())
    return ((days * 24 + hours) * 60 + minutes) * 60 + seconds


def silent_hosts(output: str, hosts: Collection[str]) -> frozenset[str]:
    """Return which machines do not answer Slurm, by `sinfo -h -N -o NODE_COLUMNS`; those that it leaves out do not.

    Slurm gives up such a machine's jobs and says that they are over, cancelled ones too, while their processes go on
    there. Its slurmd ends them when it is back.
    """
    answer = {
        name
        for name, _, word in (line.partition("|") for line in output.splitlines())
        if _answers(word)
    }
    return frozenset(hosts) - answer


def _answers(word: str) -> bool:
    # "*" is for machines that do not respond; "NODE STATE CODES" in sinfo(1).
    return bool(word) and "*" not in word and not word.lower().startswith(("down", "unk"))


def _hosts(text: str) -> tuple[str, ...]:
    if text in ("", "(null)", "None assigned"):
        return ()
    try:
        return node_ranges.expand(text)
    except BadInput:
        return (one_line(text),)


def kill_wait(config: str) -> float | None:
    """Return the seconds between SIGTERM and SIGKILL, from `scontrol show config`; None if that is not said."""
    found = re.search(r"^KillWait\s*=\s*([0-9]+)", config, re.MULTILINE)
    return None if found is None else float(found[1])


def kills_all(config: str) -> bool | None:
    """Return whether a job's processes cannot outlive it, from `scontrol show config`; None if that is not said."""
    found = re.search(r"^ProctrackType\s*=\s*(\S+)", config, re.MULTILINE)
    return None if found is None else found[1] == "proctrack/cgroup"
