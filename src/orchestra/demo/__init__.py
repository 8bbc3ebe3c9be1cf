"""The demo's work: a small grid of real trainings. `maestro demo` runs these scripts by path, as a user would."""

from __future__ import annotations

from pathlib import Path

TRAIN = Path(__file__).with_name("train.py")
MAKE_INPUTS = Path(__file__).with_name("make_inputs.py")
IN_IMAGE = "/train.py"
"""Where an image for the demo has the training script."""
