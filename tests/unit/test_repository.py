"""What the repository promises about itself."""

from __future__ import annotations

import ast
import pkgutil
import re
import sys
import tomllib
from enum import StrEnum
from pathlib import Path

import pytest
import yaml
from trove_classifiers import classifiers

from orchestra import __version__
from orchestra.domain.states import JobState, TaskState

ROOT = Path(__file__).parents[2]
KINDS_OF_CHANGES = ("Added", "Changed", "Deprecated", "Removed", "Fixed", "Security")
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def test_constraints_pin_versions_and_name_no_host() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = [line for line in lines if not line.startswith("#")]
    assert len(pins) > 20
    odd = [line for line in pins if not re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.+]+", line)]
    assert odd == []


def test_every_dependency_is_pinned() -> None:
    project, groups = PYPROJECT["project"], PYPROJECT["dependency-groups"]
    wanted = ["pip", "editables", *PYPROJECT["build-system"]["requires"], *project["dependencies"]]
    for some in (*project["optional-dependencies"].values(), *groups.values()):
        wanted += [each for each in some if isinstance(each, str)]
    names = {re.split(r"[\[<>=]", requirement)[0].lower() for requirement in wanted}
    constraints = (ROOT / "constraints.txt").read_text().splitlines()
    pinned = {line.partition("==")[0].lower() for line in constraints}
    assert names <= pinned


def test_the_classifiers_exist() -> None:
    assert set(PYPROJECT["project"]["classifiers"]) <= classifiers


def test_the_release_is_the_same_everywhere() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert {"cff-version", "message", "title", "authors"} <= set(citation)
    assert (citation["cff-version"], citation["version"]) == ("1.2.0", __version__)
    changelog = (ROOT / "CHANGELOG.md").read_text()
    assert f"## {__version__} ({citation['date-released']})" in changelog
    for release in changelog.split("\n## ")[1:]:  # its merges keep the lines of both sides
        titles = re.findall(r"^### .+", release, re.M)
        assert titles == [f"### {kind}" for kind in KINDS_OF_CHANGES if f"### {kind}" in titles]
        entries = [line for line in release.splitlines() if line.startswith("- ")]
        assert len(entries) == len(set(entries))
    assert citation["license"] == PYPROJECT["project"]["license"]


def test_the_page_of_a_package_index_has_no_relative_link() -> None:
    text = (ROOT / "README.md").read_text()
    for rule in PYPROJECT["tool"]["hatch"]["metadata"]["hooks"]["fancy-pypi-readme"][
        "substitutions"
    ]:
        text = re.sub(rule["pattern"], rule["replacement"], text)
    assert re.findall(r"\]\((?!https?:)[^)]*\)", text) == []
    assert "(`docs/versions.md`)" in text


def test_the_keeper_is_one_file_of_the_standard_library() -> None:
    # It is run by path, perhaps by another version of the program: nothing beside it may be needed.
    tree = ast.parse((ROOT / "src/orchestra/pilot/keeper.py").read_text())
    imported = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imported |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add((node.module or "").partition(".")[0])
    assert imported - set(sys.stdlib_module_names) == set()


def test_benchmarks_need_nothing_of_the_tests() -> None:
    """They run without tests/ on the path."""
    needed = {
        node.module.partition(".")[0]
        for path in (ROOT / "bench").glob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom) and node.module
    }
    assert not needed & {path.stem for path in (ROOT / "tests").iterdir()}


def test_sql_is_written_in_the_store_alone() -> None:
    statement = re.compile(
        r"""["'](select .* from|insert into|update \w+ set|delete from)\b""", re.IGNORECASE
    )
    package = ROOT / "src/orchestra"
    found = [
        path.relative_to(package)
        for path in package.rglob("*.py")
        if path.relative_to(package).parts[0] != "store" and statement.search(path.read_text())
    ]
    assert found == []


@pytest.mark.parametrize("states", [TaskState, JobState])
def test_the_glossary_has_every_state(states: type[StrEnum]) -> None:
    rows = re.findall(r"^\| (\w+) \|", (ROOT / "docs/glossary.md").read_text(), re.MULTILINE)
    assert [state.value for state in states if state.value not in rows] == []


def test_contributing_names_places_that_exist() -> None:
    named = re.findall(r"`(\w+/\w[\w/]*(?:\.\w+)?/?)`", (ROOT / "CONTRIBUTING.md").read_text())
    places = [name for name in named if not re.search(r"[A-Z]{4}", name)]
    homes = (ROOT, ROOT / "src/orchestra")
    assert len(places) > 40
    assert [name for name in places if not any((home / name).exists() for home in homes)] == []


def test_the_architecture_names_what_exists() -> None:
    text = (ROOT / "docs/architecture.md").read_text()
    walks = text[text.index("## One `task create`") :]
    names = re.findall(r"`([a-z]\w*(?:\.\w+)+)`", walks)
    assert len(names) > 50
    for name in names:
        assert pkgutil.resolve_name(f"orchestra.{name}")
