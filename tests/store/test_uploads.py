"""Data sets of files that a client uploads, through the endpoints of a server in this process."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar, cast

import psycopg
import pytest
from starlette.requests import Request as HttpRequest

from orchestra.api.call import Call
from orchestra.api.endpoints import Match, Routes
from orchestra.api.uploads import ENDPOINTS
from orchestra.config import Settings
from orchestra.domain.errors import (
    BadInput,
    OrchestraError,
    Refused,
    ServerUnavailable,
    VolumeError,
)
from orchestra.domain.identities import Identity, Via
from orchestra.domain.models.datasets import DataSet, Manifest, Taken
from orchestra.domain.models.new_tasks import NewTask
from orchestra.domain.models.runs import Files
from orchestra.files import file_lists, manifest, task_files
from orchestra.interface import codec, problems, rereading, uploading
from orchestra.interface.dataset_changes import DeleteDataSet, RegisterDataSet, UpdateDataSet
from orchestra.interface.datasets import GetDataSet, ListDataSets
from orchestra.interface.operation import Request
from orchestra.interface.remote.link import API
from orchestra.interface.remote.uploads import RemoteUploads
from orchestra.interface.runs import CreateRun
from orchestra.interface.task_changes import FinishKill, KillTask
from orchestra.interface.uploads import Uploads
from orchestra.wiring.server import Database, make_server
from support.people import caller

T = TypeVar("T")


@dataclass
class Asker:
    """A client of a server, without the socket: requests and answers are encoded, and errors are sent.

    `fails_after`: the connection is lost after so many requests.
    """

    conn: psycopg.Connection
    settings: Settings
    name: str = "ana"
    requests: list[str] = field(default_factory=list)
    fails_after: int = 1_000

    def __post_init__(self) -> None:
        user = caller(self.conn, self.name).user
        self.identity = Identity(user, user.is_admin, Via.TOKEN)
        self.server = make_server(self.settings, cast("Database", self))
        self.routes = Routes(ENDPOINTS)

    @contextmanager
    def connection(self) -> Iterator[psycopg.Connection]:
        yield self.conn

    def __call__(self, asked: Request[T], /) -> T:
        return self.server.ask(self.identity, asked)

    @property
    def uploads(self) -> Uploads:
        return RemoteUploads(self._carry)

    def _carry(self, sent: codec.Written, kind: Any) -> Any:
        if len(self.requests) == self.fails_after:
            raise ServerUnavailable("the connection was lost.", lost=True)
        self.requests.append(f"{sent.method} {sent.target}")
        match = self.routes.find(sent.method, API + sent.target)
        assert isinstance(match, Match)
        http = HttpRequest({"type": "http", "headers": [], "query_string": b""})
        call = Call(self.server, http, self.identity, match.params, sent.body or b"")
        try:
            answer = match.endpoint.run(call)
        except OrchestraError as error:
            problem = codec.encode(problems.problem_of(error))
            raise problems.error_of(codec.decode(problems.Problem, problem)) from None
        return codec.decode(kind, answer.body)

    def create(self, name: str, path: Path, upload: bool | None = None) -> DataSet:
        """Register the files of a folder, or a file, as the command does."""
        found = uploading.taken(self, name, manifest.scan(path), upload, lambda *_: None)
        return self(RegisterDataSet(name, found.manifest))

    def update(self, name: str) -> DataSet:
        before = self(GetDataSet(name))
        found = uploading.taken(self, "grid", file_lists.again(before), None, lambda *_: None)
        return self(UpdateDataSet(name, found.manifest, before.version_id)).dataset


@pytest.fixture
def laptop(hostile_dir: Path) -> Path:
    """A folder that only a laptop has."""
    folder = hostile_dir / "laptop"
    (folder / "more").mkdir(parents=True)
    for number in range(3):
        (folder / f"{number}.json").write_text(f"[{number}]")
    (folder / "more" / "naïve name.json").write_text("{}")
    return folder


@pytest.fixture
def settings(hostile_dir: Path) -> Settings:
    for name in ("uploads", "shared"):
        (hostile_dir / name).mkdir()
    return Settings(
        upload_root=hostile_dir / "uploads", server_roots=(str(hostile_dir / "shared"),)
    )


@pytest.fixture
def ask(conn: psycopg.Connection, settings: Settings) -> Asker:
    return Asker(conn, settings)


def test_what_the_server_does_not_see_is_uploaded_and_updated_from_where_it_is(
    ask: Asker, laptop: Path, settings: Settings
) -> None:
    first = ask.create("grid", laptop)
    assert first.source == f"{socket.gethostname()}:{laptop}"
    assert Path(first.root).is_relative_to(f"{settings.upload_root}/ana/grid")
    assert manifest.scan(first.root).entries == manifest.scan(first.root).entries
    assert Path(first.root, "more", "naïve name.json").read_text() == "{}"

    assert ask.update(first.name).version == 1
    (laptop / "1.json").write_text("[11]")
    ask.requests.clear()
    second = ask.update(first.name)
    assert (second.version, second.root == first.root) == (2, False)
    assert sum(each.startswith("PUT") for each in ask.requests) == 1
    assert Path(first.root, "1.json").read_text() == "[1]"
    assert Path(second.root, "1.json").read_text() == "[11]"


def test_what_the_server_sees_stays_and_so_does_what_is_not_to_be_uploaded(
    ask: Asker, laptop: Path, settings: Settings
) -> None:
    shared = Path(settings.server_roots[0], "grid")  # type: ignore[index]
    laptop.rename(shared)
    assert ask.create("seen", shared).root == str(shared)
    assert not any("PUT" in each for each in ask.requests)
    assert ask.create("sent", shared, upload=True).source
    ask.requests.clear()
    shared.rename(laptop)
    assert ask.create("left", laptop, upload=False).root == str(laptop)
    assert ask.requests == []


def test_a_server_without_a_folder_for_uploads_takes_none(
    conn: psycopg.Connection, laptop: Path
) -> None:
    ask = Asker(conn, Settings())
    assert ask.create("grid", laptop).root == str(laptop)
    with pytest.raises(Refused, match="takes no uploads"):
        ask.create("other", laptop, upload=True)


def test_a_database_takes_no_uploads(laptop: Path) -> None:
    def ask(asked: Request[T], /) -> T:
        raise AssertionError(asked)

    found = manifest.scan(laptop)
    assert uploading.taken(ask, "grid", found, None, lambda *_: None).manifest is found
    with pytest.raises(BadInput, match="none is configured"):
        uploading.taken(ask, "grid", found, True, lambda *_: None)


def test_a_single_file_is_a_file_on_the_server(ask: Asker, laptop: Path) -> None:
    made = ask.create("one", laptop / "0.json")
    assert (made.is_folder, Path(made.root).read_text()) == (False, "[0]")
    assert ask.update(made.name).version == 1


def test_an_upload_that_was_cut_registers_nothing_and_is_not_repeated(
    ask: Asker, laptop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orchestra.domain.uploads.PARTS", 1)
    ask.fails_after = 4  # the terms, what is missing, two of four files
    with pytest.raises(ServerUnavailable) as lost:
        ask.create("grid", laptop)
    assert "goes on from there" in str(lost.value.hint)
    assert ask(ListDataSets("ana")) == ()
    ask.fails_after = 1_000
    ask.requests.clear()
    ask.create("grid", laptop)
    assert sum("PUT" in each for each in ask.requests) == 2


def test_a_file_that_changes_meanwhile_is_refused(ask: Asker, laptop: Path) -> None:
    found = manifest.scan(laptop)
    (laptop / "1.json").write_text("[1, 1]")
    with pytest.raises(BadInput, match=r"1\.json has changed since its checksum was taken"):
        uploading.taken(ask, "grid", found, None, lambda *_: None)


def test_files_from_another_machine_are_not_looked_for_here(
    ask: Asker, laptop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = ask.create("grid", laptop)
    monkeypatch.setattr("orchestra.files.local_machine.host", lambda: "elsewhere")
    with pytest.raises(BadInput, match="were uploaded from"):
        ask.update(made.name)


def test_a_run_and_a_retry_with_changed_files_make_a_new_version_of_what_was_uploaded(
    ask: Asker, laptop: Path
) -> None:
    def take(_name: str, found: Manifest) -> Manifest:
        return uploading.taken(ask, "configs", found, None, lambda *_: None).manifest

    def run(name: str) -> tuple[int, Taken]:
        new = NewTask(f"user.ana.{name}", "true %IN %OUT", "", None, str(laptop), "ana", "gauss")
        configs = Files("IN", "user.ana.configs", take("configs", manifest.scan(laptop)))
        made = ask(CreateRun(new, (configs,)))
        return made.task.id, made.plan.inputs[0].taken

    assert [run("one")[1], run("two")[1]] == [Taken.NEW, Taken.AS_IT_WAS]
    (laptop / "1.json").write_text("[11]")
    task, taken = run("three")
    assert taken is Taken.NEW_VERSION

    ask(KillTask(task))
    ask(FinishKill(task))
    (laptop / "1.json").write_text("[111]")
    _, updated = rereading.update(ask, task, take=take)
    assert updated.changes.configs_changed.count == 1
    made = ask(GetDataSet("user.ana.configs"))
    assert (made.version, Path(made.root, "1.json").read_text()) == (3, "[111]")


@pytest.mark.parametrize("takes", [True, False])
def test_a_volume_need_not_be_here_where_a_server_takes_uploads(
    conn: psycopg.Connection, settings: Settings, tmp_path: Path, takes: bool
) -> None:
    ask = Asker(conn, settings if takes else Settings())
    assert uploading.is_elsewhere(ask, "/shared/nowhere") is takes
    assert not uploading.is_elsewhere(ask, str(tmp_path))
    new = NewTask(
        "user.ana.fit",
        "true %IN %OUT",
        "x",
        None,
        "/shared/nowhere",
        "ana",
        "gauss",
        image="/shared/fit.sif",
    )
    if takes:
        assert task_files.check(new, "/shared/nowhere/fit", elsewhere=True) == new
        with pytest.raises(BadInput, match="which is not here"):
            task_files.check(replace(new, reuse=True), "/shared/nowhere/fit", elsewhere=True)
    with pytest.raises(VolumeError, match="does not exist"):
        task_files.check(replace(new, image=None), "/shared/nowhere/fit")


def test_deleting_a_data_set_removes_its_files_unless_a_task_or_another_one_has_them(
    ask: Asker, laptop: Path, settings: Settings
) -> None:
    made = ask.create("grid", laptop)
    again = manifest.scan(made.root)
    ask(RegisterDataSet("same", again))
    assert not uploading.remove(ask, ask(DeleteDataSet(made.name)))
    assert Path(made.root).is_dir()
    ask(DeleteDataSet("user.ana.same"))
    assert ask.uploads.remove("grid") == 1
    assert list(Path(settings.upload_root or "", "ana").iterdir()) != []
    assert not Path(made.root).exists()


def test_users_reach_only_their_own_uploads(ask: Asker, laptop: Path) -> None:
    made = ask.create("grid", laptop)
    ask(DeleteDataSet(made.name))
    other = Asker(ask.conn, ask.settings, "ben")
    assert other.uploads.remove("grid") == 0
    for label in ("..", "../ana/grid", ".content", "a/b", ""):
        with pytest.raises((BadInput, AssertionError)):
            other.uploads.remove(label)
    assert Path(made.root).is_dir()


def test_a_limit_is_told_before_anything_is_sent(
    conn: psycopg.Connection, settings: Settings, laptop: Path
) -> None:
    ask = Asker(conn, replace(settings, upload_limit=5))
    with pytest.raises(Refused, match="at most 5 B are allowed"):
        ask.create("grid", laptop)
    assert not any("PUT" in each for each in ask.requests)
