"""Registers data sets of existing files as commands do: scan the files, then register the result."""

from __future__ import annotations

from pathlib import Path

import psycopg

from orchestra.domain.caller import Caller
from orchestra.domain.models.datasets import DataSet
from orchestra.files import manifest
from orchestra.interface.answers.datasets import Update
from orchestra.services import datasets


def register(conn: psycopg.Connection, caller: Caller, name: str, path: Path) -> DataSet:
    """Register a file, or the files of a folder."""
    datasets.check_new(conn, caller, name)
    return datasets.register(conn, caller, name, manifest.scan(path))


def update(conn: psycopg.Connection, caller: Caller, name: str, path: Path | None = None) -> Update:
    """Scan the files of a data set again, or those at another path."""
    before = datasets.find_own(conn, caller, name)
    found = manifest.scan(path or before.root)
    return datasets.update(conn, caller, name, found, seen=before.version_id)
