"""An engine without machines, whose answers a test chooses."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, replace
from typing import Any

from orchestra.domain.models.pools import EngineReport, EngineSays, Phase, Refusal, Submission
from orchestra.pools.engines import EngineSilent


@dataclass
class ScriptedEngine:
    """Accepts everything, until `refuses`, `is_silent`, or `answers_late` (it submits, and does not say so)."""

    kills_all: bool = True
    kill_wait: float | None = 30.0
    refuses: Refusal | None = None
    is_silent: bool = False
    answers_late: bool = False
    submitted: list[Submission] = field(default_factory=list)
    reports: dict[str, EngineReport] = field(default_factory=dict)
    cancelled: list[tuple[frozenset[str], bool]] = field(default_factory=list)
    questions: list[tuple[frozenset[str], frozenset[str]]] = field(default_factory=list)

    def submit(self, asked: Submission) -> str | Refusal:
        if self.is_silent:
            raise EngineSilent("sbatch: timed out")
        if self.refuses:
            return self.refuses
        self.submitted.append(asked)
        number = str(100 + len(self.submitted))
        self.reports[number] = EngineReport(
            number, asked.name, Phase.WAITING, "PENDING", "Priority"
        )
        if self.answers_late:
            raise EngineSilent("sbatch: timed out")
        return number

    def check(self, _asked: Submission) -> Refusal | None:
        return self.refuses

    def status(self, ids: Collection[str], names: Collection[str] = ()) -> EngineSays:
        self.questions.append((frozenset(ids), frozenset(names)))
        if self.is_silent:
            raise EngineSilent("squeue: timed out")
        return {key: each for key, each in self.reports.items() if key in ids or each.name in names}

    def cancel(self, ids: Collection[str], *, pending_only: bool) -> None:
        if self.is_silent:
            raise EngineSilent("scancel: timed out")
        self.cancelled.append((frozenset(ids), pending_only))
        for each in ids:
            report = self.reports.get(each)
            if report and (report.phase is Phase.WAITING or not pending_only):
                self.say(each, Phase.OVER, "CANCELLED")

    def say(self, engine_id: str, phase: Phase, word: str, **more: Any) -> None:
        """Change what it says of one allocation."""
        self.reports[engine_id] = replace(
            self.reports[engine_id], phase=phase, word=word, reason="", **more
        )
