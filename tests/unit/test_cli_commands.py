"""The words of the command line: what they find, what they suggest, and that each explains itself."""

from __future__ import annotations

import argparse
import json
import re
import runpy
import shlex
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from orchestra import __version__
from orchestra.cli import completion, help_text
from orchestra.cli.argument_types import whole
from orchestra.cli.command_parser import make_parser
from orchestra.cli.context import Context
from orchestra.cli.dataset_files import name_and_paths
from orchestra.cli.main import main
from orchestra.cli.reference import errors_table, settings_table
from orchestra.cli.registry import WORDS, Verb, resolve
from orchestra.domain.errors import BadInput
from orchestra.pilot.keeper import PROTOCOL
from orchestra.store.schema.migrate import FOLDER

DOCS = Path(__file__).parents[2] / "docs"
PRESENT = [word for word in WORDS if find_spec(word.module)]
COMMON = [word for word in PRESENT if not word.is_rare]
COMMANDS = [
    (f"{word.name} {verb.name}" if word.is_noun else word.name, verb)
    for word in PRESENT
    for verb in word.verbs()
]


@pytest.mark.parametrize(("command", "verb"), COMMANDS, ids=[command for command, _ in COMMANDS])
def test_every_command_has_help_with_an_example_of_itself(command: str, verb: Verb) -> None:
    help_text = make_parser(verb, command).format_help()
    assert f"maestro {command}" in verb.example, "the epilog shows an example"
    assert verb.help[0].islower() or verb.help[0].isupper()
    assert not verb.help.endswith(".")
    assert "Example:" in help_text


@pytest.mark.parametrize(("command", "verb"), COMMANDS, ids=[command for command, _ in COMMANDS])
def test_every_option_says_what_it_is(command: str, verb: Verb) -> None:
    silent = [a.dest for a in make_parser(verb, command)._actions if not a.help]
    assert not silent


@pytest.mark.parametrize("width", [60, 80, 200])
@pytest.mark.parametrize(("command", "verb"), COMMANDS, ids=[command for command, _ in COMMANDS])
def test_help_wraps_between_words(
    command: str, verb: Verb, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    parser = make_parser(verb, command)
    helps = [action.help or "" for action in parser._actions]
    texts = [parser.description or "", *(text.replace("%%", "%") for text in helps)]
    shown = parser.format_help()
    if width >= 80:
        assert max(map(len, shown.splitlines())) <= width
    words = set(shown.split())
    for text in texts:
        if text != argparse.SUPPRESS:
            assert set(text.split()) <= words


@pytest.mark.parametrize("typed", ["--help", *(word.name for word in PRESENT if word.is_noun)])
def test_lists_of_commands_wrap_between_words(
    typed: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    main([typed])
    shown = capsys.readouterr().out
    assert max(map(len, shown.splitlines())) <= 80
    words = next((word.verbs() for word in PRESENT if word.name == typed), COMMON)
    assert {part for each in words for part in each.help.split()} <= set(shown.split())


def test_a_long_example_can_still_be_copied() -> None:
    line = "  maestro task create -t user.ana.mlp --exec 'python3 x.py -d %DATA -c %IN  -o %OUT' --queue cpu"
    shown = help_text.folded(line, 60)
    assert max(map(len, shown.splitlines())) <= 60
    assert shlex.split(shown.replace("\\\n", " ")) == shlex.split(line)


@pytest.mark.parametrize(("command", "verb"), COMMANDS, ids=[command for command, _ in COMMANDS])
def test_every_example_can_be_typed(command: str, verb: Verb) -> None:
    """Every line that begins with maestro, up to a pipe or a redirection, is understood."""
    lines = re.sub(r"\\\n\s*", "", verb.example).splitlines()
    typed = [shlex.split(line, comments=True) for line in lines if line.startswith("maestro ")]
    assert typed
    for words in typed:
        end = next((i for i, word in enumerate(words) if word in (">", "|", "&&", "&")), None)
        word, meant, name = resolve(words[1:end])
        known = f"{word.name} {meant.name}" if word.is_noun else word.name
        assert known in [known for known, _ in COMMANDS]
        make_parser(meant, name).parse(words[1 + len(name.split()) : end])


@pytest.mark.parametrize(("command", "verb"), COMMANDS, ids=[command for command, _ in COMMANDS])
def test_every_mistyped_option_is_guessed(command: str, verb: Verb) -> None:
    parser = make_parser(verb, command)
    for option in [name for name in parser._option_names() if len(name) > 5]:
        wrong = f"{option[:3]}{option[4:]}x"
        with pytest.raises(BadInput, match="Did you mean") as caught:
            parser.parse([wrong])
        assert wrong in str(caught.value)


@pytest.mark.parametrize(("command", "verb"), COMMANDS, ids=[command for command, _ in COMMANDS])
def test_every_mistyped_command_is_guessed(command: str, verb: Verb) -> None:
    with pytest.raises(BadInput, match="Did you mean"):
        resolve(f"{command}x".split())


def test_what_creates_or_lists_prints_names_alone_where_that_is_asked_for() -> None:
    printing = {"create", "list", "show", "repro", "sweep", "results", "queue", "status"}
    silent = [name for name, verb in COMMANDS if verb.name in printing and not verb.output]
    assert silent == []


@pytest.mark.parametrize(
    ("command", "option", "kind"),
    [
        ("task show", "words", "task"),
        ("task create", "after", "task"),
        ("task create", "name", None),
        ("task create", "config", "dataset"),
        ("task list", "user", "user"),
        ("job logs", "job", "task"),
        ("dataset show", "word", "dataset"),
        ("dataset create", "name", None),
        ("node drain", "name", "node"),
        ("node create", "name", None),
        ("user delete", "name", "user"),
        ("user create", "name", None),
        ("pilot run", "node", "node"),
    ],
)
def test_which_names_the_shell_completes(command: str, option: str, kind: str | None) -> None:
    noun, name = command.split()
    verb = next(verb for known, verb in COMMANDS if known == command)
    actions = {action.dest: action for action in make_parser(verb, command)._actions}
    assert option in actions, sorted(actions)
    assert completion.kind_of(actions[option], noun, name) == kind


@pytest.mark.parametrize("shell", completion.SHELLS)
def test_completion_knows_every_command(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    missing = [name for known, _ in COMMANDS for name in known.split() if name not in script]
    assert missing == []
    assert "maestro completion --names dataset" in script


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        ("user creat", 'there is no command "user creat". Did you mean "user create"?'),
        ("usr create", 'there is no command "usr create". Did you mean "user create"?'),
        ("create user", 'there is no command "create user". Did you mean "user create"?'),
        ("list nodes", 'there is no command "list nodes". Did you mean "node list"?'),
        ("dwon", 'there is no command "dwon". Did you mean "down"?'),
        ("logs 3/17", 'there is no command "logs 3/17". Did you mean "job logs"?'),
        ("results", 'there is no command "results". Did you mean "task results"?'),
        ("status", 'there is no command "status". Did you mean "task list"?'),
        ("submit x", 'there is no command "submit x". Did you mean "run"?'),
        ("task run x", 'there is no command "task run". Did you mean "run"?'),
        ("task submit x", 'there is no command "task submit". Did you mean "run"?'),
        ("user frobnicate", 'there is no command "user frobnicate".'),
        ("frobnicate", 'there is no command "frobnicate".'),
    ],
)
def test_unknown_commands_are_guessed(typed: str, sentence: str) -> None:
    with pytest.raises(BadInput) as caught:
        resolve(typed.split())
    assert str(caught.value) == sentence
    assert caught.value.hint or "Did you mean" in sentence


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        ("--nme x", "maestro user create has no option --nme. Did you mean --name?"),
        ("-n x -e y extra", 'maestro user create takes no argument "extra".'),
        ("-n", "-n/--name needs a value."),
        ("-n x", "-e/--email is missing."),
        ("", "-n/--name, -e/--email are missing."),
    ],
)
def test_wrong_options_are_one_sentence(typed: str, sentence: str) -> None:
    _, verb, command = resolve(["user", "create"])
    with pytest.raises(BadInput) as caught:
        make_parser(verb, command).parse(typed.split())
    assert str(caught.value) == sentence


def test_maestro_alone_shows_the_short_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    shown = capsys.readouterr().out
    assert all(f"maestro {word.name}" in shown for word in WORDS if not word.is_rare)
    assert len(shown.splitlines()) < 25


@pytest.mark.parametrize(
    ("typed", "shown"),
    [
        ("help", "maestro task"),
        ("help user", "maestro user create"),
        ("help user create", "Usage: maestro user create"),
        ("user create -h", "Usage: maestro user create"),
        ("user --help", "maestro user create"),
        ("run --help", "Usage: maestro run"),
        ("castor --help", "maestro castor create"),
    ],
)
def test_ways_to_ask_for_help(typed: str, shown: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(typed.split()) == 0
    assert shown in capsys.readouterr().out


def test_version(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["maestro", "--version"])
    with pytest.raises(SystemExit, match="0"):
        runpy.run_module("orchestra", run_name="__main__")
    assert main(["version"]) == 0
    newest = len(list(FOLDER.glob("*.sql")))
    first, second = capsys.readouterr().out.splitlines()
    assert re.fullmatch(rf"maestro \S+ \(schema {newest}, keeper protocol \d+\)", first)
    assert second == first
    assert main(["version", "-o", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found == {
        "version": __version__,
        "json_format": 1,
        "schema": newest,
        "keeper_protocol": PROTOCOL,
    }


def test_the_json_of_other_programs_is_guessed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["task", "list", "--json"]) == 2
    assert "no option --json. Did you mean -o json?" in capsys.readouterr().err


def test_options_without_a_command_are_guessed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--versoin"]) == 2
    assert "no option --versoin. Did you mean --version?" in capsys.readouterr().err


def test_config_may_stand_before_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (
        ["--config", "/nowhere.json", "user", "list"],
        ["--config", "/nowhere.json", "job", "list", "--config", "*.yaml"],
        ["user", "list", "--config", "/nowhere.json"],
    ):
        assert main(arguments) == 2
        assert capsys.readouterr().err == "error: there is no configuration /nowhere.json.\n"
    assert main(["--config", "x.json"]) == 2
    assert "needs a file, followed by a command" in capsys.readouterr().err


HEAVY = ("psycopg", "rich", "rich_argparse", "shtab", "orchestra.store.driver.database")


@pytest.mark.parametrize("arguments", ["[]", "['--version']", "['user', 'list', '--bad']"])
def test_nothing_heavy_is_imported_before_it_is_needed(arguments: str) -> None:
    script = (
        f"import sys; from orchestra.cli.main import main; main({arguments}); "
        f"print([m for m in {HEAVY} if m in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stderr.splitlines()[-1] == "[]"


def test_an_interrupt_while_a_module_is_made_is_an_exit_status_too(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(
        "import sys\n"
        "from orchestra.cli import main as program\n"
        "program._run = lambda _arguments: exec('raise KeyboardInterrupt')\n"
        "sys.exit(program.main([]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "program"], check=False, cwd=tmp_path, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (130, "\nstopped.\n")


def test_every_command_is_documented() -> None:
    page = (DOCS / "commands.md").read_text()
    missing = [command for command, _ in COMMANDS if f"### maestro {command}\n" not in page]
    assert not missing, "python -m orchestra.cli.reference docs writes the page"


def test_every_setting_is_documented() -> None:
    page = (DOCS / "configuration.md").read_text()
    assert settings_table() in page, "python -m orchestra.cli.reference docs writes the table"


def test_every_error_is_documented() -> None:
    page = (DOCS / "client.md").read_text()
    assert errors_table() in page, "python -m orchestra.cli.reference docs writes the table"


def parsed(words: list[str]) -> argparse.Namespace:
    _, verb, command = resolve(words)
    return make_parser(verb, command).parse(words[len(command.split()) :])


@pytest.mark.parametrize(
    ("typed", "hint"),
    [
        ("python3 train.py -d %DATA -c %IN -o %OUT", "python3 train.py -d %DATA -c %IN -o %OUT"),
        ("python3 train.py -c %IN --queue gpu", "python3 train.py -c %IN"),
        ("train.py --in=%IN", "train.py --in=%IN"),
    ],
)
def test_a_command_without_quotes_gets_the_right_advice(typed: str, hint: str) -> None:
    words = f"task create -t user.ana.t -c c -d d --exec {typed}".split()
    with pytest.raises(BadInput, match="--exec takes the whole command as one argument") as caught:
        parsed(words)
    assert caught.value.hint == f'--exec "{hint}"'


def test_a_command_in_quotes_may_hold_whatever_it_likes() -> None:
    task = ["task", "create", "-t", "t", "-c", "c", "-d", "d"]
    words = [*task, "--exec", "a -d %DATA -c %IN", "--sd", "{'%REF': 'r'}", "--queue", "gpu"]
    assert parsed(words).exec == "a -d %DATA -c %IN"


@pytest.mark.parametrize(
    "typed",
    [
        "dataset create -n x -p a.json b.json c.json",
        "dataset create x -p a.json b.json --exclude b* c.json",
        "castor update -d x a.json --path b.json c.json",
        "dataset update x a.json b.json c.json",
    ],
)
def test_a_data_set_may_have_several_paths_wherever_they_stand(typed: str) -> None:
    name, paths = name_and_paths(Context(parsed(typed.split())))
    assert (name, sorted(paths)) == ("x", ["a.json", "b.json", "c.json"])


def test_an_amount_without_a_unit_is_noted() -> None:
    from orchestra.cli.argument_types import unit_notes

    task = ["task", "create", "-t", "t", "-c", "c", "-d", "d", "--exec", "x"]
    args = parsed(
        [*task, *["--memory", "4096", "--timeout", "2", "--grace", "10s", "--test-for", "0"]]
    )
    assert (args.memory, args.timeout, args.grace) == (4096, 2, 10)
    assert list(unit_notes(args)) == [
        "note: --memory 4096 is 4,096 bytes; 4096MB and 4096GB would be other units",
        "note: --timeout 2 is 2 seconds; 2m and 2h would be other units",
    ]


@pytest.mark.parametrize("amount", ["0", "0GB", "0.0 MiB"])
def test_no_memory_at_all_is_refused(amount: str) -> None:
    task = ["task", "create", "-t", "t", "-c", "c", "-d", "d", "--exec", "x"]
    with pytest.raises(BadInput, match="--memory must be greater than zero"):
        parsed([*task, "--memory", amount])


NUMBERS = [
    (command, action.option_strings[-1] if action.option_strings else None)
    for command, verb in COMMANDS
    for action in make_parser(verb, command)._actions
    if action.type is whole
]


@pytest.mark.parametrize("number", ["2147483648", "-4294967295", "9" * 30])
@pytest.mark.parametrize(("command", "option"), NUMBERS)
def test_a_number_that_the_database_cannot_hold_is_refused(
    command: str, option: str | None, number: str
) -> None:
    words = [f"{option}={number}"] if option else ["--", number]
    with pytest.raises(BadInput, match="out of range"):
        parsed([*command.split(), *words])


def test_no_option_takes_any_number() -> None:
    """Whatever reads an option's number knows what the database holds."""
    unbounded = [
        (command, action.dest)
        for command, verb in COMMANDS
        for action in make_parser(verb, command)._actions
        if action.type in (int, float)
    ]
    assert unbounded == []


@pytest.mark.parametrize("port", ["65536", "99999", "-1", "http"])
def test_a_port_is_one(port: str) -> None:
    with pytest.raises(BadInput, match="--port"):
        parsed(["server", "run", "--port", port])
    assert parsed(["server", "run", "--port", "65535"]).port == 65535
