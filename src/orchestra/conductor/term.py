"""The conductor's term: taken, renewed, and checked at the beginning of every transaction."""

from __future__ import annotations

from collections.abc import Callable

from orchestra.conductor.wakeups import Wakeups
from orchestra.domain.troubles import Stuck
from orchestra.services.database import recovery, terms
from orchestra.services.database.terms import RENEW_EVERY, TERM_SECONDS
from orchestra.store.cluster import leader

__all__ = ["RENEW_EVERY", "TERM_SECONDS", "TermHolder", "Transact"]

Transact = Callable[[Callable[[], bool]], bool]
"""Runs one step in a transaction that has checked the conductor's term."""


class TermHolder(terms.TermHolder):
    """The conductor's term. It also wakes pilots with transactions, and detects a database that was replaced."""

    def __init__(self, wakeups: Wakeups, *, name: str, preferred: bool) -> None:
        super().__init__(leader.CONDUCTOR, name=name, preferred=preferred)
        self._wakeups = wakeups
        self._generation = 0
        self._published: tuple[Stuck, ...] = ()

    def _has_begun(self, term: leader.Term) -> None:
        self._published = ()
        self.transact(lambda: bool(recovery.identify(self._conn, who=self._name)))
        self._was_renewed(term.generation)

    def _was_renewed(self, generation: int) -> None:
        """Detect a database that was replaced by an older state of itself: this number only grows."""
        went_back, self._generation = generation <= self._generation, generation
        if went_back:
            self.transact(lambda: bool(recovery.begin(self._conn, recovery.OLDER, who=self._name)))

    def transact(self, step: Callable[[], bool]) -> bool:
        """Run a step in a transaction of its own that has checked the term; pilots are woken with it.

        Raises:
            Superseded: this process does not hold the term.
        """

        def began() -> bool:
            self._wakeups.begin()
            return step()

        result = super().transact(began)
        self._wakeups.committed()
        return result

    def publish_stuck(self, stuck: tuple[Stuck, ...]) -> None:
        """Store what the conductor cannot continue, for commands to show."""
        if self._term and stuck != self._published:
            self._term.note_stuck(self._conn, stuck)
            self._published = stuck
