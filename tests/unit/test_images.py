"""Images and binds: what people write, what it means, which runtimes can run it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from orchestra.domain import images
from orchestra.domain.binds import parse_bind
from orchestra.domain.errors import BadInput
from orchestra.domain.images import Kind
from orchestra.files import image_files

DIGEST = "sha256:" + "ab" * 32
SIF = b"#!/usr/bin/env run-singularity\n".ljust(32, b"\0") + b"SIF_MAGIC\x0001\x00"


@pytest.mark.parametrize(
    ("text", "kind", "address"),
    [
        ("ana/my_image", Kind.REGISTRY, "docker://ana/my_image"),
        ("ana/my_image:1.2", Kind.REGISTRY, "docker://ana/my_image:1.2"),
        (f"ana/x@{DIGEST}", Kind.REGISTRY, f"docker://ana/x@{DIGEST}"),
        ("localhost:5000/ana/x", Kind.REGISTRY, "docker://localhost:5000/ana/x"),
        ("docker://python:3.11", Kind.REGISTRY, "docker://python:3.11"),
        ("docker://127.0.0.1:5000/bb", Kind.REGISTRY, "docker://127.0.0.1:5000/bb"),
        ("/images/a b: c.sif", Kind.FILE, "/images/a b: c.sif"),
        ("/images/root/", Kind.FOLDER, "/images/root/"),
        ("docker-archive:/images/a.tar", Kind.ARCHIVE, "docker-archive:/images/a.tar"),
        ("oci:/images/layout:1", Kind.ARCHIVE, "oci:/images/layout:1"),
        ("oras://host/x:1", Kind.OTHER, "oras://host/x:1"),
        ("library://ana/default/x", Kind.OTHER, "library://ana/default/x"),
    ],
)
def test_an_image_is_what_its_text_says(text: str, kind: Kind, address: str) -> None:
    checked = images.check(text)
    assert (images.kind_of(checked), images.address(checked)) == (kind, address)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "not an image"),
        ("python", "neither a path nor USER/NAME"),
        ("python:3.11", "neither a path nor USER/NAME"),
        ("Ana/image", "capital letter"),
        ("docker://ana/im age", "not a valid name"),
        ("docker://", "not a valid name"),
        ("ana/x:ta:g", "not a valid name"),
        ("ana//x", "not a valid name"),
        ("dokcer://ana/x", "not a known scheme"),
        ("docker-archive:images/a.tar", "needs an absolute path"),
        ("ana/x\n", "not an image"),
        ("ana/\udcff", "not valid UTF-8 text"),
        ("ana/x;rm", "not a valid name"),
    ],
)
def test_an_invalid_image_is_refused(text: str, said: str) -> None:
    with pytest.raises(BadInput, match=said):
        images.check(text)


def test_hints_say_what_was_meant() -> None:
    for text, meant in (("dokcer://ana/x", "docker://ana/x"), ("Ana/image", "ana/image")):
        with pytest.raises(BadInput) as caught:
            images.check(text)
        assert meant in (caught.value.hint or "")


def test_each_runtime_runs_its_images() -> None:
    able = {
        image: {name for name in images.RUNTIMES if images.runs(f"{name} 1.0", image)}
        for image in ("/a.sif", "/a/", "ana/x", "docker-archive:/a.tar", "oras://h/x")
    }
    apptainer = {"apptainer", "singularity"}
    assert able == {
        "/a.sif": apptainer,
        "/a/": {*apptainer, "podman"},
        "ana/x": set(images.RUNTIMES),
        "docker-archive:/a.tar": {*apptainer, "podman"},
        "oras://h/x": apptainer,
    }
    for image, runtimes in able.items():
        for name in images.RUNTIMES:
            matches = re.match(images.pattern([name]), image) is not None
            assert matches is (name in runtimes), (image, name)
    assert not any(re.match(images.pattern([]), image) for image in able)


def test_files_and_folders_are_looked_at(tmp_path: Path, hostile_dir: Path) -> None:
    sif, root = hostile_dir / "a.sif", hostile_dir / "root"
    sif.write_bytes(SIF)
    (root / "bin").mkdir(parents=True)
    assert image_files.check(str(sif)) == str(sif)
    assert image_files.check(str(root)) == image_files.check(f"{root}/") == f"{root}/"
    archive = tmp_path / "a.tar"
    archive.write_bytes(b"tar")
    assert image_files.check(f"docker-archive:{archive}") == f"docker-archive:{archive}"


def test_a_file_that_is_not_an_image_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    (tmp_path / "text.sif").write_text("hello\n" * 100)
    (tmp_path / "folder").mkdir()
    for name, said in (
        ("empty", "is empty"),
        ("text.sif", "not a SIF file"),
        ("folder", "no bin folder"),
        ("none.sif", "does not exist"),
        ("empty/x", "cannot be read"),
    ):
        with pytest.raises(BadInput, match=said):
            image_files.check(str(tmp_path / name))


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("/data", "/data:/data"),
        ("/data:/mnt/x", "/data:/mnt/x"),
        ("/data:/mnt/x:ro", "/data:/mnt/x:ro"),
        ("/data:/mnt/x/:rw", "/data:/mnt/x"),
        ("/data:ro", "/data:/data:ro"),
        ("/a b,c=é:/mnt", "/a b,c=é:/mnt"),
    ],
)
def test_a_bind_is_read(text: str, kept: str) -> None:
    assert str(parse_bind(text)) == kept
    assert parse_bind(kept) == parse_bind(text)


@pytest.mark.parametrize(
    "text", ["", "data", "/a:b", "/a:/b:/c", "/a:/b:xx", "/a:/", "/a\n:/b", "/a:"]
)
def test_an_invalid_bind_is_refused(text: str) -> None:
    with pytest.raises(BadInput, match=r"bind"):
        parse_bind(text)
