"""A node in random order: claims, starts, ends, agents that follow one another, operators, devices that come and go.

Never do more jobs run than the node offers, except that what ran before less was offered goes on; and an agent never
claims and releases the same jobs in a circle.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, replace
from uuid import UUID, uuid4

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from orchestra.domain.models.nodes import Device, FoundResources
from orchestra.domain.models.tasks import Resources
from orchestra.domain.models.work import AttemptKey, Claim
from orchestra.domain.resources import WHOLE, Request
from orchestra.domain.states import Queue
from orchestra.pilot import allocator, claim_policy, run_ahead
from orchestra.pilot.claim_policy import MAX_CLAIM, Asked, ClaimPolicy
from orchestra.pilot.prefetch import Pace
from orchestra.pilot.state import LocalAttempt, Note, Phase, PilotState, Ready

KEEPER = UUID(int=1)
BOARDS = tuple(Device(f"GPU-{n}", "A100", 10 * n) for n in range(1, 5))
INDEXES = {str(index): board.uuid for index, board in enumerate(BOARDS)}
SLOTS = st.sampled_from([6, 3, 1, 0])
DEVICES = st.sampled_from([4, 2, 1, 0])

CPU_TASKS = (
    Resources(),
    Resources(cores=2, scratch_bytes=1),
    Resources(cores=3, memory_bytes=4),
    Resources(memory_bytes=3, scratch_bytes=3),
    Resources(memory_bytes=5),
    Resources(scratch_bytes=4),
    Resources(exclusive=True),
)
GPU_TASKS = (
    Resources(gpus=1),
    Resources(gpus=2),
    Resources(gpus=1, cpus_gpu_job=2, memory_bytes=2),
    Resources(gpus=1, gpu_milli=500),
    Resources(gpus=1, gpu_milli=300, vram_bytes=9),
    Resources(gpus=1, vram_bytes=25),
    Resources(gpus=1, exclusive=True),
)
TASKS = tuple((Queue.CPU, each) for each in CPU_TASKS) + tuple((Queue.GPU, e) for e in GPU_TASKS)
REQUESTS = tuple(Request.of(*task) for task in TASKS)
MOST_ROUNDS = 40


@dataclass(frozen=True)
class Process:
    """A job that runs: what it takes, and the boards that it is on."""

    request: Request
    boards: tuple[str, ...]
    note: Note


class Life(RuleBasedStateMachine):
    """A node, its keeper's processes, the jobs in the database, and the agent of the moment."""

    def __init__(self) -> None:
        super().__init__()
        self.jobs = Counter[int]()
        self.processes: dict[AttemptKey, Process] = {}
        self.knows_boards = True
        self.present = list(BOARDS)
        self.state, self.policy = PilotState(), ClaimPolicy()
        self.now, self.number = 1000.0, 0
        self.order = list(range(len(TASKS)))
        self.paces: dict[int, Pace] = {}

    @initialize(
        cpus=SLOTS,
        gpus=DEVICES,
        found=st.sampled_from([10, 16, 5, None]),
        scratch=st.sampled_from([8, 5, None]),
        knows_boards=st.booleans(),
        jobs=st.sampled_from([9, 2, 0]),
        order=st.permutations(range(len(TASKS))),
        quick=st.sampled_from([set(range(len(TASKS))), set[int]()]),
    )
    def begins(
        self,
        cpus: int,
        gpus: int,
        found: int | None,
        scratch: int | None,
        knows_boards: bool,
        jobs: int,
        order: list[int],
        quick: set[int],
    ) -> None:
        self.paces = dict.fromkeys(quick, Pace(0.01, 50))
        self.policy.paces.update(self.paces)
        self.order = order
        self.jobs.update(dict.fromkeys(range(len(TASKS)), jobs))
        self.knows_boards = knows_boards
        self.state.enabled = {Queue.CPU: cpus, Queue.GPU: gpus}
        self.state.found = FoundResources(memory_bytes=found, scratch_bytes=scratch)
        self._find()

    def _find(self) -> None:
        devices = tuple(self.present) if self.knows_boards else None
        self.state.found = replace(self.state.found, devices=devices)
        self.state.device_names = INDEXES if self.knows_boards else {}

    # What users and operators do

    @rule(task=st.sampled_from(range(len(TASKS))), jobs=st.integers(1, 9))
    def jobs_are_released(self, task: int, jobs: int) -> None:
        """They come first in line."""
        self.jobs[task] += jobs
        self.order = [task, *(other for other in self.order if other != task)]
        self.policy.reset()
        self._work()

    @rule(cpus=SLOTS, memory=st.none() | st.integers(1, 16))
    def the_operator_changes_the_node(self, cpus: int, memory: int | None) -> None:
        self.state.enabled[Queue.CPU] = cpus
        self.state.memory_bytes = memory
        self.policy.reset()
        self._work()

    @rule(gpus=DEVICES)
    def the_operator_changes_its_gpus(self, gpus: int) -> None:
        self.state.enabled[Queue.GPU] = gpus
        self.policy.reset()
        self._work()

    @precondition(lambda self: self.knows_boards)
    @rule(
        gone=st.sets(st.sampled_from(BOARDS), max_size=2),
        busy=st.sets(st.sampled_from(BOARDS), max_size=2),
    )
    def devices_come_and_go(self, gone: set[Device], busy: set[Device]) -> None:
        there = [board for board in BOARDS if board not in gone]
        self.present = [replace(board, is_busy=board in busy) for board in there]
        self._find()
        self.policy.reset()
        self._work()

    # What the agent does

    def _work(self) -> None:
        """It goes on until there is nothing to do, which comes soon."""
        for _ in range(MOST_ROUNDS):
            self._agent_adjusts()
            did = self._claim()
            self._agent_adjusts()
            did |= self._start()
            self._run_ahead()
            if not did:
                return
        raise AssertionError("it claims and releases in a circle")

    def _claim(self) -> bool:
        asked = claim_policy.to_claim(self.state, self.policy, self.now)
        if asked is None:
            return False
        granted, held_back = self._grant(asked)
        for attempt in granted:
            self.state.add(attempt)
        self.policy.record_claim(asked, granted, Claim(held_back=held_back))
        return True

    def _grant(self, asked: Asked) -> tuple[list[LocalAttempt], dict[Queue, tuple[Resources, ...]]]:
        """Grant jobs as `services.work.claim` does."""
        room, idle = asked.room, allocator.offered(self.state)
        granted: list[LocalAttempt] = []
        held_back: dict[Queue, tuple[Resources, ...]] = {}
        for queue in (Queue.GPU, Queue.CPU):
            left = MAX_CLAIM
            for task in self.order if queue in asked.queues else ():
                request = REQUESTS[task]
                if TASKS[task][0] is not queue or not self.jobs[task] or not idle.fits(request):
                    continue
                count = min(room.count(request), self.jobs[task], left)
                room, left = room.after(request, count), left - count
                self.jobs[task] -= count
                granted += [self._attempt(task) for _ in range(count)]
                if not count and left and allocator.has_any(room, queue):
                    held_back[queue] = (*held_back.get(queue, ()), TASKS[task][1])
        return granted, held_back

    def _attempt(self, task: int) -> LocalAttempt:
        self.number += 1
        key = AttemptKey(task, self.number, 1, uuid4())
        note = Note(TASKS[task][0], REQUESTS[task], "/v/t", 1, None, None, None, 30.0)
        return LocalAttempt(key, KEEPER, note, Phase.WAITING, granted_at=self.now)

    def _agent_adjusts(self) -> None:
        """It releases what cannot start here, now or soon, and withdraws what is queued behind others."""
        for attempt in run_ahead.to_withdraw(self.state, self.now):
            self._give_back(attempt)
        for attempt in allocator.unfit(self.state):
            self._give_back(attempt)
        released = claim_policy.excess(self.state, self.policy, self.now)
        for attempt in released:
            self._give_back(attempt)
        self.policy.record_release(released, self.state.waiting())

    def _give_back(self, attempt: LocalAttempt) -> None:
        attempt.leave_queue()
        self.jobs[attempt.key.task_id] += 1
        self.state.drop(attempt.key)

    def _start(self) -> bool:
        startable = allocator.startable(self.state)
        for attempt, devices in startable:
            attempt.phase, attempt.slots_since = Phase.PREPARING, self.now
            attempt.note = replace(attempt.note, devices=devices)
        for attempt, _ in startable:
            self._run(attempt)
        return bool(startable)

    def _run(self, attempt: LocalAttempt) -> None:
        """A process begins, in a room that must have been free."""
        attempt.phase, attempt.started_at = Phase.RUNNING, self.now
        boards = tuple(INDEXES.get(name, name) for name in attempt.devices)
        self._check_start(attempt.note.request, boards)
        self.processes[attempt.key] = Process(attempt.note.request, boards, attempt.note)

    def _run_ahead(self) -> None:
        for attempt in claim_policy.to_prepare(self.state, self.policy, ()):
            attempt.ready = Ready(("true",), {}, -1, "/")
        for attempt, last in run_ahead.to_queue(self.state, self.policy, self.now):
            attempt.ready = None
            attempt.queue_behind(last)

    # What happens to processes

    @precondition(lambda self: self.processes)
    @rule(data=st.data(), slow=st.booleans())
    def jobs_end(self, data: st.DataObject, slow: bool) -> None:
        keys = st.sampled_from(sorted(self.processes))
        for key in data.draw(st.lists(keys, min_size=1, max_size=6, unique=True)):
            self._end(key, slow)
        self._work()

    def _end(self, key: AttemptKey, slow: bool) -> None:
        attempt = self.state.attempts[key]
        follower = attempt.follower
        del self.processes[key]
        attempt.leave_queue()
        self.state.drop(key)
        self.policy.record_duration(key.task_id, 5.0 if slow else 0.01)
        if follower and follower.phase is Phase.RUNNING:
            self._run(follower)

    @rule(seconds=st.sampled_from([0.5, 5.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        self._work()

    # Agents follow one another

    @rule()
    def the_agent_restarts(self) -> None:
        self._next_agent()

    @rule()
    def an_agent_that_knows_uuids_follows(self) -> None:
        self.knows_boards = True
        self._next_agent()

    @rule(
        slots=st.lists(st.integers(1, 3), max_size=4), gpus=st.lists(st.integers(1, 2), max_size=3)
    )
    def an_agent_of_the_version_before_had_the_node(
        self, slots: list[int], gpus: list[int]
    ) -> None:
        """It has started jobs that fit by their slots, on devices by index, and its notes say no more of them."""
        used = sum(process.note.slots for process in self.processes.values() if not process.boards)
        taken = {board for process in self.processes.values() for board in process.boards}
        for count in slots:
            if used + count <= self.state.enabled[Queue.CPU]:
                used += count
                self._older_process(Queue.CPU, count, None)
        indexes = [i for i in range(self.state.enabled[Queue.GPU]) if INDEXES[str(i)] not in taken]
        for count in gpus:
            if count <= len(indexes):
                given, indexes = indexes[:count], indexes[count:]
                self._older_process(Queue.GPU, count, ",".join(map(str, given)))
        self._next_agent()

    def _older_process(self, queue: Queue, slots: int, devices: str | None) -> None:
        self.number += 1
        older = {
            "q": queue.value,
            "s": slots,
            "f": "/v/t",
            "n": 1,
            "d": None,
            "c": None,
            "t": None,
            "g": 5.0,
        }
        note = Note.from_json({**older, "v": devices, "m": 2})
        boards = tuple(INDEXES[name] for name in devices.split(",")) if devices else ()
        key = AttemptKey(0, self.number, 1, uuid4())
        self.processes[key] = Process(note.request, boards, note)

    def _next_agent(self) -> None:
        """It takes over the processes by their notes; what had none is given to others."""
        for attempt in list(self.state.attempts.values()):
            if attempt.key not in self.processes:
                self._give_back(attempt)
        before = self.state
        self.policy = ClaimPolicy(paces=dict(self.paces))
        self.state = PilotState(dict(before.enabled), before.found)
        self.state.memory_bytes = before.memory_bytes
        self._find()
        for key, process in self.processes.items():
            note = Note.from_json(json.loads(json.dumps(process.note.to_json())))
            adopted = LocalAttempt(key, KEEPER, note, Phase.RUNNING, started_at=self.now)
            self.state.add(adopted)
        self._work()

    # What must hold

    def _check_start(self, new: Request, boards: tuple[str, ...]) -> None:
        """Whatever a job takes that starts, all jobs together take no more of it than is offered."""
        together = [process.request for process in self.processes.values()] + [new]
        assert sum(r.cpus for r in together) <= self.state.enabled[Queue.CPU] or not new.cpus
        found, enabled = self.state.found, self.state.memory_bytes
        for most in (found.memory_bytes, enabled):
            assert (
                most is None
                or not new.memory_bytes
                or sum(r.memory_bytes for r in together) <= most
            )
        most = found.scratch_bytes
        assert (
            most is None or not new.scratch_bytes or sum(r.scratch_bytes for r in together) <= most
        )
        assert len(together) == 1 or not any(request.exclusive for request in together)
        self._check_boards(new, boards)

    def _check_boards(self, new: Request, boards: tuple[str, ...]) -> None:
        assert len(set(boards)) == len(boards) == (new.gpus or bool(new.gpu_milli))
        milli, memory = Counter[str](), Counter[str]()
        processes = [(process.request, process.boards) for process in self.processes.values()]
        for request, its in [*processes, (new, boards)]:
            for board in its:
                milli[board] += request.gpu_milli or WHOLE
                memory[board] += request.vram_bytes
        usable = [board for board in self.present if not board.is_busy]
        if not self.knows_boards:
            usable = [replace(board, memory_bytes=None) for board in BOARDS]
        by_uuid = {board.uuid: board.memory_bytes for board in usable}
        for board in boards:
            assert milli[board] <= WHOLE
            most = by_uuid[board]
            assert most is None or memory[board] <= most
        lost = sum(n for board, n in milli.items() if board not in by_uuid)
        if boards and not lost:
            assert sum(milli.values()) <= WHOLE * self.state.enabled[Queue.GPU]

    @invariant()
    def the_agent_knows_what_runs(self) -> None:
        assert {attempt.key for attempt in self.state.with_slots()} == self.processes.keys()


def test_a_node_never_runs_more_than_it_offers() -> None:
    run_state_machine_as_test(
        Life, settings=settings(max_examples=100, stateful_step_count=50, deadline=None)
    )
