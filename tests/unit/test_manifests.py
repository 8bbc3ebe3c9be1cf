"""What a list of files may hold: it may come from another program than ours."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from orchestra.domain import manifests
from orchestra.domain.errors import BadInput
from orchestra.domain.models.datasets import Manifest, ManifestEntry
from orchestra.files import manifest

ENTRY = ManifestEntry("a/b", 3, 10**18, b"\0" * 32)
GOOD = Manifest("/data", True, (ENTRY, replace(ENTRY, path="c")), texts={1: "{}"})


def one(**changes: Any) -> Manifest:
    return replace(GOOD, entries=(replace(ENTRY, **changes),), texts={})


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (replace(GOOD, root="data"), "absolute path"),
        (replace(GOOD, root="/da\nta"), "line break"),
        (replace(GOOD, root="/d\udcff"), "UTF-8"),
        (replace(GOOD, root="/" + "d" * 4096), "longer than 4 KiB"),
        (replace(GOOD, entries=()), "no files"),
        (replace(GOOD, entries=(ENTRY, ENTRY)), "twice"),
        (replace(GOOD, is_folder=False), "single file"),
        (replace(one(path="b"), is_folder=False), "single file"),
        *((one(path=path), "not a path below") for path in ("", "/a", "a/", "a//b", "../a", "a/.", ".")),
        (one(path="a\0"), "control character"),
        (one(path="a\u2028b"), "control character"),
        (one(path="a\udcff"), "UTF-8"),
        *((one(**{name: None}), "missing") for name in ("size", "mtime_ns", "sha256")),
        (one(size=-1), "out of range"),
        (one(size=2**63), "out of range"),
        (one(mtime_ns=-(2**63) - 1), "out of range"),
        (one(sha256=b"\0" * 31), "not a SHA-256"),
        (replace(GOOD, texts={2: "{}"}), "no such file"),
        (replace(GOOD, texts={-1: "{}"}), "no such file"),
        (replace(GOOD, texts={0: "a\0"}), "NUL"),
        (replace(GOOD, texts={0: "é" * 2_001}), "longer than"),
    ],
)  # fmt: skip
def test_what_cannot_be_kept_is_refused(wrong: Manifest, words: str) -> None:
    with pytest.raises(BadInput, match=words):
        manifests.check(wrong)


def test_the_texts_of_all_files_have_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manifests, "ALL_TEXTS_AT_MOST", 3)
    manifests.check(replace(GOOD, texts={0: "12", 1: "3"}))
    with pytest.raises(BadInput, match="too long together"):
        manifests.check(replace(GOOD, texts={0: "12", 1: "34"}))


def test_what_a_scan_gives_is_kept(hostile_dir: Path) -> None:
    manifests.check(GOOD)
    for name in ("job.2", ".hidden", "$(touch x); é", "..."):
        (hostile_dir / name).write_text("{}")
    manifests.check(manifest.scan(hostile_dir))
    manifests.check(manifest.scan(hostile_dir / ".hidden"))
