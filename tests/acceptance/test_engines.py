"""The engines of the container tests: each one runs the busybox that was built offline."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path, PurePosixPath

import pytest

from orchestra.runtimes import RuntimeJob, choose, discovery
from support.containers import IMAGE, Engine, Registry
from support.needs import PROBES


def test_apptainer_runs_a_sif_and_a_sandbox(
    apptainer: Engine, busybox_sif: Path, busybox_sandbox: Path
) -> None:
    for image in (busybox_sif, busybox_sandbox):
        assert apptainer("exec", image, "sh", "-c", "busybox | head -n 1").stdout.startswith(
            "BusyBox"
        )


def test_apptainer_runs_them_for_an_ordinary_user(
    ordinary_apptainer: Engine, busybox_sif: Path, busybox_sandbox: Path
) -> None:
    assert ordinary_apptainer.user
    said = ordinary_apptainer("exec", "--unsquash", busybox_sif, "id", "-u")
    assert said.stdout.strip() == str(ordinary_apptainer.user.uid)
    said = ordinary_apptainer("exec", "--pid", busybox_sandbox, "id", "-u")
    assert said.stdout.strip() == str(ordinary_apptainer.user.uid)


def test_the_image_with_bash_has_one(apptainer: Engine, bash_sandbox: Path) -> None:
    said = apptainer("exec", bash_sandbox, "bash", "-c", "echo ${BASH_VERSION%%.*}")
    assert int(said.stdout) >= 5


def test_podman_runs_it(podman: Engine) -> None:
    podman("run", "--rm", IMAGE, "sh", "-c", "exit 3", status=3)
    assert podman("ps", "--all", "--quiet").stdout == ""


def test_podman_runs_it_for_an_ordinary_user(ordinary_podman: Engine) -> None:
    assert ordinary_podman("run", "--rm", IMAGE, "id", "-u").stdout.strip() == "0"
    assert ordinary_podman("info", "--format", "{{.Host.Security.Rootless}}").stdout == "true\n"


def test_image_is_pushed_and_pulled(registry: Registry, podman: Engine, tmp_path: Path) -> None:
    address = registry.push(podman, "orchestra/busybox:1")
    podman_there = Engine(podman.program, {**podman.env, **registry.env})
    try:
        podman_there("run", "--rm", address, "true")
    finally:
        podman("image", "rm", "--force", address)
    if not PROBES["apptainer"]():
        apptainer = Engine("apptainer", {**registry.env, "APPTAINER_CACHEDIR": str(tmp_path)})
        apptainer("pull", tmp_path / "pulled.sif", f"docker://{address}")
        apptainer("exec", tmp_path / "pulled.sif", "true")


@pytest.mark.needs("registry", "podman")
def test_registry_without_the_image(registry: Registry, podman: Engine) -> None:
    there = Engine(podman.program, {**podman.env, **registry.env})
    said = there("pull", "--quiet", f"{registry.address}/no/such", status=125)
    assert "manifest unknown" in said.stderr


def test_runtimes_are_chosen_in_order_and_aliases_are_dropped(
    apptainer: Engine,
    podman: Engine,
    docker: Engine,
    busybox_sif: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(discovery, "_FALLBACK_PATH", ())
    programs = {"singularity": apptainer, "podman": podman, "docker": docker}
    for name, engine in programs.items():
        program = shutil.which(engine.program)
        assert program
        (tmp_path / name).symlink_to(program)
    environ = {**os.environ, **podman.env, **docker.env, "PATH": f"{tmp_path}:/usr/sbin:/sbin"}
    runtimes = discovery.find_runtimes(None, environ)
    assert [runtime.name for runtime in runtimes] == ["apptainer", "podman", "docker"]
    sif, of_registry = str(busybox_sif), f"docker://{IMAGE}"
    assert choose(runtimes, sif) is choose(runtimes, of_registry) is runtimes[0]
    assert choose(runtimes[1:], sif) is None
    assert choose(runtimes[1:], of_registry) is runtimes[1]
    folder = PurePosixPath("/tmp")
    job = RuntimeJob("exit 5", folder, host=environ, image=sif)
    done = subprocess.run(
        runtimes[0].argv(job), env=runtimes[0].environment(job), check=False, timeout=60
    )
    assert done.returncode == 5
    for runtime in runtimes[1:]:
        job = RuntimeJob("exit 5", folder, host=environ, image=of_registry, token="t")
        environment = {**environ, **runtime.environment(job), "ORCHESTRA_TOKEN": "t"}
        done = subprocess.run(runtime.argv(job), env=environment, check=False, timeout=60)
        assert done.returncode == 5, runtime.name
