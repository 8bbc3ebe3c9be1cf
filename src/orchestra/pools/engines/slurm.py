"""Slurm, through its commands: sbatch, squeue, scancel, scontrol, sinfo."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import replace

from orchestra.domain.errors import BadInput
from orchestra.domain.models.pools import EngineSays, Phase, Refusal, Submission
from orchestra.domain.pools import sbatch_words
from orchestra.pools.engines import EngineSilent, environments, slurm_answers, slurm_script
from orchestra.pools.engines.commands import Said, ask
from orchestra.pools.engines.slurm_queue import SlurmQueue

PROGRAMS = ("sbatch", "squeue", "scancel", "scontrol", "sinfo")

SETTLING = 180.0
"""Seconds that a slurmd which is back has to end what ran on its machine: KillWait is 30 s by default."""


class SlurmEngine:
    """Slurm, on a machine where its commands are.

    Its commands run in an environment without the options that Slurm reads from variables. One `squeue` answers for all
    jobs of this account, so that an id that Slurm has forgotten is merely left out, and several pools of a process can
    share the engine and its answer.

    Args:
        reuse: seconds for which an answer of `squeue` is good enough for questions about ids.
    """

    def __init__(
        self,
        environ: Mapping[str, str],
        clock: Callable[[], float] = time.monotonic,
        *,
        reuse: float = 0.0,
    ) -> None:
        self._asking = environments.for_commands(environ)
        self._submitting = environments.for_pilots(environ)
        self._clock = clock
        self._queue = SlurmQueue(self._ask_queue, reuse, clock)
        self._configured = ""
        self._silent_at: dict[str, float] = {}

    @property
    def kills_all(self) -> bool:
        """Whether slurmd finds all processes of a job: with proctrack/cgroup, those that left its session, too."""
        return bool(slurm_answers.kills_all(self._configuration))

    @property
    def kill_wait(self) -> float | None:
        """Slurm's setting KillWait; see `Engine`."""
        return slurm_answers.kill_wait(self._configuration)

    @property
    def _configuration(self) -> str:
        """What `scontrol show config` prints; nothing while Slurm is silent."""
        if not self._configured:
            with suppress(EngineSilent):
                self._configured = self._ask("scontrol", "show", "config").output
        return self._configured

    def submit(self, asked: Submission) -> str | Refusal:
        """Submit an allocation as a batch job; see `Engine`."""
        if wrong := _wrong_words(asked):
            return wrong
        words = slurm_script.arguments(asked)
        answer = ask(words, self._submitting, slurm_script.script(asked))
        number = slurm_answers.submitted_id(answer.output)
        if number is not None:
            return number
        if answer.status == 0:
            raise EngineSilent(
                f"sbatch printed no id: {slurm_answers.said(answer.output + answer.errors)}"
            )
        return _refusal(answer)

    def check(self, asked: Submission) -> Refusal | None:
        """Ask with `sbatch --test-only`, and compare with the time limits of partitions; see `Engine`."""
        if wrong := _wrong_words(asked):
            return wrong
        words = slurm_script.arguments(asked)
        answer = ask((*words, "--test-only"), self._submitting, slurm_script.script(asked))
        return self._too_long(asked) if answer.status == 0 else _refusal(answer, test_only=True)

    def _too_long(self, asked: Submission) -> Refusal | None:
        if asked.walltime is None:
            return None
        answer = self._ask("sinfo", "-a", "-h", "-o", slurm_answers.LIMIT_COLUMNS)
        partitions = asked.spec.partition or self._submitting.get("SBATCH_PARTITION")
        said = slurm_answers.too_long(answer.output, asked.walltime, partitions)
        return None if said is None else Refusal(said)

    def status(self, ids: Collection[str], names: Collection[str] = ()) -> EngineSays:
        """Return what `squeue` says of jobs; see `Engine`. Where some are over it also asks for their machines.

        A submission without an answer may be in the queue since a moment ago, so that a name needs a new answer.
        """
        if not ids and not names:
            return {}
        found = slurm_answers.reports(self._queue.read(again=bool(names)), ids, names)
        over = {host for each in found.values() if each.phase is Phase.OVER for host in each.hosts}
        if not over or not self.kills_all:
            return found
        silent = self._lately_silent(over)
        return {
            each.engine_id: replace(each, is_lost=not silent.isdisjoint(each.hosts))
            for each in found.values()
        }

    def _lately_silent(self, hosts: Collection[str]) -> frozenset[str]:
        """Return which machines do not answer Slurm, or are back so lately that what ran there may still be ended."""
        now = self._clock()
        recent = {host: at for host, at in self._silent_at.items() if now - at < SETTLING}
        self._silent_at = recent | dict.fromkeys(self._silent(hosts), now)
        return frozenset(self._silent_at)

    def _silent(self, hosts: Collection[str]) -> frozenset[str]:
        """Return which machines do not answer Slurm: what ran there need not have ended."""
        chosen = ",".join(sorted(hosts))
        try:
            answer = self._ask(
                "sinfo", "-a", "-h", "-N", "-n", chosen, "-o", slurm_answers.NODE_COLUMNS
            )
        except EngineSilent:
            return frozenset(hosts)
        return slurm_answers.silent_hosts(answer.output, hosts)

    def cancel(self, ids: Collection[str], *, pending_only: bool) -> None:
        """Cancel jobs; see `Engine`. Other jobs that have got their ids are spared."""
        own = (
            set(ids) - slurm_answers.strangers(self._queue.read(again=True), ids) if ids else set()
        )
        if not own:
            return
        only = ["--state=PENDING"] if pending_only else []
        answer = ask(("scancel", *only, *sorted(own)), self._asking)
        if answer.status and not slurm_answers.is_about_unknown_ids(answer.errors):
            raise EngineSilent(f"scancel: {slurm_answers.said(answer.errors)}")

    def _ask_queue(self) -> str:
        return self._ask("squeue", "--me", "-h", "-t", "all", "-o", slurm_answers.COLUMNS).output

    def _ask(self, *command: str) -> Said:
        answer = ask(command, self._asking)
        if answer.status:
            raise EngineSilent(f"{command[0]}: {slurm_answers.said(answer.errors)}")
        return answer


def _wrong_words(asked: Submission) -> Refusal | None:
    """Return why the free words are not given to sbatch: they may have been stored by a version that allowed them."""
    try:
        sbatch_words.joined(asked.spec.sbatch)
    except BadInput as error:
        return Refusal(str(error), is_fatal=True)
    return None


def _refusal(answer: Said, *, test_only: bool = False) -> Refusal:
    if slurm_answers.is_silence(answer.errors):
        raise EngineSilent(f"sbatch: {slurm_answers.said(answer.errors)}")
    return slurm_answers.refusal(answer.errors, test_only=test_only)
