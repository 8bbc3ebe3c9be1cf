"""Slots, devices and how many jobs to ask for: values in, values out."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestra.domain.models.work import AttemptKey
from orchestra.domain.states import Queue
from orchestra.pilot.appetite import AT_MOST, STUCK_AFTER, Appetite, hoarded, surplus, wanted
from orchestra.pilot.slots import free, offered, startable, unfit, visible_devices
from orchestra.pilot.state import Held, Note, Phase, PilotState

KEEPER = UUID(int=1)
_NOTE = Note(
    queue=Queue.CPU,
    slots=1,
    task_folder="/v/t",
    folder_number=1,
    done_attempt=None,
    complete_file=None,
    timeout=None,
    grace=30.0,
)


def held(
    ordinal: int,
    phase: Phase = Phase.WAITING,
    *,
    queue: Queue = Queue.CPU,
    slots: int = 1,
    devices: str | None = None,
    task: int = 0,
) -> Held:
    note = replace(_NOTE, queue=queue, slots=slots, devices=devices)
    return Held(AttemptKey(task, ordinal, 1, uuid4()), KEEPER, note, phase)


def state(*attempts: Held, cpu: int = 0, gpu: int = 0, visible: str | None = None) -> PilotState:
    found = PilotState({Queue.CPU: cpu, Queue.GPU: gpu}, visible_devices(visible))
    for attempt in attempts:
        found.add(attempt)
    return found


def started(found: PilotState) -> list[tuple[int, str | None]]:
    return [(attempt.key.ordinal, devices) for attempt, devices in startable(found)]


@pytest.mark.parametrize(
    ("value", "devices"),
    [
        (None, None),
        ("", ()),
        ("-1", ()),
        ("0,1", ("0", "1")),
        (" GPU-8932f937 , 3 ", ("GPU-8932f937", "3")),
        ("2,-1,3", ("2",)),
        ("1,1,0", ("1", "0")),
        ("MIG-a/b", ("MIG-a/b",)),
    ],
)
def test_visible_devices_are_read_as_cuda_reads_them(
    value: str | None, devices: tuple[str, ...] | None
) -> None:
    assert visible_devices(value) == devices


def test_slots_are_given_in_order_of_the_claim() -> None:
    assert started(state(*(held(n) for n in range(5)), cpu=3)) == [(0, None), (1, None), (2, None)]


def test_an_attempt_of_many_cores_is_not_overtaken() -> None:
    found = state(held(0, Phase.RUNNING, slots=2), held(1, slots=3), held(2), cpu=4)
    assert started(found) == []
    found.drop(next(iter(found.held)))
    assert started(found) == [(1, None), (2, None)]


def test_a_job_of_one_queue_does_not_wait_for_the_other() -> None:
    found = state(held(0, queue=Queue.GPU), held(1), cpu=1, gpu=0)
    assert started(found) == [(1, None)]


def test_devices_are_distinct_and_free() -> None:
    running = held(0, Phase.RUNNING, queue=Queue.GPU, slots=2, devices="0,2")
    waiting = [held(n, queue=Queue.GPU) for n in (1, 2, 3)]
    assert started(state(running, *waiting, gpu=4)) == [(1, "1"), (2, "3")]


def test_a_job_of_two_gpus_gets_two() -> None:
    found = state(held(0, queue=Queue.GPU, slots=2), gpu=2, visible="GPU-a,GPU-b,GPU-c")
    assert started(found) == [(0, "GPU-a,GPU-b")]


def test_there_are_no_more_gpu_slots_than_devices() -> None:
    assert offered(state(gpu=4, visible="0"), Queue.GPU) == 1
    assert offered(state(gpu=4, visible="-1"), Queue.GPU) == 0
    assert offered(state(gpu=2, visible="0,1,2"), Queue.GPU) == 2


def test_when_slots_shrink_nothing_starts_before_enough_have_ended() -> None:
    running = [held(n, Phase.RUNNING) for n in range(4)]
    found = state(*running, held(9), cpu=2)
    assert free(found, Queue.CPU) == 0
    for attempt in running[:2]:
        found.drop(attempt.key)
        assert started(found) == []
    found.drop(running[2].key)
    assert started(found) == [(9, None)]


def test_what_never_fits_is_named() -> None:
    found = state(held(0, slots=3), held(1), held(2, queue=Queue.GPU), cpu=2, gpu=0)
    assert [attempt.key.ordinal for attempt in unfit(found)] == [0, 2]


@given(
    enabled=st.integers(0, 6),
    running=st.lists(st.integers(1, 3), max_size=4),
    waiting=st.lists(st.integers(1, 4), max_size=8),
)
def test_slots_are_never_exceeded_by_what_starts(
    enabled: int, running: list[int], waiting: list[int]
) -> None:
    attempts = [held(n, Phase.RUNNING, slots=slots) for n, slots in enumerate(running)]
    attempts += [held(100 + n, slots=slots) for n, slots in enumerate(waiting)]
    found = state(*attempts, cpu=enabled)
    room = free(found, Queue.CPU)
    assert sum(attempt.note.slots for attempt, _ in startable(found)) <= room


# How many to ask for


def test_a_pilot_asks_for_what_it_has_room_for() -> None:
    found = state(held(0, Phase.RUNNING), held(1), cpu=4, gpu=2)
    assert wanted(found, Appetite()) == {Queue.CPU: 2, Queue.GPU: 2}


def test_what_waits_with_many_cores_counts_with_all_of_them() -> None:
    assert wanted(state(held(0, slots=3), cpu=4), Appetite()) == {Queue.CPU: 1}


def test_a_leaving_pilot_and_a_dry_queue_ask_for_nothing() -> None:
    found = state(cpu=4, gpu=1)
    appetite = Appetite(dry={Queue.CPU})
    assert wanted(found, appetite) == {Queue.GPU: 1}
    appetite.refresh(Queue.CPU)
    assert wanted(found, appetite) == {Queue.CPU: 4, Queue.GPU: 1}
    found.leaving = True
    assert wanted(found, appetite) == {}


def test_an_answer_with_less_than_was_asked_for_makes_a_queue_dry() -> None:
    appetite = Appetite()
    appetite.learn({Queue.CPU: 2, Queue.GPU: 1}, [held(0), held(1)])
    assert appetite.dry == {Queue.GPU}


def test_slots_are_what_was_asked_for() -> None:
    appetite = Appetite()
    appetite.learn({Queue.CPU: 6}, [held(0, slots=3), held(1, slots=3)])
    assert appetite.dry == set()


def test_an_answer_as_long_as_a_claim_may_be_makes_no_queue_dry() -> None:
    appetite = Appetite()
    appetite.learn({Queue.CPU: 500}, [held(n) for n in range(AT_MOST)])
    assert appetite.dry == set()


def test_a_big_job_is_asked_for_when_its_slots_are_free_and_nothing_before() -> None:
    found = state(held(0, Phase.RUNNING, slots=2), cpu=4)
    appetite = Appetite()
    appetite.learn({Queue.CPU: 2}, [], {Queue.CPU: 3})
    assert wanted(found, appetite) == {}
    found.drop(next(iter(found.held)))
    assert wanted(found, appetite) == {Queue.CPU: 4}


def test_quick_jobs_are_claimed_about_a_second_ahead() -> None:
    running = [held(n, Phase.RUNNING) for n in range(2)]
    found = state(*running, cpu=2)
    appetite = Appetite(typical={0: 0.1}, latest={Queue.CPU: 0})
    assert wanted(found, appetite) == {Queue.CPU: 20}
    for n in range(11):
        found.add(held(100 + n))
    assert wanted(found, appetite) == {}, "more than half of the stock is there"
    found.drop(next(key for key, attempt in found.held.items() if attempt.phase is Phase.WAITING))
    assert wanted(found, appetite) == {Queue.CPU: 10}, "half of it is used up, and all slots are"


def test_no_more_is_claimed_ahead_than_a_claim_may_give() -> None:
    appetite = Appetite(typical={0: 0.0}, latest={Queue.CPU: 0})
    assert wanted(state(cpu=2), appetite) == {Queue.CPU: AT_MOST}


def test_nothing_is_claimed_ahead_for_slots_that_one_long_job_of_a_quick_task_has() -> None:
    running = [held(n, Phase.RUNNING) for n in range(2)]
    running[0].began = running[1].began = 1000.0
    found = state(*running, cpu=2)
    appetite = Appetite(typical={0: 0.1}, latest={Queue.CPU: 0})
    later = 1000.1 + STUCK_AFTER
    assert wanted(found, appetite, 1000.1) == {Queue.CPU: 20}
    assert wanted(found, appetite, later) == {}
    running[1].began = later
    assert wanted(found, appetite, later) == {Queue.CPU: 10}


def test_what_was_claimed_ahead_is_for_others_once_every_slot_is_taken_for_long() -> None:
    running = [held(n, Phase.RUNNING) for n in range(2)]
    running[0].began, running[1].began = 1000.0, 1003.0
    waiting = [held(n) for n in (10, 11)]
    found = state(*running, *waiting, cpu=2)
    assert hoarded(found, 1004.0 + STUCK_AFTER) == waiting
    assert hoarded(found, 1001.0 + STUCK_AFTER) == []
    assert hoarded(state(running[0], *waiting, cpu=2), 1004.0 + STUCK_AFTER) == []


def test_slow_jobs_are_not_claimed_ahead() -> None:
    found = state(held(0, Phase.RUNNING), cpu=1)
    assert wanted(found, Appetite(typical={0: 1.5}, latest={Queue.CPU: 0})) == {}


def test_jobs_claimed_ahead_from_a_slow_task_are_surplus() -> None:
    granted = [held(n, task=7) for n in range(6)]
    found = state(*granted, cpu=2)
    appetite = Appetite(typical={0: 0.1}, latest={Queue.CPU: 0})
    assert [attempt.key.ordinal for attempt in surplus(found, appetite, granted)] == [2, 3, 4, 5]
    appetite.measure(7, 0.2)
    assert surplus(found, appetite, granted) == []


def test_what_was_measured_follows_the_jobs() -> None:
    appetite = Appetite()
    appetite.measure(0, 0.1)
    assert appetite.is_quick(0)
    for _ in range(20):
        appetite.measure(0, 5.0)
    assert not appetite.is_quick(0)


def test_a_note_comes_back_as_it_went() -> None:
    note = replace(_NOTE, devices="GPU-a,1", timeout=1.5, done_attempt=3, complete_file="ö k")
    assert Note.from_json(note.to_json()) == note
