"""Attempts that wait for their image: it is made ready once a node, by an I/O thread, while the agent goes on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

from orchestra.domain import troubles
from orchestra.domain.models.work import Outcome
from orchestra.domain.states import Cause
from orchestra.pilot.desk import Desk, Kit
from orchestra.pilot.report import Reporter, plain_text
from orchestra.pilot.state import Held, Phase
from orchestra.runtimes import choose
from orchestra.runtimes.cache import ImageCache, Prepared
from orchestra.runtimes.fetching import ImageError, Order
from orchestra.runtimes.found import ContainerRuntime

LANE = -1
"""The I/O threads' lane for images; those of tasks begin at 0."""
RELEASE_EVERY = 60.0

Result = Prepared | ImageError


@dataclass(slots=True)
class _Wish:
    """An image that is being made ready, and the attempts that wait for it."""

    order: Order
    members: list[Held]


def _prepare(cache: ImageCache, runtime: ContainerRuntime, image: str, order: Order) -> Result:
    """Make an image ready. Runs in an I/O thread."""
    try:
        return cache.prepare(runtime, image, order)
    except ImageError as error:
        return error


class Imaging:
    """Holds attempts back until their image is ready on this node."""

    def __init__(
        self, desk: Desk, reporter: Reporter, begin: Callable[[Sequence[Held]], None]
    ) -> None:
        """`begin` is given the attempts that have waited, when they need to no more."""
        self.desk, self._reporter, self._begin = desk, reporter, begin
        self._waiting: dict[str, _Wish] = {}
        self._release_at = 0.0

    def is_ready(self, held: Held) -> bool:
        """Whether an attempt needs to wait for no image; also where this node has no runtime for it."""
        image = held.task.image if held.task else None
        kit = self.desk.kit
        return image is None or image in kit.prepared or _runtime(kit, image) is None

    def keep(self, held: Held) -> None:
        """Take in an attempt whose image is not ready yet."""
        assert held.task
        assert held.task.image
        image = held.task.image
        if image in self._waiting:
            self._waiting[image].members.append(held)
            return
        order = Order(partial(self._hear, image))
        wish = self._waiting[image] = _Wish(order, [held])
        kit = self.desk.kit
        runtime = _runtime(kit, image)
        assert runtime
        assert kit.cache
        self._say(image, "begins")
        self.desk.workers.submit(
            partial(_prepare, kit.cache, runtime, image, order),
            partial(self._ended, image, wish),
            partial(self._broke, image, wish),
            lane=LANE,
        )

    def mark(self, held: Held) -> None:
        """Note with an attempt what it is going to run in."""
        image = held.task.image if held.task else None
        prepared = self.desk.kit.prepared.get(image or "")
        runtime = _runtime(self.desk.kit, image) if image else None
        if not prepared or not runtime:
            return
        held.note = replace(
            held.note,
            runtime=runtime.name,
            image_digest=prepared.digest,
            image_key=prepared.key,
        )

    def tick(self, now: float) -> float:
        """Hand back what is not to begin any more; gives when to be called again."""
        for image, wish in list(self._waiting.items()):
            for held in [held for held in wish.members if self._is_unwanted(held)]:
                wish.members.remove(held)
                if held.phase is not Phase.REPORTING:
                    why = held.end_reason or "its pilot is leaving"
                    self._reporter.give_back(held, f"not started: {why}")
            if not wish.members:
                self._call_off(image, wish)
        if now >= self._release_at:
            self._release_at = now + RELEASE_EVERY
            self._share_images()
        return float("inf")

    def _call_off(self, image: str, wish: _Wish) -> None:
        del self._waiting[image]
        self.desk.troubles.pop(_trouble(image), None)
        wish.order.call_off("nobody waits for it any more")

    def _is_unwanted(self, held: Held) -> bool:
        leaving = self.desk.state.leaving
        return leaving or held.end_reason is not None or held.phase is Phase.REPORTING

    def _share_images(self) -> None:
        """Keep the images of what runs here from being removed, and no others."""
        cache = self.desk.kit.cache
        if cache is None:
            return
        needed = {held.note.image_key for held in self.desk.state.held.values()}
        for key in needed - {None}:
            cache.use(key or "")
        for image, prepared in list(self.desk.kit.prepared.items()):
            if prepared.key in cache.in_use and prepared.key not in needed:
                del self.desk.kit.prepared[image]  # it may be removed from now on
        for key in cache.in_use - needed:
            cache.release(key)

    # What the I/O thread says

    def _hear(self, image: str, text: str) -> None:
        self.desk.inbox.post(partial(self._say, image, text))

    def _say(self, image: str, text: str) -> None:
        if image in self._waiting:
            self.desk.troubles[_trouble(image)] = troubles.preparing(image, text)

    def _broke(self, image: str, wish: _Wish, error: Exception) -> None:
        self._ended(image, wish, ImageError(f"it could not be made ready: {error!r}"))

    def _ended(self, image: str, wish: _Wish, result: Result) -> None:
        if self._waiting.get(image) is not wish:
            return  # it was called off
        del self._waiting[image]
        members = [held for held in wish.members if not self._is_unwanted(held)]
        self.desk.troubles.pop(_trouble(image), None)
        if isinstance(result, Prepared):
            if result.key and self.desk.kit.cache:
                # It was shared while nothing here needed it yet: since it was tried, that may have been taken back.
                self.desk.kit.cache.use(result.key)
            self.desk.kit.prepared[image] = result
            self._begin(members)
            return
        why = plain_text(" ".join(filter(None, (str(result), result.hint)))) or ""
        for held in members:
            self._reporter.add(held, Outcome(held.key, Cause.NO_CONTAINER, reason=why))
        for held in self._others(image):
            self._reporter.give_back(held, why)
        for task in self._tasks(image):
            self.desk.leave_alone(task, why)

    def _others(self, image: str) -> Iterator[Held]:
        return (
            held for held in self.desk.state.waiting() if held.task and held.task.image == image
        )

    def _tasks(self, image: str) -> list[int]:
        return [task for task, spec in self.desk.tasks.items() if spec.image == image]


def _trouble(image: str) -> str:
    return f"image {image}"


def _runtime(kit: Kit, image: str) -> ContainerRuntime | None:
    runtime = choose(kit.runtimes, image)
    return runtime if isinstance(runtime, ContainerRuntime) else None
