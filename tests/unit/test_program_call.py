"""The command that calls a program: made for a script, or made independent of the folder where it was typed."""

from __future__ import annotations

import shlex

import pytest

from orchestra.domain import command
from orchestra.domain.program_call import (
    Kind,
    first_word,
    independent,
    local_module,
    quoted,
    script_call,
)

HERE = "/home/ana/my work"
FILES = {
    f"{HERE}/train.py": Kind.FILE,
    f"{HERE}/w.pt": Kind.FILE,
    f"{HERE}/out.txt": Kind.FILE,
    f"{HERE}/run.sh": Kind.FILE,
    f"{HERE}/sim": Kind.FILE,
    f"{HERE}/it's.py": Kind.FILE,
    f"{HERE}/50%IN.txt": Kind.FILE,
    f"{HERE}/venv/bin/python": Kind.FILE,
    f"{HERE}/src": Kind.FOLDER,
    f"{HERE}/train": Kind.FOLDER,
    f"{HERE}/src/go.py": Kind.FILE,
    "/opt/tool.py": Kind.FILE,
}
W = f"'{HERE}/w.pt'"


def kind(path: str) -> Kind:
    return FILES.get(path, Kind.NOTHING)


@pytest.mark.parametrize(
    ("typed", "wanted"),
    [
        # the issue's own example
        ("python3 train.py -c %IN -o %OUT", "/venv/bin/python3 %SCRIPT -c %IN -o %OUT"),
        ("python train.py %IN", "/venv/bin/python3 %SCRIPT %IN"),
        ("python3 -u ./train.py %IN", "/venv/bin/python3 -u %SCRIPT %IN"),
        ("python3 'train.py' %IN", "/venv/bin/python3 %SCRIPT %IN"),
        ("python3 /opt/tool.py %IN", "/venv/bin/python3 %SCRIPT %IN"),
        ("nice -n 5 python3 train.py %IN", "nice -n 5 /venv/bin/python3 %SCRIPT %IN"),
        ("A=1 python3 train.py %IN", "A=1 /venv/bin/python3 %SCRIPT %IN"),
        ("if true; then python3 train.py; fi", "if true; then /venv/bin/python3 %SCRIPT; fi"),
        ("torchrun --nproc 2 train.py %IN", "torchrun --nproc 2 %SCRIPT %IN"),
        ("./run.sh %IN && echo ok", "%SCRIPT %IN && echo ok"),
        ("./sim %IN", "%SCRIPT %IN"),
        ("./venv/bin/python train.py", f"'{HERE}/venv/bin/python' %SCRIPT"),
        ('python3 "it\'s.py" %IN', "/venv/bin/python3 %SCRIPT %IN"),
        # further files
        ("python3 train.py -w w.pt %IN", f"/venv/bin/python3 %SCRIPT -w {W} %IN"),
        ("python3 train.py --weights=w.pt", f"/venv/bin/python3 %SCRIPT --weights={W}"),
        ("WEIGHTS=w.pt tool %IN", f"WEIGHTS={W} tool %IN"),
        ("PYTHONPATH=src:/opt python3 train.py", f"PYTHONPATH='{HERE}/src:/opt' /venv/bin/python3 %SCRIPT"),
        ("tool < w.pt", f"tool < {W}"),
        ("tool src/ %IN", f"tool '{HERE}/src' %IN"),
        ("tool $(cat w.pt)", f"tool $(cat {W})"),
        ("cd src && python3 go.py %IN", f"cd '{HERE}/src' && /venv/bin/python3 %SCRIPT %IN"),
        ("(cd src; ls) ; cat w.pt", f"(cd '{HERE}/src'; ls) ; cat {W}"),
        ("cd %OUT && cat w.pt", f"cd %OUT && cat {W}"),
        # what stays as typed
        ("tool train %IN > out.txt 2>&1", "tool train %IN > out.txt 2>&1"),
        ("tool %IN >>out.txt", "tool %IN >>out.txt"),
        ("cat <<< w.pt", "cat <<< w.pt"),
        ("cd /tmp && cat w.pt", "cd /tmp && cat w.pt"),
        ("cd $X && cat w.pt", "cd $X && cat w.pt"),
        ("cd new && cat w.pt", "cd new && cat w.pt"),
        ("sim %IN  # w.pt", "sim %IN  # w.pt"),
        ("echo python3 w*.pt $w.pt ~/w.pt", "echo python3 w*.pt $w.pt ~/w.pt"),
        ("cat 50%IN.txt", "cat 50%IN.txt"),
        ("python3 - <<END\nopen('w.pt')\nEND", "python3 - <<END\nopen('w.pt')\nEND"),
        ("tool 'never closed w.pt", "tool 'never closed w.pt"),
        ("tool . .. no.py", "tool . .. no.py"),
    ],
)  # fmt: skip
def test_relative_paths_become_absolute(typed: str, wanted: str) -> None:
    assert independent(typed, HERE, kind, python="/venv/bin/python3").command == wanted


def test_it_says_what_it_changed() -> None:
    call = independent("python3 train.py -w w.pt -v w.pt", HERE, kind, python=None)
    assert call.command == f"python3 %SCRIPT -w {W} -v {W}"
    assert call.program == f"{HERE}/train.py"
    assert [change.typed for change in call.changes] == ["train.py", "w.pt"]
    assert not call.python


def test_absolute_paths_are_those_of_the_image_in_a_container() -> None:
    call = independent("python3 /opt/tool.py -w w.pt", HERE, kind, contained=True)
    assert (call.command, call.program) == (f"python3 /opt/tool.py -w {W}", None)


def test_a_script_is_called_as_its_arguments_are_named() -> None:
    assert script_call("/v/python3", data=False) == "/v/python3 %SCRIPT -c %IN -o %OUT"
    assert script_call(None, data=True) == "%SCRIPT -d %DATA -c %IN -o %OUT"


@pytest.mark.parametrize("path", ["/a b/it's %IN", "/50%/$(x)", "/a%%b", '/"x"', "/é\\n"])
def test_any_path_survives_the_template_and_the_shell(path: str) -> None:
    rendered = command.parse(quoted(path)).render({})
    assert shlex.split(rendered) == [path]


@pytest.mark.parametrize(
    ("typed", "module"),
    [
        ("python3 -m src.go %IN", "src.go"),
        ("/v/bin/python3.11 -u -m src", "src"),
        ("PYTHONPATH=. python3 -m src.go", None),
        ("python3 -m json.tool", None),
        ("tool -m src", None),
        ("python3 train.py -m src", None),
    ],
)
def test_a_module_of_the_current_folder_is_noticed(typed: str, module: str | None) -> None:
    assert local_module(typed, HERE, kind) == module


@pytest.mark.parametrize(
    ("typed", "name"),
    [
        ("./bin/sim.exe %IN", "sim"),
        ("A=1 julia fit.jl", "julia"),
        ("'my tool' x", "my tool"),
        ("cat <<E\nE", ""),
        ("  ", ""),
    ],
)
def test_a_task_is_called_after_its_program(typed: str, name: str) -> None:
    assert first_word(typed) == name
