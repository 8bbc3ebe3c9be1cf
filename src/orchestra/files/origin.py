"""Where a program comes from: the git commit of its folder, and whether the folder differed from it."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from orchestra.domain.models.tasks import Origin

_PATIENCE = 5.0
# Where git looks for its settings and how far it looks for a repository; all other GIT_ variables, such as GIT_DIR in
# a hook, are about another one.
_KEPT = re.compile(
    r"(?!GIT_).*|GIT_(CONFIG_(GLOBAL|SYSTEM|NOSYSTEM)|CEILING_DIRECTORIES|DISCOVERY_ACROSS_FILESYSTEM|EXEC_PATH)"
)
# A repository's own settings must start no program, and nobody is asked for a password.
_SAFE = (
    *("-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null"),
    *("-c", "core.untrackedCache=false", "--no-optional-locks"),
)


@dataclass(frozen=True, slots=True)
class Commit:
    """A git commit; `dirty` if tracked files differed from it, or the program is not part of it.

    `note` is a sentence for people on what could not be found out.
    """

    name: str | None = None
    dirty: bool = False
    note: str | None = None


def commit(program: str, environ: Mapping[str, str]) -> Commit:
    """Return the commit of the folder of a program; without a name if there is no repository, no git or no answer."""
    folder, name = os.path.split(program)
    try:
        head = _git(folder, environ, "rev-parse", "--verify", "HEAD")
    except (OSError, subprocess.TimeoutExpired):
        return Commit()
    found = head.stdout.strip()
    if head.returncode or not re.fullmatch("[0-9a-f]{40,64}", found):
        return Commit(note=_refusal(folder, head.stderr))
    try:
        changed = _git(folder, environ, "status", "--porcelain", "--untracked-files=no")
        tracked = _git(folder, environ, "ls-files", "--error-unmatch", "--", f":(literal){name}")
    except subprocess.TimeoutExpired:
        why = f"git did not say within {_PATIENCE:g} s whether files differ from the commit, so it counts as changed"
        return Commit(found, dirty=True, note=why)
    return Commit(found, bool(changed.stdout or changed.returncode or tracked.returncode))


def again(known: Origin, environ: Mapping[str, str]) -> Origin:
    """Return where a program comes from now; what cannot be found out stays as it was."""
    script = known.script
    if script is None:
        return known
    found = commit(script, environ)
    if found.name:
        known = replace(known, commit=found.name, dirty=found.dirty)
    try:
        text = Path(script).read_bytes()
    except OSError:
        return known
    return replace(known, sha256=hashlib.sha256(text).hexdigest())


def _git(folder: str, environ: Mapping[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    own = {name: value for name, value in environ.items() if _KEPT.fullmatch(name)}
    return subprocess.run(
        ["git", *_SAFE, *words],
        cwd=folder,
        env={**own, "LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0", "GIT_PAGER": "cat"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=_PATIENCE,
        check=False,
    )


def _refusal(folder: str, said: str) -> str | None:
    if "dubious ownership" not in said:
        return None
    where = re.search(r"repository at '([^'\n]+)'", said)
    repository = where[1] if where else str(Path(folder))
    return (
        f"the git commit is not recorded, because {repository} belongs to another account: "
        f"git config --global --add safe.directory {repository}"
    )
