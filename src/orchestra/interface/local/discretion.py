"""What a server does not tell everybody: the environment of others' tasks, their mails, and their logs if its operator
says so.

Everybody who can use the database directly sees both.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from functools import cache
from types import MappingProxyType
from typing import Any, TypeVar, get_args, get_type_hints

from orchestra.domain.models.mails import Mail
from orchestra.domain.models.tasks import Task

T = TypeVar("T")
HIDDEN = "(hidden)"
"""Stands for the value of a variable; its name is shown."""
LOG_TEXTS: Mapping[str, object] = MappingProxyType(
    {"last_line": None, "line": None, "log_tail": None, "tail": ()}
)
"""Fields of answers that show a part of a log, and what they have without it."""


def discreet(answer: T, kind: Any, user: str, *, open_logs: bool) -> T:
    """Return an answer without what belongs to others.

    Args:
        kind: its type.
        user: who asked, no admin.
        open_logs: whether the logs of others are shown.
    """
    return _without(answer, user, open_logs, mine=False) if _tells(kind) else answer


def _without(value: Any, user: str, open_logs: bool, mine: bool) -> Any:
    """Return a value without what belongs to others; `mine`: it is a part of what is about a task of this user."""
    if isinstance(value, tuple):
        return tuple(_without(each, user, open_logs, mine) for each in value)
    if not is_dataclass(value) or isinstance(value, type):
        return value
    kind = type(value)
    about = value if isinstance(value, Task) else getattr(value, "task", None)
    if isinstance(about, Task):
        mine = about.owner == user
    change = {
        name: _without(getattr(value, name), user, open_logs, mine) for name in _to_follow(kind)
    }
    if isinstance(value, Task) and value.env and not mine:
        change["env"] = dict.fromkeys(value.env, HIDDEN)
    if isinstance(value, Mail) and value.person != user:
        change["payload"] = {}
    if not (open_logs or mine):
        change |= {name: empty for name, empty in LOG_TEXTS.items() if name in _names(kind)}
    return replace(value, **change) if change else value


@cache
def _names(kind: type) -> frozenset[str]:
    return frozenset(each.name for each in fields(kind))


@cache
def _to_follow(kind: type) -> tuple[str, ...]:
    """Return the fields of a class that may hold something to leave out."""
    hints = get_type_hints(kind)
    return tuple(name for name in sorted(_names(kind)) if _tells(hints[name]))


@cache
def _tells(kind: Any) -> bool:
    """Whether a value of a type may hold something to leave out. No type of an answer contains itself."""
    if isinstance(kind, type) and is_dataclass(kind):
        shows = kind in (Task, Mail) or bool(LOG_TEXTS.keys() & _names(kind))
        return shows or bool(_to_follow(kind))
    return any(_tells(part) for part in get_args(kind))
