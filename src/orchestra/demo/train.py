"""Train a small neural network on handwritten digits.

    python3 train.py -d digits.npz -c config.json -o folder

The config has `hidden` (units), `learning_rate`, `seed` and, optionally, `epochs`. The folder gets `metrics.json` and,
after each fifth epoch, the checkpoint `model.npz`. It does not depend on Orchestra.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.neural_network import MLPClassifier

EPOCHS = 30


def main() -> int:
    arguments = _arguments()
    config = json.loads(arguments.config.read_text())
    if config.get("fault") == "killed":
        # Like a process that ran out of memory.
        print("out of memory (this config asks for it)", flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
    try:
        metrics = train(arguments.data, config, arguments.out)
    except ValueError as error:
        print(f"ValueError: {error}", file=sys.stderr)
        return 3
    write_atomically(arguments.out / "metrics.json", json.dumps(metrics, indent=1).encode())
    print(f"accuracy {metrics['accuracy']:.4f} after {metrics['seconds']:.1f} s")
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Train a small neural network on handwritten digits."
    )
    parser.add_argument("-d", "--data", type=Path, required=True, help="the digits, an .npz file")
    parser.add_argument(
        "-c", "--config", type=Path, required=True, help="what to train, a JSON file"
    )
    parser.add_argument("-o", "--out", type=Path, required=True, help="the folder for the results")
    return parser.parse_args()


def train(data: Path, config: dict[str, Any], out: Path) -> dict[str, Any]:
    """Train, write checkpoints into `out`, and return the metrics on digits that were not trained on."""
    if config["learning_rate"] <= 0:
        raise ValueError("learning rate must be positive")
    digits = np.load(data)
    model = MLPClassifier(
        hidden_layer_sizes=(config["hidden"],),
        learning_rate_init=config["learning_rate"],
        random_state=config["seed"],
    )
    started = time.monotonic()
    epochs = config.get("epochs", EPOCHS)
    for epoch in range(1, epochs + 1):
        with warnings.catch_warnings():
            # A learning rate that is far too high overflows; the metrics show it.
            warnings.simplefilter("ignore")
            model.partial_fit(digits["train_x"], digits["train_y"], classes=range(10))
        if epoch % 5 == 0 or epoch == epochs:
            print(f"epoch {epoch:3}  loss {model.loss_:.4f}", flush=True)
            save(model, out / "model.npz")
    return {
        **config,
        "accuracy": float(model.score(digits["test_x"], digits["test_y"])),
        "loss": float(model.loss_),
        "epochs": epochs,
        "seconds": round(time.monotonic() - started, 3),
    }


def save(model: MLPClassifier, path: Path) -> None:
    """Write the weights beside `path` and rename, so that a reader never finds a partial checkpoint."""
    layers = {f"weights_{number}": layer for number, layer in enumerate(model.coefs_)}
    layers |= {f"biases_{number}": layer for number, layer in enumerate(model.intercepts_)}
    beside = path.with_name(f".{path.name}")
    with beside.open("wb") as file:
        np.savez(file, **layers)
    os.replace(beside, path)


def write_atomically(path: Path, content: bytes) -> None:
    beside = path.with_name(f".{path.name}")
    beside.write_bytes(content)
    os.replace(beside, path)


if __name__ == "__main__":
    sys.exit(main())
