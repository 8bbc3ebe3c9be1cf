"""One keeper, as its agent sees it."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

from orchestra.domain.models.pilots import KeeperHello
from orchestra.domain.models.work import AttemptKey
from orchestra.pilot.keeper_link import KeeperLink
from orchestra.pilot.keeper_messages import Hello

log = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class KeeperHandle:
    """A keeper's state.

    Args:
        hello: what the keeper has said, or what its spool contains.
        link: None while there is no connection.
        dead: the keeper has died or exited; `hello` is from its spool.
        registered: the database knows the keeper; until then it is registered again at `register_at`.
        reconciled: what it holds has been compared at least once with what the database granted to it.
        closed_out: the database knows that it is dead; until then this is reported again at `close_out_at`.
        retired: it gets no new jobs, because it was fenced or is of another version.
        fenced: its jobs were requeued, so its lease is not renewed.
        reconnect_at: when to connect again, by the monotonic clock.
        spawn_sent_at: when it was sent a spawn that it has not answered; None if it has.
        incompatible: it speaks another protocol: there is no link, and `hello` is from its spool. `seen_outcomes` were
            read there; `missing` had been running and were absent from it the last time.
    """

    hello: Hello
    folder: Path
    link: KeeperLink | None
    dead: bool = False
    registered: bool = False
    register_at: float = 0.0
    reconciled: bool = False
    closed_out: bool = False
    close_out_at: float = 0.0
    retired: bool = False
    fenced: bool = False
    reconnect_at: float = 0.0
    spawn_sent_at: float | None = None
    incompatible: bool = False
    seen_outcomes: set[AttemptKey] = field(default_factory=set)
    missing: set[AttemptKey] = field(default_factory=set)

    @property
    def id(self) -> UUID:
        return self.hello.keeper

    @property
    def takes_jobs(self) -> bool:
        return self.link is not None and self.registered and not self.retired

    @property
    def is_disconnected(self) -> bool:
        """Whether to connect to it again."""
        return not (self.link or self.dead or self.incompatible)

    def introduction(self, machine_id: str) -> KeeperHello:
        """Return the keeper's identity for the database."""
        hello = self.hello
        return KeeperHello(
            hello.keeper, machine_id, hello.boot_id, hello.pid, hello.version, hello.protocol
        )

    def fence(self) -> None:
        """Send it no new jobs and do not renew its lease. It exits when it has no jobs and outcomes left."""
        if not self.retired:
            log.warning("keeper %s was fenced; another one replaces it", self.id)
        self.retired = self.fenced = True
        if self.link:
            self.link.send_stop()

    def close(self) -> None:
        if self.link:
            self.link.close()
            self.link = None
