"""Uploads: what is sent in which request, the server's folder for them, and what a server sees by itself."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestra.domain import uploads
from orchestra.domain.errors import BadInput, Refused, VolumeError
from orchestra.domain.models.datasets import Manifest, ManifestEntry
from orchestra.domain.uploads import BATCH, PARTS, Content, Part
from orchestra.files import manifest, rooted
from orchestra.files.upload_store import Placed, UploadStore
from support.waiting import wait_until

SIZES = st.sampled_from(
    [0, 1, 9, BATCH // 2, BATCH - 1, BATCH, BATCH + 1, 3 * BATCH, 3 * BATCH + 2]
)


def digest(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


@given(st.lists(st.tuples(SIZES, st.sampled_from([0.0, 0.3, 1.0])), max_size=12))
def test_every_missing_byte_is_sent_once_in_requests_of_a_bounded_size(
    wanted: list[tuple[int, float]],
) -> None:
    missing = [
        Content(index.to_bytes(32, "big"), size, int(size * have))
        for index, (size, have) in enumerate(wanted)
    ]
    sent = list(uploads.batches(missing))
    for batch in sent:
        length = sum(part.length for part in batch)
        assert 0 < len(batch) <= PARTS
        assert length <= BATCH
        uploads.check_parts(batch, length)
    at = {each.sha256: each.have for each in missing}
    for part in (part for batch in sent for part in batch):
        assert part.offset == at[part.sha256]
        at[part.sha256] += part.length
        assert part.is_last == (at[part.sha256] == part.size)
        assert (
            part.length == part.size or part.size > BATCH or part.offset + part.length == part.size
        )
    assert at == {each.sha256: each.size for each in missing}


def test_a_request_has_a_bounded_number_of_parts() -> None:
    missing = [Content(index.to_bytes(32, "big"), 0) for index in range(PARTS + 1)]
    assert [len(batch) for batch in uploads.batches(missing)] == [PARTS, 1]


@pytest.mark.parametrize(
    ("part", "length"),
    [
        (Part(bytes(32), 4, 0, 4), 3),
        (Part(bytes(32), 4, 2, 3), 3),
        (Part(bytes(32), 4, -1, 3), 3),
        (Part(bytes(31), 4, 0, 4), 4),
        (Part(bytes(32), -4, 0, -4), -4),
    ],
)
def test_parts_that_are_none_are_refused(part: Part, length: int) -> None:
    with pytest.raises(BadInput):
        uploads.check_parts([part], length)


@pytest.fixture
def store(tmp_path: Path) -> UploadStore:
    (tmp_path / "uploads").mkdir()
    found = UploadStore(str(tmp_path / "uploads"), 1_000)
    found.check()
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    found = tmp_path / "configs"
    (found / "below one").mkdir(parents=True)
    (found / "a.json").write_text("{}")
    (found / "same.json").write_text("{}")
    (found / "below one" / "naïve name.json").write_text("[1]")
    (found / "run.sh").write_text("#!/bin/sh\n")
    return found


def send(store: UploadStore, files: Manifest, label: str = "grid") -> Placed:
    """Upload all files that are missing, as a client does."""
    texts = {entry.sha256: Path(files.root, entry.path).read_bytes() for entry in files.entries}
    for batch in uploads.batches(store.missing("ana", uploads.contents(files))):
        data = b"".join(texts[part.sha256][part.offset :][: part.length] for part in batch)
        store.write("ana", batch, memoryview(data))
    placed = store.place("ana", label, files, frozenset())
    assert isinstance(placed, Placed)
    return placed


def test_uploaded_files_can_be_read_by_every_account_and_written_by_none(
    store: UploadStore, folder: Path
) -> None:
    old = os.umask(0o077)
    try:
        files = manifest.scan(folder)
        placed = send(store, files)
    finally:
        os.umask(old)
    for entry, mtime in zip(files.entries, placed.mtimes_ns, strict=True):
        there = Path(placed.folder, entry.path)
        assert there.read_bytes() == (folder / entry.path).read_bytes()
        assert stat.S_IMODE(there.stat().st_mode) == 0o444
        assert there.stat().st_mtime_ns == mtime
    for each in (Path(placed.folder), Path(placed.folder).parent, Path(placed.folder, "below one")):
        assert stat.S_IMODE(each.stat().st_mode) & 0o055 == 0o055
    assert manifest.scan(placed.folder).entries == tuple(
        replace(entry, mtime_ns=mtime)
        for entry, mtime in zip(files.entries, placed.mtimes_ns, strict=True)
    )


def test_a_program_stays_one(store: UploadStore, folder: Path) -> None:
    files = manifest.scan(folder)
    send(store, files)
    index = [entry.path for entry in files.entries].index("run.sh")
    placed = store.place("ana", "grid", files, frozenset({index}))
    assert isinstance(placed, Placed)
    assert stat.S_IMODE(Path(placed.folder, "run.sh").stat().st_mode) == 0o555


def test_the_same_files_get_the_same_folder_and_others_another_one(
    store: UploadStore, folder: Path
) -> None:
    first = send(store, manifest.scan(folder))
    assert send(store, manifest.scan(folder)) == first
    (folder / "a.json").write_text("{ }")
    changed = manifest.scan(folder)
    assert [each.size for each in store.missing("ana", uploads.contents(changed))] == [3]
    assert send(store, changed).folder != first.folder
    assert Path(first.folder, "a.json").read_text() == "{}"


def test_a_folder_that_was_damaged_is_made_again(store: UploadStore, folder: Path) -> None:
    files = manifest.scan(folder)
    first = send(store, files)
    Path(first.folder, "a.json").unlink()
    assert send(store, files) == first
    assert Path(first.folder, "a.json").read_text() == "{}"
    assert [each.name for each in Path(first.folder).parent.iterdir()] == [Path(first.folder).name]


def test_another_user_does_not_learn_what_has_arrived(store: UploadStore, folder: Path) -> None:
    files = manifest.scan(folder)
    send(store, files)
    assert len(store.missing("ben", uploads.contents(files))) == 3


def test_a_content_that_is_not_what_its_checksum_says_is_refused(store: UploadStore) -> None:
    with pytest.raises(BadInput, match="not what its checksum says"):
        store.write("ana", [Part(digest(b"one"), 3, 0, 3)], memoryview(b"two"))
    part = Part(digest(b"12345"), 5, 0, 3)
    store.write("ana", [part], memoryview(b"123"))
    with pytest.raises(BadInput, match="not what its checksum says"):
        store.write("ana", [replace(part, offset=3, length=2)], memoryview(b"46"))
    (missing,) = store.missing("ana", [Content(part.sha256, 5)])
    assert missing.have == 0


def test_a_large_file_goes_on_where_its_upload_was_cut(store: UploadStore) -> None:
    data = b"abcdefghij"
    part = Part(digest(data), 10, 0, 4)
    store.write("ana", [part], memoryview(data[:4]))
    (missing,) = store.missing("ana", [Content(part.sha256, 10)])
    assert missing.have == 4
    with pytest.raises(Refused, match="has not arrived"):
        store.write("ana", [replace(part, offset=6)], memoryview(data[6:]))
    store.write("ana", [replace(part, offset=4, length=6)], memoryview(data[4:]))
    assert store.missing("ana", [Content(part.sha256, 10)]) == ()


def test_more_than_the_limit_is_refused_before_it_is_sent_and_when_it_is_sent_anyway(
    store: UploadStore,
) -> None:
    store.write("ana", [Part(digest(bytes(900)), 900, 0, 900)], memoryview(bytes(900)))
    with pytest.raises(Refused, match=r"would be 1.1 kB; at most 1 kB"):
        store.missing("ana", [Content(digest(b"x"), 200)])
    data = b"y" * 200
    with pytest.raises(Refused, match="at most 1 kB"):
        store.write("ana", [Part(digest(data), 200, 0, 200)], memoryview(data))
    assert len(store.missing("ben", [Content(digest(b"x"), 200)])) == 1


def test_a_file_that_is_also_a_folder_is_refused_and_nothing_stays(store: UploadStore) -> None:
    store.write("ana", [Part(digest(b""), 0, 0, 0)], memoryview(b""))
    empty = ManifestEntry("a", 0, 0, digest(b""))
    both = Manifest("/configs", True, (empty, replace(empty, path="a/b")))
    with pytest.raises(BadInput, match="cannot lie in one folder"):
        store.place("ana", "grid", both, frozenset())
    assert list(Path(store.root, "ana", "grid").iterdir()) == []


@pytest.mark.parametrize("path", ["../x", "/etc/x", "a/../../x", "a//x", "./x", "a\nb", "a\0b", ""])
def test_a_path_that_leads_elsewhere_is_refused(store: UploadStore, path: str) -> None:
    files = Manifest("/configs", True, (ManifestEntry(path, 0, 0, digest(b"")),))
    with pytest.raises(BadInput):
        store.place("ana", "grid", files, frozenset())
    assert not Path(store.root, "ana").exists()


def test_more_files_than_links_that_a_file_system_allows(
    store: UploadStore, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = os.link

    def limited(source: str, target: str) -> None:
        if Path(source).stat().st_nlink > 1:
            raise OSError(31, "Too many links")
        link(source, target)

    monkeypatch.setattr(os, "link", limited)
    placed = send(store, manifest.scan(folder))
    assert Path(placed.folder, "same.json").read_text() == "{}"


def test_a_full_disk_is_one_sentence(store: UploadStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(VolumeError, match="cannot keep the files: No space left on device"):
        store.write("ana", [Part(digest(b"one"), 3, 0, 3)], memoryview(b"one"))
    assert list(Path(store.root, "ana", ".content").iterdir()) == []


def test_what_no_data_set_has_is_removed_by_its_label_and_other_versions_stay(
    store: UploadStore, folder: Path
) -> None:
    first = send(store, manifest.scan(folder))
    (folder / "a.json").write_text("another")
    second = send(store, manifest.scan(folder))
    assert store.remove("ana", "grid", {first.folder}) == 1
    assert Path(first.folder).is_dir()
    assert not Path(second.folder).exists()
    contents = Path(store.root, "ana", ".content")
    assert len(list(contents.iterdir())) == 3
    assert store.remove("ana", "grid", ()) == 1
    assert list(contents.iterdir()) == []
    assert not Path(store.root, "ana", "grid").exists()


def test_only_old_leftovers_are_swept(store: UploadStore, folder: Path) -> None:
    used, unused = send(store, manifest.scan(folder), "used"), send(store, manifest.scan(folder))
    store.write("ana", [Part(digest(b"12345"), 5, 0, 3)], memoryview(b"123"))
    Path(unused.folder).with_name(".new-1").mkdir()
    store.sweep({used.folder})
    assert Path(unused.folder).is_dir()
    store.sweep({f"{used.folder}/below one"}, unused_for=-60)
    assert Path(used.folder, "a.json").read_text() == "{}"
    assert list(Path(unused.folder).parent.iterdir()) == []
    assert len(list(Path(store.root, "ana", ".content").iterdir())) == 3


def test_what_is_asked_for_is_kept_for_another_day(store: UploadStore, folder: Path) -> None:
    placed = send(store, manifest.scan(folder))
    before = Path(placed.folder).stat().st_ctime_ns

    def is_kept() -> bool:
        send(store, manifest.scan(folder))
        return Path(placed.folder).stat().st_ctime_ns > before

    wait_until(is_kept, timeout=10)


def test_a_folder_without_hard_links_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(VolumeError, match="No such file or directory"):
        UploadStore(str(tmp_path / "missing"), 0).check()

    def refuse(*_: object, **__: object) -> None:
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    with pytest.raises(VolumeError, match="Operation not permitted"):
        UploadStore(str(tmp_path), 0).check()
    assert list(tmp_path.iterdir()) == []


def test_a_server_sees_the_same_files_below_its_roots(folder: Path) -> None:
    entries = manifest.scan(folder).entries
    for root in (folder, folder.parent):
        assert rooted.has_files(str(root), str(folder), entries)
    below = manifest.scan(folder / "below one").entries
    assert rooted.has_files(str(folder), f"{folder}/below one", below)


def _other_content(folder: Path) -> None:
    at = (folder / "a.json").stat()
    (folder / "a.json").write_text("[]")
    os.utime(folder / "a.json", ns=(at.st_atime_ns, at.st_mtime_ns))


def _symlink(folder: Path) -> None:
    (folder / "a.json").rename(folder.parent / "outside.json")
    (folder / "a.json").symlink_to("../outside.json")


def _symlinked_folder(folder: Path) -> None:
    (folder / "below one").rename(folder.parent / "outside")
    (folder / "below one").symlink_to("../outside")


def _pipe(folder: Path) -> None:
    (folder / "a.json").unlink()
    os.mkfifo(folder / "a.json")


@pytest.mark.parametrize(
    "change",
    [
        _other_content,
        _symlink,
        _symlinked_folder,
        _pipe,
        lambda folder: (folder / "a.json").unlink(),
        lambda folder: (folder / "a.json").write_text("{}\n"),
        lambda folder: os.utime(folder / "a.json", (0, 0)),
    ],
)
def test_a_server_does_not_see_other_files(folder: Path, change: Callable[[Path], object]) -> None:
    entries = manifest.scan(folder).entries
    change(folder)
    assert not rooted.has_files(str(folder), str(folder), entries)


@pytest.mark.parametrize("path", ["../configs/a.json", ".", "", "a.json/x", "a\0b"])
def test_a_server_does_not_follow_paths_elsewhere(folder: Path, path: str) -> None:
    entry = ManifestEntry(path, 2, 0, digest(b"{}"))
    assert not rooted.has_files(str(folder), str(folder), [entry])


def test_only_paths_below_a_root_are_looked_at() -> None:
    roots = ("/data", "/data/deep", "/srv")
    assert rooted.root_of("/data/x", roots) == "/data"
    assert rooted.root_of("/data/deep/x", roots) == "/data/deep"
    assert rooted.root_of("/srv", roots) == "/srv"
    for path in ("/database", "/data/../etc", "data/x", "/", "/etc"):
        assert rooted.root_of(path, roots) is None
