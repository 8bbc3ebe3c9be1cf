"""Attempts that wait for their image: it is made ready once a node, by an I/O thread, while the agent goes on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

from orchestra.domain import troubles
from orchestra.domain.models.work import Outcome
from orchestra.domain.states import Cause
from orchestra.pilot.context import Context, LaunchConfig
from orchestra.pilot.report import Reporter, plain_text
from orchestra.pilot.state import LocalAttempt, Phase
from orchestra.runtimes import choose
from orchestra.runtimes.discovery import ContainerRuntime
from orchestra.runtimes.images.cache import ImageCache
from orchestra.runtimes.images.prepared import Prepared
from orchestra.runtimes.images.request import ImageError, ImageRequest

LANE = -1
"""The I/O threads' lane for images; those of tasks begin at 0."""
RELEASE_EVERY = 60.0

Result = Prepared | ImageError


@dataclass(slots=True)
class _Wish:
    """An image that is being made ready, and the attempts that wait for it."""

    request: ImageRequest
    members: list[LocalAttempt]


def _prepare(
    cache: ImageCache, runtime: ContainerRuntime, image: str, request: ImageRequest
) -> Result:
    """Make an image ready. Runs in an I/O thread."""
    try:
        return cache.prepare(runtime, image, request)
    except ImageError as error:
        return error


class ImagePuller:
    """Holds attempts back until their image is ready on this node."""

    def __init__(
        self, context: Context, reporter: Reporter, begin: Callable[[Sequence[LocalAttempt]], None]
    ) -> None:
        """`begin` is given the attempts that have waited, when they need to no more."""
        self.context, self._reporter, self._begin = context, reporter, begin
        self._waiting: dict[str, _Wish] = {}
        self._release_at = 0.0

    def is_ready(self, attempt: LocalAttempt) -> bool:
        """Whether an attempt needs to wait for no image; also where this node has no runtime for it."""
        image = attempt.task.image if attempt.task else None
        launch = self.context.launch
        return image is None or image in launch.prepared or _runtime(launch, image) is None

    def keep(self, attempt: LocalAttempt) -> None:
        """Take in an attempt whose image is not ready yet."""
        assert attempt.task
        assert attempt.task.image
        image = attempt.task.image
        if image in self._waiting:
            self._waiting[image].members.append(attempt)
            return
        request = ImageRequest(partial(self._hear, image))
        wish = self._waiting[image] = _Wish(request, [attempt])
        launch = self.context.launch
        runtime = _runtime(launch, image)
        assert runtime
        assert launch.cache
        self._say(image, "begins")
        self.context.workers.submit(
            partial(_prepare, launch.cache, runtime, image, request),
            partial(self._ended, image, wish),
            partial(self._broke, image, wish),
            lane=LANE,
        )

    def mark(self, attempt: LocalAttempt) -> None:
        """Note with an attempt what it is going to run in."""
        image = attempt.task.image if attempt.task else None
        prepared = self.context.launch.prepared.get(image or "")
        runtime = _runtime(self.context.launch, image) if image else None
        if not prepared or not runtime:
            return
        attempt.note = replace(
            attempt.note,
            runtime=runtime.name,
            image_digest=prepared.digest,
            image_key=prepared.key,
        )

    def tick(self, now: float) -> float:
        """Hand back what is not to begin any more; gives when to be called again."""
        for image, wish in list(self._waiting.items()):
            for attempt in [attempt for attempt in wish.members if self._is_unwanted(attempt)]:
                wish.members.remove(attempt)
                if attempt.phase is not Phase.REPORTING:
                    why = attempt.end_reason or "its pilot is leaving"
                    self._reporter.release(attempt, f"not started: {why}")
            if not wish.members:
                self._call_off(image, wish)
        if now >= self._release_at:
            self._release_at = now + RELEASE_EVERY
            self._share_images()
        return float("inf")

    def _call_off(self, image: str, wish: _Wish) -> None:
        del self._waiting[image]
        self.context.troubles.pop(_trouble(image), None)
        wish.request.cancel("nobody waits for it any more")

    def _is_unwanted(self, attempt: LocalAttempt) -> bool:
        draining = self.context.state.draining
        return draining or attempt.end_reason is not None or attempt.phase is Phase.REPORTING

    def _share_images(self) -> None:
        """Keep the images of what runs here from being removed, and no others."""
        cache = self.context.launch.cache
        if cache is None:
            return
        needed = {attempt.note.image_key for attempt in self.context.state.attempts.values()}
        for key in needed - {None}:
            cache.use(key or "")
        for image, prepared in list(self.context.launch.prepared.items()):
            if prepared.key in cache.in_use and prepared.key not in needed:
                del self.context.launch.prepared[image]  # it may be removed from now on
        for key in cache.in_use - needed:
            cache.release(key)

    # What the I/O thread says

    def _hear(self, image: str, text: str) -> None:
        self.context.inbox.post(partial(self._say, image, text))

    def _say(self, image: str, text: str) -> None:
        if image in self._waiting:
            self.context.troubles[_trouble(image)] = troubles.preparing(image, text)

    def _broke(self, image: str, wish: _Wish, error: Exception) -> None:
        self._ended(image, wish, ImageError(f"it could not be made ready: {error!r}"))

    def _ended(self, image: str, wish: _Wish, result: Result) -> None:
        if self._waiting.get(image) is not wish:
            return  # it was called off
        del self._waiting[image]
        members = [attempt for attempt in wish.members if not self._is_unwanted(attempt)]
        self.context.troubles.pop(_trouble(image), None)
        if isinstance(result, Prepared):
            if result.key and self.context.launch.cache:
                # It was shared while nothing here needed it yet: since it was tried, that may have been taken back.
                self.context.launch.cache.use(result.key)
            self.context.launch.prepared[image] = result
            self._begin(members)
            return
        why = plain_text(" ".join(filter(None, (str(result), result.hint)))) or ""
        for attempt in members:
            self._reporter.add(attempt, Outcome(attempt.key, Cause.NO_CONTAINER, reason=why))
        for attempt in self._others(image):
            self._reporter.release(attempt, why)
        for task in self._tasks(image):
            self.context.back_off_task(task, why)

    def _others(self, image: str) -> Iterator[LocalAttempt]:
        return (
            attempt
            for attempt in self.context.state.waiting()
            if attempt.task and attempt.task.image == image
        )

    def _tasks(self, image: str) -> list[int]:
        return [task for task, spec in self.context.tasks.items() if spec.image == image]


def _trouble(image: str) -> str:
    return f"image {image}"


def _runtime(launch: LaunchConfig, image: str) -> ContainerRuntime | None:
    runtime = choose(launch.runtimes, image)
    return runtime if isinstance(runtime, ContainerRuntime) else None
