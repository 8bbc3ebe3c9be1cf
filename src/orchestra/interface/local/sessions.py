"""Carries out the requests of `interface/sessions.py`."""

from __future__ import annotations

from dataclasses import replace

from orchestra.domain.models.credentials import SignInCode, WebSession
from orchestra.interface import sessions as ask
from orchestra.interface.local import Scope
from orchestra.services.users import sessions, sign_in


def make_sign_in_code(scope: Scope, _asked: ask.MakeSignInCode) -> SignInCode:
    made = sign_in.make_code(scope.conn, scope.caller, scope.unix, through=scope.identity)
    return replace(made, address=scope.through.address if scope.through else None)


def list_sessions(scope: Scope, _asked: ask.ListSessions) -> tuple[WebSession, ...]:
    return tuple(sessions.own(scope.conn, scope.caller))


def end_session(scope: Scope, asked: ask.EndSession) -> None:
    sessions.end(scope.conn, scope.caller, asked.session)
