"""Debian's PostgreSQL 15 with its default settings: typical of labs, and the oldest supported version.

Nothing that query plans depend on is changed, since they are what is tested. Only durability is off.
"""

from __future__ import annotations

import os
import pwd
import secrets
import subprocess
from pathlib import Path

FOLDER = Path("/usr/lib/postgresql/15/bin")  # tools/install-postgresql
ACCOUNT = "postgres"

_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "max_connections": "400",  # of up to 64 workers
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "max_wal_size": "128MB",
}


def start(home: Path, port: int) -> str:
    """Create a server in a new folder and start it; return its password. It logs to `home`/postgres.log.

    Raises:
        CalledProcessError: it does not start, perhaps because another process has taken the port.
    """
    home.mkdir(mode=0o711)
    password = secrets.token_urlsafe(12)
    note = home / "password"
    note.write_text(password)
    if owner := _owner():
        for path in (home, note):
            os.chown(path, owner.pw_uid, owner.pw_gid)
    _run(
        *("initdb", "-D", home / "data", "-U", "orchestra", f"--pwfile={note}", "--no-sync"),
        *("--auth=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8"),
    )
    own = {**_SETTINGS, "port": str(port), "unix_socket_directories": str(home)}
    options = " ".join(f"-c {key}={value}" for key, value in own.items())
    _run("pg_ctl", "start", "-D", home / "data", "-w", "-l", home / "postgres.log", "-o", options)
    return password


def stop(home: Path) -> None:
    """Stop a server at once, if there is one."""
    if (home / "data" / "postmaster.pid").exists():
        _run("pg_ctl", "stop", "-D", home / "data", "-m", "immediate", "-w")


def _owner() -> pwd.struct_passwd | None:
    return None if os.geteuid() else pwd.getpwnam(ACCOUNT)  # PostgreSQL refuses root


def _run(program: str, *arguments: str | Path) -> None:
    owner = _owner()
    subprocess.run(
        [FOLDER / program, *arguments],
        check=True,
        cwd="/",
        env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        user=owner.pw_uid if owner else None,
        group=owner.pw_gid if owner else None,
        extra_groups=[] if owner else None,
    )
