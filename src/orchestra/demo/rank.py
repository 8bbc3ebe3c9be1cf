"""The best configs of a finished grid: python3 rank.py VOLUME/TASK. Standard library only."""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Result:
    """What one job's training came to; `seconds` without starting Python."""

    job: int
    hidden: int
    learning_rate: float
    seed: int
    accuracy: float
    seconds: float


def results(task_folder: Path) -> list[Result]:
    """The results of all jobs that wrote `metrics.json`, the best first; equals in the order of their jobs."""
    found = [_result(path) for path in task_folder.glob("job_configId_*/metrics.json")]
    return sorted(found, key=lambda result: (-result.accuracy, result.job))


def _result(path: Path) -> Result:
    metrics = json.loads(path.read_text())
    return Result(
        job=int(path.parent.name.removeprefix("job_configId_")),
        hidden=metrics["hidden"],
        learning_rate=metrics["learning_rate"],
        seed=metrics["seed"],
        accuracy=metrics["accuracy"],
        seconds=metrics["seconds"],
    )


def table(ranked: list[Result], best: int = 5) -> str:
    """The first `best` as text, one a line."""
    lines = ["JOB  HIDDEN  LEARNING RATE  SEED  ACCURACY"]
    lines += [
        f"{one.job:>3}  {one.hidden:>6}  {one.learning_rate:>13}  {one.seed:>4}  {one.accuracy:>8.4f}"
        for one in ranked[:best]
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description="Show the best configs of a finished grid.")
    parser.add_argument("folder", type=Path, help="the task's folder")
    parser.add_argument("-n", "--best", type=int, default=5, help="how many (default: 5)")
    arguments = parser.parse_args()
    print(table(results(arguments.folder), arguments.best))


if __name__ == "__main__":
    main()
