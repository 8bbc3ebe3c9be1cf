"""What read-only commands import, because imports are most of their cost."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

# Modules for changes, pilots and mail.
NOT_FOR_LOOKING = {
    "orchestra.domain.notifications",
    "orchestra.domain.models.pilots",
    "orchestra.domain.models.work",
    "orchestra.domain.transitions",
    "orchestra.services.database.admin",
    "orchestra.services.tasks.lifecycle",
    "orchestra.services.database.recovery",
    "orchestra.services.database.upgrade",
    "orchestra.store.jobs.job_mutations",
    "orchestra.store.tasks.task_mutations",
    "orchestra.store.mail.outbox",
    "orchestra.store.tasks.creation",
    "rich",
}


@pytest.mark.parametrize("command", ["task list", "task show 0", "job list 0"])
def test_read_only_commands_do_not_import_modules_for_changes(
    command: str, database_url: str
) -> None:
    script = (
        "import sys; from orchestra.cli.main import main; main(sys.argv[1:]); "
        "print(*sys.modules, file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, *command.split()],
        env={**os.environ, "MAESTRO_POSTGRES": database_url, "MAESTRO_USERNAME": "ana"},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    found = set(done.stderr.splitlines()[-1].split())
    assert "orchestra.store.driver.database" in found, done.stderr
    assert sorted(found & NOT_FOR_LOOKING) == []
