"""A pool's process among random events: no limit is broken, what serves is never ended, and nothing is left behind."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import UUID

import pytest

from orchestra.domain.models.pools import AllocationState, Phase, PoolSettings, Refusal
from orchestra.services.pools import pools
from store.test_pool_duty import Site
from store.test_pool_duty import site as site
from support.people import caller
from support.world import Pilot

pytestmark = pytest.mark.servers("embedded")
MOST, MOST_PENDING, STEPS = 3, 2, 50
WORDS = {
    Phase.WAITING: "PENDING",
    Phase.RUNNING: "RUNNING",
    Phase.UNCLEAR: "EXPLODED",
    Phase.ENDING: "COMPLETING",
    Phase.OVER: "FAILED",
}


@dataclass
class Life:
    """Random events around a pool."""

    site: Site
    dice: random.Random
    pilots: dict[UUID, Pilot] = field(default_factory=dict)
    came: set[UUID] = field(default_factory=set)

    def step(self) -> None:
        event = self.dice.choice(
            [
                self.engine_changes,
                self.engine_says,
                self.engine_says,
                self.come,
                self.go,
                self.pass_time,
                self.restart,
            ]
        )
        event()
        self.site.run(self.dice.choice([1.0, 5.0, 31.0]))
        self.check()

    def engine_changes(self) -> None:
        engine = self.site.engine
        engine.is_silent = self.dice.random() < 0.3
        engine.answers_late = self.dice.random() < 0.2
        engine.refuses = (
            Refusal("QOSMaxSubmitJobPerUserLimit") if self.dice.random() < 0.2 else None
        )

    def engine_says(self) -> None:
        """Say more of an allocation: it never waits again (`--no-requeue`)."""
        engine = self.site.engine
        if not engine.reports:
            return
        number = self.dice.choice(sorted(engine.reports))
        if self.dice.random() < 0.1:
            del engine.reports[number]
            return
        before = engine.reports[number].phase
        phases = {Phase.WAITING: [*WORDS], Phase.RUNNING: [*WORDS][1:], Phase.ENDING: [Phase.OVER]}
        phase = self.dice.choice(phases.get(before, [before]))
        engine.say(number, phase, WORDS[phase])

    def come(self) -> None:
        live = [each for each in self.site.live if each.engine_id and each.id not in self.came]
        if live:
            each = self.dice.choice(live)
            self.came.add(each.id)
            if each.engine_id in self.site.engine.reports:
                self.site.engine.say(each.engine_id, Phase.RUNNING, "RUNNING")
            self.pilots[each.id] = self.site.attach(each, f"cpu-{each.engine_id}-n1")

    def go(self) -> None:
        """A pilot signs off, or falls silent."""
        if not self.pilots:
            return
        key = self.dice.choice(sorted(self.pilots))
        pilot = self.pilots.pop(key)
        if self.dice.random() < 0.5:
            self.site.silence(pilot)
        else:
            self.sign_off(key, pilot)

    def sign_off(self, key: UUID, pilot: Pilot) -> None:
        execute = self.site.world.conn.execute
        execute("update node set gone_at = now() where id = %s", [pilot.node])
        execute(
            "update allocation set state = 'ENDED', ended_at = now() where id = %s and ended_at is null",
            [key],
        )

    def pass_time(self) -> None:
        self.later(self.dice.choice([61.0, 130.0, 700.0]))
        self.speak()

    def later(self, seconds: float) -> None:
        self.site.world.conn.execute(
            "update pool set decision = jsonb_set("
            "decision, '{surplus_since}', to_jsonb((decision->>'surplus_since')::timestamptz - %s))"
            " where decision->>'surplus_since' is not null",
            [timedelta(seconds=seconds)],
        )
        self.site.later(seconds)

    def speak(self) -> None:
        for pilot in self.pilots.values():
            self.site.world.conn.execute(
                "update pilot set seen_at = now() where node_id = %s", [pilot.node]
            )

    def restart(self) -> None:
        self.site.restart()

    def check(self) -> None:
        live = self.site.live
        assert len(live) <= MOST
        assert sum(each.state.is_waiting for each in live) <= MOST_PENDING
        assert self.pilots.keys() <= {each.id for each in live}, "one that serves was ended"

    def end(self) -> None:
        """Everything works again, and there is nothing to do."""
        engine, world = self.site.engine, self.site.world
        engine.is_silent, engine.answers_late, engine.refuses = False, False, None
        world.conn.execute("update task set rank = null")
        for key, pilot in self.pilots.items():
            self.sign_off(key, pilot)
        self.pilots.clear()
        for number, report in list(engine.reports.items()):
            if report.phase in (Phase.RUNNING, Phase.ENDING, Phase.UNCLEAR):
                engine.say(number, Phase.OVER, "COMPLETED")
        for _ in range(40):
            self.later(45.0)
        assert {*self.site.states()} <= {AllocationState.ENDED}
        assert all(report.phase is Phase.OVER for report in engine.reports.values()), "left behind"


@pytest.mark.parametrize("seed", range(2))
def test_random_events(site: Site, seed: int) -> None:
    conn = site.world.conn
    limits = PoolSettings(max_pilots=MOST, max_pending=MOST_PENDING)
    pools.change(conn, caller(conn), "cpu", limits)
    site.work(1000)
    conn.execute("update task set typical_seconds = 600")
    life = Life(site, random.Random(seed))
    for _ in range(STEPS):
        life.step()
    life.end()
