"""Data sets of files that are there, as commands register them: look at the files, then register what they are."""

from __future__ import annotations

from pathlib import Path

import psycopg

from orchestra.domain.models.datasets import DataSet
from orchestra.domain.models.people import User
from orchestra.files import manifest
from orchestra.interface.answers.datasets import Update
from orchestra.services import datasets


def register(conn: psycopg.Connection, user: User, name: str, path: Path) -> DataSet:
    """Register a file, or the files of a folder."""
    datasets.check_new(conn, user, name)
    return datasets.register(conn, user, name, manifest.scan(path))


def update(conn: psycopg.Connection, user: User, name: str, path: Path | None = None) -> Update:
    """Look at the files of a data set again, or at another place."""
    before = datasets.find_own(conn, user, name)
    found = manifest.scan(path or before.root)
    return datasets.update(conn, user, name, found, seen=before.version_id)
