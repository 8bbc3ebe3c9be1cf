"""`maestro run` refuses what cannot be run with one sentence, before it needs a database."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from orchestra.cli.main import main


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder with a script and configs, and no database."""
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "a.json").write_text("{}")
    (tmp_path / "train.py").write_text("")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("MAESTRO_POSTGRES", "postgresql://nobody@127.0.0.1:1/none")


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        ("", "which script?"),
        ("train.py", "which configs?"),
        ("train.py train.py", "which configs?"),
        ("trian.py configs", 'there is no script trian.py. Did you mean "train.py"?'),
        ("configs train.py", "configs is a folder, not a script."),
        ("configs/a.json configs", "configs/a.json is not a script."),
        ("python3 train.py configs", "there is no script python3 here; a command is given with --exec."),
        ("train.py nowhere", "there is no file or folder nowhere."),
        ("train.py config/", 'there is no file or folder config/. Did you mean "configs"?'),
        ("train.py configs --retires 2", "maestro run has no option --retires. Did you mean --retries?"),
        ("train.py configs --if-not-exists", "--if-not-exists needs --name."),
        ("train.py configs --seeds 3", "configs was named as a config, but the configs are those of the sweep."),
        ("train.py --grid lr", "--grid lr is not of the form NAME=VALUES."),
        ("train.py configs --format yaml", "--format is for the configs of a sweep, and there is none."),
        ("--exec 'python3 train.py %IN' configs", "the command has no %OUT"),
        ("--exec 'python3 train.py %IN %OUT %DATA' configs", "the command has %DATA"),
        ("--exec python3 train.py %IN %OUT configs", "--exec takes the whole command as one argument"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_sentence(
    typed: str, sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", *shlex.split(typed)]) == 2
    assert capsys.readouterr().err.startswith(f"error: {sentence}")


def test_what_is_right_needs_the_database(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "train.py", "--retries", "1", "configs"]) == 2
    assert "127.0.0.1:1" in capsys.readouterr().err
