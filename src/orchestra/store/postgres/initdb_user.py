"""Running initdb, which needs a name for its account, for accounts without an entry in passwd."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from orchestra.domain.errors import DatabaseUnavailable
from orchestra.store.postgres.programs import USE_A_SERVER, Programs

_NSS_WRAPPER = ("LD_PRELOAD", "NSS_WRAPPER_PASSWD", "NSS_WRAPPER_GROUP")


def run(programs: Programs, arguments: Sequence[str | Path]) -> subprocess.CompletedProcess[str]:
    """Run initdb. An account without an entry in passwd runs it in a user namespace, with another account's number.

    Raises:
        DatabaseUnavailable: there is no such entry, and no user namespace is available.
    """
    if programs.account or has_entry():
        wrapper = _NSS_WRAPPER if "NSS_WRAPPER_PASSWD" in os.environ else ()
        environment = {name: os.environ[name] for name in wrapper if name in os.environ}
        return programs.run("initdb", arguments, environment=environment)
    if why := why_not():
        raise DatabaseUnavailable(why, hint=HINT)
    return programs.run("initdb", arguments, by=_as_another())


HINT = (
    "Have the account entered in /etc/passwd (docker run -v, nss_wrapper), or let user namespaces be made. Or:\n"
    f"{USE_A_SERVER}"
)


def has_entry() -> bool:
    """Whether the account that runs this has an entry in passwd."""
    try:
        pwd.getpwuid(os.geteuid())
    except KeyError:
        return False
    return True


def why_not() -> str | None:
    """The reason why an account without an entry cannot create a database here; None if it can."""
    said = "there is no unshare, or no other account"
    if command := _as_another():
        try:
            done = subprocess.run(
                [*command, "true"],
                check=False,
                env={"PATH": "/usr/bin:/bin", "LC_ALL": "C"},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=10,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            said = str(error)
        else:
            if done.returncode == 0:
                return None
            said = (
                done.stderr.strip().rpartition("\n")[2] or f"unshare ended with {done.returncode}"
            )
    return (
        f"uid {os.geteuid()} has no entry in passwd, which PostgreSQL's initdb needs, and no user namespace "
        f"can be made instead: {said}."
    )


def _as_another() -> list[str]:
    """Return the command that runs a program in a user namespace, with the number of an account that has an entry."""
    unshare = shutil.which("unshare", path="/usr/bin:/bin")
    other = next((entry.pw_uid for entry in pwd.getpwall() if entry.pw_uid), None)
    return [unshare, "--user", f"--map-user={other}"] if unshare and other else []
