"""Carries out the requests of `interface/me.py`."""

from __future__ import annotations

from orchestra.domain.models.users import User
from orchestra.interface import me as ask
from orchestra.interface.local import Scope


def me(scope: Scope, _asked: ask.Me) -> User:
    return scope.caller.user
