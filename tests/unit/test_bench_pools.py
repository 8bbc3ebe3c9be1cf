"""What the benchmark of pools computes from times, and its picture of pilots."""

from __future__ import annotations

import pytest

from bench.pool_report import ARRAY, HYPERQUEUE, NO_OPS, POOL, SLEEPS, Run, Work, section
from bench.slurm import Held
from bench.timeline import lanes


def run(work: Work, ended: float, *held: Held) -> Run:
    return Run(work, submitted=100.0, began=105.0, ended=ended, held=held, sbatches=len(held))


def test_a_run_counts_what_was_held_and_what_of_it_jobs_used() -> None:
    found = run(Work(40, 2.0), 130.0, Held(104.0, 140.0, 4), Held(125.0, 134.0, 4))
    assert found.makespan == 30.0
    assert found.rate == 40 / 25
    assert found.overhead == pytest.approx((25 * 4 + 5 * 4) / 40 - 2.0)
    assert found.pilot_hours == pytest.approx((36 + 9) / 3600)
    assert found.unused == pytest.approx((45 - 20) / 3600)


def test_its_section_says_which_bounds_are_kept() -> None:
    works = {NO_OPS: Work(1000, 0.0), SLEEPS: Work(100, 10.0)}
    found = {
        name: {
            NO_OPS: run(works[NO_OPS], no_ops, Held(104.0, 140.0, 4)),
            SLEEPS: run(works[SLEEPS], sleeps, Held(104.0, until, 16)),
        }
        for name, no_ops, sleeps, until in (
            (ARRAY, 205.0, 170.0, 171.0),
            (HYPERQUEUE, 115.0, 180.0, 240.0),
            (POOL, 107.0, 190.0, 220.0),
        )
    }
    made = section(found, works, None)
    assert not any("The limit of the no-ops" in note for note in made.notes)
    found[POOL][NO_OPS] = run(works[NO_OPS], 107.5, Held(104.0, 140.0, 4))
    assert "50 times the array's rate would be 500 jobs/s" in section(found, works, None).notes[-1]
    bounds = {row[0].partition(":")[2].strip(): row[1:] for row in made.tables[-1][1]}
    assert bounds == {
        "at least 50 x the array's jobs/s": ("50.0 x", "kept"),
        "at most 1.1 x HyperQueue's makespan": ("1.12 x", "**missed**"),
        "at most its pilot hours": ("0.85 x", "kept"),
        "fewer unused ones": ("0.73 x", "kept"),
    }


def test_jobs_that_overlap_are_drawn_in_lanes_of_their_own() -> None:
    assert lanes([(0, 3), (0, 4), (3, 5), (3.5, 6), (4, 5)]) == [0, 1, 0, 2, 1]
    assert lanes([]) == []
