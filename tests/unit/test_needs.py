"""The rule of support/needs.py: a missing thing is skipped with a reason, and fails where CI=true."""

from __future__ import annotations

from pathlib import Path

import pytest

from support import needs

pytest_plugins = ["pytester"]

CONFTEST = """
from pathlib import Path
from support import needs
from support.needs import pytest_runtest_setup, pytest_terminal_summary

needs.PROBES.update(podman=lambda: "there is no podman", root=lambda: None,
                    apptainer=lambda: "there is no apptainer")
needs.APPTAINER_FAILED = Path("apptainer.failed")
needs.DOCKER_FAILED = Path("docker.failed")

def pytest_configure(config):
    config.addinivalue_line("markers", "needs(*names)")
"""

TESTS = """
import pytest
from support.needs import missing

@pytest.mark.needs("root")
def test_there():
    pass

@pytest.mark.needs("root", "podman")
def test_absent():
    raise RuntimeError("it ran")

@pytest.mark.needs("apptainer")
def test_apptainer():
    raise RuntimeError("it ran")

def test_found_out_late():
    missing("no such file system")
"""


@pytest.fixture
def machine(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """A machine with root, without podman and without Apptainer, and tests that need them."""
    monkeypatch.setenv("PYTHONPATH", str(Path(needs.__file__).parents[1]))
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.delenv("CI", raising=False)
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(test_it=TESTS)
    return pytester


def test_what_is_missing_is_skipped_with_a_reason(machine: pytest.Pytester) -> None:
    result = machine.runpytest_subprocess("-rs")
    result.assert_outcomes(passed=1, skipped=3)
    result.stdout.fnmatch_lines_random(
        ["*: there is no podman", "*: there is no apptainer", "*: no such file system"]
    )


def test_where_ci_is_true_it_fails(
    machine: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CI", "true")
    result = machine.runpytest_subprocess()
    # What a test needs by its marker is an error of its set-up, what it finds out later a failure.
    result.assert_outcomes(passed=1, errors=2, failed=1)
    result.stdout.fnmatch_lines(["*there is no podman; with CI=true that must not be skipped"])
    assert "it ran" not in result.stdout.str()


def test_apptainer_that_could_not_be_had_is_excused_loudly(
    machine: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CI", "true")
    (machine.path / "apptainer.failed").write_text("E: No packages found\n")
    result = machine.runpytest_subprocess("-k", "test_there or test_apptainer")
    assert result.ret == 0
    result.assert_outcomes(passed=1, skipped=1)
    result.stdout.fnmatch_lines(["*= APPTAINER WAS NOT TESTED =*", "E: No packages found"])


def test_an_old_excuse_does_not_count_where_apptainer_is_there(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(needs, "APPTAINER_FAILED", tmp_path / "note")
    (tmp_path / "note").write_text("E: No packages found\n")
    monkeypatch.setitem(needs.PROBES, "apptainer", lambda: None)
    assert needs.excuse_for("apptainer") is None
