"""Argument lists of container runtimes, and the entry script of containers."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any
from uuid import uuid4

import pytest

from orchestra.domain.binds import Bind, parse_bind
from orchestra.domain.errors import BadInput, ConfigurationError
from orchestra.domain.models.work import AttemptKey
from orchestra.domain.states import Cause
from orchestra.domain.usage import Usage
from orchestra.pilot.containers import refusal
from orchestra.pilot.keeper_messages import Ended
from orchestra.pilot.outcomes import without_container
from orchestra.runtimes import Runtime, RuntimeJob, choose, container_binds, discovery, entry_script
from orchestra.runtimes.apptainer import ApptainerRuntime
from orchestra.runtimes.bare import BareRuntime
from orchestra.runtimes.engines import EngineRuntime
from orchestra.runtimes.images.fetcher import error_summary
from support.processes import lives
from support.waiting import wait_until

APPTAINER = ApptainerRuntime("/opt/apptainer", version="1.4.5")
PODMAN = EngineRuntime("/usr/bin/podman", version="4.3.1", user=(7, 8))
DOCKER = EngineRuntime("/usr/bin/docker", "docker", "28.0")
SECRET = "a secret, with 'quotes'"
JOB = RuntimeJob(
    "python3 x.py",
    PurePosixPath("/data/out/1"),
    environment={"NAME": SECRET, "ORCHESTRA_TOKEN": "t", "ORCHESTRA_OUT": "/data/out/1"},
    host={"PATH": "/bin", "HOME": "/home/ana", "SECRET": "x", "CONTAINERS_CONF": "/c"},
    binds=(Bind(PurePosixPath("/data/in"), read_only=True), Bind(PurePosixPath("/data/out/1"))),
    image="/images/a b.sif",
    label="3/17/1",
    token="t",
)
NASTY = {
    "PLAIN": "x",
    "EMPTY": "",
    "NEWLINES": "\na\n\nb\n",
    "QUOTES": 'it\'s "so" `x` $(date) $HOME ${X} \\ \\n',
    "COMMAS": "a,b=c, d",
    "UNICODE": "é ü 漢",
    "BLANKS": "  x\t ",
    "LAST": "x\\",
    "PATH": "/usr/bin:/bin:/odd",
    "HOME": "/ho me",
    "UID": "5",
    "ORCHESTRA_TOKEN": "token",
}


def test_apptainer_arguments() -> None:
    argv = APPTAINER.argv(JOB)
    assert argv[:10] == (
        "/opt/apptainer", "--quiet", "exec", "--pid", "--no-home",
        "--mount", "type=bind,src=/data/in,dst=/data/in,ro",
        "--mount", "type=bind,src=/data/out/1,dst=/data/out/1",
        "/images/a b.sif",
    )  # fmt: skip
    assert argv[10:12] == ("/bin/sh", "-c")
    assert argv[-2:] == ("/data/out/1", "python3 x.py")
    assert "--nv" in APPTAINER.argv(replace(JOB, gpus=("0",)))
    assert "--rocm" in replace(APPTAINER, gpu_option="--rocm").argv(replace(JOB, gpus=("0",)))


def test_podman_and_docker_arguments() -> None:
    job = replace(JOB, image="ana/x:1", memory=5000, gpus=("0",))
    podman, docker = PODMAN.argv(job), DOCKER.argv(job)
    for argv in (podman, docker):
        assert {"--rm", "--network=host", "--read-only", "--memory=5000"} <= set(argv)
        assert {"--label=orchestra=3/17/1", "--label=orchestra-token=t"} <= set(argv)
        assert "--mount=type=bind,src=/data/in,dst=/data/in,readonly" in argv
        assert argv[argv.index("ana/x:1") - 1] == "--entrypoint=/bin/sh"
        assert argv[-2:] == ("/data/out/1", "python3 x.py")
    assert "--user=7:8" in podman
    assert "--device=nvidia.com/gpu=all" in podman
    assert {"--init", "--gpus=all"} <= set(docker)
    # Docker alone carries the streams apart.
    assert sum(word.startswith("exec 2>&1; ") for word in docker) == 1
    assert not any("2>&1" in word for word in podman)
    assert "--userns=keep-id" in replace(PODMAN, keep_id=True).argv(job)
    folder = PODMAN.argv(replace(JOB, image="/images/root/"))
    assert folder[folder.index("--rootfs") + 1] == "/images/root"
    shares = [
        word for word in DOCKER.argv(replace(job, nice=10)) if word.startswith("--cpu-shares")
    ]
    assert shares == ["--cpu-shares=110"]
    assert not any("--cpu-shares" in word for word in PODMAN.argv(replace(job, nice=10)))
    unlimited = replace(PODMAN, limits_memory=False).argv(job)
    assert not any(word.startswith("--memory") for word in unlimited)


@pytest.mark.parametrize("runtime", [APPTAINER, PODMAN, DOCKER])
def test_values_of_variables_are_in_no_argument_list(runtime: Runtime) -> None:
    job = replace(JOB, image="ana/x:1")
    assert not any("secret" in word for word in runtime.argv(job))
    environment = runtime.environment(job)
    assert SECRET in environment.values()
    assert "SECRET" not in environment
    assert environment["PATH"] == "/bin"


@pytest.mark.parametrize("runtime", [APPTAINER, PODMAN])
def test_argv_is_pure_and_validates(runtime: Runtime) -> None:
    job = replace(JOB, image="ana/x:1")
    assert runtime.argv(job) == runtime.argv(job)
    with pytest.raises(ValueError, match="cannot run the image"):
        runtime.argv(replace(job, image=None))
    with pytest.raises(ValueError, match="not absolute"):
        runtime.argv(replace(job, folder=PurePosixPath("out")))
    with pytest.raises(ValueError, match="cannot run the image"):
        PODMAN.argv(replace(job, image="/a.sif"))


def test_first_supporting_runtime_is_chosen() -> None:
    runtimes: tuple[Runtime, ...] = (BareRuntime(), PODMAN, APPTAINER)
    assert choose(runtimes, None) is runtimes[0]
    assert choose(runtimes, "ana/x") is PODMAN
    assert choose(runtimes, "/a.sif") is APPTAINER
    assert choose(runtimes[:2], "/a.sif") is None


def test_paths_are_quoted_or_refused() -> None:
    odd = Bind(PurePosixPath('/a b:c,"d"'), PurePosixPath("/x,y"), read_only=True)
    job = replace(JOB, binds=(odd,))
    assert 'type=bind,"src=/a b:c,""d""","dst=/x,y",ro' in APPTAINER.argv(job)
    old = replace(APPTAINER, has_mount=False, name="singularity", version="3.7")
    assert "/data/in:/data/in:ro" in old.argv(JOB)
    with pytest.raises(BadInput, match=r"cannot bind .*, because of"):
        old.argv(job)


@pytest.mark.parametrize("as_init", [False, True])
def test_variables_arrive_unchanged(tmp_path: Path, as_init: bool) -> None:
    folder = tmp_path / "a'; echo $(x) é"
    folder.mkdir()
    told = environment_inside(NASTY, folder, as_init=as_init)
    for name, value in NASTY.items():
        if name != "UID":  # a shell's own
            assert told[name] == value, name
    assert not any(name.startswith(entry_script.PREFIX) for name in told)
    assert "LEAKED" not in told
    assert told["PWD"] == str(folder)


def environment_inside(
    variables: Mapping[str, str], folder: Path, *, as_init: bool
) -> dict[str, str]:
    """The variables of a command that is run by the entry script."""
    words = entry_script.arguments(
        variables, str(folder), "env -0", leaked=["LEAKED"], as_init=as_init
    )
    environment = {"LEAKED": "x", **entry_script.variables(variables)}
    done = subprocess.run(["/bin/sh", *words], env=environment, capture_output=True, check=True)
    parts = os.fsdecode(done.stdout).split("\0")
    return dict(part.split("=", 1) for part in parts if part)


@pytest.mark.parametrize("as_init", [False, True])
def test_command_ends_as_without_a_container(tmp_path: Path, as_init: bool) -> None:
    def status(command: str, folder: Path = tmp_path) -> int:
        words = entry_script.arguments({}, str(folder), command, as_init=as_init)
        return subprocess.run(["/bin/sh", *words], capture_output=True, check=False).returncode

    assert status("exit 7") == 7
    assert status("cat <<'E' > x\nhi\nE") == 0
    assert (tmp_path / "x").read_text() == "hi\n"
    assert status("kill -9 $$") == (137 if as_init else -9)
    assert status("true", tmp_path / "none") == 126


def _ended(cause: Cause, status: int | None) -> Ended:
    key = AttemptKey(0, 0, 1, uuid4())
    return Ended(key, 1, cause, None, status, None, 1.0, Usage(1.0, 0), 0.0, {})


@pytest.mark.parametrize(
    ("cause", "status", "expected"),
    [
        (Cause.EXIT, 7, (Cause.EXIT, 7, None)),
        (Cause.EXIT, 137, (Cause.SIGNAL, None, 9)),
        (Cause.EXIT, 128, (Cause.EXIT, 128, None)),
        (Cause.EXIT, 255, (Cause.EXIT, 255, None)),
        (Cause.TIMEOUT, 143, (Cause.TIMEOUT, None, 15)),
        (Cause.ENDED, None, (Cause.ENDED, None, None)),
        (Cause.OUT_OF_MEMORY, 137, (Cause.OUT_OF_MEMORY, None, 9)),
    ],
)
def test_signals_are_distinguished_from_exit_statuses(
    cause: Cause, status: int | None, expected: tuple[Any, ...]
) -> None:
    seen = without_container(_ended(cause, status))
    assert (seen.cause, seen.exit_status, seen.signal) == expected


@pytest.mark.parametrize(
    ("runtime", "status", "log", "said"),
    [
        ("apptainer", 255, b"FATAL:   no such file\n", "no such file"),
        ("apptainer", 255, b"WARNING: x\nFATAL:   y\n\n", "y"),
        ("apptainer", 255, b"FATAL:   mine\nmore of mine\n", None),
        ("apptainer", 1, b"FATAL:   y\n", None),
        ("podman", 125, b"Error: no such image\n", "no such image"),
        ("podman", 127, b"sh: x: not found\n", None),
        (
            "docker",
            125,
            b"docker: Error response from daemon: x\n",
            "Error response from daemon: x",
        ),
        (None, 255, b"FATAL:   y\n", None),
        ("apptainer", 255, None, None),
    ],
)
def test_failed_runtime_is_distinguished_from_failed_command(
    runtime: str | None, status: int, log: bytes | None, said: str | None
) -> None:
    why = refusal(runtime, status, log)
    assert (why is None) is (said is None)
    assert said is None or str(why).endswith(said)


def test_binds_are_sorted_and_writable_ones_win() -> None:
    chosen = container_binds.binds(
        own=(PurePosixPath("/data/ana/task/1"),),
        reads=["/data/ana", "/data", "/configs/one.json"],
        node=[parse_bind("/scratch"), parse_bind("/data:/data")],
        task=["/scratch:/scratch:ro", "/x:/mnt/deep/er"],
    )
    assert [str(bind) for bind in chosen] == [
        "/data:/data:ro",
        "/scratch:/scratch:ro",
        "/configs/one.json:/configs/one.json:ro",
        "/data/ana:/data/ana:ro",
        "/x:/mnt/deep/er",
        "/data/ana/task/1:/data/ana/task/1",
    ]


def test_targets_of_symlinks_in_data_sets_are_bound(tmp_path: Path) -> None:
    real, data = tmp_path / "real", tmp_path / "data"
    real.mkdir()
    data.mkdir()
    (real / "x").touch()
    (data / "x").symlink_to(real / "x")
    (data / "y").touch()
    bound = (Bind(PurePosixPath(data), read_only=True),)
    files = [str(data / "x"), str(data / "y"), str(data / "x")]
    assert container_binds.with_linked(bound, files) == (
        *bound,
        Bind(PurePosixPath(real / "x"), read_only=True),
    )


def test_home_is_that_of_the_account_if_bound() -> None:
    out = PurePosixPath("/data/1")
    host = {"HOME": "/home/ana"}
    assert container_binds.home(host, [Bind(out)], out) == "/data/1"
    assert container_binds.home(host, [parse_bind("/home")], out) == "/home/ana"


# Finding them


def program(folder: Path, name: str, script: str) -> Path:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def test_runtimes_are_found_once_and_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(discovery, "_FALLBACK_PATH", ())
    environ = {"PATH": str(tmp_path)}
    assert discovery.find_runtimes(None, environ) == ()
    program(tmp_path, "docker", "echo 'Cannot connect to the daemon' >&2; exit 1")
    program(tmp_path, "apptainer", "echo apptainer version 1.4.5")
    (tmp_path / "singularity").symlink_to("apptainer")
    ids = '"idMappings": {"uidmap": [{"size": 1}, {"size": 65536}]}'
    info = (
        f'{{"host": {{"security": {{"rootless": true}}, {ids}}}, "version": {{"Version": "4.9"}}}}'
    )
    program(tmp_path, "podman", f"echo '{info}'")
    apptainer, podman = discovery.find_runtimes(None, environ)
    assert (apptainer.name, apptainer.version) == ("apptainer", "1.4.5")
    assert isinstance(podman, EngineRuntime)
    assert (podman.version, podman.keep_id, podman.limits_memory) == ("4.9", True, False)
    assert discovery.find_runtimes("none", environ) == ()
    assert [each.name for each in discovery.find_runtimes("podman", environ)] == ["podman"]


def test_discovery_of_podman_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)  # root's folders are the machine's
    info = '{"host": {"security": {"rootless": true}}, "version": {"Version": "4.9"}}'
    program(
        tmp_path,
        "podman",
        f"""for word; do case $word in --tmpdir=*) folder=${{word#*=}};; esac; done
if [ "$folder" ]; then
    mkdir -p $folder && echo $folder > {tmp_path}/folder
    sleep 100 > /dev/null 2>&1 & echo $! | tee {tmp_path}/pid > $folder/pause.pid
fi
echo '{info}'""",
    )
    environ = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
    assert discovery.find_runtimes("podman", environ, leave_no_files=True)
    (made, pid) = ((tmp_path / name).read_text().strip() for name in ("folder", "pid"))
    assert not Path(made).parent.exists()
    wait_until(lambda: not lives(int(pid)), 10)
    (tmp_path / "folder").unlink()
    assert discovery.find_runtimes("podman", environ)
    assert not (tmp_path / "folder").exists()


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ("docker", "Cannot connect to the daemon"),
        ("podman", "no podman on the PATH"),
        ("/nowhere/apptainer", "no /nowhere/apptainer"),
        ("rkt", "not a known runtime"),
        ("apptainer", "it reports no version"),
    ],
)
def test_unusable_runtime_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wanted: str, said: str
) -> None:
    monkeypatch.setattr(discovery, "_FALLBACK_PATH", ())
    program(tmp_path, "docker", "echo 'Cannot connect to the daemon' >&2; exit 1")
    program(tmp_path, "apptainer", "echo hello")
    with pytest.raises(ConfigurationError, match=said):
        discovery.find_runtimes(wanted, {"PATH": str(tmp_path)})


def test_old_singularity_has_no_mount_option(tmp_path: Path) -> None:
    path = program(tmp_path, "singularity", "echo singularity version 3.7.4")
    (old,) = discovery.find_runtimes(str(path), {})
    assert isinstance(old, ApptainerRuntime)
    assert (old.name, old.has_mount) == ("singularity", False)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("INFO: x\nFATAL:   While pulling: no such thing\n", "While pulling: no such thing"),
        ("Error: a\nmore\n", "a"),
        ("one\ntwo\n", "one two"),
        ("", "it printed nothing"),
    ],
)
def test_last_words(text: str, words: str) -> None:
    assert error_summary(text) == words
