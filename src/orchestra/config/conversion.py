"""Convert the value of a setting to its type. Errors never repeat a value, which may be a password."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

from orchestra.config.json_file import kind_of
from orchestra.config.settings import BY_NAME, Settings
from orchestra.domain.errors import BadInput, ConfigurationError
from orchestra.domain.nearest import nearest
from orchestra.domain.storable import trouble_with


def similar_key(key: str) -> str | None:
    """Return the setting whose name is nearly this one."""
    return nearest(key.replace("-", "_"), BY_NAME, cutoff=0.8)


def holds_secret(key: str, value: str) -> bool:
    """Whether a value is a secret; an address of PostgreSQL is one if it contains a password."""
    if key != "postgres":
        return BY_NAME[key].secret
    login, at, _ = value.partition("://")[2].rpartition("@")
    return (bool(at) and ":" in login) or "password=" in value


def convert(key: str, value: object, place: Callable[[], str]) -> object:
    """Return the value in the setting's type; empty text or null is the default.

    Raises:
        ConfigurationError: it cannot be converted; the message begins with the `place`.
    """
    if value is None or value == "":
        return next(each.default for each in fields(Settings) if each.name == key)
    kind = BY_NAME[key].kind
    try:
        if not BY_NAME[key].secret and isinstance(value, str):
            _refuse_login(value)
        return _CONVERTERS.get(kind, _choice)(value, kind)
    except ValueError as error:
        raise ConfigurationError(f'{place()}: "{key}" {error}') from None


def _refuse_login(value: str) -> None:
    """Refuse an address with a password: settings that are not secret are shown in lists and errors."""
    if re.search(r"://[^/]*:[^/]*@", value):
        raise ValueError("contains an address with a password, which only a secret setting may.")


def _text(value: object, kind: str) -> str:
    if not isinstance(value, str):
        raise ValueError(f"must be text in double quotes, not {kind_of(value)}.")
    trouble = trouble_with(value)
    # Paths of this machine may be any bytes. The one that tasks keep, the volume, is checked when they are created.
    if trouble and (kind not in ("folder", "file") or "\0" in value):
        raise ValueError(f"{trouble}.")
    return value


def _address(value: object, kind: str) -> str:
    from orchestra.domain.naming import check_email

    try:
        return check_email(_text(value, kind).strip())
    except BadInput:
        raise ValueError("must be one e-mail address like ana@example.org.") from None


def _addresses(value: object, kind: str) -> tuple[str, ...]:
    """Return each address once; mail programs separate them with commas or semicolons."""
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
        raise ValueError("begins with ~, but no home folder is known.") from None
    if not path.is_absolute():
        raise ValueError("must be a full path that begins with / or ~.")
    return path


def _duration(value: object, kind: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError(f"must be a duration, not {kind_of(value)}.")
    from orchestra.domain.quantities import parse_duration

    try:
        seconds = parse_duration(str(value))
    except BadInput:
        raise ValueError('must be a duration like "90 s" or "12 h".') from None
    if not seconds and kind == "duration":
        raise ValueError("must be longer than 0.")
    return seconds


def _size(value: object, _kind: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ValueError(f"must be a size, not {kind_of(value)}.")
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
    """Return the kind of a value that cannot be used; the value itself may be a misplaced password."""
    return "other text" if isinstance(value, str) else kind_of(value)


def _list(value: object, kind: str) -> tuple[str, ...]:
    """Return a list of texts; in the environment they are separated by spaces."""
    if isinstance(value, str):
        return tuple(_text(value, kind).split())
    if not isinstance(value, list):
        raise ValueError(f'must be a list like ["...", "..."], not {kind_of(value)}.')
    return tuple(_text(each, kind) for each in value)


_FLAGS = {"on": True, "true": True, "1": True, "off": False, "false": False, "0": False}


def _flag(value: object, _kind: str) -> bool:
    """Read on or off, as JSON, people and shells write it."""
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
    "file": _folder,
    "duration": _duration,
    "duration or 0": _duration,
    "size": _size,
    "list": _list,
    "flag": _flag,
}
