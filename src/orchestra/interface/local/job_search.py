"""Carries out the requests of `interface/job_search.py`."""

from __future__ import annotations

from orchestra.interface import job_search as ask
from orchestra.interface.answers.jobs import FoundJobs
from orchestra.interface.local import Scope
from orchestra.services.jobs import search


def search_jobs(scope: Scope, asked: ask.SearchJobs) -> FoundJobs:
    return search.search(scope.conn, asked)
