"""The simulator of bench/: traces are read, no job is lost, no node has more than it can, figures are right."""

from __future__ import annotations

import gzip
import sys
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench import swf, traces
from bench.simulate import figures, main, slowdown
from bench.simulation import Job, Policy, Run, Simulation
from orchestra.domain.resources import DeviceRoom, Request, Room

TRACE = """\
; Version: 2.2
; Computer: a made-up cluster
; MaxNodes: 4
; MaxProcs: 8 (two each)
;
1 0 5 100 2 90 1000 2 200 2000 1 7 1 1 1 1 -1 -1
3 20 -1 50 -1 -1 -1 8 -1 -1 1 9 1 1 1 1 -1 -1
2 10 -1 30 4 -1 500 -1 60 -1 1 7 1 1 1 1 -1 -1

4 30 -1 -1 -1 -1 -1 2 60 -1 5 7 1 1 1 1 -1 -1
5 40 0 10 0 -1 -1 -1 60 -1 0 7 1 1 1 1 -1 -1
"""


def test_a_trace_is_read(tmp_path: Path) -> None:
    trace = swf.parse(TRACE.splitlines())
    assert [job.number for job in trace.jobs] == [1, 2, 3]
    first, second, third = trace.jobs
    assert first == Job(1, 7, 0, 100, Request(2, memory_bytes=2 * 2000 * 1024), 200)
    assert second.request == Request(4, memory_bytes=4 * 500 * 1024)
    assert (third.request.cpus, third.estimate) == (8, 0)
    assert trace.skipped == 2
    assert trace.machine() == [Room(8)]
    assert trace.header["Computer"] == "a made-up cluster"
    packed = tmp_path / "x.swf.gz"
    packed.write_bytes(gzip.compress(TRACE.encode()))
    assert swf.read(packed) == trace


@pytest.mark.parametrize(
    ("text", "message"),
    [("1 2 3", "Line 1 has 3 fields"), (";\n" + "x " * 18, "Line 2 has something else")],
)
def test_what_is_no_trace(text: str, message: str) -> None:
    with pytest.raises(swf.NotATrace, match=message):
        swf.parse(text.splitlines())
    with pytest.raises(swf.NotATrace, match="no MaxProcs"):
        swf.parse([]).machine()


def test_a_mistake_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "x.swf").write_text("1 2\n")
    for words, said in (
        (["--trace", str(tmp_path / "x.swf")], "Line 1 has 2 fields, not 18."),
        (["--trace", str(tmp_path / "none")], "No such file"),
        (["--nodes", "3"], "--nodes needs --cpus"),
    ):
        monkeypatch.setattr(sys, "argv", ["simulate", *words])
        with pytest.raises(SystemExit):
            main()
        assert said in capsys.readouterr().err


jobs = st.builds(
    Job,
    number=st.just(0),
    user=st.integers(0, 2),
    submitted=st.integers(0, 50).map(float),
    seconds=st.integers(1, 40).map(float),
    request=st.sampled_from(
        [
            Request(1),
            Request(3),
            Request(4, exclusive=True),
            Request(0, 1),
            Request(1, 0, 500, 3),
            Request(2, memory_bytes=6),
            Request(9),
        ]
    ),
    estimate=st.sampled_from([0.0, 40.0]),
)
NODES = [Room(4, memory_bytes=10), Room(4, (DeviceRoom(1000, 8), DeviceRoom(1000, 8)), 10), Room(2)]


@settings(max_examples=60, deadline=None)
@given(st.lists(jobs, max_size=40), st.sampled_from(Policy))
def test_no_job_is_lost_and_no_node_has_more_than_it_can(trace: list[Job], policy: Policy) -> None:
    numbered = [
        Job(n, job.user, job.submitted, job.seconds, job.request, job.estimate)
        for n, job in enumerate(trace)
    ]
    simulation = Simulation(numbered, NODES, policy)
    runs = list(simulation.run())
    ended = [run.job.number for run in runs] + [job.number for job in simulation.refused]
    assert sorted(ended) == list(range(len(trace)))
    assert all(job.request.cpus == 9 for job in simulation.refused)
    assert all(run.waited >= 0 for run in runs)
    for host, node in enumerate(NODES):
        here = [run for run in runs if run.host == host]
        for moment in {run.started for run in here}:
            there = [run.job.request for run in here if run.started <= moment < run.ended]
            assert sum(each.cpus for each in there) <= node.cpus
            assert sum(each.memory_bytes for each in there) <= (node.memory_bytes or 1000)
            milli = sum(each.gpu_milli or 1000 * each.gpus for each in there)
            assert milli <= 1000 * len(node.devices)
            assert len(there) == 1 or not any(each.exclusive for each in there)
    if policy is Policy.FIFO:
        starts = [
            run.started for run in sorted(runs, key=lambda run: (run.job.submitted, run.job.number))
        ]
        assert all(before <= after for before, after in pairwise(starts))


def small(number: int, at: float, seconds: float, cpus: int, user: int = 1) -> Job:
    return Job(number, user, at, seconds, Request(cpus), estimate=seconds)


def starts(policy: Policy, *trace: Job, cpus: int = 4) -> list[float]:
    runs = Simulation(trace, [Room(cpus)], policy).run()
    return [run.started for run in sorted(runs, key=lambda run: run.job.number)]


def test_backfill_lets_pass_what_ends_in_time_and_nothing_else() -> None:
    # 3 of 4 slots are taken for 100 s. A job of 4 waits; one of 50 s fits before it, one of 200 s does not.
    trace = (small(0, 0, 100, 3), small(1, 1, 10, 4), small(2, 2, 200, 1), small(3, 3, 50, 1))
    assert starts(Policy.BACKFILL, *trace) == [0, 100, 110, 3]
    assert starts(Policy.FIFO, *trace) == [0, 100, 110, 110]
    assert starts(Policy.FAIR_SHARE, *trace) == [0, 202, 2, 100]
    assert starts(Policy.HOLD_BACK, *trace) == [0, 100, 110, 110]


def test_fair_share_serves_who_used_less() -> None:
    hog = [small(n, 0, 100, 1, user=1) for n in range(8)]
    late = small(8, 1, 10, 1, user=2)
    assert starts(Policy.FAIR_SHARE, *hog, late)[8] == 100
    assert starts(Policy.FIFO, *hog, late)[8] == 200


def test_figures() -> None:
    done = [Run(small(0, 0, 100, 3), 0, 0.0), Run(small(1, 0, 5, 1, user=2), 0, 100.0)]
    found = figures(done, [Room(4)])
    assert found.utilisation == (300 + 5) / (4 * 105)
    assert (found.wide, found.small, found.late) == (0, 100, 100)
    assert slowdown(done[1]) == 10.5  # of 10 s, not 5
    assert found.slowdown == (1 + 10.5) / 2
    assert found.worst_user == 10.5


def test_a_generated_trace_is_that_of_its_seed() -> None:
    trace = traces.generated(3, tasks=10)
    assert trace == traces.generated(3, tasks=10) != traces.generated(4, tasks=10)
    assert len({job.number for job in trace}) == len(trace)
    assert {job.of for job in trace} == set(range(10))
    simulation = Simulation(trace, traces.lab(), Policy.BACKFILL)
    assert len(list(simulation.run())) == len(trace)
    assert not simulation.refused
