"""No program is started with an environment that nobody has looked at."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import orchestra
from orchestra.domain.secrets import without_secrets

STARTERS = {"run", "Popen", "call", "check_call", "check_output"}


def starts(path: Path) -> Iterator[ast.Call]:
    """Every call of subprocess in a file."""
    for node in ast.walk(ast.parse(path.read_text())):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and isinstance(node.func.value, ast.Name)
            and node.func.value.id == "subprocess"
            and node.func.attr in STARTERS
        ):
            yield node


def test_every_program_is_given_its_environment() -> None:
    root = Path(orchestra.__file__).parent
    found = [(path, call) for path in root.rglob("*.py") for call in starts(path)]
    assert len(found) >= 8
    bare = [
        f"{path.relative_to(root)}:{call.lineno}"
        for path, call in found
        if "env" not in {keyword.arg for keyword in call.keywords}
    ]
    assert not bare


def test_settings_and_libpq_s_variables_are_left_out() -> None:
    given = {
        "MAESTRO_POSTGRES": "x",
        "PGPASSWORD": "x",
        "PGI": "/opt/pgi",
        "PATH": "/bin",
        "HOME": "/",
    }
    assert without_secrets(given) == {"PGI": "/opt/pgi", "PATH": "/bin", "HOME": "/"}
