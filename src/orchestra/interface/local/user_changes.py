"""Carries out the requests of `interface/user_changes.py`."""

from __future__ import annotations

from orchestra.domain.models.users import User
from orchestra.domain.naming import is_real_address
from orchestra.interface import user_changes as ask
from orchestra.interface.local import Scope
from orchestra.services.users import users


def create_user(scope: Scope, asked: ask.CreateUser) -> User:
    if (
        asked.name == scope.account
    ):  # not `scope.caller`, since looking the caller up creates the user
        if scope.identity and not is_real_address(scope.identity.user.email):
            # A server has created it to know who calls.
            return users.change(scope.conn, scope.caller, asked.name, email=asked.email)
        return users.create_own(scope.conn, asked.name, asked.email)
    return users.create(scope.conn, scope.caller, asked.name, asked.email)


def set_user(scope: Scope, asked: ask.SetUser) -> User:
    return users.change(
        scope.conn, scope.caller, asked.name, email=asked.email, mail=asked.mail, admin=asked.admin
    )


def limit_user(scope: Scope, asked: ask.LimitUser) -> User:
    return users.limit(scope.conn, scope.caller, asked.name, asked.limits)


def delete_user(scope: Scope, asked: ask.DeleteUser) -> None:
    users.delete(scope.conn, scope.caller, asked.name)
