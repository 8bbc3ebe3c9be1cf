"""Reads traces in the Standard Workload Format, of which the Parallel Workloads Archive has dozens.

https://www.cs.huji.ac.il/labs/parallel/workload/swf.html: a line for each job with 18 fields, -1 for what is unknown,
after a header of comments such as `; MaxProcs: 128`. Times are in seconds since the start of the trace, memory in
kilobytes per processor.
"""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from bench.simulation import Job
from orchestra.domain.resources import Request, Room

FIELDS = 18
KILOBYTE = 1024
_HEADER = re.compile(r";\s*([A-Za-z]+):\s*(.*?)\s*$")


class NotATrace(ValueError):
    """A file is not in the Standard Workload Format."""


@dataclass(frozen=True, slots=True)
class Trace:
    """Jobs by their submission, what the header says, and how many jobs have no use: no time or no processors."""

    jobs: tuple[Job, ...]
    header: Mapping[str, str]
    skipped: int = 0

    def machine(self) -> list[Room]:
        """Return the machine as one node with all processors, as such traces count them.

        Raises:
            NotATrace: the header has neither MaxProcs nor MaxNodes.
        """
        for name in ("MaxProcs", "MaxNodes"):
            if found := re.match(r"[0-9]+", self.header.get(name, "")):
                return [Room(int(found[0]))]
        raise NotATrace(
            "The header has no MaxProcs: --nodes and --cpus say how large the machine is."
        )


def read(path: Path) -> Trace:
    """Read a trace.

    Raises:
        NotATrace: a line has not 18 numbers.
        OSError: the file cannot be read.
    """
    if path.suffix == ".gz":
        with gzip.open(path, "rt", encoding="utf-8", errors="replace") as unpacked:
            return parse(unpacked)
    with path.open(encoding="utf-8", errors="replace") as file:
        return parse(file)


def parse(lines: Iterable[str]) -> Trace:
    """Parse a trace.

    Processors, memory and time are what was requested, else what was used. A job that was cancelled before it started
    has no time, and is skipped. The user's estimate is the requested time.

    Raises:
        NotATrace: a line has not 18 numbers.
    """
    header: dict[str, str] = {}
    jobs: list[Job] = []
    skipped = 0
    for number, line in enumerate(lines, start=1):
        if found := _HEADER.match(line.strip()):
            header.setdefault(found[1], found[2])
        if not line.strip() or line.lstrip().startswith(";"):
            continue
        job = _job(line, number)
        if job is None:
            skipped += 1
        else:
            jobs.append(job)
    return Trace(tuple(sorted(jobs, key=lambda job: (job.submitted, job.number))), header, skipped)


def _job(line: str, at: int) -> Job | None:
    words = line.split()
    try:
        fields = [float(word) for word in words]
    except ValueError:
        raise NotATrace(f"Line {at} has something else than numbers: {line.strip()[:60]}") from None
    if len(fields) != FIELDS:
        raise NotATrace(f"Line {at} has {len(fields)} fields, not {FIELDS}.")
    number, submitted, _, seconds, used, _, used_memory, wanted, estimate, memory, _, user = fields[
        :12
    ]
    processors = int(wanted if wanted > 0 else used)
    kilobytes = memory if memory > 0 else used_memory
    if seconds <= 0 or processors <= 0:
        return None
    request = Request(processors, memory_bytes=int(max(0.0, kilobytes) * KILOBYTE * processors))
    return Job(int(number), int(user), max(0.0, submitted), seconds, request, max(0.0, estimate))
