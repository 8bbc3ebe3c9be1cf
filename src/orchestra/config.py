"""The configuration: `~/.orchestra.json`, over it the environment `MAESTRO_<KEY>`; read once, then frozen.

Standard library only, since every command reads it.
"""

# ruff: noqa: RUF009 - _setting gives a dataclasses.field

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import partial
from pathlib import Path
from typing import Any

from orchestra import config_file
from orchestra.config_file import ConfigFile
from orchestra.domain.errors import BadInput, ConfigurationError
from orchestra.domain.nearest import nearest
from orchestra.domain.retention import DEFAULT_RETENTION
from orchestra.domain.storable import trouble_with
from orchestra.homefolder import expanded, home_folder

CONFIG_VARIABLE = "MAESTRO_CONFIG"
FILE_NAME = ".orchestra.json"
# Variables of ours that are no settings.
_RESERVED = frozenset({CONFIG_VARIABLE, "MAESTRO_DEBUG"})


def _setting(
    kind: str, meaning: str, default: Any = None, *, shown: str = "", secret: bool = False
) -> Any:
    about = {"kind": kind, "meaning": meaning, "shown": shown, "secret": secret}
    return field(default=default, metadata=about, repr=not secret)


@dataclass(frozen=True, slots=True)
class Caution:
    """What is odd about a configuration that can be used, and the command that mends it, if there is one."""

    text: str
    remedy: str | None = None

    def __str__(self) -> str:
        return f"{self.text}: {self.remedy}" if self.remedy else f"{self.text}."


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Every setting, with its default. `origins` says where each given value came from."""

    postgres: str | None = _setting(
        "text",
        "address of the PostgreSQL server, postgresql://user:password@host:5432/database",
        shown="an embedded PostgreSQL on this machine",
        secret=True,
    )
    username: str | None = _setting("text", "who you are in Orchestra", shown="your login name")
    email: str | None = _setting(
        "address", "your e-mail address; also the account that mail is sent from", shown="user@host"
    )
    password: str | None = _setting("text", "the password of the mail account", secret=True)
    from_email: str | None = _setting("address", "the sender of mails", shown="`email`")
    to_email: tuple[str, ...] = _setting(
        "addresses",
        "further recipients of every mail: one address, several with commas between them, or a list",
        (),
        shown="the task's owner alone",
    )
    mail: str | None = _setting(
        "on|off",
        "whether mail is written to you; kept in the database",
        shown="as it was, at first on",
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
        "further channels that every mail is told to (Slack, Teams, ntfy, ...), as apprise writes them",
        (),
        shown="none",
        secret=True,
    )
    job_complete_file_name: str | None = _setting(
        "text",
        "a file that a job must leave in its output folder to count as done; kept with a task "
        "when it is created",
        shown="the exit status alone decides",
    )
    volume: Path | None = _setting(
        "folder", "where tasks put their results", shown="the current folder"
    )
    node: str | None = _setting(
        "text", "the name of this machine as a node", shown="the host's name"
    )
    server: str | None = _setting("text", "address of a `maestro server`, instead of `postgres`")
    token: str | None = _setting("text", "your personal token for `server`", secret=True)
    data_dir: Path | None = _setting(
        "folder",
        "where the embedded database lies; on a local disk",
        shown="~/.local/share/orchestra, as root /var/lib/orchestra",
    )
    postgres_bin: Path | None = _setting(
        "folder",
        "where the programs of the PostgreSQL (15 or newer) are that serves as the embedded database and makes dumps",
        shown="those that came with pip; else those on the PATH, or those of the distribution",
    )
    state_dir: Path | None = _setting(
        "folder",
        "where pilots keep what must outlive them, and their logs; on a local disk",
        shown="~/.local/state/orchestra/pilots, as root /var/lib/orchestra-pilots",
    )
    lease: float = _setting(
        "duration", "how long jobs run on while the database is away", 12 * 3600.0, shown='"12 h"'
    )
    log_limit: int = _setting(
        "size",
        "a longer log is cut to its beginning and its end when its job has ended; 0 keeps all",
        10_000_000,
        shown='"10 MB"',
    )
    keep_events: float = _setting(
        "duration",
        "how long the database keeps events of jobs after their task is over, all events of what was deleted, keepers "
        "that are gone, and older versions of data sets that no task knows; that of whoever conducts counts",
        DEFAULT_RETENTION.events,
        shown='"180 d"',
    )
    keep_logs: float = _setting(
        "duration",
        "how long the database keeps the ends of jobs' logs after their task is over, but for those of 100 failed jobs "
        "a task; the logs themselves are on the volume; that of whoever conducts counts",
        DEFAULT_RETENTION.logs,
        shown='"90 d"',
    )
    keep_metrics: float = _setting(
        "duration",
        "how long the database keeps what jobs wrote into their metrics files; that of whoever conducts counts",
        DEFAULT_RETENTION.metrics,
        shown='"365 d"',
    )
    sweep_limit: int = _setting(
        "number", "`dataset sweep` asks before it writes more configs than that", 100_000
    )
    container_runtime: str | None = _setting(
        "text",
        "what runs containers on this node: apptainer, singularity, podman, docker, the full path of one, or none",
        shown="every one of them that is found, in this order",
    )
    container_binds: tuple[str, ...] = _setting(
        "list",
        "what every container sees of this node beside its task's data: SRC:DST or SRC:DST:ro, full paths",
        (),
        shown="nothing",
    )
    image_cache: Path | None = _setting(
        "folder",
        "where images that were fetched are kept; several nodes may share it",
        shown="a folder of the pilot's own, on a local disk",
    )
    image_cache_size: int = _setting(
        "size",
        "how much they may take; what was not used for the longest time goes first",
        50_000_000_000,
        shown='"50 GB"',
    )
    image_fetch_timeout: float = _setting(
        "duration or 0",
        "how long nothing may come of an image that is fetched until that try is given up; 0 waits for ever",
        300.0,
        shown='"5 min"',
    )
    dumps_kept: int = _setting(
        "number",
        "how many dumps from before upgrades are kept, below `data_dir`; 0 takes none",
        5,
    )
    dump_limit: int = _setting(
        "size", "a larger database is upgraded without a dump", 2_000_000_000, shown='"2 GB"'
    )
    allow_root: bool = _setting(
        "flag",
        "whether a pilot that root starts may run everybody's jobs as root, where others share the database: "
        "everybody who may create tasks may be root on its machine then; on, true or 1",
        False,
        shown="off",
    )
    on_lease_lost: str = _setting("kill|keep", "what happens to the jobs after that", "kill")

    path: Path | None = None
    origins: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[Caution, ...] = ()

    def origin(self, key: str) -> str:
        """Say where a value came from: the file, or the environment's variable."""
        return self.origins.get(key, "the defaults")


@dataclass(frozen=True, slots=True)
class Setting:
    """One line of the documentation of the settings."""

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
_BY_NAME = {setting.name: setting for setting in SETTINGS}


def load(
    path: str | None = None,
    environ: Mapping[str, str] | None = None,
    given: Mapping[str, object] | None = None,
) -> Settings:
    """Read the configuration.

    `path` comes from the command line and wins over MAESTRO_CONFIG; a file that was named must exist. What a program
    has `given` wins over all; None means the default.

    Raises:
        ConfigurationError: the file or a variable cannot be used; the message names line and column.
    """
    environ = os.environ if environ is None else environ
    named = path or environ.get(CONFIG_VARIABLE)
    where = expanded(named) if named else _default_path(environ)
    file = config_file.read(where) if where else None
    if named and file is None:
        raise ConfigurationError(f"there is no configuration {where}.")
    settings = Settings(path=file.path if file else where)
    if file:
        settings = _with_file(settings, file)
    return _with_given(_with_environment(settings, environ), given or {})


def _default_path(environ: Mapping[str, str]) -> Path | None:
    home = environ.get("HOME") or home_folder(environ)
    return Path(home) / FILE_NAME if home else None


def _with_file(settings: Settings, file: ConfigFile) -> Settings:
    values: dict[str, object] = {}
    warnings: list[Caution] = []
    for key, value in file.values.items():
        if key in _BY_NAME:
            values[key] = _convert(key, value, partial(file.place, key))
        elif guess := _nearly(key):
            raise ConfigurationError(
                f'{file.place(key)}: "{key}" is not a setting. Did you mean "{guess}"?'
            )
        else:
            caution = f'{file.path}: "{key}" is not a setting of Orchestra and is ignored'
            warnings.append(Caution(caution))
    warnings += _too_open(file.path, values)
    origins = {key: str(file.path) for key in values}
    return replace(settings, **values, origins=origins, warnings=tuple(warnings))  # type: ignore[arg-type]


def _with_environment(settings: Settings, environ: Mapping[str, str]) -> Settings:
    values: dict[str, object] = {}
    for variable in sorted(environ):
        if not variable.startswith("MAESTRO_") or variable in _RESERVED:
            continue
        key = variable.removeprefix("MAESTRO_").lower()
        if key in _BY_NAME:
            values[key] = _convert(key, environ[variable], partial(str, variable))
        elif guess := _nearly(key):
            raise ConfigurationError(
                f"{variable} in the environment is not a setting. Did you mean MAESTRO_{guess.upper()}?"
            )
    origins = {**settings.origins, **{key: f"MAESTRO_{key.upper()}" for key in values}}
    return replace(settings, **values, origins=origins)  # type: ignore[arg-type]


def _with_given(settings: Settings, given: Mapping[str, object]) -> Settings:
    values: dict[str, object] = {}
    for key, value in given.items():
        if key not in _BY_NAME:
            guess = _nearly(key)
            question = f' Did you mean "{guess}"?' if guess else ""
            raise ConfigurationError(f'"{key}" is not a setting.{question}')
        text = os.fspath(value) if isinstance(value, os.PathLike) else value
        values[key] = _convert(key, text, partial(str, "the program"))
    origins = {**settings.origins, **dict.fromkeys(values, "the program")}
    return replace(settings, **values, origins=origins)  # type: ignore[arg-type]


def _nearly(key: str) -> str | None:
    return nearest(key.replace("-", "_"), _BY_NAME, cutoff=0.8)


def _convert(key: str, value: object, place: Callable[[], str]) -> object:
    """Give the value in the setting's type; an empty or null one is the default."""
    if value is None or value == "":
        return next(each.default for each in fields(Settings) if each.name == key)
    kind = _BY_NAME[key].kind
    try:
        if not _BY_NAME[key].secret and isinstance(value, str):
            _refuse_login(value)
        return _CONVERTERS.get(kind, _choice)(value, kind)
    except ValueError as error:
        raise ConfigurationError(f'{place()}: "{key}" {error}') from None


def _refuse_login(value: str) -> None:
    """Refuse an address with a login where no secret is expected: what is no secret is shown in lists and errors."""
    if re.search(r"://[^/]*:[^/]*@", value):
        raise ValueError(
            "holds an address with a password, which nothing but a secret setting may hold."
        )


def _text(value: object, kind: str) -> str:
    if not isinstance(value, str):
        raise ValueError(f"must be text in double quotes, not {config_file.kind_of(value)}.")
    trouble = trouble_with(value)
    # Paths of this machine may be any bytes; the one that tasks keep, the volume, is looked at when they are made.
    if trouble and (kind != "folder" or "\0" in value):
        raise ValueError(f"{trouble}.")
    return value


def _address(value: object, kind: str) -> str:
    from orchestra.domain.naming import check_email

    try:
        return check_email(_text(value, kind).strip())
    except BadInput:
        raise ValueError("must be one e-mail address like ana@example.org.") from None


def _addresses(value: object, kind: str) -> tuple[str, ...]:
    """Give each address once; mail programs put commas or semicolons between them."""
    from orchestra.domain.naming import check_email

    texts = (
        re.split(r"[,;\s]+", value.strip(" ,;")) if isinstance(value, str) else _list(value, kind)
    )
    try:
        return tuple(dict.fromkeys(check_email(text.strip()) for text in texts))
    except BadInput:
        raise ValueError(
            'must be e-mail addresses like "ana@example.org, ben@example.org".'
        ) from None


def _number(value: object, _kind: str) -> int:
    if isinstance(value, str) and len(value) <= 20 and value.strip().isdecimal():
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"must be a whole number, not {_described(value)}.")
    return value


def _folder(value: object, kind: str) -> Path:
    text = _text(value, kind)
    try:
        path = Path(text).expanduser()
    except RuntimeError:
        raise ValueError("begins with ~, and no home folder is known.") from None
    if not path.is_absolute():
        raise ValueError("must be a full path that begins with / or ~.")
    return path


def _duration(value: object, kind: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError(f"must be a duration, not {config_file.kind_of(value)}.")
    from orchestra.domain.quantities import parse_duration

    try:
        seconds = parse_duration(str(value))
    except BadInput:
        raise ValueError('must be a duration like "90 s" or "12 h".') from None
    if not seconds and kind == "duration":
        raise ValueError("must be longer than that.")
    return seconds


def _size(value: object, _kind: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ValueError(f"must be a size, not {config_file.kind_of(value)}.")
    from orchestra.domain.quantities import parse_size

    try:
        return parse_size(str(value))
    except BadInput:
        raise ValueError('must be a size like "500 kB" or "10 MB".') from None


def _choice(value: object, kind: str) -> str:
    choices = kind.split("|")
    if value not in choices:
        raise ValueError(f"must be one of {', '.join(choices)}, not {_described(value)}.")
    return str(value)


def _described(value: object) -> str:
    """Say of what kind a value is that cannot be used. The value is not repeated: it may be a password, misplaced."""
    return "other text" if isinstance(value, str) else config_file.kind_of(value)


def _list(value: object, kind: str) -> tuple[str, ...]:
    """A list of texts; in the environment, words apart."""
    if isinstance(value, str):
        return tuple(_text(value, kind).split())
    if not isinstance(value, list):
        raise ValueError(f'must be a list like ["...", "..."], not {config_file.kind_of(value)}.')
    return tuple(_text(each, kind) for each in value)


_FLAGS = {"on": True, "true": True, "1": True, "off": False, "false": False, "0": False}


def _flag(value: object, _kind: str) -> bool:
    """On or off, as JSON, people and shells write it."""
    word = str(value).lower() if isinstance(value, bool | int | str) else ""
    if word not in _FLAGS:
        raise ValueError(f"must be on or off, not {_described(value)}.")
    return _FLAGS[word]


_CONVERTERS: dict[str, Callable[[object, str], object]] = {
    "text": _text,
    "address": _address,
    "addresses": _addresses,
    "number": _number,
    "folder": _folder,
    "duration": _duration,
    "duration or 0": _duration,
    "size": _size,
    "list": _list,
    "flag": _flag,
}


def _too_open(path: Path, values: Mapping[str, object]) -> list[Caution]:
    """A file with a secret is its owner's alone."""
    secrets = [key for key in values if values[key] and _holds_secret(key, str(values[key]))]
    if not secrets:
        return []
    mode = path.stat().st_mode
    if not stat.S_ISREG(mode) or not mode & (stat.S_IRGRP | stat.S_IROTH):
        return []
    return [Caution(f"{path} holds a password and can be read by others", f"chmod 600 {path}")]


def _holds_secret(key: str, value: str) -> bool:
    if key != "postgres":
        return _BY_NAME[key].secret
    login, at, _ = value.partition("://")[2].rpartition("@")
    return (bool(at) and ":" in login) or "password=" in value
