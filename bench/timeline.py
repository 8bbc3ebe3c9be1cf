"""A picture of the pilots of pools and of their jobs over time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psycopg

from bench.picture import OURS, PEER


@dataclass(frozen=True, slots=True)
class Pilot:
    """One allocation; all times in seconds since the first was submitted.

    Args:
        jobs: start and end of each, by its start.
    """

    name: str
    submitted: float
    started: float
    ended: float
    jobs: Sequence[tuple[float, float]]


def pilots(conn: psycopg.Connection) -> list[Pilot]:
    """Return what all allocations of a database did, by their submission; those that never started are left out."""
    rows = conn.execute(
        "select a.id, a.engine_id, extract(epoch from a.submitted_at)::float, extract(epoch from a.started_at)::float, "
        "extract(epoch from a.ended_at)::float from allocation a where started_at is not null and ended_at is not null "
        "order by a.submitted_at"
    ).fetchall()
    origin = min((row[2] for row in rows), default=0.0)
    return [
        Pilot(
            row[1], row[2] - origin, row[3] - origin, row[4] - origin, _jobs(conn, row[0], origin)
        )
        for row in rows
    ]


def _jobs(conn: psycopg.Connection, allocation: object, origin: float) -> list[tuple[float, float]]:
    rows = conn.execute(
        "select extract(epoch from t.started_at)::float, extract(epoch from t.ended_at)::float from attempt t "
        "join node n on n.id = t.node_id where n.allocation_id = %s and t.started_at is not null "
        "and t.ended_at is not null order by t.started_at",
        [allocation],
    ).fetchall()
    return [(began - origin, ended - origin) for began, ended in rows]


def lanes(jobs: Sequence[tuple[float, float]]) -> list[int]:
    """Return the lane of each job, so that those in a lane do not overlap and there are as few as possible."""
    free: list[float] = []
    found = []
    for began, ended in jobs:
        lane = next((number for number, until in enumerate(free) if until <= began), len(free))
        free[lane : lane + 1] = [ended]
        found.append(lane)
    return found


def draw(found: Sequence[Pilot], path: Path) -> None:
    """Draw a band for each pilot, with the time that it waited and its jobs, as a PNG."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axis = plt.subplots(figsize=(8, 0.6 + 0.65 * len(found)))
    for place, pilot in enumerate(reversed(found)):
        axis.barh(
            place, pilot.started - pilot.submitted, left=pilot.submitted, height=0.1, color=PEER
        )
        axis.barh(
            place, pilot.ended - pilot.started, left=pilot.started, height=0.86, color="#e6ebee"
        )
        at = lanes(pilot.jobs)
        height = 0.8 / (max(at, default=0) + 1)
        for lane, (began, ended) in zip(at, pilot.jobs, strict=True):
            axis.barh(
                place - 0.4 + (lane + 0.5) * height,
                ended - began,
                left=began,
                height=height * 0.8,
                color=OURS,
            )
    axis.set_yticks(range(len(found)), [f"Slurm job {pilot.name}" for pilot in reversed(found)])
    axis.set_xlabel("seconds since the first allocation was submitted")
    axis.spines[["top", "right", "left"]].set_visible(False)
    axis.tick_params(axis="y", length=0)
    figure.tight_layout()
    figure.savefig(path, dpi=110, metadata={"Software": None})
    plt.close(figure)
