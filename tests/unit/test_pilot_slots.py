"""Slots, devices, and how many jobs to claim, prefetch and release."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID, uuid4

from hypothesis import given
from hypothesis import strategies as st

from orchestra.domain.gpus import visible_devices
from orchestra.domain.models.nodes import Device, FoundResources
from orchestra.domain.models.tasks import Resources
from orchestra.domain.models.work import AttemptKey, Claim
from orchestra.domain.resources import DeviceRoom, Request, Room
from orchestra.domain.states import Queue
from orchestra.pilot import prefetch
from orchestra.pilot.allocator import free, offered, startable, unfit
from orchestra.pilot.claim_policy import MAX_CLAIM, Asked, ClaimPolicy, excess, to_claim
from orchestra.pilot.prefetch import MAX_WAIT, QUICK_SECONDS, Pace, Waiting
from orchestra.pilot.state import LocalAttempt, Note, Phase, PilotState

KEEPER = UUID(int=1)
_NOTE = Note(
    queue=Queue.CPU,
    request=Request(cpus=1),
    task_folder="/v/t",
    folder_number=1,
    done_attempt=None,
    complete_file=None,
    timeout=None,
    grace=30.0,
)


def local_attempt(
    index: int,
    phase: Phase = Phase.WAITING,
    *,
    queue: Queue = Queue.CPU,
    slots: int = 1,
    devices: str | None = None,
    task: int = 0,
) -> LocalAttempt:
    request = Request(cpus=slots) if queue is Queue.CPU else Request(gpus=slots)
    note = replace(_NOTE, queue=queue, request=request, devices=devices)
    return LocalAttempt(AttemptKey(task, index, 1, uuid4()), KEEPER, note, phase)


def state(
    *attempts: LocalAttempt, cpu: int = 0, gpu: int = 0, visible: str | None = None
) -> PilotState:
    names = visible_devices(visible)
    devices = None if names is None else tuple(map(Device, names))
    found = PilotState({Queue.CPU: cpu, Queue.GPU: gpu}, FoundResources(devices=devices))
    for attempt in attempts:
        found.add(attempt)
    return found


def started(found: PilotState) -> list[tuple[int, str | None]]:
    return [(attempt.key.index, devices) for attempt, devices in startable(found)]


def test_slots_are_given_in_order_of_the_claim() -> None:
    assert started(state(*(local_attempt(n) for n in range(5)), cpu=3)) == [
        (0, None),
        (1, None),
        (2, None),
    ]


def test_an_attempt_of_many_cores_is_not_overtaken() -> None:
    found = state(
        local_attempt(0, Phase.RUNNING, slots=2), local_attempt(1, slots=3), local_attempt(2), cpu=4
    )
    assert started(found) == []
    found.drop(next(iter(found.attempts)))
    assert started(found) == [(1, None), (2, None)]


def test_a_job_of_one_queue_does_not_wait_for_the_other() -> None:
    found = state(local_attempt(0, queue=Queue.GPU), local_attempt(1), cpu=1, gpu=0)
    assert started(found) == [(1, None)]


def test_devices_are_distinct_and_free() -> None:
    running = local_attempt(0, Phase.RUNNING, queue=Queue.GPU, slots=2, devices="0,2")
    waiting = [local_attempt(n, queue=Queue.GPU) for n in (1, 2, 3)]
    assert started(state(running, *waiting, gpu=4)) == [(1, "1"), (2, "3")]


def test_a_job_of_two_gpus_gets_two() -> None:
    found = state(local_attempt(0, queue=Queue.GPU, slots=2), gpu=2, visible="GPU-a,GPU-b,GPU-c")
    assert started(found) == [(0, "GPU-a,GPU-b")]


def test_there_are_no_more_gpu_slots_than_devices() -> None:
    assert offered(state(gpu=4, visible="0")).whole_gpus == 1
    assert offered(state(gpu=4, visible="-1")).whole_gpus == 0
    assert offered(state(gpu=2, visible="0,1,2")).whole_gpus == 2


def test_when_slots_shrink_nothing_starts_before_enough_have_ended() -> None:
    running = [local_attempt(n, Phase.RUNNING) for n in range(4)]
    found = state(*running, local_attempt(9), cpu=2)
    assert free(found).cpus == -2
    for attempt in running[:2]:
        found.drop(attempt.key)
        assert started(found) == []
    found.drop(running[2].key)
    assert started(found) == [(9, None)]


def test_what_never_fits_is_named() -> None:
    found = state(
        local_attempt(0, slots=3), local_attempt(1), local_attempt(2, queue=Queue.GPU), cpu=2, gpu=0
    )
    assert [attempt.key.index for attempt in unfit(found)] == [0, 2]


@given(
    enabled=st.integers(0, 6),
    running=st.lists(st.integers(1, 3), max_size=4),
    waiting=st.lists(st.integers(1, 4), max_size=8),
)
def test_slots_are_never_exceeded_by_what_starts(
    enabled: int, running: list[int], waiting: list[int]
) -> None:
    attempts = [local_attempt(n, Phase.RUNNING, slots=slots) for n, slots in enumerate(running)]
    attempts += [local_attempt(100 + n, slots=slots) for n, slots in enumerate(waiting)]
    found = state(*attempts, cpu=enabled)
    room = free(found).cpus
    assert sum(attempt.note.slots for attempt, _ in startable(found)) <= max(0, room)


# How many to claim


def asked(**slots: int) -> Asked:
    room = Room(slots.get("cpu", 0), (DeviceRoom(),) * slots.get("gpu", 0))
    return Asked(tuple(Queue(name) for name in slots), room)


def requested(found: PilotState, policy: ClaimPolicy, now: float = 0.0) -> dict[Queue, int]:
    """The slots for which jobs are claimed, by queue."""
    claim = to_claim(found, policy, now)
    if claim is None:
        return {}
    counts = {Queue.CPU: claim.room.cpus, Queue.GPU: claim.room.whole_gpus}
    return {queue: counts[queue] for queue in claim.queues}


def test_a_pilot_claims_jobs_for_its_free_slots() -> None:
    found = state(local_attempt(0, Phase.RUNNING), local_attempt(1), cpu=4, gpu=2)
    assert requested(found, ClaimPolicy()) == {Queue.CPU: 2, Queue.GPU: 2}


def test_a_waiting_job_counts_with_all_its_slots() -> None:
    assert requested(state(local_attempt(0, slots=3), cpu=4), ClaimPolicy()) == {Queue.CPU: 1}


def test_nothing_is_claimed_while_draining_or_from_an_exhausted_queue() -> None:
    found = state(cpu=4, gpu=1)
    policy = ClaimPolicy(exhausted={Queue.CPU})
    assert requested(found, policy) == {Queue.GPU: 1}
    policy.reset(Queue.CPU)
    assert requested(found, policy) == {Queue.CPU: 4, Queue.GPU: 1}
    found.draining = True
    assert requested(found, policy) == {}


def test_a_queue_that_grants_less_than_requested_is_exhausted() -> None:
    policy = ClaimPolicy()
    policy.record_claim(asked(cpu=2, gpu=1), [local_attempt(0), local_attempt(1)], Claim())
    assert policy.exhausted == {Queue.GPU}


def test_a_queue_that_was_not_searched_to_its_end_is_not_exhausted() -> None:
    found, policy = state(cpu=4), ClaimPolicy()
    policy.record_claim(asked(cpu=4), [], Claim(more={Queue.CPU: (3, 7)}))
    assert (policy.exhausted, policy.cursors) == (set(), {Queue.CPU: (3, 7)})
    assert requested(found, policy) == {Queue.CPU: 4}
    policy.record_claim(asked(cpu=4), [], Claim())
    assert (policy.exhausted, policy.cursors) == ({Queue.CPU}, {})
    policy.record_claim(asked(cpu=4), [], Claim(more={Queue.CPU: (3, 7)}))
    policy.reset()
    assert policy.cursors == {}, "what has come may be ahead of it"


def test_requests_count_slots_and_not_jobs() -> None:
    policy = ClaimPolicy()
    policy.record_claim(
        asked(cpu=6), [local_attempt(0, slots=3), local_attempt(1, slots=3)], Claim()
    )
    assert policy.exhausted == set()


def test_a_queue_that_grants_a_full_claim_is_not_exhausted() -> None:
    policy = ClaimPolicy()
    policy.record_claim(asked(cpu=500), [local_attempt(n) for n in range(MAX_CLAIM)], Claim())
    assert policy.exhausted == set()


def test_a_big_job_is_claimed_when_its_slots_are_free_and_nothing_before() -> None:
    found = state(local_attempt(0, Phase.RUNNING, slots=2), cpu=4)
    policy = ClaimPolicy()
    policy.record_claim(asked(cpu=2), [], Claim(held_back={Queue.CPU: (Resources(3),)}))
    assert requested(found, policy) == {}
    found.drop(next(iter(found.attempts)))
    assert requested(found, policy) == {Queue.CPU: 4}
    policy.record_claim(asked(cpu=4), [local_attempt(1, slots=3), local_attempt(2)], Claim())
    assert policy.blocked == {}


def test_a_blocked_job_is_remembered_until_the_queue_was_searched_to_its_end() -> None:
    policy = ClaimPolicy()
    first = Claim(held_back={Queue.CPU: (Resources(3),)}, more={Queue.CPU: (3, 7)})
    policy.record_claim(asked(cpu=2), [], first)
    assert requested(state(cpu=2), policy) == {Queue.CPU: 2}
    policy.record_claim(asked(cpu=2), [], Claim())
    assert (policy.exhausted, policy.blocked) == (set(), {Queue.CPU: (Request(cpus=3),)})


def quick(seconds: float, in_a_row: int = 1000, width: int = 1) -> ClaimPolicy:
    return ClaimPolicy(
        paces={0: Pace(seconds, in_a_row)}, latest={Queue.CPU: (0, Request(cpus=width))}
    )


def test_about_a_second_of_quick_jobs_is_prefetched() -> None:
    running = [local_attempt(n, Phase.RUNNING) for n in range(2)]
    found = state(*running, cpu=2)
    policy = quick(0.1)
    assert requested(found, policy) == {Queue.CPU: 20}
    for n in range(11):
        found.add(local_attempt(100 + n))
    assert requested(found, policy) == {}, "more than half of the prefetched jobs are left"
    found.drop(
        next(key for key, attempt in found.attempts.items() if attempt.phase is Phase.WAITING)
    )
    assert requested(found, policy) == {Queue.CPU: 10}, (
        "half of them are used up, and all slots are in use"
    )


def test_no_more_is_prefetched_than_fits_in_a_claim() -> None:
    assert requested(state(cpu=2), quick(0.0)) == {Queue.CPU: MAX_CLAIM}


def test_no_more_is_prefetched_than_were_quick_in_a_row() -> None:
    found = state(local_attempt(0, Phase.RUNNING), local_attempt(1, Phase.RUNNING), cpu=2)
    assert requested(found, quick(0.001, in_a_row=3)) == {Queue.CPU: 3}
    assert requested(found, quick(0.001, in_a_row=0)) == {}
    assert requested(found, ClaimPolicy(latest={Queue.CPU: (0, Request(cpus=1))})) == {}, (
        "nothing is known"
    )


def test_jobs_of_several_slots_are_prefetched_whole() -> None:
    found = state(local_attempt(0, Phase.RUNNING, slots=3), cpu=4)
    assert requested(found, quick(0.1, in_a_row=2, width=3)) == {Queue.CPU: 6}


def test_nothing_is_prefetched_for_slots_of_a_slow_job_of_a_quick_task() -> None:
    running = [local_attempt(n, Phase.RUNNING) for n in range(2)]
    running[0].started_at = running[1].started_at = 1000.0
    found, policy = state(*running, cpu=2), quick(0.1)
    later = 1000.1 + QUICK_SECONDS
    assert requested(found, policy, 1000.1) == {Queue.CPU: 20}
    assert requested(found, policy, later) == {}
    running[1].started_at = later
    assert requested(found, policy, later) == {Queue.CPU: 10}


def test_prefetched_jobs_are_released_once_every_slot_has_a_slow_job() -> None:
    running = [local_attempt(n, Phase.RUNNING) for n in range(2)]
    running[0].started_at, running[1].slots_since = 1000.0, 1000.5
    waiting = [local_attempt(n) for n in (10, 11)]
    found = state(*running, *waiting, cpu=2)
    assert excess(found, quick(0.1), 1000.4 + QUICK_SECONDS) == []
    assert excess(found, quick(0.1), 1000.5 + QUICK_SECONDS) == waiting
    running[1].started_at = 1000.6
    assert excess(found, quick(0.1), 1000.5 + QUICK_SECONDS) == []
    found.drop(running[1].key)
    assert excess(found, quick(0.1), 1010.0) == [], "one starts now, the other one soon"
    found.enabled[Queue.CPU] = 1
    assert excess(found, quick(0.1), 1010.0) == waiting


def test_jobs_of_a_task_that_is_not_known_to_be_quick_are_kept_for_free_slots_only() -> None:
    found = state(*(local_attempt(n, task=7) for n in range(6)), cpu=2)
    policy = quick(0.1)
    assert [attempt.key.index for attempt in excess(found, policy, 0.0)] == [2, 3, 4, 5]
    for _ in range(4):
        policy.record_duration(7, 0.2)
    assert excess(found, policy, 0.0) == []
    policy.record_duration(7, 4.0)
    assert [attempt.key.index for attempt in excess(found, policy, 0.0)] == [2, 3, 4, 5]


def test_released_jobs_are_not_claimed_again_before_others_were_quick() -> None:
    running = [local_attempt(n, Phase.RUNNING) for n in range(2)]
    found, policy = state(*running, cpu=2), quick(0.1)
    waiting = [local_attempt(n) for n in range(10, 20)]
    for n, attempt in enumerate(waiting):
        attempt.granted_at = 1000.0 + (n > 6)
        found.add(attempt)
    released = excess(found, policy, 1000.1 + MAX_WAIT)
    assert released == waiting[:7], "they have waited for too long"
    for attempt in released:
        found.drop(attempt.key)
    policy.record_release(released, found.waiting())
    assert requested(found, policy) == {}
    policy.record_duration(0, 0.1)
    assert policy.prefetch_count(Queue.CPU, Room(cpus=2)) == 4


def test_one_slow_job_counts_at_once() -> None:
    policy = ClaimPolicy()
    for _ in range(50):
        policy.record_duration(0, 0.01)
    assert policy.is_quick(0)
    policy.record_duration(0, 4.0)
    assert not policy.is_quick(0)
    for _ in range(20):
        policy.record_duration(0, 0.01)
    assert policy.is_quick(0)


# The prefetch rule

PACES = st.one_of(
    st.none(), st.builds(Pace, st.floats(0.0, 10.0, allow_nan=False), st.integers(0, 300))
)
WAITING = st.lists(
    st.builds(Waiting, st.integers(0, 2), st.integers(0, 4), st.floats(0.0, 3.0)), max_size=40
)
KNOWN = st.dictionaries(
    st.integers(0, 2), st.builds(Pace, st.floats(0.0, 10.0), st.integers(0, 60))
)


@given(pace=PACES, together=st.integers(0, 64))
def test_prefetched_jobs_are_not_released_before_something_changes(
    pace: Pace | None, together: int
) -> None:
    count = prefetch.prefetch_count(pace, together)
    paces = {0: pace} if pace else {}
    assert prefetch.to_release([Waiting(0, together)] * count, paces) == []


@given(pace=PACES, together=st.integers(0, 64))
def test_only_a_second_of_jobs_that_are_known_to_be_quick_is_prefetched(
    pace: Pace | None, together: int
) -> None:
    count = prefetch.prefetch_count(pace, together)
    assert count == 0 or (pace and pace.seconds < QUICK_SECONDS and together)
    assert count <= (pace.in_a_row if pace else 0)
    lasting = (count - 0.5) * (pace.seconds if pace else 0.0)
    assert lasting <= together * QUICK_SECONDS + 1e-9


@given(waiting=WAITING, paces=KNOWN)
def test_kept_jobs_start_soon(waiting: list[Waiting], paces: dict[int, Pace]) -> None:
    released = set(prefetch.to_release(waiting, paces))
    kept = [job for index, job in enumerate(waiting) if index not in released]
    assert all(job.task in paces and paces[job.task].is_quick for job in kept)
    assert all(job.waited <= MAX_WAIT for job in kept)
    assert all(job.together for job in kept)
    assert sum(paces[job.task].seconds / job.together for job in kept) <= MAX_WAIT + 1e-9


@given(waiting=WAITING, paces=KNOWN)
def test_a_second_release_finds_nothing_to_release(
    waiting: list[Waiting], paces: dict[int, Pace]
) -> None:
    released = prefetch.to_release(waiting, paces)
    rest = [job for index, job in enumerate(waiting) if index not in set(released)]
    assert prefetch.to_release(rest, paces) == []


@given(
    busy=st.lists(st.integers(1, 4), max_size=4),
    waiting=st.lists(st.tuples(st.integers(0, 2), st.integers(1, 4)), max_size=20),
    slots=st.integers(0, 16),
    paces=KNOWN,
)
def test_jobs_that_start_now_are_not_released(
    busy: list[int], waiting: list[tuple[int, int]], slots: int, paces: dict[int, Pace]
) -> None:
    attempts = [local_attempt(n, Phase.RUNNING, slots=width) for n, width in enumerate(busy)]
    attempts += [
        local_attempt(100 + n, task=task, slots=width) for n, (task, width) in enumerate(waiting)
    ]
    found, policy = state(*attempts, cpu=slots), ClaimPolicy(paces=paces)
    starting = [attempt.key for attempt, _ in startable(found)]
    released = [attempt.key for attempt in excess(found, policy, 0.0)]
    assert not set(starting) & set(released)
    for key in released:
        found.drop(key)
    assert excess(found, policy, 0.0) == []
    assert set(starting) <= {attempt.key for attempt, _ in startable(found)}


@given(durations=st.lists(st.floats(0.0, 10.0), min_size=1, max_size=50))
def test_a_pace_is_never_quicker_than_the_quickest_and_a_row_ends_with_a_slow_one(
    durations: list[float],
) -> None:
    pace: Pace | None = None
    for seconds in durations:
        pace = prefetch.updated_pace(pace, seconds)
    assert pace
    assert min(durations) - 1e-9 <= pace.seconds <= max(durations) + 1e-9
    row = next((n for n, s in enumerate(reversed(durations)) if s >= QUICK_SECONDS), len(durations))
    assert pace.in_a_row == row


def test_a_note_survives_its_encoding() -> None:
    note = replace(_NOTE, devices="GPU-a,1", timeout=1.5, done_attempt=3, complete_file="ö k")
    assert Note.from_json(note.to_json()) == note
