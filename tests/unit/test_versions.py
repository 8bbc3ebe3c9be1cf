"""`make versions` tests what pyproject.toml allows."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from tools import check_versions

ROOT = Path(__file__).parents[2]
PYPROJECT = (ROOT / "pyproject.toml").read_text()


def test_the_lowest_versions_are_the_lower_bounds_of_all_dependencies() -> None:
    bounds = check_versions.lower_bounds(PYPROJECT)
    dependencies = tomllib.loads(PYPROJECT)["project"]["dependencies"]
    assert len(bounds) == len(dependencies)
    for name, version in bounds.items():
        assert re.search(rf'^ +"{name}[>=]={version}[;"]', PYPROJECT, re.MULTILINE)


def test_bounds_are_read_beside_markers_and_upper_bounds() -> None:
    text = '[project]\ndependencies = ["a>=1.2; python_version < \'4\'", "b-c==3", "d.e>=5,<6"]'
    assert check_versions.lower_bounds(text) == {"a": "1.2", "b-c": "3", "d.e": "5"}


@pytest.mark.parametrize("requirement", ["a", "a<2", "a!=1", "a~=1.2"])
def test_a_dependency_without_a_lower_bound_is_refused(requirement: str) -> None:
    with pytest.raises(ValueError, match="no lower bound"):
        check_versions.lower_bounds(f'[project]\ndependencies = ["{requirement}"]')


def test_the_newest_python_that_is_tried_is_the_newest_that_setup_takes() -> None:
    setup = (ROOT / "tools/setup").read_text()
    assert f"<= ({check_versions.NEWEST.replace('.', ', ')}))" in setup
    assert f"Python :: {check_versions.NEWEST}" in PYPROJECT


def test_the_tests_that_are_run_with_each_version_are_there() -> None:
    assert [
        name
        for name in (*check_versions.DEPENDENCY_TESTS, *check_versions.UNIT_TESTS[:2])
        if not (ROOT / name).exists()
    ] == []
    assert len(check_versions.pins(check_versions.TOOLS)) == len(check_versions.TOOLS)
