"""Argument lists and environments of jobs, run by real shells."""

from __future__ import annotations

import shutil
import signal
import subprocess
from dataclasses import replace
from pathlib import Path, PurePosixPath

import pytest

from orchestra.domain.command import parse
from orchestra.runtimes import Runtime, RuntimeJob, choose
from orchestra.runtimes.bare import BareRuntime, find_shell, plain_program
from orchestra.runtimes.environment import THREAD_COUNTS, JobValues, environment, inherited

SHELLS = [path for name in ("sh", "bash") if (path := shutil.which(name))]
HOSTILE = 'a\'; echo $(x) é\n"b" -n'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / HOSTILE
    path.mkdir()
    return path


def run(shell: str, folder: Path, command: str) -> subprocess.CompletedProcess[str]:
    argv = BareRuntime(shell).argv(RuntimeJob(command, PurePosixPath(folder)))
    return subprocess.run(
        argv, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
    )


def test_the_argument_list() -> None:
    bare = BareRuntime("/bin/bash")
    folder = PurePosixPath("/data/my out/1")
    argv = bare.argv(RuntimeJob("python3 x.py | tail", folder))
    assert argv == ("/bin/bash", "-c", "cd -- '/data/my out/1' || exit 126; python3 x.py | tail")
    argv = bare.argv(RuntimeJob("python3 x.py", folder))
    assert argv == ("/bin/sh", "-c", "cd -- '/data/my out/1' || exit 126; exec python3 x.py")


@pytest.mark.parametrize(
    ("command", "program"),
    [
        ("python3 /job_tuning.py -d /data/x -c '/a b/1.json' -o /out/1", "python3"),
        ("  python3 x", None),
        ("true %IN", "true"),
        ("g++-12\t-O3 a.cc ", "g++-12"),
        ("./train.sh", None),
        ("/opt/train a", None),
        ("A=1 python3 x", None),
        ("echo -e a", None),
        ("time python3 x", None),
        ("source env", None),
        ("python3 x > log", None),
        ("python3 *.py", None),
        ("python3 ~/x", None),
        ("python3 {1,2}", None),
        ("python3 x\npython3 y", None),
        ("python3 x;", None),
        ("python3 'a", None),
        ('python3 "$HOME"', None),
        ("python3 a#b", None),
        ("", None),
    ],
)
def test_commands_that_mean_the_same_in_every_shell(command: str, program: str | None) -> None:
    assert plain_program(command) == program


@pytest.mark.parametrize("name", ["BASH_FUNC_module%%", "BASH_ENV", "ENV", "SHELLOPTS", "A-B", "é"])
def test_variables_that_differ_between_bash_and_sh_need_bash(name: str) -> None:
    job = RuntimeJob("python3 x.py", PurePosixPath("/out"), {"HOME": "/", name: "x"})
    assert BareRuntime("/bin/bash").argv(job)[0] == "/bin/bash"


@pytest.mark.skipif(not shutil.which("bash"), reason="there is no bash")
def test_all_shell_words_are_known() -> None:
    listed = subprocess.run(
        ["bash", "-c", "compgen -bk"], capture_output=True, text=True, check=True
    )
    same = {"true", "false"}
    words = [word for word in listed.stdout.split() if word.isidentifier() and word not in same]
    assert "source" in words
    assert [word for word in words if plain_program(word)] == []


def test_bare_runs_jobs_without_an_image() -> None:
    bare = BareRuntime()
    runtimes: tuple[Runtime, ...] = (bare,)
    assert choose(runtimes, None) is bare
    assert choose(runtimes, "docker://python:3.11") is None
    with pytest.raises(ValueError, match="cannot run the image"):
        bare.argv(RuntimeJob("x", PurePosixPath("/"), image="a.sif"))
    with pytest.raises(ValueError, match="not absolute"):
        bare.argv(RuntimeJob("x", PurePosixPath("out")))


def test_shell_is_bash_if_it_exists() -> None:
    assert Path(find_shell()).name == ("bash" if shutil.which("bash") else "sh")
    assert find_shell().startswith("/")


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize(
    "command",
    [
        "echo here > x && cat x",
        'printf "%s" "$PWD" | tail -c 3',
        "# a comment first\necho second",
        "cat <<EOF\n$((1+1)) it's\nEOF",
        "cat <<EOF\nno end",
        "echo a # a comment last",
        "\n\necho a",
        "echo a;",
        "(echo a) & wait",
        ". ./setup.sh && echo $A",
        "echo $# $0",
        "f() { echo f; }\nf | cat",
        "set -e\nfalse || echo still\nfalse\necho never",
        "trap 'echo bye' EXIT\nexit 4",
        "d=$(date +%F) && test ${#d} = 10 && echo ten",
        "kill -9 $$",
        "no-such-program",
        "echo a\nif",
    ],
)
def test_the_command_runs_as_if_typed_in_the_folder(shell: str, folder: Path, command: str) -> None:
    (folder / "setup.sh").write_text("A=1\n")
    typed = subprocess.run(
        [shell, "-c", command],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    ended = run(shell, folder, command)
    assert (ended.stdout, ended.returncode) == (typed.stdout, typed.returncode)


@pytest.mark.needs("bash")
def test_bash_commands_run_as_typed(tmp_path: Path) -> None:
    (tmp_path / "setup.sh").write_text("A=(1 2)\n")
    ended = run(find_shell(), tmp_path, "source setup.sh; echo ${A[1]} $LINENO\necho $LINENO")
    assert ended.stdout == "2 1\n2\n"


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize(
    ("command", "status"),
    [
        ("exit 3", 3),
        ("false", 1),
        ("kill -9 $$", -signal.SIGKILL),
        ("set -e; false; exit 5", 1),
        ("no-such-program", 127),
    ],
)
def test_exit_status_is_that_of_the_command(
    shell: str, folder: Path, command: str, status: int
) -> None:
    assert run(shell, folder, command).returncode == status


@pytest.mark.parametrize("shell", SHELLS)
def test_nothing_runs_if_the_folder_cannot_be_entered(shell: str, tmp_path: Path) -> None:
    ended = run(shell, tmp_path / "gone", f"touch '{tmp_path}/ran'")
    assert ended.returncode == 126
    assert "gone" in ended.stderr
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("shell", SHELLS)
def test_line_numbers_are_those_of_the_text(shell: str, tmp_path: Path) -> None:
    first = run(shell, tmp_path, "no-such-program;").stderr.replace("line ", "")
    third = run(shell, tmp_path, "true\ntrue\nno-such-program").stderr.replace("line ", "")
    assert "1: no-such-program" in first
    assert "3: no-such-program" in third


@pytest.mark.parametrize("shell", SHELLS)
def test_a_rendered_command_finds_hostile_paths(shell: str, folder: Path) -> None:
    config = folder / f"{HOSTILE}.json"
    config.write_text("{}\n")
    command = parse("cat %IN > \"%OUT/copy\" && cat '%OUT/copy'").render(
        {"IN": str(config), "OUT": str(folder)}
    )
    assert run(shell, folder, command).stdout == "{}\n"


# Environments

VALUES = JobValues(
    task=3, job=17, attempt=2, data="/d", config="/c", out="/o", volume="/v", cores=4
)


def test_environment_describes_the_job() -> None:
    told = environment({"HOME": "/home/ana", "LANG": "C"}, VALUES)
    assert told == {
        "HOME": "/home/ana",
        "LANG": "C",
        "ORCHESTRA_TASK": "3",
        "ORCHESTRA_JOB": "17",
        "ORCHESTRA_ATTEMPT": "2",
        "ORCHESTRA_DATA": "/d",
        "ORCHESTRA_IN": "/c",
        "ORCHESTRA_OUT": "/o",
        "VOLUME": "/v",
        "TF_FORCE_GPU_ALLOW_GROWTH": "true",
        "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
        "CUDA_VISIBLE_DEVICES": "-1",
        "PYTHONUNBUFFERED": "1",
        **dict.fromkeys(THREAD_COUNTS, "4"),
    }


def test_a_job_without_data_has_no_variable_for_it() -> None:
    told = environment({"ORCHESTRA_IN": "old"}, replace(VALUES, data=None))
    assert told.keys() ^ environment({}, VALUES).keys() == {"ORCHESTRA_DATA"}


def test_secrets_and_python_of_the_pilot_are_not_inherited() -> None:
    base = {
        "MAESTRO_POSTGRES": "postgresql://ana:secret@db/o",
        "MAESTRO_PASSWORD": "secret",
        "PGPASSWORD": "secret",
        "PGHOST": "db",
        "PGI": "/opt/pgi",
        "PGI_CURR_CUDA_HOME": "/opt/cuda",
        "ORCHESTRA_TOKEN": "another's",
        "VIRTUAL_ENV": "/opt/pilot",
        "VIRTUAL_ENV_PROMPT": "(pilot)",
        "PYTHONHOME": "/opt/python",
        "PYTHONPATH": "/home/ana/lib",
        "CONDA_PREFIX": "/opt/conda",
        "PATH": "/opt/pilot/bin:/opt/conda/bin:/opt/pilot/bin/:/srv/own/bin:/usr/bin::/bin",
    }
    kept = environment(inherited(base, prefix="/srv/own/"), VALUES)
    assert "secret" not in str(kept)
    assert kept["PATH"] == "/opt/conda/bin:/usr/bin::/bin"
    assert {name for name in kept if name in base} == {
        "PGI", "PGI_CURR_CUDA_HOME", "PYTHONPATH", "CONDA_PREFIX", "PATH",
    }  # fmt: skip
    assert "ORCHESTRA_TOKEN" not in kept


def test_programs_of_the_pilot_are_removed_from_path(tmp_path: Path) -> None:
    (tmp_path / "own/bin").mkdir(parents=True)
    (tmp_path / "link").symlink_to("own")
    path = {"PATH": f"{tmp_path}/link/bin:/usr/bin"}
    assert inherited(path, prefix=f"{tmp_path}/own")["PATH"] == "/usr/bin"


def test_thread_counts_follow_the_pilot_and_the_user() -> None:
    counted = environment({"MKL_NUM_THREADS": "7"}, replace(VALUES, given={"OMP_NUM_THREADS": "2"}))
    assert counted["OMP_NUM_THREADS"] == "2"
    assert counted["MKL_NUM_THREADS"] == "7"
    assert counted["OPENBLAS_NUM_THREADS"] == "4"


def test_user_variables_override_defaults_but_not_those_of_the_job() -> None:
    given = {
        "TF_FORCE_GPU_ALLOW_GROWTH": "false",
        "LANG": "pt_BR",
        "PYTHONUNBUFFERED": "",
        "ORCHESTRA_JOB": "0",
        "CUDA_VISIBLE_DEVICES": "7",
    }
    result = environment({"LANG": "C"}, replace(VALUES, given=given, devices="GPU-1a2b,1"))
    assert result["TF_FORCE_GPU_ALLOW_GROWTH"] == "false"
    assert result["LANG"] == "pt_BR"
    assert not result["PYTHONUNBUFFERED"], "Python takes an empty one as unset"
    assert result["ORCHESTRA_JOB"] == "17"
    assert result["CUDA_VISIBLE_DEVICES"] == "GPU-1a2b,1"


def test_token_is_set_if_given() -> None:
    assert environment({}, replace(VALUES, token="t0k3n"))["ORCHESTRA_TOKEN"] == "t0k3n"
