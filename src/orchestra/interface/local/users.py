"""Carries out the requests of `interface/users.py`."""

from __future__ import annotations

from orchestra.domain.models.users import User
from orchestra.interface import users as ask
from orchestra.interface.local import Scope
from orchestra.services.users import users


def list_users(scope: Scope, _asked: ask.ListUsers) -> tuple[User, ...]:
    return tuple(users.everybody(scope.conn))


def get_user(scope: Scope, asked: ask.GetUser) -> User:
    return users.get(scope.conn, asked.name)
