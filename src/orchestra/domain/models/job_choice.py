"""Which jobs of a task are meant: those that match a filter."""

from __future__ import annotations

from dataclasses import dataclass

from orchestra.domain.states import JobStatus


@dataclass(frozen=True, slots=True)
class JobChoice:
    """Jobs of a task by what is known of them; the fields are those of `SearchJobs`. Without any, all jobs."""

    status: JobStatus | None = None
    reason: str | None = None
    line: str | None = None
    node: str | None = None
    config: str | None = None

    @property
    def is_filter(self) -> bool:
        """Whether it is about more than the state of the jobs."""
        return bool(self.reason or self.line or self.node or self.config)
