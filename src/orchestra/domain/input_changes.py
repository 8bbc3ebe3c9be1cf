"""What has changed in the inputs of a task, in words. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

from orchestra.domain import human
from orchestra.domain.program_call import SCRIPT_TAG

SHOWN = 10
"""Jobs of each kind of change that are named."""


@dataclass(frozen=True, slots=True)
class InputChange:
    """The new version of a data set that a tag stands for; `only_file` is its path if it has one file."""

    tag: str
    dataset: str
    before: int
    after: int
    only_file: str | None = None

    def __str__(self) -> str:
        if self.only_file is not None and self.tag == SCRIPT_TAG:
            return f"script {PurePosixPath(self.only_file).name} changed"
        if self.only_file is not None:
            return f"{PurePosixPath(self.only_file).name} changed ({self.dataset} version {self.after})"
        return f"{self.dataset} is version {self.after}, was {self.before}"


@dataclass(frozen=True, slots=True)
class SomeJobs:
    """Some jobs: how many, and the first of them with their configs."""

    count: int = 0
    first: tuple[tuple[int, str], ...] = ()

    def __bool__(self) -> bool:
        return bool(self.count)

    @property
    def numbers(self) -> str:
        """Their numbers in words: "3, 7 and 12"."""
        shown = [str(number) for number, _ in self.first]
        more = self.count - len(shown)
        return human.listed([*shown, f"{human.number(more)} more"] if more else shown)


NO_JOBS = SomeJobs()


@dataclass(frozen=True, slots=True)
class InputChanges:
    """What an update takes anew. `configs_changed` and the others are jobs by what became of their configs.

    `stale` ones of the changed are done: their results are of the configs as they were.
    """

    inputs: tuple[InputChange, ...] = ()
    program: bool = False
    configs_changed: SomeJobs = NO_JOBS
    added: SomeJobs = NO_JOBS
    removed: SomeJobs = NO_JOBS
    returned: SomeJobs = NO_JOBS
    stale: SomeJobs = NO_JOBS

    def __bool__(self) -> bool:
        return bool(self.inputs or self.program or self.configs)

    @property
    def configs(self) -> bool:
        """Whether the list of configs has changed."""
        return bool(self.configs_changed or self.added or self.removed or self.returned)

    def __str__(self) -> str:
        """In one line: "script train.py changed; 2 configs changed, 1 new, 1 removed"."""
        parts = [str(change) for change in self.inputs]
        if configs := ", ".join(self._configs()):
            parts.append(configs)
        if self.program and not parts:
            return "the git commit of its program changed"
        return "; ".join(parts) or "nothing changed"

    def _configs(self) -> Iterator[str]:
        noun = "config"
        for jobs, what in (
            (self.configs_changed, "changed"),
            (self.added, "new"),
            (self.removed, "removed"),
            (self.returned, "back"),
        ):
            if jobs:
                yield (
                    f"{human.count(jobs.count, noun)} {what}"
                    if noun
                    else f"{human.number(jobs.count)} {what}"
                )
                noun = ""
