"""The scripts of `maestro demo`, a small grid of real trainings. It runs them by path, as a user would."""

from __future__ import annotations

from pathlib import Path

TRAIN = Path(__file__).with_name("train.py")
MAKE_INPUTS = Path(__file__).with_name("make_inputs.py")
IN_IMAGE = "/train.py"
"""The path of the training script in an image for the demo."""
