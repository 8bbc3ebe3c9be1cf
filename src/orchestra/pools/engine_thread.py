"""Calls of an engine in a thread of its own: they may take many seconds, in which the term must be renewed."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(slots=True)
class Call(Generic[T]):
    """One call: its result, or the exception that it raised, once it is over."""

    result: T | None = None
    error: Exception | None = None
    is_over: bool = False


def start(call: Callable[[], T], wake: Callable[[], None], *, name: str) -> Call[T]:
    """Run a call in a thread, which does not keep the process from ending; `wake` is called there once it is over."""
    state: Call[T] = Call()

    def run() -> None:
        try:
            state.result = call()
        except Exception as error:  # noqa: BLE001 - the duty handles it
            state.error = error
        state.is_over = True
        wake()

    threading.Thread(target=run, name=name, daemon=True).start()
    return state
