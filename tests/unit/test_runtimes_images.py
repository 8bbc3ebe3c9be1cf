"""The image cache: images are fetched once, with retries, and evicted beyond a limit unless they are in use."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from orchestra.runtimes.apptainer import ApptainerRuntime
from orchestra.runtimes.engines import EngineRuntime
from orchestra.runtimes.images.cache import ImageCache
from orchestra.runtimes.images.request import ImageError, ImageRequest
from support.waiting import wait_until

# A stand-in for apptainer: `pull` records the call and creates an image of 1000 bytes, or fails if it is told to.
PROGRAM = """#!/bin/sh
if [ "$1" = pull ]; then
  echo "$4" >> "{folder}/pulled"
  if [ -e "{folder}/fail-$(wc -l < "{folder}/pulled")" ]; then
    echo "FATAL:   no such image" >&2; exit 255
  fi
  head -c 1000 /dev/zero > "$3"
fi
[ ! -e "{folder}/broken" ] || {{ echo "FATAL:   no shell in it" >&2; exit 255; }}
"""


@pytest.fixture
def runtime(tmp_path: Path) -> ApptainerRuntime:
    program = tmp_path / "apptainer"
    program.write_text(PROGRAM.format(folder=tmp_path))
    program.chmod(0o755)
    return ApptainerRuntime(str(program))


@pytest.fixture
def cache(tmp_path: Path) -> ImageCache:
    return make(tmp_path)


def make(folder: Path, limit: int = 10_000, silence: float = 60.0) -> ImageCache:
    return ImageCache(
        folder / "images", dict(os.environ), limit=limit, pauses=(0.01, 0.02), silence=silence
    )


def pulled(folder: Path) -> list[str]:
    return (folder / "pulled").read_text().splitlines()


def test_image_is_fetched_once(
    tmp_path: Path, runtime: ApptainerRuntime, cache: ImageCache
) -> None:
    with ThreadPoolExecutor() as pool:
        caches = [cache, make(tmp_path), make(tmp_path)]
        found = list(pool.map(lambda each: each.prepare(runtime, "ana/x:1"), caches))
    assert pulled(tmp_path) == ["docker://ana/x:1"]
    assert len(set(found)) == 1
    assert found[0].digest == f"sha256:{hashlib.sha256(bytes(1000)).hexdigest()}"
    assert Path(found[0].image).stat().st_size == 1000
    assert not list((tmp_path / "images").glob("*.part"))


def test_failed_fetch_is_retried(
    tmp_path: Path, runtime: ApptainerRuntime, cache: ImageCache
) -> None:
    (tmp_path / "fail-1").touch()
    said: list[str] = []
    cache.prepare(runtime, "ana/x", ImageRequest(said.append))
    assert len(pulled(tmp_path)) == 2
    assert any("no such image" in text for text in said)


def test_failed_fetch_is_reported_in_the_runtimes_words(
    tmp_path: Path, runtime: ApptainerRuntime, cache: ImageCache
) -> None:
    for number in (1, 2, 3):
        (tmp_path / f"fail-{number}").touch()
    with pytest.raises(
        ImageError, match=r"docker://ana/x cannot be fetched: .* apptainer says: no such image"
    ):
        cache.prepare(runtime, "ana/x")
    assert len(pulled(tmp_path)) == 3
    assert cache.prepare(runtime, "ana/x").key  # and the next time it is there


def test_image_that_cannot_run_is_reported(
    tmp_path: Path, runtime: ApptainerRuntime, cache: ImageCache
) -> None:
    (tmp_path / "broken").touch()
    (tmp_path / "a.sif").write_bytes(b"x")
    with pytest.raises(ImageError, match="cannot run the image: no shell in it"):
        cache.prepare(runtime, str(tmp_path / "a.sif"))


def test_least_recently_used_is_evicted_but_none_in_use(
    tmp_path: Path, runtime: ApptainerRuntime
) -> None:
    mine, other = make(tmp_path, limit=2500), make(tmp_path, limit=2500)
    first, second = (mine.prepare(runtime, f"ana/{name}") for name in ("first", "second"))
    assert first.key
    assert second.key
    mine.release(second.key)  # the first one stays in use here
    for age, image in ((200, first), (100, second)):
        os.utime(tmp_path / "images" / f"{image.key}.json", (age, age))
    third = other.prepare(runtime, "ana/third")
    kept = {path.stem for path in (tmp_path / "images").glob("*.sif")}
    assert kept == {first.key, third.key}
    assert not second.is_unchanged()
    assert mine.in_use == {first.key}


def test_truncated_image_is_fetched_again(
    tmp_path: Path, runtime: ApptainerRuntime, cache: ImageCache
) -> None:
    first = cache.prepare(runtime, "ana/x")
    assert first.key
    cache.release(first.key)
    os.truncate(first.image, 10)
    again = make(tmp_path).prepare(runtime, "ana/x")
    assert (again.key, Path(again.image).stat().st_size) == (first.key, 1000)
    assert len(pulled(tmp_path)) == 2


def test_changed_file_is_read_again(
    tmp_path: Path, runtime: ApptainerRuntime, cache: ImageCache
) -> None:
    image = tmp_path / "a.sif"
    image.write_bytes(b"one")
    before = cache.prepare(runtime, str(image))
    assert before.is_unchanged()
    image.write_bytes(b"another")
    assert not before.is_unchanged()
    after = cache.prepare(runtime, str(image))
    assert after.digest == f"sha256:{hashlib.sha256(b'another').hexdigest()}" != before.digest
    image.unlink()
    with pytest.raises(ImageError, match="is not there"):
        cache.prepare(runtime, str(image))


# A stand-in for the apptainer of an account that cannot mount SIF files.
UNPACKER = """#!/bin/sh
[ "$1" = --quiet ] && shift
[ "$1" = build ] || exit 0
echo unpacked >> "{folder}/unpacked"
[ ! -e "{folder}/full" ] || exit 255
mkdir -p "$4/bin" && head -c 5000 /dev/zero > "$4/bin/sh" && chmod 555 "$4/bin"
"""


def test_sif_is_unpacked_once_if_it_cannot_be_mounted(tmp_path: Path) -> None:
    program, image = tmp_path / "apptainer", tmp_path / "a.sif"
    program.write_text(UNPACKER.format(folder=tmp_path))
    program.chmod(0o755)
    image.write_bytes(b"one")
    runtime = ApptainerRuntime(str(program), unsquash=True)
    (tmp_path / "full").touch()
    assert make(tmp_path).prepare(runtime, str(image)).image == str(image)  # unpacking has failed
    (tmp_path / "full").unlink()
    with ThreadPoolExecutor() as pool:
        caches = [make(tmp_path), make(tmp_path)]
        found = list(pool.map(lambda each: each.prepare(runtime, str(image)), caches))
    assert found[0] == found[1]
    assert (tmp_path / "unpacked").read_text().splitlines() == ["unpacked"] * 2
    assert found[0].image.endswith(".sandbox/")
    assert (Path(found[0].image) / "bin/sh").stat().st_size == 5000
    assert found[0].digest == f"sha256:{hashlib.sha256(b'one').hexdigest()}"
    assert "--unsquash" not in runtime.trial(found[0].image)
    image.write_bytes(b"another")
    assert not found[0].is_unchanged()
    again = make(tmp_path, limit=1).prepare(runtime, str(image))
    assert again.image != found[0].image
    assert Path(found[0].image).is_dir()  # in use: the limit waits
    for cache, each in zip(caches, found, strict=True):
        cache.release(str(each.key))
    make(tmp_path, limit=1).prepare(runtime, str(image))
    assert not Path(found[0].image).exists()


def test_changed_archive_is_another_image(
    tmp_path: Path, runtime: ApptainerRuntime, cache: ImageCache
) -> None:
    archive = tmp_path / "a.tar"
    with pytest.raises(ImageError, match="No such file"):
        cache.prepare(runtime, f"docker-archive:{archive}")
    # The stand-in builds nothing, so the file is missing.
    archive.write_bytes(b"one")
    with pytest.raises(ImageError, match="No such file"):
        cache.prepare(runtime, f"docker-archive:{archive}")


def fetching(folder: Path, script: str) -> ApptainerRuntime:
    """A runtime that records its pid and fetches with a script; $3 is the file to write."""
    program = folder / "apptainer"
    program.write_text(
        f"#!/bin/sh\n[ \"$1\" = pull ] || exit 0\necho $$ >> '{folder}/pid'\n{script}\n"
    )
    program.chmod(0o755)
    return ApptainerRuntime(str(program))


@pytest.mark.parametrize(
    ("cancel", "why"),
    [
        (lambda cache, _: cache.stop(), "the pilot is stopping"),
        (lambda _, request: request.cancel("nobody waits"), "nobody waits"),
    ],
)
def test_fetch_ends_at_once_when_cancelled(
    tmp_path: Path, cache: ImageCache, cancel: Callable[[ImageCache, ImageRequest], None], why: str
) -> None:
    runtime, request = fetching(tmp_path, "exec sleep 60"), ImageRequest()
    with ThreadPoolExecutor() as pool:
        found = pool.submit(cache.prepare, runtime, "ana/x", request)
        wait_until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text())
        cancel(cache, request)
        with pytest.raises(ImageError, match=why):
            found.result(2)
    pid = int((tmp_path / "pid").read_text())
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert not list((tmp_path / "images").glob("*.part"))


def test_cancelled_request_fetches_nothing(
    tmp_path: Path, runtime: ApptainerRuntime, cache: ImageCache
) -> None:
    request = ImageRequest()
    request.cancel("nobody waits")
    with pytest.raises(ImageError, match="nobody waits"):
        cache.prepare(runtime, "ana/x", request)
    assert not list((tmp_path / "images").glob("*.sif"))


def test_fetch_without_progress_is_abandoned_and_retried(tmp_path: Path) -> None:
    runtime = fetching(tmp_path, "exec sleep 60")
    said: list[str] = []
    with pytest.raises(ImageError, match=r"nothing arrived from reg\.example\.org for") as caught:
        make(tmp_path, silence=0.4).prepare(
            runtime, "docker://reg.example.org/ana/x", ImageRequest(said.append)
        )
    assert "curl -I https://reg.example.org/v2/" in str(caught.value.hint)
    assert "image_fetch_timeout" in str(caught.value.hint)
    assert len((tmp_path / "pid").read_text().split()) == 3
    assert any("trying again" in text for text in said)


@pytest.mark.parametrize(
    "progress",
    [
        'head -c 5000 /dev/zero >> "$3"; sleep 0.1',
        "head -c 8192 /dev/zero; sleep 0.1",
    ],
    ids=["it writes", "it reads"],
)
def test_slow_progress_is_progress(tmp_path: Path, progress: str) -> None:
    loop = f"i=0; while [ $i -lt 30 ]; do i=$((i+1)); {progress}; done"
    runtime = fetching(tmp_path, f'{{ {loop}; }} | cat > /dev/null; echo x >> "$3"')
    prepared = make(tmp_path, silence=1.2).prepare(runtime, "ana/x")
    assert Path(prepared.image).stat().st_size > 0
    assert len((tmp_path / "pid").read_text().split()) == 1


# A stand-in for docker with an image that was built here: like its templates, it fails to index an empty list.
ENGINE = """#!/bin/sh
case "$*" in
  *"
{{{{index .RepoDigests 0"*) echo "index out of range: 0" >&2; exit 1 ;;
  "image inspect"*) printf 'sha256:%064d\\n\\n1000\\n' 7 ;;
  pull*) echo pull >> "{folder}/pulled"; echo "Error: no such image" >&2; exit 1 ;;
esac
"""


def test_local_docker_image_is_not_fetched(tmp_path: Path, cache: ImageCache) -> None:
    program = tmp_path / "docker"
    program.write_text(ENGINE.format(folder=tmp_path))
    program.chmod(0o755)
    prepared = cache.prepare(EngineRuntime(str(program), "docker", "28.0"), "docker://mine/x:1")
    assert prepared.image == prepared.digest == f"sha256:{7:064d}"
    assert not (tmp_path / "pulled").exists()


def test_images_are_not_writable_by_others_whatever_the_umask(
    tmp_path: Path, runtime: ApptainerRuntime, cache: ImageCache
) -> None:
    before = os.umask(0)
    try:
        cache.prepare(runtime, "ana/x:1")
    finally:
        os.umask(before)
    open_to_others = [
        path.name
        for path in [cache.folder, *cache.folder.rglob("*")]
        if path.lstat().st_mode & 0o022 and not path.is_symlink()
    ]
    assert open_to_others == []
