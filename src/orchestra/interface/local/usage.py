"""Carries out the requests of `interface/usage.py`."""

from __future__ import annotations

from orchestra.interface import usage as ask
from orchestra.interface.answers.usage import UsageReport
from orchestra.interface.local import Scope
from orchestra.services import usage


def list_usage(scope: Scope, asked: ask.ListUsage) -> UsageReport:
    return usage.report(scope.conn, asked.by, since=asked.since, until=asked.until, user=asked.user)
