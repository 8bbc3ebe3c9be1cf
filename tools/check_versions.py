"""Tries the versions that pyproject.toml allows: the lowest, the highest that PyPI gives, and other Pythons.

    python tools/check_versions.py [PYTHON...]     the paths of other ones; default: what `trials` finds
    python tools/check_versions.py --lowest        prints what the lower bounds come to

Each environment is a fresh one in a temporary folder, with a home of its own, and ends with `maestro down`; as many
are tried at a time as there are processors. With the lowest and the highest versions run the unit tests, on the newest
Python the tests that are about the dependencies, in all a small task from `maestro up` to `maestro down`.

PyPI's newest releases are tried as they are today. One that breaks Orchestra fails here, with the list of what is newer
than constraints.txt: exclude it in pyproject.toml, or make it work.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# Where our code meets psycopg, PyYAML, rich, rich-argparse and shtab.
MEETING = tuple(
    f"tests/{name}.py"
    for name in (
        "store/test_connection",
        "unit/test_cli_commands",
        "unit/test_cli_output",
        "unit/test_human",
        "unit/test_result_reading",
        "unit/test_sweep_parser",
    )
)
UNIT = (
    *("tests/unit", "tests/store/test_connection.py"),
    # These train a model, or are a notebook's; the packages that they take stand in no bounds.
    "--ignore=tests/unit/test_demo.py",
    *("-k", "not notebook and not a_sweep_is_a_dictionary_or_a_file"),
)
TOOLS = (
    "aiosmtpd",
    "hypothesis",
    "pytest",
    "pytest-timeout",
    "pytest-xdist",
    "ruamel.yaml",
    "trustme",
)
NEWEST = "3.15"  # of Debian's sid, that setup and pyproject.toml speak of
LIMIT = 600  # seconds for one step
PATIENCE = 120  # seconds for packages to come

TASK = """
me=user.$(id -un)
maestro up --cpus 2 --detach
maestro dataset create -n $me.grid -p configs
maestro dataset create -n $me.data -p data.txt
maestro task create -c grid -d data -t $me.small --exec 'cat %IN %DATA >%OUT/both'
maestro task wait small
test "$(maestro job list small --state done -q | wc -l)" = 3
maestro task show small
maestro completion bash | bash -n
test -s "$(dirname "$(command -v maestro)")/../share/man/man1/maestro-task.1"
maestro down --kill --yes
"""


class Failed(Exception):
    """What could be had and does not work."""


@dataclass(frozen=True)
class Trial:
    """One environment: which Python, which versions, and which tests run in it."""

    python: str
    lowest: bool = False
    tests: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.python} with the {'lowest' if self.lowest else 'highest'} versions"


def lower_bounds(pyproject: str) -> dict[str, str]:
    """Give the lowest version of each dependency that a pyproject.toml allows.

    Raises:
        ValueError: a dependency has no lower bound, so that nobody knows what it works with.
    """
    found = {}
    for requirement in tomllib.loads(pyproject)["project"]["dependencies"]:
        match = re.fullmatch(
            r"([\w.-]+)(?:>=|==)([\w.]+)(?:,.*)?", requirement.partition(";")[0].strip()
        )
        if match is None:
            raise ValueError(f"{requirement} has no lower bound.")
        found[match[1]] = match[2]
    return found


def pins(names: tuple[str, ...]) -> list[str]:
    """Give the lines of constraints.txt for these packages."""
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    return [line for line in lines if line.partition("==")[0] in names]


def others() -> Iterator[str]:
    """Give the other Pythons of the machine that setup would take, one for each minor version: PATH's and pyenv's."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    for minor in range(11, int(NEWEST.partition(".")[2]) + 1):
        if minor == sys.version_info.minor:
            continue
        name = f"python3.{minor}"
        for found in (shutil.which(name), *sorted(pyenv.glob(f"3.{minor}.*/bin/{name}"))):
            if found and _run([str(found), "-c", "import venv, ensurepip"]).returncode == 0:
                yield str(found)
                break


def fetch(version: str, folder: Path) -> subprocess.Popen[str]:
    """Begin to unpack one of Debian's Pythons; `fetched` waits for it."""
    return subprocess.Popen(
        [ROOT / "tools/install-python", version, folder],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def fetched(fetching: subprocess.Popen[str]) -> str | None:
    """Give the path of the Python, or None if it cannot be had: the suite that it comes from moves."""
    try:
        output = fetching.communicate(timeout=PATIENCE)[0].strip().splitlines() or [""]
    except subprocess.TimeoutExpired:
        fetching.kill()
        output = [f"Debian's archive has not given it within {PATIENCE} s"]
    if fetching.returncode == 0:
        return output[-1]
    print(f"skipped: Python {NEWEST}: {output[-1]}")
    return None


def attempt(trial: Trial, wheel: Path, scratch: Path) -> str:
    """Install the wheel in an environment of its own, try it, and say what came of it.

    Raises:
        Failed: a step did not succeed, with its output.
    """
    began = time.monotonic()
    folder = Path(tempfile.mkdtemp(dir=scratch))
    folder.chmod(0o711)  # root's database runs as another account
    programs = install(trial, wheel, folder)
    try:
        if trial.tests:
            how = ["-q", "-p", "no:cacheprovider", "--server", "embedded", *trial.tests]
            _must([str(programs / "python"), "-m", "pytest", *how])
        small_task(programs, folder / "home")
    except Failed as error:
        raise Failed(f"{error}\n{_news(programs)}" if not trial.lowest else str(error)) from None
    return f"ok: {trial}, {time.monotonic() - began:.0f} s"


def install(trial: Trial, wheel: Path, folder: Path) -> Path:
    """Make the environment; gives the folder of its programs.

    Raises:
        Failed: it cannot be made, or the packages do not come.
    """
    environment = folder / "env"
    _must([trial.python, "-m", "venv", str(environment)])
    bounds = lower_bounds((ROOT / "pyproject.toml").read_text()) if trial.lowest else {}
    constraints = folder / "constraints.txt"
    constraints.write_text("".join(f"{name}=={version}\n" for name, version in bounds.items()))
    wanted = [str(wheel), *(pins(TOOLS) if trial.tests else [])]
    pip = [str(environment / "bin/python"), "-m", "pip", "install", "-qq", "-c", str(constraints)]
    _must([*pip, "--disable-pip-version-check", *wanted], limit=PATIENCE)
    return environment / "bin"


def _news(programs: Path) -> str:
    """Say which of the packages are others than those of constraints.txt."""
    known = (ROOT / "constraints.txt").read_text().splitlines()
    pip = [str(programs / "python"), "-m", "pip", "freeze", "--exclude", "orchestra-hpc"]
    other = [line for line in _run(pip).stdout.splitlines() if "==" in line and line not in known]
    return f"Not as in constraints.txt: {', '.join(other) or 'nothing'}"


def small_task(programs: Path, home: Path) -> None:
    """Have three jobs run, from `maestro up` to `maestro down`, on a database of their own."""
    (home / "configs").mkdir(parents=True)
    home.chmod(0o755)
    for number in range(3):
        (home / f"configs/{number}.yaml").write_text(f"number: {number}\n")
    (home / "data.txt").write_text("data\n")
    foreign = ("MAESTRO_", "PG", "PYTHON")
    env = {key: value for key, value in os.environ.items() if not key.startswith(foreign)}
    env |= {"HOME": str(home), "PATH": f"{programs}:{env.get('PATH', os.defpath)}"}
    env |= {"MAESTRO_DATA_DIR": str(home / "data"), "MAESTRO_STATE_DIR": str(home / "state")}
    try:
        _must(["bash", "-euxo", "pipefail", "-c", TASK], cwd=home, env=env)
    except Failed:
        _run([str(programs / "maestro"), "down", "--kill", "--yes"], cwd=home, env=env)
        raise


def _run(
    command: list[str],
    *,
    cwd: Path = ROOT,
    env: dict[str, str] | None = None,
    limit: float = LIMIT,
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=cwd,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=limit,
        check=False,
    )


def _must(
    command: list[str],
    *,
    cwd: Path = ROOT,
    env: dict[str, str] | None = None,
    limit: float = LIMIT,
) -> None:
    try:
        done = _run(command, cwd=cwd, env=env, limit=limit)
    except subprocess.TimeoutExpired as error:
        raise Failed(f"{' '.join(command[:5])} took longer than {limit:.0f} s") from error
    if done.returncode:
        raise Failed(
            f"{' '.join(command[:5])} ended with status {done.returncode}:\n{done.stdout[-8000:]}"
        )


def trials(pythons: list[str], scratch: Path) -> Iterator[Trial]:
    """Give what is tried; the newest Python is fetched meanwhile where the machine has none."""
    there = pythons or list(others())
    fetching = None
    if not pythons and not any(path.endswith(f"python{NEWEST}") for path in there):
        fetching = fetch(NEWEST, scratch / "python")
    yield Trial(sys.executable, lowest=True, tests=UNIT)
    yield Trial(sys.executable, tests=UNIT)
    for python in there:
        yield Trial(python)
    if fetching and (newest := fetched(fetching)):
        yield Trial(newest, tests=MEETING)


def _outcome(trial: Trial, wheel: Path, scratch: Path) -> bool:
    try:
        said, succeeded = attempt(trial, wheel, scratch), True
    except (Failed, subprocess.TimeoutExpired) as error:
        said, succeeded = f"FAILED: {trial}: {error}", False
    print(said, flush=True)
    return succeeded


def main(arguments: list[str]) -> int:
    """Try them all; give how many failed, 0 or 1."""
    if arguments == ["--lowest"]:
        for name, version in lower_bounds((ROOT / "pyproject.toml").read_text()).items():
            print(f"{name}=={version}")
        return 0
    with tempfile.TemporaryDirectory(prefix="orchestra-versions-") as folder:
        scratch = Path(folder)
        scratch.chmod(0o711)
        pip = [sys.executable, "-m", "pip", "wheel", "-qq", "--no-deps", "--no-build-isolation"]
        _must([*pip, "--disable-pip-version-check", "-w", folder, str(ROOT)])
        (wheel,) = scratch.glob("*.whl")
        with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as threads:
            tried = [
                threads.submit(_outcome, trial, wheel, scratch)
                for trial in trials(arguments, scratch)
            ]
    return int(not all(each.result() for each in tried))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
