"""What Slurm's commands say."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from orchestra.domain.models.pools import EngineReport, Phase
from orchestra.pools.engines import slurm_answers

NAME = "orchestra-7fc6d3d5-f601-4473-bd12-074781420910"
RUNNING = f"216|RUNNING|2026-11-26T17:51:15|{NAME}|n[1-2]|None"


def test_a_running_job_has_its_end_and_its_machines() -> None:
    assert slurm_answers.reports(RUNNING, ["216"], []) == {
        "216": EngineReport(
            "216",
            NAME,
            Phase.RUNNING,
            "RUNNING",
            ends_at=datetime(2026, 11, 26, 17, 51, 15, tzinfo=UTC),
            hosts=("n1", "n2"),
        )
    }


@pytest.mark.parametrize(
    ("output", "number"),
    [
        ("216\n", "216"),
        ("216;alpha\n", "216"),
        ("Welcome to alpha!\n216\n", "216"),
        ("Submitted batch job 216", None),
        ("", None),
    ],
)
def test_the_id_is_found_in_what_sbatch_prints(output: str, number: str | None) -> None:
    assert slurm_answers.submitted_id(output) == number
