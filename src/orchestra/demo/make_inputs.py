"""Write the demo's inputs: the digits, and a grid of 36 configs.

    python3 make_inputs.py FOLDER

writes FOLDER/digits.npz and FOLDER/configs/0_h16_lr0.001_seed0.json ... 35_...json. Two of the configs fail on purpose;
they are not among the ten that Orchestra tests first.
"""

from __future__ import annotations

import argparse
import itertools
import json
from pathlib import Path
from typing import Any

HIDDEN = (16, 32, 64)
LEARNING_RATES = (0.001, 0.003, 0.01, 0.03)
SEEDS = (0, 1, 2)

# Positions in the grid, which are the numbers of their jobs.
NEGATIVE_LEARNING_RATE = 17
KILLED = 22


def grid() -> list[dict[str, Any]]:
    """Return all configs, in the order of their jobs."""
    configs: list[dict[str, Any]] = [
        {"hidden": hidden, "learning_rate": rate, "seed": seed}
        for hidden, rate, seed in itertools.product(HIDDEN, LEARNING_RATES, SEEDS)
    ]
    configs[NEGATIVE_LEARNING_RATE]["learning_rate"] = -1
    configs[KILLED]["fault"] = "killed"
    return configs


def file_name(number: int, config: dict[str, Any]) -> str:
    return f"{number}_h{config['hidden']}_lr{config['learning_rate']}_seed{config['seed']}.json"


def write_configs(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number, config in enumerate(grid()):
        (folder / file_name(number, config)).write_text(json.dumps(config) + "\n")


def write_digits(path: Path) -> None:
    """Write the 1,797 digits of scikit-learn; every fourth is for the test."""
    # Imported here, so that the grid does not need them.
    import numpy as np
    from sklearn.datasets import load_digits

    digits = load_digits()
    images, labels = digits.data / 16, digits.target
    tested = np.arange(len(labels)) % 4 == 0
    np.savez_compressed(
        path,
        train_x=images[~tested],
        train_y=labels[~tested],
        test_x=images[tested],
        test_y=labels[tested],
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="Write the demo's inputs.")
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    write_configs(folder / "configs")
    write_digits(folder / "digits.npz")


if __name__ == "__main__":
    main()
