"""Which nodes wait for jobs that fit nowhere, and what may start there meanwhile."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestra.domain.node_timeline import Host, Running, Spare, seconds_left
from orchestra.domain.reservation_plan import (
    UNKNOWN,
    Reservation,
    Waiting,
    competes,
    is_much_earlier,
    plan,
)
from orchestra.domain.resources import DeviceRoom, Request, Room

SMALL, WIDE, WHOLE_NODE = Request(cpus=1), Request(cpus=4), Request(cpus=1, exclusive=True)
GB = 10**9


@pytest.mark.parametrize(
    ("age", "known", "left"),
    [
        (10, {}, inf),
        (10, {"typical": 60}, 50),
        (90, {"typical": 60}, 90),  # as long again
        (90, {"typical": 60, "p95": 100}, 10),
        (90, {"typical": 60, "p95": 80, "walltime": 300}, 210),
        (10, {"timeout": 40}, 30),
        (50, {"timeout": 40}, 0),
        (90, {"typical": 60, "timeout": 100}, 10),
        (10, {"walltime": 3600, "typical": 60}, 50),
    ],
)
def test_when_a_job_is_expected_to_end(age: float, known: dict[str, float], left: float) -> None:
    assert seconds_left(age, **known) == left


@pytest.mark.parametrize(
    ("other", "own", "does"),
    [
        (SMALL, SMALL, False),
        (SMALL, WIDE, True),
        (WIDE, SMALL, False),
        (SMALL, WHOLE_NODE, True),
        (WHOLE_NODE, SMALL, False),
        (WHOLE_NODE, WHOLE_NODE, False),
        (Request(gpus=1), SMALL, False),  # they share nothing
        (Request(cpus=1), Request(cpus=1, memory_bytes=GB), True),
        (Request(gpu_milli=500), Request(gpus=1), True),
        (Request(gpus=1), Request(gpus=1, vram_bytes=GB), True),
        (Request(cpus=1, gpus=1), WIDE, True),
    ],
)
def test_who_could_keep_a_job_from_starting(other: Request, own: Request, does: bool) -> None:
    assert competes(other, own) is does


def _host(id_: int, *left: float, cpus: int = 4, request: Request = SMALL) -> Host:
    return Host(id_, Room(cpus=cpus), [Running(request, seconds) for seconds in left])


def _wide(task: int = 1, jobs: int = 1, request: Request = WIDE) -> Waiting:
    return Waiting(task, request, jobs)


LINE = [_wide(), Waiting(2, SMALL, 100)]


def test_the_node_that_has_enough_first_is_reserved() -> None:
    hosts = [_host(1, 10, 90), _host(2, 30, 40), _host(3, inf), _host(4, 5, 50)]
    assert plan(LINE, hosts) == [Reservation(2, 1, 40.0)]


def test_without_any_estimate_the_one_with_the_fewest_jobs_to_end_is() -> None:
    """Else a job that needs a whole node would never start there."""
    hosts = [_host(1, inf, inf), _host(2, inf), _host(3, 10, inf)]
    (made,) = plan(LINE, hosts)
    assert (made.host, made.starts_in) == (2, inf)


def test_nothing_is_reserved_for_a_job_that_fits_or_that_nobody_keeps_from_starting() -> None:
    assert plan(LINE, [_host(1, 10), _host(2)]) == []
    assert plan([_wide(), _wide(2)], [_host(1, 10)]) == []
    assert plan([Waiting(2, SMALL)], [_host(1, 1, 1, 1, 1)]) == []
    assert plan(LINE, [_host(1, cpus=3)]) == [], "it will never fit"
    assert plan(LINE, []) == []


def test_what_is_left_beside_the_job() -> None:
    room = Room(6, (DeviceRoom(), DeviceRoom()), 10 * GB, None)
    jobs = [
        Running(Request(cpus=3, memory_bytes=2 * GB), 10.0),
        Running(Request(cpus=1, gpu_milli=250, memory_bytes=GB), 99.0),
        Running(Request(cpus=1), 20.0),
    ]
    wanted = Request(cpus=4, gpus=1, memory_bytes=5 * GB)
    line = [Waiting(1, wanted), Waiting(2, SMALL)]
    (made,) = plan(line, [Host(1, room, jobs)])
    assert made == Reservation(1, 1, 10.0, Spare(0, 750, 4 * GB, None))
    assert made.spare.has_room_for(Request(gpu_milli=500, memory_bytes=4 * GB))
    for too_much in (SMALL, Request(gpus=1), Request(memory_bytes=5 * GB), WHOLE_NODE):
        assert not made.spare.has_room_for(too_much)


def test_parts_of_gpus_are_spread_over_them() -> None:
    gpus = Room(8, (DeviceRoom(), DeviceRoom()))
    halves = [Running(Request(gpu_milli=500), 10.0), Running(Request(gpu_milli=500), 30.0)]
    line = [Waiting(1, Request(gpus=1)), Waiting(2, Request(gpu_milli=500))]
    (made,) = plan(line, [Host(1, gpus, halves)])
    assert made == Reservation(1, 1, 10.0, Spare(8, 500))
    assert plan([Waiting(1, Request(gpu_milli=300)), *line], [Host(1, gpus, halves)])[0].task == 1


def test_memory_of_gpus_counts() -> None:
    device = DeviceRoom(vram_bytes=40 * GB)
    twice = [Running(Request(gpu_milli=250, vram_bytes=20 * GB), at) for at in (10.0, 20.0)]
    wants = Request(gpu_milli=100, vram_bytes=15 * GB)
    line = [Waiting(1, wants), Waiting(2, Request(gpu_milli=50))]
    (made,) = plan(line, [Host(1, Room(4, (device,)), twice)])
    assert made.starts_in == 10.0
    assert (
        plan(
            [Waiting(1, Request(gpus=1, vram_bytes=50 * GB)), line[1]],
            [Host(1, Room(4, (device,)))],
        )
        == []
    )


def test_a_whole_node_waits_for_all_its_jobs_and_keeps_nothing_for_others() -> None:
    line = [Waiting(1, WHOLE_NODE), Waiting(2, SMALL)]
    assert plan(line, [_host(1, 10, 90), _host(2, 30)]) == [
        Reservation(2, 1, 30.0, Spare(0, 0, 0, 0))
    ]


def test_only_nodes_that_may_serve_it_and_stay_open_long_enough() -> None:
    hosts = [_host(1, 10), _host(2, 20), Host(3, Room(4, seconds_left=50.0), [Running(SMALL, 5.0)])]
    line = [Waiting(1, WIDE, hosts=frozenset({2, 3}), seconds=60.0), Waiting(2, SMALL)]
    assert [made.host for made in plan(line, hosts)] == [2]
    line = [Waiting(1, WIDE, hosts=frozenset({2, 3}), seconds=45.0), Waiting(2, SMALL)]
    assert [made.host for made in plan(line, hosts)] == [3]


def test_at_most_four_nodes_a_task_and_a_quarter_of_all() -> None:
    hosts = [_host(n, 10.0 + n) for n in range(24)]
    line = [_wide(1, jobs=9), _wide(2, jobs=1), _wide(3, jobs=9), Waiting(9, SMALL)]
    assert [(made.task, made.host) for made in plan(line, hosts)] == [
        *[(1, n) for n in range(4)],
        *[(2, 4), (3, 5)],
    ]


def test_a_held_one_stays_unless_another_starts_much_earlier() -> None:
    def moved(*other: float, moves: int = 0) -> Reservation:
        hosts = [_host(1, 100.0), _host(2, *other), *[_host(n, inf, inf) for n in range(3, 7)]]
        (made,) = plan(LINE, hosts, [Reservation(1, 1, 1.0, moves=moves)])
        return made

    assert moved(81.0) == Reservation(1, 1, 100.0)
    assert moved(79.0) == Reservation(2, 1, 79.0, moves=1)
    assert moved(79.0, moves=1).host == 1
    assert moved(39.0, moves=1) == Reservation(2, 1, 39.0, moves=2)
    assert moved() == Reservation(2, 1, 0.0, moves=1), "it fits there now"


def test_a_held_one_ends_with_the_jobs_or_the_node() -> None:
    held = [Reservation(1, 1, 10.0), Reservation(2, 1, 20.0), Reservation(3, 9, 5.0)]
    hosts = [_host(n, 10.0 * n) for n in (1, 2, 3)]
    hosts += [_host(n, inf) for n in range(4, 13)]
    assert [made.host for made in plan([_wide(jobs=1), LINE[1]], hosts, held)] == [1]
    assert [made.host for made in plan([_wide(jobs=2), LINE[1]], hosts, held)] == [1, 2]
    assert [made.host for made in plan([_wide(jobs=1), LINE[1]], hosts[1:], held)] == [2]


def test_a_held_one_stays_while_its_job_fits_and_is_not_yet_taken() -> None:
    assert plan(LINE, [_host(1)], [Reservation(1, 1, 3.0)]) == [Reservation(1, 1, 0.0)]


def test_a_held_one_is_not_lost_to_a_task_that_has_overtaken() -> None:
    line = [_wide(7), *LINE]
    assert [made.task for made in plan(line, [_host(1, 9)], [Reservation(1, 1, 9.0)])] == [1]


def test_a_job_that_only_fits_on_a_node_reserved_for_another_has_to_wait() -> None:
    hosts = [
        _host(1, 10.0, cpus=8, request=Request(cpus=5)),
        *[_host(n, inf, cpus=1) for n in (2, 3, 4)],
    ]
    hosts += [
        _host(5, 20.0, cpus=3, request=Request(cpus=2)),
        *[_host(n, inf, cpus=1) for n in (6, 7, 8)],
    ]
    line = [_wide(1, request=Request(cpus=7)), _wide(2, request=Request(cpus=3)), Waiting(9, SMALL)]
    assert [(made.task, made.host) for made in plan(line, hosts)] == [(1, 1), (2, 5)]
    short = Waiting(2, Request(cpus=3), seconds=8.0)
    assert [(made.task, made.host) for made in plan([line[0], short, line[2]], hosts)] == [(1, 1)]


@given(expected=st.lists(st.floats(0.001, 1e6) | st.just(inf), min_size=2, max_size=200))
def test_a_reservation_does_not_move_for_ever(expected: list[float]) -> None:
    """However the nodes' expectations change."""
    held, moves = expected[0], 0
    for seconds in expected[1:]:
        if is_much_earlier(seconds, held, moves):
            assert seconds < min(held, UNKNOWN)
            held, moves = seconds, moves + 1
        else:
            held = 1e9  # what the node runs takes longer than it was said to take
    assert moves <= 40


@dataclass
class Cluster:
    """Nodes on which small jobs keep coming, and reservations, second by second."""

    chance: Random
    cpus: int
    hosts: int
    right: bool
    ends: dict[int, list[tuple[Request, float, float]]] = field(default_factory=dict)
    held: list[Reservation] = field(default_factory=list)
    now: float = 0.0

    def left(self, end: float, said: float) -> float:
        return end - self.now if self.right else max(said - self.now, 1.0)

    def start(self, host: int, request: Request, seconds: float) -> None:
        said = seconds if self.right else self.chance.uniform(1, 100)
        self.ends.setdefault(host, []).append((request, self.now + seconds, self.now + said))

    def host(self, id_: int) -> Host:
        jobs = [Running(r, self.left(end, said)) for r, end, said in self.ends.get(id_, ())]
        return Host(id_, Room(self.cpus), jobs)

    def has_room(self, host: int, request: Request) -> bool:
        jobs = [request for request, _, _ in self.ends.get(host, ())]
        return sum(job.cpus for job in jobs) + request.cpus <= self.cpus and not (
            request.exclusive and jobs
        )

    def may_start(self, host: int, request: Request, seconds: float) -> bool:
        """As a claim decides; what it starts is subtracted from what is left beside the job."""
        held = next((each for each in self.held if each.host == host), None)
        if held is None:
            return True
        if held.starts_in != inf and self.right and seconds <= held.starts_in:
            return True
        if not held.spare.has_room_for(request):
            return False
        left = Spare(held.spare.cpus - request.cpus, 0)
        self.held[self.held.index(held)] = Reservation(
            host, held.task, held.starts_in, left, held.moves
        )
        return True

    def run(self, wide: Request, seconds: int) -> tuple[float | None, list[float]]:
        """Return when the wide job started, and when it was expected to, each time that there was a reservation."""
        promised: list[float] = []
        for _ in range(seconds):
            self.now += 1.0
            for host, jobs in self.ends.items():
                self.ends[host] = [job for job in jobs if job[1] > self.now]
            hosts = [self.host(id_) for id_ in range(self.hosts)]
            self.held = plan([Waiting(2, SMALL, 99), _wide(1, request=wide)], hosts, self.held)
            promised += [self.now + each.starts_in for each in self.held]
            for host in self.chance.sample(range(self.hosts), self.hosts):
                if any(each.host == host for each in self.held) and self.has_room(host, wide):
                    return self.now, promised
                while self.has_room(host, SMALL):
                    takes = self.chance.uniform(1, 60)
                    if not self.may_start(host, SMALL, takes):
                        break
                    self.start(host, SMALL, takes)
        return None, promised


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10**6), cpus=st.integers(2, 6), hosts=st.integers(1, 6), right=st.booleans()
)
def test_a_wide_job_starts_though_small_ones_keep_coming(
    seed: int, cpus: int, hosts: int, right: bool
) -> None:
    """Whatever the estimates are worth. Where they are right, it starts no later than it was ever expected to."""
    cluster = Cluster(Random(seed), cpus, hosts, right)
    for host in range(hosts):
        for _ in range(cpus):
            cluster.start(host, SMALL, cluster.chance.uniform(1, 60))
    exclusive = cluster.chance.random() < 0.5
    wide = WHOLE_NODE if exclusive else Request(cpus=cluster.chance.randint(2, cpus))
    started, promised = cluster.run(wide, 400)
    assert started is not None
    if right and promised:
        assert started <= min(promised) + 1.0
