"""A pilot for an ordeal: `python pilot.py URL NODE FOLDER [--elsewhere] [--draining]`.

It serves a node as `maestro pilot run` does, but with short times: lease, renewal, reconciliation, the conductor's
margin. With `--elsewhere` it claims to run on another machine.
"""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

from orchestra.cli.exit_statuses import status_of
from orchestra.conductor import conductor, leases
from orchestra.conductor.run import run as conduct
from orchestra.domain.errors import OrchestraError
from orchestra.pilot import db_thread, lease, options, reconcile
from orchestra.pilot.agent import run
from orchestra.pilot.options import PilotOptions
from orchestra.pilot.successor import DRAINING, STARTED_BY_KEEPER
from orchestra.store.driver import database
from orchestra.store.postgres.datafolder import Host, this_host
from ordeal.schedule import LEASE

MARGIN = 3.0
"""Seconds beyond lease and grace, for keepers on a busy machine."""
PATIENCE = 12.0
"""Seconds that a replaced database waits: more than the back-off of pilots."""


def shorten() -> None:
    """Shorten minutes to seconds."""
    lease.RENEW_EVERY = 0.8
    reconcile.RECONCILE_EVERY = 4.0
    conductor.LEASES_EVERY = 1.0
    leases.REQUEUE_AFTER = 4.0
    database.MARGIN = 0.6
    db_thread.PROBE_AFTER = 1.0


def pretend_to_be_elsewhere() -> None:
    host = this_host()
    options.this_host = lambda: Host("another-machine", host.boot_id, "elsewhere")  # type: ignore[attr-defined]


def main() -> int:
    url, node, folder, *flags = sys.argv[1:]
    shorten()
    if "--elsewhere" in flags:
        pretend_to_be_elsewhere()
    join = partial(
        database.connect,
        url,
        name=f"pilot {node}",
        statement_timeout=2.0,
        lock_timeout=1.5,
        connect_timeout=2.0,
    )
    again = [flag for flag in flags if flag not in (DRAINING, STARTED_BY_KEEPER)]
    wish = PilotOptions(
        node=node,
        cluster="ordeal",
        connect=join,
        lease=LEASE,
        draining=DRAINING in flags,
        started_by_keeper=STARTED_BY_KEEPER in flags,
        foreground=False,
        relaunch=(sys.executable, __file__, url, node, folder, *again),
        conductor=lambda stop, say: conduct(
            join, stop, name=node, margin=MARGIN, patience=PATIENCE, say=say
        ),
        state_folder=Path(folder),
    )
    try:
        return run(wish)
    except OrchestraError as error:
        print(f"error: {error}", file=sys.stderr)
        return status_of(error)


if __name__ == "__main__":
    sys.exit(main())
