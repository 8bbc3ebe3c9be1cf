"""A pool in simulated time: what always holds of its decisions, whatever the batch system and the tasks do."""

from __future__ import annotations

from dataclasses import replace
from math import inf

from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from bench.pool_simulation import Burst, Engine, Outcome, PoolSimulation
from orchestra.domain.models.pools import AllocationState, Decision, PoolLimits, Situation
from orchestra.domain.pools.census import census
from orchestra.domain.pools.decision import decide

HOUR = 3600.0
LONG_ENOUGH = 7 * 24 * HOUR
LIMITS = PoolLimits(max_pilots=20)
PERIOD, POLL = 30.0, 60.0
NO_SHRINKING = (Phase.explicit, Phase.reuse, Phase.generate)
"""An example takes a second: shrinking it would take longer than a test may."""


ANY_TIME = st.sampled_from([0.0, 100.0, 1500.0])


@st.composite
def _bursts(draw: st.DrawFn, *, at: st.SearchStrategy[float] = ANY_TIME) -> list[Burst]:
    seconds = st.sampled_from([0.1, 5.0, 60.0, 130.0, 1500.0])
    return [
        Burst(
            draw(st.sampled_from([1, 2, 7, 40, 90])),
            draw(seconds),
            draw(at),
            draw(st.sampled_from([0.0, 0.5])),
            draw(st.sampled_from([0, 3, 10])),
            draw(st.sampled_from([1, 4])),
        )
        for _ in range(draw(st.integers(1, 3)))
    ]


WAITS = st.sampled_from([(0.0, 0.0), (20.0, 200.0), (600.0, 600.0), (0.0, HOUR)])
WELL = st.builds(
    Engine,
    wait=WAITS,
    walltime=st.sampled_from([inf, HOUR, 7200.0]),
    machines=st.sampled_from([1.0, 3.0, inf]),
)
ILL = st.builds(
    Engine,
    wait=WAITS,
    walltime=st.sampled_from([inf, HOUR]),
    machines=st.sampled_from([1.0, 3.0, inf]),
    refuses=st.sampled_from([0.0, 0.8, 1.0]),
    fails=st.sampled_from([0.0, 0.5, 1.0]),
    well_at=st.sampled_from([0.0, 600.0, 2 * HOUR]),
    silent=st.sampled_from([(inf, inf), (0.0, 90.0), (100.0, 1500.0)]),
    forgets=st.sampled_from([0.0, 0.3]),
)
ALL_LIMITS = st.builds(
    PoolLimits,
    max_pilots=st.sampled_from([2, 3, 20]),
    min_pilots=st.sampled_from([0, 0, 2]),
    max_pending=st.sampled_from([1, 4]),
    min_work=st.sampled_from([0.0, 120.0, 900.0]),
    idle=st.sampled_from([30.0, 120.0]),
)


def _check(simulation: PoolSimulation, situation: Situation, decision: Decision) -> None:
    """Check what must hold of every decision."""
    limits = simulation.limits
    real = [each for each in simulation.held if each.is_real and each.ended == inf]
    assert len(real) + decision.submit <= limits.max_pilots
    if decision.submit:
        assert sum(each.is_pending for each in real) + decision.submit <= limits.max_pending
        waiting = sum(load.jobs for load in situation.loads)
        assert waiting or len(real) < limits.min_pilots, "free slots suffice"
    if situation.back_off.not_before and situation.now < situation.back_off.not_before:
        assert not decision.submit
        may_wait = census(situation).waiting < limits.max_pending
        if len(situation.allocations) < decision.need and may_wait:
            assert "Slurm says" in decision.why
    assert decision.why


def _run(simulation: PoolSimulation, until: float = LONG_ENOUGH) -> None:
    gone_at: float | None = None
    for situation, decision in simulation.run(until):
        _check(simulation, situation, decision)
        gone_at = None if simulation.has_work else (gone_at or simulation.now)
        pending = sum(each.state is AllocationState.PENDING for each in situation.allocations)
        if gone_at is not None and simulation.now > gone_at + 600 + PERIOD + POLL:
            assert pending - len(decision.withdraw) <= simulation.limits.min_pilots, "work is gone"
        if simulation.limits.min_pilots and not simulation.has_work:
            break
    assert simulation.outcome.left == 0, "jobs starve"


@settings(max_examples=15, deadline=None, phases=NO_SHRINKING)
@given(_bursts(), ILL, ALL_LIMITS, st.integers(0, 3))
def test_no_limit_is_broken_and_no_job_starves(
    bursts: list[Burst], engine: Engine, limits: PoolLimits, seed: int
) -> None:
    _run(PoolSimulation(bursts, engine, limits, decide, seed=seed, period=PERIOD, poll=POLL))


@settings(max_examples=20, deadline=None, phases=NO_SHRINKING)
@given(_bursts(at=st.just(0.0)), WELL, st.sampled_from([0.0, 120.0, 900.0]), st.integers(0, 3))
def test_nothing_is_withdrawn_and_submitted_again(
    bursts: list[Burst], engine: Engine, min_work: float, seed: int
) -> None:
    bursts = [replace(each, test_jobs=0) for each in bursts]
    limits = replace(LIMITS, min_work=min_work)
    simulation = PoolSimulation(bursts, engine, limits, decide, seed=seed, period=PERIOD, poll=POLL)
    withdrawn_at = -inf
    for _, decision in simulation.run(LONG_ENOUGH):
        if decision.submit:
            assert simulation.now > withdrawn_at + 600, "flapping"
        if decision.withdraw:
            withdrawn_at = simulation.now


def _outcome(*bursts: Burst, engine: Engine, limits: PoolLimits = LIMITS) -> Outcome:
    simulation = PoolSimulation(bursts, engine, limits, decide, period=PERIOD, poll=POLL)
    for _ in simulation.run(LONG_ENOUGH):
        pass
    assert simulation.outcome.left == 0
    return simulation.outcome


def test_a_batch_system_that_refuses_everything_is_asked_about_once_an_hour() -> None:
    engine = Engine(refuses=1.0, well_at=12 * HOUR)
    outcome = _outcome(Burst(100, 60), engine=engine)
    assert 12 <= outcome.refused <= 20
    assert outcome.makespan < 13.5 * HOUR


def test_a_batch_system_that_ends_everything_early_gets_one_allocation_at_a_time() -> None:
    outcome = _outcome(Burst(100, 60), engine=Engine(fails=1.0, well_at=12 * HOUR))
    assert 12 <= outcome.unused <= 22
    assert outcome.makespan < 13.5 * HOUR


def test_jobs_that_are_long_from_the_first_on_do_not_wait_for_the_first_to_end() -> None:
    outcome = _outcome(Burst(40, 5 * HOUR, test_jobs=40), engine=Engine())
    assert outcome.makespan < 5.5 * HOUR


def test_each_allocation_of_a_batch_system_in_order_runs_jobs() -> None:
    bursts = [Burst(300, 60, at=900.0 * number, test_jobs=10) for number in range(6)]
    outcome = _outcome(*bursts, engine=Engine(wait=(30, 90)))
    assert (outcome.unused, outcome.withdrawn) == (0, 0)
    assert outcome.busy > 0.5 * outcome.held


def test_work_that_outlasts_its_allocations_is_handed_on() -> None:
    engine = Engine(wait=(2 * HOUR, 2 * HOUR), walltime=HOUR, machines=1)
    outcome = _outcome(Burst(100, 600), engine=engine, limits=replace(LIMITS, max_pilots=2))
    assert outcome.makespan < 24 * HOUR, "the next one waits in the queue while one serves"
