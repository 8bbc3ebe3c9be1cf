"""The configuration: `/etc/orchestra.json`, over it `~/.orchestra.json`, over both the environment `MAESTRO_<KEY>`.

It is read once and then frozen. Standard library only, because every command reads it.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

from orchestra.config import json_file
from orchestra.config.conversion import convert, holds_secret, similar_key
from orchestra.config.json_file import ConfigFile
from orchestra.config.settings import BY_NAME, SETTINGS, Caution, Setting, Settings
from orchestra.domain.errors import ConfigurationError
from orchestra.homefolder import expanded, home_folder

__all__ = ["SETTINGS", "Caution", "Setting", "Settings", "load"]

CONFIG_VARIABLE = "MAESTRO_CONFIG"
SYSTEM_VARIABLE = "MAESTRO_SYSTEM_CONFIG"
FILE_NAME = ".orchestra.json"
SYSTEM_FILE = Path("/etc/orchestra.json")
# Variables with the prefix of settings that are not settings.
_RESERVED = frozenset({CONFIG_VARIABLE, SYSTEM_VARIABLE, "MAESTRO_DEBUG"})
_ADDRESS = frozenset({"postgres", "postgres_file"})
"""The settings that say where the database is: whoever sets one of them sets both."""
_LONGEST_ADDRESS = 10_000


def load(
    path: str | None = None,
    environ: Mapping[str, str] | None = None,
    given: Mapping[str, object] | None = None,
) -> Settings:
    """Read the configuration.

    `path` comes from the command line and wins over MAESTRO_CONFIG; both replace the user's own file.
    MAESTRO_SYSTEM_CONFIG replaces /etc/orchestra.json; if it is empty, there is no such file. A file that was named
    must exist. Values that a program has `given` win over all; None stands for the default.

    Raises:
        ConfigurationError: a file or a variable cannot be used; the message names line and column.
    """
    environ = os.environ if environ is None else environ
    system = read_system_file(environ)
    own, own_path = _read_own_file(path, environ)
    settings = Settings(path=own_path, system_path=system.path if system else None)
    if system:
        values, warnings = _from_file(system)
        settings = _with_values(settings, values, dict.fromkeys(values, str(system.path)))
        settings = replace(
            settings, warnings=warnings, root_warnings=_secret_for_all(system, values)
        )
    if own:
        values, warnings = _from_file(own)
        settings = _with_values(settings, values, dict.fromkeys(values, str(own.path)))
        warnings = (*settings.warnings, *warnings, *_secret_for_others(own, values))
        settings = replace(settings, warnings=warnings)
    values = _from_environment(environ)
    settings = _with_values(settings, values, {key: f"MAESTRO_{key.upper()}" for key in values})
    values = _from_program(given or {})
    settings = _with_values(settings, values, dict.fromkeys(values, "the program"))
    return settings if settings.postgres_file is None else _with_address(settings)


def read_system_file(environ: Mapping[str, str]) -> ConfigFile | None:
    """Return the machine's file, None if there is none.

    Raises:
        ConfigurationError: it cannot be read, or is not one JSON object.
    """
    named = environ.get(SYSTEM_VARIABLE)
    if named == "":
        return None
    if named and not expanded(named).is_absolute():
        raise ConfigurationError(f"{SYSTEM_VARIABLE} must be a full path.")
    hint = f"Tell your administrator. {SYSTEM_VARIABLE}= (empty) ignores this file."
    return _read(expanded(named) if named else SYSTEM_FILE, must_exist=bool(named), hint=hint)


def _read_own_file(
    path: str | None, environ: Mapping[str, str]
) -> tuple[ConfigFile | None, Path | None]:
    """Return the user's file, None if there is none, and where it is or would be."""
    named = path or environ.get(CONFIG_VARIABLE)
    if named:
        where = expanded(named)
    else:
        home = environ.get("HOME") or home_folder(environ)
        if not home:
            return None, None
        where = Path(home) / FILE_NAME
    hint = f"chmod 600 {where}, as its owner."
    return _read(where, must_exist=bool(named), hint=hint), where


def _read(path: Path, *, must_exist: bool, hint: str) -> ConfigFile | None:
    file = json_file.read(path, unreadable_hint=hint)
    if file is None and must_exist:
        raise ConfigurationError(f"there is no configuration {path}.")
    return file


def _with_values(
    settings: Settings, values: Mapping[str, object], origins: Mapping[str, str]
) -> Settings:
    if not _ADDRESS.isdisjoint(values):
        values = {**dict.fromkeys(_ADDRESS), **values}
        if all(map(values.get, _ADDRESS)):
            raise ConfigurationError(
                f'{origins["postgres_file"]}: "postgres" and "postgres_file" are both set; leave out one of them.'
            )
    return replace(settings, **values, origins={**settings.origins, **origins})  # type: ignore[arg-type]


def _with_address(settings: Settings) -> Settings:
    """Return the settings with the address that `postgres_file` contains."""
    path = settings.postgres_file
    assert path is not None
    said = f'the "postgres_file" of {settings.origin("postgres_file")}'
    try:
        mode = path.stat().st_mode
        with path.open("rb") as file:
            text = file.read(_LONGEST_ADDRESS).decode(errors="replace").strip()
    except OSError as error:
        raise ConfigurationError(f"{said} cannot be read: {error.strerror}.") from None
    if not text.startswith(("postgresql://", "postgres://")) or "\n" in text:
        raise ConfigurationError(
            f"{said} does not contain the address of a database.",
            hint="It has one line: postgresql://user:password@host:5432/database",
        )
    warnings = settings.warnings
    if (
        holds_secret("postgres", text)
        and stat.S_ISREG(mode)
        and mode & (stat.S_IRGRP | stat.S_IROTH)
    ):
        secret = f"{path} contains a password and can be read by others"
        warnings = (*warnings, Caution(secret, f"chmod 600 {path}"))
    origins = {**settings.origins, "postgres": str(path)}
    return replace(settings, postgres=text, origins=origins, warnings=warnings)


def _from_file(file: ConfigFile) -> tuple[dict[str, object], tuple[Caution, ...]]:
    """Return the settings of a file, and a warning for each key that is not a setting."""
    values: dict[str, object] = {}
    warnings: list[Caution] = []
    for key, value in file.values.items():
        if key in BY_NAME:
            values[key] = convert(key, value, partial(file.place, key))
        elif guess := similar_key(key):
            raise ConfigurationError(
                f'{file.place(key)}: "{key}" is not a setting. Did you mean "{guess}"?'
            )
        else:
            caution = f'{file.path}: "{key}" is not a setting of Orchestra and is ignored'
            warnings.append(Caution(caution))
    return values, tuple(warnings)


def _from_environment(environ: Mapping[str, str]) -> dict[str, object]:
    values: dict[str, object] = {}
    for variable in sorted(environ):
        if not variable.startswith("MAESTRO_") or variable in _RESERVED:
            continue
        key = variable.removeprefix("MAESTRO_").lower()
        if key in BY_NAME:
            values[key] = convert(key, environ[variable], partial(str, variable))
        elif guess := similar_key(key):
            raise ConfigurationError(
                f"{variable} in the environment is not a setting. Did you mean MAESTRO_{guess.upper()}?"
            )
    return values


def _from_program(given: Mapping[str, object]) -> dict[str, object]:
    values: dict[str, object] = {}
    for key, value in given.items():
        if key not in BY_NAME:
            guess = similar_key(key)
            question = f' Did you mean "{guess}"?' if guess else ""
            raise ConfigurationError(f'"{key}" is not a setting.{question}')
        text = os.fspath(value) if isinstance(value, os.PathLike) else value
        values[key] = convert(key, text, partial(str, "the program"))
    return values


def _secret_for_others(file: ConfigFile, values: Mapping[str, object]) -> tuple[Caution, ...]:
    """A user's file with a secret should be readable by its owner only."""
    if not _is_open(file, values, stat.S_IRGRP | stat.S_IROTH):
        return ()
    return (
        Caution(
            f"{file.path} contains a password and can be read by others", f"chmod 600 {file.path}"
        ),
    )


def _secret_for_all(file: ConfigFile, values: Mapping[str, object]) -> tuple[Caution, ...]:
    """The machine's file may share a secret with a group, but not with everybody; only root can change that."""
    if not _is_open(file, values, stat.S_IROTH):
        return ()
    return (
        Caution(
            f"{file.path} contains a password and can be read by everybody on this machine",
            f"chgrp GROUP {file.path}; chmod 640 {file.path}   or move the password to each user's own file",
        ),
    )


def _is_open(file: ConfigFile, values: Mapping[str, object], readers: int) -> bool:
    if not any(value and holds_secret(key, str(value)) for key, value in values.items()):
        return False
    mode = file.path.stat().st_mode
    return stat.S_ISREG(mode) and bool(mode & readers)
