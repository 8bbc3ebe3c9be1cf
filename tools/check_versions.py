"""Tests the versions that pyproject.toml allows: the lowest, the newest on PyPI, and other Pythons.

    python tools/check_versions.py [PYTHON...]     with these Pythons; default: those that `other_pythons` finds
    python tools/check_versions.py --lowest        prints the lower bounds

Each environment is a fresh one in a temporary folder, with its own home. As many are tested at a time as there are
processors. All of them run a small task, from `maestro up` to `maestro down`. The lowest and the newest versions also
run the unit tests, and the newest Python the tests of the dependencies.

The newest releases are those of today. If one breaks Orchestra, this fails with the list of what is newer than
constraints.txt: exclude that release in pyproject.toml, or make it work.
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
# The tests of the code that calls psycopg, PyYAML, rich, rich-argparse and shtab.
DEPENDENCY_TESTS = tuple(
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
UNIT_TESTS = (
    *("tests/unit", "tests/store/test_connection.py"),
    # These need packages of the development group or of extras.
    "--ignore=tests/unit/test_demo.py",
    *("-k", "not notebook and not matplotlib and not a_sweep_is_a_dictionary_or_a_file"),
)
TOOLS = (
    "aiosmtpd",
    "hatchling",
    "hypothesis",
    "pytest",
    "pytest-timeout",
    "pytest-xdist",
    "ruamel.yaml",
    "trove-classifiers",
    "trustme",
)
NEWEST = "3.15"  # the newest Python that tools/setup and pyproject.toml allow; Debian sid has it
STEP_TIMEOUT = 600  # seconds
DOWNLOAD_TIMEOUT = 120  # seconds

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
    """A step failed, for a reason other than a Python that cannot be downloaded."""


@dataclass(frozen=True)
class Trial:
    """One environment: its Python, the versions of the packages, and the tests that run in it."""

    python: str
    lowest: bool = False
    tests: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.python} with the {'lowest' if self.lowest else 'newest'} versions"


def lower_bounds(pyproject: str) -> dict[str, str]:
    """Return the lowest allowed version of each dependency.

    Raises:
        ValueError: a dependency has no lower bound.
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
    """Return the lines of constraints.txt for these packages."""
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    return [line for line in lines if line.partition("==")[0] in names]


def other_pythons() -> Iterator[str]:
    """The paths of the other supported Pythons, one for each minor version, from PATH and pyenv."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    for minor in range(11, int(NEWEST.partition(".")[2]) + 1):
        if minor == sys.version_info.minor:
            continue
        name = f"python3.{minor}"
        for found in (shutil.which(name), *sorted(pyenv.glob(f"3.{minor}.*/bin/{name}"))):
            if found and _run([str(found), "-c", "import venv, ensurepip"]).returncode == 0:
                yield str(found)
                break


def start_download(version: str, folder: Path) -> subprocess.Popen[str]:
    """Start to unpack a Python of Debian sid; `downloaded` waits for it."""
    return subprocess.Popen(
        [ROOT / "tools/install-python", version, folder],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def downloaded(process: subprocess.Popen[str]) -> str | None:
    """Return the path of the Python, or None if it is not available at present: Debian sid changes daily."""
    try:
        output = process.communicate(timeout=DOWNLOAD_TIMEOUT)[0].strip().splitlines() or [""]
    except subprocess.TimeoutExpired:
        process.kill()
        output = [f"Debian's archive did not deliver it within {DOWNLOAD_TIMEOUT} s"]
    if process.returncode == 0:
        return output[-1]
    print(f"skipped: Python {NEWEST}: {output[-1]}")
    return None


def run_trial(trial: Trial, wheel: Path, scratch: Path) -> str:
    """Install the wheel in a new environment, test it, and return a line for the report.

    Raises:
        Failed: a step failed; the message has its output.
    """
    began = time.monotonic()
    folder = Path(tempfile.mkdtemp(dir=scratch))
    folder.chmod(0o711)  # the database of root runs as another account
    programs = install(trial, wheel, folder)
    try:
        if trial.tests:
            how = ["-q", "-p", "no:cacheprovider", "--server", "embedded", *trial.tests]
            _check([str(programs / "python"), "-m", "pytest", *how])
        small_task(programs, folder / "home")
    except Failed as error:
        raise Failed(
            f"{error}\n{_newer_packages(programs)}" if not trial.lowest else str(error)
        ) from None
    return f"ok: {trial}, {time.monotonic() - began:.0f} s"


def install(trial: Trial, wheel: Path, folder: Path) -> Path:
    """Create the environment and return the folder of its programs.

    Raises:
        Failed: the environment or a package could not be installed.
    """
    environment = folder / "env"
    _check([trial.python, "-m", "venv", str(environment)])
    bounds = lower_bounds((ROOT / "pyproject.toml").read_text()) if trial.lowest else {}
    constraints = folder / "constraints.txt"
    constraints.write_text("".join(f"{name}=={version}\n" for name, version in bounds.items()))
    wanted = [str(wheel), *(pins(TOOLS) if trial.tests else [])]
    pip = [str(environment / "bin/python"), "-m", "pip", "install", "-qq", "-c", str(constraints)]
    _check([*pip, "--disable-pip-version-check", *wanted], timeout=DOWNLOAD_TIMEOUT)
    return environment / "bin"


def _newer_packages(programs: Path) -> str:
    """List the packages whose version is not that of constraints.txt."""
    known = (ROOT / "constraints.txt").read_text().splitlines()
    pip = [str(programs / "python"), "-m", "pip", "freeze", "--exclude", "orchestra-hpc"]
    other = [line for line in _run(pip).stdout.splitlines() if "==" in line and line not in known]
    return f"Other versions than in constraints.txt: {', '.join(other) or 'none'}"


def small_task(programs: Path, home: Path) -> None:
    """Run a task of three jobs, from `maestro up` to `maestro down`, with its own database."""
    (home / "configs").mkdir(parents=True)
    home.chmod(0o755)
    for number in range(3):
        (home / f"configs/{number}.yaml").write_text(f"number: {number}\n")
    (home / "data.txt").write_text("data\n")
    excluded = ("MAESTRO_", "PG", "PYTHON")
    env = {key: value for key, value in os.environ.items() if not key.startswith(excluded)}
    env |= {"HOME": str(home), "PATH": f"{programs}:{env.get('PATH', os.defpath)}"}
    env |= {"MAESTRO_DATA_DIR": str(home / "data"), "MAESTRO_STATE_DIR": str(home / "state")}
    try:
        _check(["bash", "-euxo", "pipefail", "-c", TASK], cwd=home, env=env)
    except Failed:
        _run([str(programs / "maestro"), "down", "--kill", "--yes"], cwd=home, env=env)
        raise


def _run(
    command: list[str],
    *,
    cwd: Path = ROOT,
    env: dict[str, str] | None = None,
    timeout: float = STEP_TIMEOUT,
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=cwd,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=timeout,
        check=False,
    )


def _check(
    command: list[str],
    *,
    cwd: Path = ROOT,
    env: dict[str, str] | None = None,
    timeout: float = STEP_TIMEOUT,
) -> None:
    try:
        done = _run(command, cwd=cwd, env=env, timeout=timeout)
    except subprocess.TimeoutExpired as error:
        raise Failed(f"{' '.join(command[:5])} took longer than {timeout:.0f} s") from error
    if done.returncode:
        raise Failed(
            f"{' '.join(command[:5])} failed with status {done.returncode}:\n{done.stdout[-8000:]}"
        )


def trials(pythons: list[str], scratch: Path) -> Iterator[Trial]:
    """All trials. The newest Python is downloaded in the meantime if the machine lacks it."""
    available = pythons or list(other_pythons())
    download = None
    if not pythons and not any(path.endswith(f"python{NEWEST}") for path in available):
        download = start_download(NEWEST, scratch / "python")
    yield Trial(sys.executable, lowest=True, tests=UNIT_TESTS)
    yield Trial(sys.executable, tests=UNIT_TESTS)
    for python in available:
        yield Trial(python)
    if download and (newest := downloaded(download)):
        yield Trial(newest, tests=DEPENDENCY_TESTS)


def _outcome(trial: Trial, wheel: Path, scratch: Path) -> bool:
    try:
        report, succeeded = run_trial(trial, wheel, scratch), True
    except (Failed, subprocess.TimeoutExpired) as error:
        report, succeeded = f"FAILED: {trial}: {error}", False
    print(report, flush=True)
    return succeeded


def main(arguments: list[str]) -> int:
    """Run all trials and return the exit status."""
    if arguments == ["--lowest"]:
        for name, version in lower_bounds((ROOT / "pyproject.toml").read_text()).items():
            print(f"{name}=={version}")
        return 0
    with tempfile.TemporaryDirectory(prefix="orchestra-versions-") as folder:
        scratch = Path(folder)
        scratch.chmod(0o711)
        pip = [sys.executable, "-m", "pip", "wheel", "-qq", "--no-deps", "--no-build-isolation"]
        _check([*pip, "--disable-pip-version-check", "-w", folder, str(ROOT)])
        (wheel,) = scratch.glob("*.whl")
        with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as threads:
            outcomes = [
                threads.submit(_outcome, trial, wheel, scratch)
                for trial in trials(arguments, scratch)
            ]
    return int(not all(each.result() for each in outcomes))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
