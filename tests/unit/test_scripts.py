"""A user's script: what runs it, which Python is active, and which commit it is from."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from orchestra.command_words import message_of
from orchestra.domain.errors import BadInput
from orchestra.files import interpreters, scripts
from orchestra.files.origin import Commit, commit
from orchestra.files.scripts import Script

PYTHON = "#!/usr/bin/env python3\n"


def script(folder: Path, name: str, text: str = "", mode: int = 0o644) -> str:
    path = folder / name
    path.write_text(text)
    path.chmod(mode)
    return str(path)


def test_a_python_script_is_run_by_the_active_python(tmp_path: Path) -> None:
    plain = script(tmp_path, "fit.py")
    assert scripts.find(plain) == Script(plain, python=True)
    for number, line in enumerate(
        (PYTHON, "#!/usr/bin/env -S python3 -u\n", "#!/bin/env python3.12\r\n")
    ):
        other = script(tmp_path, f"fit{number}", line, 0o755)
        assert scripts.find(other) == Script(other, python=True)


def test_others_are_executed_or_run_by_what_their_first_line_names(tmp_path: Path) -> None:
    executable = script(tmp_path, "fit.sh", "echo", 0o755)
    assert scripts.find(executable) == Script(executable)
    own = script(tmp_path, "fit", f"#!{sys.executable}\n", 0o755)
    assert scripts.find(own) == Script(own)
    plain = script(tmp_path, "plain.sh", "#!/bin/sh -e\n")
    assert scripts.find(plain) == Script(plain, "/bin/sh")
    named = script(tmp_path, "fit.jl", "#!/usr/bin/env julia\n")
    assert scripts.find(named, which=lambda name: f"/opt/{name}") == Script(named, "/opt/julia")
    assert scripts.find(named, contained=True) == Script(named, "julia")


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("none.py", "there is no script"),
        ("configs", "is a folder, not a script"),
        ("fit.jl", "is not executable, and its first line does not name a program"),
        ("fit.rb", "is to be run by /opt/none/ruby, which was not found here"),
        ("pipe", "is not a regular file"),
        ("link.py", "is a dangling symlink"),
        ("python3", "a command is given with --exec"),
        ("python3 fit.py", "a command is given with --exec"),
        ("x" * 300, "cannot be read: File name too long"),
        ("fit.jl/x", "there is no script"),
    ],
)
def test_what_cannot_be_run_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, typed: str, words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "configs").mkdir()
    script(tmp_path, "fit.jl", "println(1)")
    script(tmp_path, "fit.rb", "#!/opt/none/ruby\n")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link.py").symlink_to("nowhere")
    with pytest.raises(BadInput) as refused:
        scripts.find(typed)
    assert words in message_of(refused.value)


def test_a_misspelled_script_is_recognized(tmp_path: Path) -> None:
    script(tmp_path, "train.py")
    with pytest.raises(BadInput, match=r'Did you mean "train\.py"'):
        scripts.find(str(tmp_path / "trian.py"))


def test_the_active_python_keeps_the_path_of_its_environment(tmp_path: Path) -> None:
    outer, inner = tmp_path / "outer", tmp_path / "in ner"
    for folder in (outer, inner):
        venv.create(folder, symlinks=True, with_pip=False)
    found = interpreters.active({"VIRTUAL_ENV": str(inner), "PATH": "/usr/bin:/bin"})
    assert found == f"{inner}/bin/python3"
    assert Path(found).resolve() != Path(found)
    assert interpreters.active({"CONDA_PREFIX": str(inner), "PATH": ""}) == found
    both = {"VIRTUAL_ENV": str(outer), "CONDA_PREFIX": str(inner)}
    assert interpreters.active({**both, "PATH": f"{inner}/bin:{outer}/bin"}) == found
    assert interpreters.active({"PATH": f"relative:{inner}/bin"}) == found
    stale = {"VIRTUAL_ENV": str(tmp_path / "gone"), "PATH": f"{inner}/bin"}
    assert interpreters.active(stale) == found


def test_the_environment_of_this_program_counts_only_if_it_is_active(tmp_path: Path) -> None:
    own = f"{sys.prefix}/bin"
    venv.create(tmp_path, symlinks=True, with_pip=False)
    assert interpreters.active({"PATH": f"{own}:{tmp_path}/bin"}) == f"{tmp_path}/bin/python3"
    assert interpreters.active({"VIRTUAL_ENV": sys.prefix, "PATH": own}) == f"{own}/python3"
    with pytest.raises(BadInput, match="except that of Orchestra itself"):
        interpreters.active({"PATH": own})


def test_what_chooses_a_python_by_the_current_folder_is_asked(tmp_path: Path) -> None:
    shim = script(tmp_path, "python3", f'#!/bin/sh\nexec "{sys.executable}" "$@"\n', 0o755)
    assert interpreters.active({"PATH": str(Path(shim).parent)}) == sys.executable


def git(folder: Path, *words: str) -> None:
    who = ("-c", "user.name=ana", "-c", "user.email=ana@example.org")
    subprocess.run(["git", *who, *words], cwd=folder, check=True, capture_output=True)


def test_the_commit_and_whether_files_differ_from_it(tmp_path: Path) -> None:
    path = script(tmp_path, "fit [1].py", "1")
    environ = dict(os.environ, GIT_DIR="/nowhere", GIT_CEILING_DIRECTORIES=str(tmp_path.parent))
    assert commit(path, environ) == Commit()
    git(tmp_path, "init")
    assert commit(path, environ) == Commit()
    script(tmp_path, "other.py", "1")
    git(tmp_path, "add", "other.py")
    git(tmp_path, "commit", "-m", "one")
    untracked = commit(path, environ)
    assert untracked.name
    assert untracked.dirty
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-m", "two")
    clean = commit(path, environ)
    assert clean.name not in (None, untracked.name)
    assert not clean.dirty
    script(tmp_path, "results.json")  # nothing of the repository
    assert not commit(path, environ).dirty
    script(tmp_path, "other.py", "2")
    assert commit(path, environ) == Commit(clean.name, dirty=True)
    assert commit(path, {"PATH": "/nowhere"}) == Commit()
