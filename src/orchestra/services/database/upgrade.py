"""Creates or upgrades the schema, and dumps the database before an upgrade where possible."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psycopg

from orchestra.domain import human
from orchestra.domain.errors import DatabaseUnavailable, VolumeError
from orchestra.homefolder import make_own
from orchestra.services.database import admin
from orchestra.services.database.admin import SchemaChange
from orchestra.store.cluster import health
from orchestra.store.schema import migrate

_SUFFIX = ".dump"


@dataclass(frozen=True, slots=True)
class BackupPolicy:
    """Where automatic dumps are kept, how many of each kind (0: none is taken), and the largest database, in bytes."""

    folder: Path
    kept: int
    limit: int

    def new_path(self, label: str) -> Path:
        """Return the path of a new dump; its folder is created, for the owner only.

        Raises:
            VolumeError: the folder cannot be created.
        """
        try:
            make_own(self.folder, 0o700)
        except OSError as error:
            raise VolumeError(
                f"the folder {self.folder} for dumps cannot be created: {error.strerror}."
            ) from error
        now = time.strftime("%Y%m%d-%H%M%S")
        return self.folder / f"{label}-{now}-{os.getpid()}{_SUFFIX}"

    def prune(self, kind: str) -> None:
        """Remove all but the newest dumps whose names begin with `kind`."""
        dumps = sorted(self.folder.glob(f"{kind}*{_SUFFIX}"), key=lambda path: path.stat().st_mtime)
        for old in dumps[: -self.kept or len(dumps)]:
            with suppress(OSError):
                old.unlink()


def to_newest(
    conn: psycopg.Connection, url: str, policy: BackupPolicy, say: Callable[[str], None]
) -> SchemaChange:
    """Create the schema, or upgrade it to this program's version.

    Before an upgrade the database is dumped; `say` gets the path.

    Raises:
        SchemaMismatch, DatabaseUnavailable: as `admin.prepare`.
        VolumeError: there is no space for the dump; nothing was changed.
    """
    before = migrate.current(conn)
    if not migrate.pending(conn):
        return admin.prepare(conn)
    kept = _keep(conn, url, policy, f"schema-{before}", say) if before else None
    change = admin.prepare(conn)
    if before:
        where = f"; a dump of the old one is {kept}" if kept else ""
        say(f"database upgraded from schema {before} to {change.after}{where}")
    return change


def _keep(
    conn: psycopg.Connection, url: str, policy: BackupPolicy, label: str, say: Callable[[str], None]
) -> Path | None:
    """Dump the database; return None, and say why, where that is impossible."""
    if not policy.kept:
        return None
    size = health.server(conn).size
    if size > policy.limit:
        say(
            f"no dump is taken before the upgrade: the database has {human.size(size)}, "
            f'more than "dump_limit" ({human.size(policy.limit)})'
        )
        return None
    try:
        path = policy.new_path(label)
        admin.dump(url, path)
    except DatabaseUnavailable as error:
        say(f"no dump is taken before the upgrade: {str(error).rstrip('.')}")
        return None
    except VolumeError as error:
        error.remedy = (
            'Nothing was upgraded. "dumps_kept": 0 in the configuration upgrades without a dump.'
        )
        raise
    policy.prune("schema-")
    return path
