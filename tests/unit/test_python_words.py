"""Errors of `orchestra.Client` speak Python, whatever a command would say."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import orchestra
from orchestra.client.python_words import in_python
from orchestra.domain import errors

SOURCE = Path(orchestra.__file__).parent
ERRORS = {name for name in vars(errors) if name[0].isupper()} | {"Refusal"}
# Of nodes, pilots and the database there is nothing in Python: these are typed in a shell.
SHELL = re.compile(r"maestro (up|down|node|pilot|db|user|mail)\b|`apptainer")
COMMANDS_ONLY = ("nodes.py", "admin.py", "work.py", "by_hand.py", "users.py")
OPTION = re.compile(r"""(?<![\w-])(?<!=")--?[a-z][a-z_-]*""")


@pytest.mark.parametrize(
    ("said", "python"),
    [
        ("Kill it first, or use --force to do both.", "Kill it first, or use force=True to do both."),
        ("--reuse writes beside; another name or -v.", "reuse=True writes beside; another name or volume."),
        ("--sort NAME, or --sort -NAME", 'sort="NAME", or sort="-NAME"'),
        ("--sort metrics.-a or --sort -metrics.-a", 'sort="metrics.-a" or sort="-metrics.-a"'),
        ('--bind "a:b:c:d" has too many colons.', 'bind "a:b:c:d" has too many colons.'),
        ("maestro task retry 3 lets it wait again", "client.tasks.get(3).retry() lets it wait again"),
        ("maestro task list -a shows all tasks.", "client.tasks.list(all=True) shows all tasks."),
        ("maestro job kill 3/17   ends it first.", "client.tasks.get(3).job(17).kill()   ends it first."),
        ("Start one: maestro up --detach", "Start one: maestro up --detach"),
    ],
)  # fmt: skip
def test_options_and_commands_become_arguments_and_calls(said: str, python: str) -> None:
    assert in_python(said) == python


def _sentences(path: Path) -> list[tuple[int, str]]:
    """Give what the errors of a file say, with the line; `7` stands where a value goes."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not (isinstance(node, ast.Call) and _name(node.func) in ERRORS):
            continue
        parts = [*node.args, *(word.value for word in node.keywords)]
        found += [(part.lineno, "7".join(_pieces(part))) for part in parts]
    return found


def _name(function: ast.expr) -> str:
    return getattr(function, "id", getattr(function, "attr", ""))


def _pieces(part: ast.expr) -> list[str]:
    values = [n.value for n in ast.walk(part) if isinstance(n, ast.Constant)]
    return [value for value in values if isinstance(value, str)]


def test_no_sentence_of_a_service_leaves_an_option_to_a_program() -> None:
    """What only commands call (nodes, administration) names commands, which programs may run."""
    left = []
    for folder in ("services", "domain"):
        for path in sorted((SOURCE / folder).rglob("*.py")):
            if path.name in COMMANDS_ONLY:
                continue
            for line, text in _sentences(path):
                said = in_python(text)
                ranges = "--id_min" in said  # of a list of tasks, which is typed
                if OPTION.search(said) and not SHELL.search(said) and not ranges:
                    left.append(f"{path.relative_to(SOURCE)}:{line}: {said}")
    assert not left, "\n".join(left)
