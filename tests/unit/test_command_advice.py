"""Advice about commands: what fails unseen, and which files a command will not find."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestra.cli.task_create import not_found_by_jobs, syntax_error
from orchestra.domain.command_advice import hidden_failure, left_behind, typographic


@pytest.mark.parametrize(
    ("command", "noted"),
    [
        ("python3 train.py %IN 2>&1 | tee %OUT/log", True),
        ("a |& b", True),
        ("a; (b | c) && d", True),
        ("set -o pipefail; a | b", False),
        ("set -euo pipefail\na | b", False),
        ("a || b", False),
        ("grep 'a|b' f", False),
        ('grep "a|b" f', False),
        ("grep a\\|b f", False),
        ("a >| b", False),
        ("bash -c 'a | b'", False),
        ("cat <<'E'\na|b\nE\n", False),
        ("echo 'never closed | b", False),
    ],
)
def test_a_pipe_hides_failures(command: str, noted: bool) -> None:
    assert (hidden_failure(command) is not None) is noted


@pytest.mark.parametrize(
    ("command", "noted"),
    [
        ("nohup a %IN &", True),
        ("a & \n", True),
        ("a & wait", False),
        ("a &&", False),
        ("a \\&", False),
        ("a", False),
    ],
)
def test_what_runs_behind_ends_with_the_job(command: str, noted: bool) -> None:
    assert (left_behind(command) is not None) is noted


@pytest.mark.parametrize(
    ("command", "sign"),
    [
        ("echo \u201c%IN\u201d", "U+201C"),
        ("echo \u2018%IN\u2019", "U+2018"),
        ("ls\u00a0%IN", "U+00A0"),
        ("a \u2013\u2013lr 1", "U+2013"),
        ("a %IN\u200b", "U+200B"),
        ("echo '\u201cx\u201d' \"\u00a0\"", None),
        ("a caf\u00e9\u2013bar", None),
    ],
)
def test_signs_of_word_processors_are_noted_outside_of_quotes(
    command: str, sign: str | None
) -> None:
    note = typographic(command)
    assert (note is None) if sign is None else (note is not None and sign in note)


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("python3 train.py %IN", ["train.py"]),
        ("python3 'train.py' --table=table.csv", ["train.py", "table.csv"]),
        ("cd HERE && python3 train.py", []),
        ("cd HERE; python3 train.py", []),
        ("cd HERE\npython3 train.py", []),
        ("pushd HERE && python3 train.py", []),
        ("cd HERE/sub && python3 train.py", ["train.py"]),
        ("cd HERE/sub && cd .. && python3 train.py", []),
        ("cd / && python3 train.py", ["train.py"]),
        ("(cd HERE; python3 train.py); cat table.csv", ["table.csv"]),
        ("cd HERE && cd %OUT && python3 train.py", ["train.py"]),
        ('cd "$HOME/project" && python3 train.py', []),
        ("cd sub && python3 train.py", []),
        ("echo cd HERE && python3 train.py", ["train.py"]),
        ("python3 /abs/train.py $X ~/train.py --train.py", []),
        ("echo 'never closed train.py", []),
    ],
)
def test_files_that_jobs_will_not_find(tmp_path: Path, command: str, words: list[str]) -> None:
    for name in ("train.py", "table.csv"):
        (tmp_path / name).touch()
    (tmp_path / "sub").mkdir()
    assert not_found_by_jobs(command.replace("HERE", str(tmp_path)), tmp_path) == words


@pytest.mark.parametrize(
    "command",
    ["if true; then ls %IN", "ls %IN )", "for f in %IN; echo $f; done", "ls %IN | | cat", "{ ls; "],
)
def test_a_note_on_a_command_that_bash_cannot_parse(command: str) -> None:
    assert syntax_error(command).startswith("syntax error")


@pytest.mark.parametrize(
    "command",
    [
        "touch ran; python3 x.py -c %IN -o %OUT '%DATA'",
        "x=(%IN); [[ %IN == *.json ]] && cat <(sort %IN) > %OUT/o",
        "case %IN in *.a) ls;; esac",
        "cat <<E\n%IN )\nE",
        "shopt -s extglob\nls !(%IN)",
        "date +%F; echo 50%% é",
    ],
)
def test_a_valid_command_gets_no_note_and_is_not_run(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert syntax_error(command) == ""
    assert not list(tmp_path.iterdir())
