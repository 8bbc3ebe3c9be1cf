"""Carries out the requests of `interface/tokens.py`."""

from __future__ import annotations

from orchestra.domain.models.credentials import NewToken, Token
from orchestra.interface import tokens as ask
from orchestra.interface.local import Scope
from orchestra.services.users import tokens


def create_token(scope: Scope, asked: ask.CreateToken) -> NewToken:
    return tokens.create(
        scope.conn,
        scope.caller,
        scope.unix,
        user=asked.user,
        name=asked.name,
        seconds=asked.seconds,
        admin=asked.admin,
        through=scope.identity,
    )


def list_tokens(scope: Scope, asked: ask.ListTokens) -> tuple[Token, ...]:
    if asked.everybody:
        return tuple(tokens.of_everybody(scope.conn, scope.caller))
    return tuple(tokens.of_user(scope.conn, scope.caller, asked.user))


def revoke_token(scope: Scope, asked: ask.RevokeToken) -> Token:
    return tokens.revoke(scope.conn, scope.caller, asked.token)
