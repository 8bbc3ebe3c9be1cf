"""Problems that pilots and conductors report: their kind, what they concern, and their text. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from orchestra.domain.human import count, listed

NAMED_AT_MOST = 3
"""The most blocked tasks or duties that are named in one message."""


class Kind(StrEnum):
    """The kind of a trouble, as the database stores it. An unknown kind is read as OTHER."""

    CANNOT_RUN = "cannot_run"
    """Jobs of a task cannot run on this node."""
    CANNOT_START = "cannot_start"
    """Jobs of a task cannot start on this node now."""
    IMAGE = "image"
    """An image is being prepared."""
    SILENT = "silent"
    """A folder or file does not answer."""
    CHECKSUM = "checksum"
    """A task waits for the checksum of a file."""
    CLAIMS = "claims"
    """No jobs are claimed for a while."""
    ROOM = "room"
    """No jobs are claimed because the disk is full."""
    KEEPER = "keeper"
    """A keeper does not answer, cannot be started, or is of another version."""
    REPORTS = "reports"
    """Outcomes cannot be reported, or must wait."""
    UNKNOWN_ATTEMPTS = "strangers"
    """Jobs run that the database does not know."""
    RUNTIME = "runtime"
    """A container engine does not answer."""
    GPU = "gpu"
    """A GPU cannot be used."""
    GPU_USED = "gpu_used"
    """A GPU is used by processes that are no jobs."""
    DATABASE = "database"
    """The database refuses the pilot, or keeps its requests waiting."""
    CONDUCTOR = "conductor"
    """The conductor in this pilot cannot continue with something."""
    OTHER = "other"
    """Only the text is known: a pilot of another version wrote it."""

    @classmethod
    def _missing_(cls, _value: object) -> Kind:
        return cls.OTHER


@dataclass(frozen=True, slots=True)
class Trouble:
    """A problem that a pilot reports: its text, and the task, image or file that it concerns."""

    kind: Kind
    text: str
    task: int | None = None
    image: str | None = None
    path: str | None = None


@dataclass(frozen=True, slots=True)
class Stuck:
    """What a conductor cannot continue with (a task's number or a duty's name), and why."""

    what: int | str
    why: str

    def __str__(self) -> str:
        return f"{named(self.what)}: {self.why}"


def named(what: int | str) -> str:
    """The name of a task or duty for people: "task 3", "mail"."""
    return f"task {what}" if isinstance(what, int) else what


def message(troubles: Iterable[Trouble]) -> str | None:
    """Join the texts of a pilot's troubles; None if there are none."""
    return "; ".join(trouble.text for trouble in troubles) or None


def of_image(troubles: Iterable[Trouble], task: int, image: str | None) -> Trouble | None:
    """The trouble that concerns running a task on the node or its image, or None."""
    for trouble in troubles:
        of_task = trouble.kind is Kind.CANNOT_RUN and trouble.task == task
        if of_task or (trouble.kind is Kind.IMAGE and image and trouble.image == image):
            return trouble
    return None


# Storage


def to_record(trouble: Trouble) -> dict[str, Any]:
    """Return a trouble as the database stores it."""
    params = {"task": trouble.task, "image": trouble.image, "path": trouble.path}
    given = {name: value for name, value in params.items() if value is not None}
    return {"kind": trouble.kind.value, "text": trouble.text, **given}


def of_record(record: Mapping[str, Any]) -> Trouble:
    """Read a stored trouble, perhaps of a newer version."""
    params = {name: record.get(name) for name in ("task", "image", "path")}
    return Trouble(Kind(record["kind"]), record["text"], **params)


def of_pilot(records: Sequence[Mapping[str, Any]] | None, text: str | None) -> tuple[Trouble, ...]:
    """Read a pilot's troubles; a pilot of an older version writes a text instead of records."""
    if records is not None:
        return tuple(map(of_record, records))
    return (Trouble(Kind.OTHER, text),) if text else ()


# Texts


def cannot_run(task: int, why: str) -> Trouble:
    return Trouble(Kind.CANNOT_RUN, f"task {task} cannot run here: {why}", task=task)


def cannot_start(task: int, why: str) -> Trouble:
    return Trouble(Kind.CANNOT_START, f"task {task} cannot start: {why}", task=task)


def preparing(image: str, stage: str) -> Trouble:
    """`stage` is the progress of the image."""
    return Trouble(Kind.IMAGE, f"preparing the image {image}: {stage}", image=image)


def checksum(task: int, path: str) -> Trouble:
    text = f"task {task} is waiting for the {checksum_of(path)}"
    return Trouble(Kind.CHECKSUM, text, task=task, path=path)


def checksum_of(path: str) -> str:
    """Name a checksum that is being computed."""
    return f"checksum of {path}, whose time has changed"


def no_claims(why: str) -> Trouble:
    return Trouble(Kind.CLAIMS, why)


def no_room(folder: str, why: str) -> Trouble:
    return Trouble(Kind.ROOM, f"takes no jobs: not enough space in {folder} ({why})", path=folder)


def no_scratch(folder: str, why: str) -> Trouble:
    text = f"takes no jobs: they could not use their scratch folders in {folder} ({why})"
    return Trouble(Kind.ROOM, text, path=folder)


def no_keeper(why: str) -> Trouble:
    return Trouble(Kind.KEEPER, why)


def keeper_silent(pid: int) -> Trouble:
    return Trouble(Kind.KEEPER, f"its keeper (pid {pid}) does not answer; is it stopped?")


def keeper_unheard(why: str) -> Trouble:
    return Trouble(Kind.KEEPER, f"is waiting for a keeper of an earlier pilot. {why}")


def keeper_foreign(version: str, pid: int, jobs: int) -> Trouble:
    return Trouble(
        Kind.KEEPER,
        f"its keeper of version {version} (pid {pid}) uses another protocol and keeps {count(jobs, 'job')} until "
        "they end or their lease expires",
    )


def reports_wait(task: int, why: str) -> Trouble:
    return Trouble(Kind.REPORTS, f"outcomes of task {task} are waiting: {why}", task=task)


def set_aside(path: str) -> Trouble:
    """A file contains an outcome that the database refused."""
    return Trouble(Kind.REPORTS, f"an outcome could not be reported: see {path}", path=path)


def unknown_attempts(jobs: Sequence[str]) -> Trouble:
    return Trouble(
        Kind.UNKNOWN_ATTEMPTS,
        f"runs {count(len(jobs), 'job')} that the database, which was replaced by an older one, does not know: "
        f"{listed(jobs, most=5)}",
    )


def runtime_silent(runtime: str, why: str) -> Trouble:
    return Trouble(
        Kind.RUNTIME,
        f"{runtime} does not answer properly, so the end of some jobs cannot be determined: {why}",
    )


def gpus(why: str) -> Trouble:
    return Trouble(Kind.GPU, why.removesuffix("."))


def gpu_used(gpu: str, who: str) -> Trouble:
    """`gpu` and `who` are for people: `GPU 1`, `process 4711 (python, ana), which is no job of this node`."""
    return Trouble(Kind.GPU_USED, f"{gpu} is used by {who}, so no job starts on it")


def database(why: str) -> Trouble:
    return Trouble(Kind.DATABASE, why)


def conductor_failed(why: str, *, again: bool = False) -> Trouble:
    """`again`: it is being restarted."""
    failed = "failed and is restarting" if again else "failed"
    return Trouble(Kind.CONDUCTOR, f"its conductor {failed}: {why}")


def conductor_stuck(stuck: Sequence[Stuck]) -> Trouble | None:
    """The trouble of a conductor that cannot continue with something, or None."""
    if not stuck:
        return None
    said = "; ".join(map(str, stuck[:NAMED_AT_MOST]))
    more = len(stuck) - NAMED_AT_MOST
    others = f"; and with {more} more" if more > 0 else ""
    return Trouble(Kind.CONDUCTOR, f"its conductor cannot continue with {said}{others}")
