"""Every setting: its name, kind, meaning and default."""

# ruff: noqa: RUF009 - _setting returns a dataclasses.field

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from orchestra.domain.retention import DEFAULT_RETENTION


def _setting(
    kind: str, meaning: str, default: Any = None, *, shown: str = "", secret: bool = False
) -> Any:
    about = {"kind": kind, "meaning": meaning, "shown": shown, "secret": secret}
    return field(default=default, metadata=about, repr=not secret)


@dataclass(frozen=True, slots=True)
class Caution:
    """A warning about a configuration that can be used, and the command that fixes it, if there is one."""

    text: str
    remedy: str | None = None

    def __str__(self) -> str:
        return f"{self.text}: {self.remedy}" if self.remedy else f"{self.text}."


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Every setting, with its default.

    Args:
        path: the user's file, which may not exist; None without a home folder.
        system_path: the machine's file, if there is one.
        origins: where each value comes from that is not a default.
        warnings: for every command.
        root_warnings: for root, who can do something about them.
    """

    postgres: str | None = _setting(
        "text",
        "address of the PostgreSQL server, postgresql://user:password@host:5432/database",
        shown="an embedded PostgreSQL on this machine",
        secret=True,
    )
    postgres_file: Path | None = _setting(
        "file",
        "a file that contains the address, instead of `postgres`, such as the one that `maestro up --share` writes",
        shown="none",
    )
    username: str | None = _setting("text", "your name in Orchestra", shown="your login name")
    email: str | None = _setting(
        "address", "your e-mail address; also the account that mail is sent from", shown="user@host"
    )
    password: str | None = _setting("text", "the password of the mail account", secret=True)
    from_email: str | None = _setting("address", "the sender of mails", shown="`email`")
    to_email: tuple[str, ...] = _setting(
        "addresses",
        "further recipients of every mail: one address, several separated by commas, or a list",
        (),
        shown="only the task's owner",
    )
    mail: str | None = _setting(
        "on|off",
        "whether mail is sent to you; kept in the database",
        shown="unchanged; on for a new user",
    )
    smtp_host: str | None = _setting(
        "text",
        "the mail server",
        shown="smtp.gmail.com with `email` and `password`, else files in a folder",
    )
    smtp_port: int | None = _setting(
        "number", "the mail server's port", shown="587, with `tls` 465, with `none` 25"
    )
    smtp_tls: str = _setting("starttls|tls|none", "how the connection is encrypted", "starttls")
    smtp_user: str | None = _setting("text", "the login at the mail server", shown="`email`")
    notify_urls: tuple[str, ...] = _setting(
        "list",
        "further channels that get every mail (Slack, Teams, ntfy, ...), as Apprise URLs",
        (),
        shown="none",
        secret=True,
    )
    job_complete_file_name: str | None = _setting(
        "text",
        "a file that a job must leave in its output folder to count as done; kept with a task "
        "when it is created",
        shown="only the exit status decides",
    )
    volume: Path | None = _setting(
        "folder", "where tasks write their results", shown="the current folder"
    )
    node: str | None = _setting(
        "text", "the name of this machine as a node", shown="the host's name"
    )
    server: str | None = _setting("text", "address of a `maestro server`, instead of `postgres`")
    token: str | None = _setting("text", "your personal token for `server`", secret=True)
    server_names: tuple[str, ...] = _setting(
        "list",
        "further host names under which a `maestro server` answers, such as that of the proxy before it",
        (),
        shown="the host's name, localhost, numeric addresses",
    )
    open_logs: bool = _setting(
        "flag",
        "whether users of a `maestro server` may read the logs of other users' jobs; its own value applies; on or off",
        True,
        shown="on",
    )
    trust_ssh: bool = _setting(
        "flag",
        "whether `ssh -L` to the Unix socket of a `maestro server` acts as the account that logged in: whoever can use "
        "the tunnel then needs no token; on or off",
        False,
        shown="off",
    )
    server_roots: tuple[str, ...] | None = _setting(
        "list",
        "folders, as full paths, below which a `maestro server` reads jobs' logs and compares files of data "
        "sets",
        shown="`volume`",
    )
    upload_root: Path | None = _setting(
        "folder",
        "where `maestro server` keeps files that users upload; nodes must have it under the same path",
        shown="no uploads",
    )
    upload_limit: int = _setting(
        "size",
        "how much each user may have there; 0 for no limit",
        10_000_000_000,
        shown='"10 GB"',
    )
    data_dir: Path | None = _setting(
        "folder",
        "the folder of the embedded database; on a local disk",
        shown="~/.local/share/orchestra, as root /var/lib/orchestra",
    )
    postgres_bin: Path | None = _setting(
        "folder",
        "the folder of the PostgreSQL programs (15 or newer) that run the embedded database and write dumps",
        shown="those that pip installed; else those on the PATH, or those of the distribution",
    )
    state_dir: Path | None = _setting(
        "folder",
        "where pilots keep their state and their logs; on a local disk",
        shown="~/.local/state/orchestra/pilots, as root /var/lib/orchestra-pilots",
    )
    pool_folder: Path | None = _setting(
        "folder",
        "where the process that runs a pool writes what its pilots need to know, and their output; the machines of the "
        "batch system must have it under the same path",
        shown="~/.orchestra/pools",
    )
    pool_poll: float = _setting(
        "duration",
        "how often the process that runs a pool asks the batch system about its allocations",
        30.0,
        shown='"30 s"',
    )
    scratch_dir: Path | None = _setting(
        "folder",
        "where each job of this node's pilot gets a folder of its own, `$ORCHESTRA_SCRATCH`, while it runs; on a local "
        "disk; must exist",
        shown="in `state_dir`",
    )
    lease: float = _setting(
        "duration",
        "how long jobs keep running while the database cannot be reached",
        12 * 3600.0,
        shown='"12 h"',
    )
    log_limit: int = _setting(
        "size",
        "when a job has ended, a longer log is cut to its beginning and its end; 0 keeps all",
        10_000_000,
        shown='"10 MB"',
    )
    keep_events: float = _setting(
        "duration",
        "how long the database keeps events of jobs after the end of their task, all events of what was deleted, "
        "keepers and nodes of pools that are gone, and older versions of data sets that no task uses; the conductor's "
        "value applies",
        DEFAULT_RETENTION.events,
        shown='"180 d"',
    )
    keep_logs: float = _setting(
        "duration",
        "how long the database keeps the ends of jobs' logs after the end of their task, except for 100 failed jobs of "
        "each task; the logs themselves are on the volume; the conductor's value applies",
        DEFAULT_RETENTION.logs,
        shown='"90 d"',
    )
    keep_metrics: float = _setting(
        "duration",
        "how long the database keeps the contents of jobs' metrics files; the conductor's value applies",
        DEFAULT_RETENTION.metrics,
        shown='"365 d"',
    )
    sweep_limit: int = _setting(
        "number", "`dataset sweep` asks before it writes more configs than this", 100_000
    )
    container_runtime: str | None = _setting(
        "text",
        "what runs containers on this node: apptainer, singularity, podman, docker, the full path of one, or none",
        shown="all that are installed, in this order",
    )
    container_binds: tuple[str, ...] = _setting(
        "list",
        "what every container sees of this node besides its task's data: SRC:DST or SRC:DST:ro, full paths",
        (),
        shown="nothing",
    )
    image_cache: Path | None = _setting(
        "folder",
        "where pulled images are kept; several nodes can share it",
        shown="a folder of the pilot's own, on a local disk",
    )
    image_cache_size: int = _setting(
        "size",
        "the size of the image cache; the least recently used images are removed first",
        50_000_000_000,
        shown='"50 GB"',
    )
    image_fetch_timeout: float = _setting(
        "duration or 0",
        "an image pull that makes no progress for this long is given up; 0 never gives up",
        300.0,
        shown='"5 min"',
    )
    avoid_busy_gpus: bool = _setting(
        "flag",
        "whether this node starts no jobs on a GPU on which processes compute that are not its own; on or off",
        True,
        shown="on",
    )
    dumps_kept: int = _setting(
        "number",
        "how many dumps from before upgrades are kept, below `data_dir`; 0 makes none",
        5,
    )
    dump_limit: int = _setting(
        "size", "a larger database is upgraded without a dump", 2_000_000_000, shown='"2 GB"'
    )
    allow_root: bool = _setting(
        "flag",
        "whether a pilot started by root may run everybody's jobs as root where users share the database: "
        "everybody who can create tasks is root on this machine then; on, true or 1",
        False,
        shown="off",
    )
    on_lease_lost: str = _setting(
        "kill|keep", "what happens to running jobs when the `lease` has expired", "kill"
    )

    path: Path | None = None
    system_path: Path | None = None
    origins: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[Caution, ...] = ()
    root_warnings: tuple[Caution, ...] = ()

    def origin(self, key: str) -> str:
        """Return where a value comes from: a file, or a variable of the environment."""
        return self.origins.get(key, "the defaults")


@dataclass(frozen=True, slots=True)
class Setting:
    """A row of the settings' documentation."""

    name: str
    kind: str
    meaning: str
    default: str
    secret: bool


def _table() -> tuple[Setting, ...]:
    return tuple(
        Setting(
            each.name,
            each.metadata["kind"],
            each.metadata["meaning"],
            each.metadata["shown"] or str(each.default if each.default is not None else "none"),
            each.metadata["secret"],
        )
        for each in fields(Settings)
        if each.metadata
    )


SETTINGS = _table()
BY_NAME = {setting.name: setting for setting in SETTINGS}
