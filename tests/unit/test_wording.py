"""What a sentence leaves to its edge: each edge has words for all of it, and what they name is there."""

from __future__ import annotations

import ast
import inspect
import pickle
import re
import shlex
import string
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

import orchestra
from orchestra import command_words
from orchestra.cli.command_parser import make_parser
from orchestra.cli.registry import find_word, resolve
from orchestra.client import Client, Job, Task, Tasks, call_words
from orchestra.domain.errors import BadInput, OrchestraError
from orchestra.domain.wording import Action, Field, Sentence, Setting, Term, Words, reworded, words

SOURCE = Path(orchestra.__file__).parent
VALUES: dict[str, str | int] = {
    "command": "train.py -c %IN -o %OUT",
    "task": 3,
    "job": 17,
    "name": "ana-1",
    "user": "ana",
    "path": "/data/a b",
}
TYPED = {"CPU_SLOTS": "2", "GPU_SLOTS": "0", "ADDRESS": "ana@example.org"}
GIVES: dict[Any, type] = {Tasks.get: Task, Task.job: Job}


def example(action: Action) -> Sentence:
    return words(action(**{name: VALUES[name] for name in action.takes}))


def in_python(said: Sentence) -> str:
    return str(reworded(said, call_words.term))


# The sentence itself


def test_a_sentence_without_terms_is_a_str_and_sentences_join() -> None:
    assert words("a ", "b") == "a b"
    assert words(words("a ", Field.BIND), " b", "c") == Words(("a ", Term(field=Field.BIND), " bc"))


def test_what_people_named_is_never_taken_for_a_term() -> None:
    name = 'there is no task "--force {task} -v maestro up": '
    said = words(name, Action.RETRY_TASK(task=3), ".")
    assert str(said) == f"{name}retry task 3."
    assert command_words.worded(said) == f"{name}maestro task retry 3."
    assert in_python(said) == f"{name}client.tasks.get(3).retry()."


def test_an_edge_that_knows_a_setting_words_only_that() -> None:
    said = words("See ", Setting.POSTGRES, " or ", Action.START_ALL)
    assert str(said) == 'See "postgres" in your configuration or start all'
    told = reworded(
        said, lambda term: "MAESTRO_POSTGRES" if term.setting is Setting.POSTGRES else term
    )
    assert command_words.worded(told) == "See MAESTRO_POSTGRES or maestro up"


def test_an_action_takes_its_own_values() -> None:
    with pytest.raises(TypeError, match="RETRY_TASK takes"):
        Action.RETRY_TASK(job=3)


def test_an_error_says_it_all_at_each_edge_and_in_another_process() -> None:
    error = BadInput(
        words(Field.SECONDARY, " names %X twice."),
        hint=words("Or ", Field.QUEUE("gpu"), ", ", Field.REUSE(True)),
        tag="X",
    )
    back = pickle.loads(pickle.dumps(error))
    for each in (error, back):
        assert (str(each), each.hint) == (
            "secondary names %X twice.",
            "Or queue=gpu, reuse=True",
        )
        assert command_words.message_of(each) == "--sd names %X twice."
        assert command_words.hint_of(each) == "Or --queue gpu, --reuse"
        assert (each.code, each.params) == ("bad_input", {"tag": "X"})
    back.reword(call_words.term)
    assert (str(back), back.hint) == ("secondary names %X twice.", 'Or queue="gpu", reuse=True')
    again = pickle.loads(pickle.dumps(back))
    assert (str(again), again.hint, again.params) == (str(back), back.hint, {"tag": "X"})


# The command line


@pytest.mark.parametrize("action", Action, ids=lambda action: action.value)
def test_each_action_is_a_command_that_the_command_line_takes(action: Action) -> None:
    placeholders = {
        name for _, name, *_ in string.Formatter().parse(command_words.COMMANDS[action])
    }
    assert placeholders - {None} == set(action.takes)
    for command in command_words.worded(example(action)).split(" and "):
        typed = [TYPED.get(word, word) for word in shlex.split(command.removeprefix("maestro "))]
        word = find_word(typed[0])
        assert word is not None
        _, verb, name = resolve(typed)
        if action not in NAMED_ALONE:
            make_parser(verb, name).parse(typed[len(name.split()) :])


NAMED_ALONE = (
    Action.CREATE_NODE,
    Action.CREATE_TASK,
    Action.CREATE_TASK_FROM,
    Action.RUN_PILOT,
)
"""The command alone, of which the reader knows or looks up the rest."""


def test_each_field_has_an_option() -> None:
    assert set(command_words.OPTIONS) == set(Field)
    known = {action for word in WITH_OPTIONS for action in _options(word)}
    assert set(command_words.OPTIONS.values()) <= known


WITH_OPTIONS = (
    "task create",
    "task delete",
    "task show",
    "task results",
    "task plot",
    "task report",
    "dataset create",
    "dataset sweep",
    "node create",
    "pilot run",
    "pool create",
    "pool delete",
)


def _options(command: str) -> Iterator[str]:
    _, verb, name = resolve(command.split())
    for action in make_parser(verb, name)._actions:
        yield from action.option_strings


# Python


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Client]:
    file = tmp_path / "orchestra.json"
    file.write_text("{}")
    with Client(file, username="ana") as made:
        yield made


@pytest.mark.parametrize("action", call_words.CALLS, ids=lambda action: action.value)
def test_each_call_is_one_that_the_client_has(action: Action, client: Client) -> None:
    text = in_python(example(action))
    first, _, also = text.partition(" and .")
    called = _value(ast.parse(first, mode="eval").body, client)
    if also:
        assert callable(getattr(GIVES[Tasks.get], also.removesuffix("()")))
    assert called is not None


def _value(node: ast.expr, client: Client) -> Any:
    """Return what an expression names: an object, a function, or the class of what a call returns."""
    match node:
        case ast.Name("client"):
            return client
        case ast.Name("help"):
            return help
        case ast.Attribute(value, name):
            return getattr(_value(value, client), name)
        case ast.Call(function, arguments, keywords):
            called = _value(function, client)
            if called is help:
                return _value(arguments[0], client)
            takes = inspect.signature(called)
            itself = [] if inspect.ismethod(called) else [None]
            known = [each for each in arguments if not _is_rest(each)]
            takes.bind_partial(*itself, *known, **{str(word.arg): word.value for word in keywords})
            return GIVES.get(getattr(called, "__func__", called), called)
        case _:
            raise AssertionError(ast.dump(node))


def _is_rest(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is ...


def test_what_python_has_no_call_for_is_typed_in_a_shell() -> None:
    assert in_python(words("Start one: ", Action.START_ALL)) == "Start one: maestro up"


@pytest.mark.parametrize(
    ("said", "python"),
    [
        (
            words("Kill it first, or use ", Field.FORCE(True), "."),
            "Kill it first, or use force=True.",
        ),
        (words("another name or ", Field.VOLUME, "."), "another name or volume."),
        (words(Field.SORT("NAME"), ", or ", Field.SORT("-NAME")), 'sort="NAME", or sort="-NAME"'),
        (words(Field.AFTER(3), " lets it wait"), "after=3 lets it wait"),
        (
            words(Action.CREATE_DATASET(name="a", path='/b "c"')),
            r'client.datasets.create("a", "/b \"c\"")',
        ),
    ],
)
def test_fields_are_arguments(said: Sentence, python: str) -> None:
    assert in_python(said) == python


# Their use

SPOKEN = re.compile(r"\bmaestro [a-z]|(?<![\w=-])--[a-z]")
ALLOWED = {
    "files/image_files.py": "apptainer's own option",
    "files/origin.py": "git's commands and options",
    "store/postgres/sharing.py": "a mark in a file, and the name of a connection",
    "store/postgres/dump.py": "options of PostgreSQL's programs, and the name of a connection",
    "store/postgres/dump_check.py": "names of connections",
    "store/postgres/initdb.py": "options of PostgreSQL's programs",
    "store/postgres/initdb_user.py": "options of unshare",
    "store/schema/migrate.py": "maestro is the program, not a command",
    "store/postgres/programs.py": "options of useradd",
    "store/postgres/program_search.py": "an option of PostgreSQL's programs",
    "store/postgres/startup.py": "maestro is the program, in a file that it writes",
}
"""Files that may have what looks like a command or an option in a string, and why."""


def _spoken(path: Path) -> Iterator[str]:
    """Yield the strings of a file, except docstrings, that name a command or an option."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    alone = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    constants = [node for node in ast.walk(tree) if isinstance(node, ast.Constant)]
    for node in constants:
        if isinstance(node.value, str) and id(node) not in alone and SPOKEN.search(node.value):
            yield f"{path.name}:{node.lineno}: {node.value!r}"


def test_what_every_edge_uses_names_no_command_and_no_option() -> None:
    found = {
        str(path.relative_to(SOURCE)): list(_spoken(path))
        for room in ("domain", "files", "interface", "services", "store")
        for path in sorted((SOURCE / room).rglob("*.py"))
    }
    spoken = {file: texts for file, texts in found.items() if texts}
    left = [text for file, texts in spoken.items() if file not in ALLOWED for text in texts]
    assert not left, "\n".join(left)
    assert ALLOWED.keys() <= spoken.keys(), "the list allows what is not there"


def test_error_codes_are_unique() -> None:
    for module in (
        "conductor.mailer",
        "pilot.keeper_messages",
        "runtimes.images.request",
        "store.postgres.dump_check",
    ):
        import_module(f"orchestra.{module}")
    kinds = list(_kinds(OrchestraError))
    assert all("code" in vars(kind) for kind in kinds)
    codes = [kind.code for kind in kinds]
    assert len(set(codes)) == len(codes)
    assert all(re.fullmatch("[a-z]+(_[a-z]+)*", code) for code in codes)


def _kinds(kind: type[OrchestraError]) -> Iterator[type[OrchestraError]]:
    yield kind
    for each in kind.__subclasses__():
        if each.__module__.startswith("orchestra."):
            yield from _kinds(each)


def _uses() -> Iterator[tuple[str, str, tuple[str | None, ...]]]:
    """Yield each place that names an action, the action, and its values."""
    for path in sorted(SOURCE.rglob("*.py")):
        if path.name in ("command_words.py", "call_words.py", "page_words.py"):
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        calls = {id(node.func): node for node in ast.walk(tree) if isinstance(node, ast.Call)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "Action":
                call = calls.get(id(node))
                given = tuple(word.arg for word in call.keywords) if call else ()
                yield f"{path.relative_to(SOURCE)}:{node.lineno}", node.attr, given


def test_each_use_gives_the_values_that_the_action_takes() -> None:
    uses = list(_uses())
    wrong = [
        f"{where}: {name} takes {Action[name].takes}, not {given}"
        for where, name, given in uses
        if given != Action[name].takes
    ]
    assert not wrong, "\n".join(wrong)
    unused = set(Action.__members__) - {name for _, name, _ in uses}
    assert not unused, f"said nowhere: {unused}"
