"""The Python that is active where a command is typed."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from orchestra.domain.errors import BadInput
from orchestra.domain.secrets import without_secrets
from orchestra.domain.wording import Action, words

_PATIENCE = 20.0
_WHICH = "import sys; print(sys.executable)"


def active(environ: Mapping[str, str]) -> str:
    """Return the absolute path of the active Python: of the virtual environment, of conda, else on PATH.

    Its symlink is kept, since a virtual environment's Python finds its packages by the path that it is called by. The
    Python of Orchestra's own environment is only returned if that environment is the active one.

    Raises:
        BadInput: there is none.
    """
    for path in _candidates(environ):
        if os.access(path, os.X_OK) and (found := _itself(path, environ)):
            return found
    raise BadInput(
        "no python3 was found on PATH"
        + (", except that of Orchestra itself." if _own_folder() else "."),
        hint=words(
            "Activate your environment, or name its Python: ",
            Action.RUN_COMMAND(command="/path/to/python3 train.py -c %IN -o %OUT"),
        ),
    )


def _candidates(environ: Mapping[str, str]) -> Iterator[str]:
    on_path = [each for each in environ.get("PATH", os.defpath).split(":") if each.startswith("/")]
    named = [environ.get(name, "") for name in ("VIRTUAL_ENV", "CONDA_PREFIX")]
    active = [f"{folder}/bin" for folder in named if folder.startswith("/")]
    # One that was activated inside the other comes first on PATH.
    order = {folder: place for place, folder in reversed(list(enumerate(on_path)))}
    active.sort(key=lambda folder: order.get(folder, len(on_path)))
    own = _own_folder()
    others = [each for each in on_path if own is None or not _same(each, own)]
    for folder in (*active, *others):
        yield f"{folder}/python3"
    yield from (f"{folder}/python" for folder in (*active, *others))


def _own_folder() -> str | None:
    """Return the folder of the programs of Orchestra's own environment, if it has one."""
    return f"{sys.prefix}/bin" if sys.prefix != sys.base_prefix else None


def _same(one: str, other: str) -> bool:
    return os.path.realpath(one) == os.path.realpath(other)


def _itself(path: str, environ: Mapping[str, str]) -> str | None:
    """Return the path that a Python has for itself; None if it does not work.

    What is found on PATH may be a script that chooses a Python by the current folder, as that of pyenv does.
    """
    try:
        done = subprocess.run(
            [path, "-I", "-S", "-c", _WHICH],
            env=without_secrets(environ),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_PATIENCE,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = os.fsdecode(done.stdout).strip()
    return found if done.returncode == 0 and Path(found).is_absolute() else None
