"""Image pulls: attempts wait until an I/O thread has prepared their image, once for all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

from orchestra.domain import troubles
from orchestra.domain.models.work import Outcome
from orchestra.domain.states import Cause
from orchestra.pilot.context import Context
from orchestra.pilot.launch_config import LaunchConfig
from orchestra.pilot.outcomes import plain_text
from orchestra.pilot.report import Reporter
from orchestra.pilot.state import LocalAttempt, Phase
from orchestra.runtimes import choose
from orchestra.runtimes.discovery import ContainerRuntime
from orchestra.runtimes.images.cache import ImageCache
from orchestra.runtimes.images.prepared import Prepared
from orchestra.runtimes.images.request import ImageError, ImageRequest

LANE = -1
"""The I/O threads' lane for images; those of tasks begin at 0."""
UNUSE_EVERY = 60.0
"""Seconds between two checks for images that no attempt uses any more."""

Result = Prepared | ImageError


@dataclass(slots=True)
class _Pull:
    """An image that is being prepared, and the attempts that wait for it."""

    request: ImageRequest
    attempts: list[LocalAttempt]


def _prepare(
    cache: ImageCache, runtime: ContainerRuntime, image: str, request: ImageRequest
) -> Result:
    """Prepare an image. Runs in an I/O thread."""
    try:
        return cache.prepare(runtime, image, request)
    except ImageError as error:
        return error


class ImagePuller:
    """Holds attempts back until their image is ready on this node."""

    def __init__(
        self,
        context: Context,
        reporter: Reporter,
        prepare: Callable[[Sequence[LocalAttempt]], None],
    ) -> None:
        """`prepare` is called with the attempts whose image has become ready."""
        self.context, self._reporter, self._prepare_attempts = context, reporter, prepare
        self._pulls: dict[str, _Pull] = {}
        self._unuse_at = 0.0

    def is_ready(self, attempt: LocalAttempt) -> bool:
        """Whether an attempt need not wait for its image; also true if this node has no runtime for it."""
        image = attempt.task.image if attempt.task else None
        launch = self.context.launch
        return image is None or image in launch.prepared or _runtime(launch, image) is None

    def add(self, attempt: LocalAttempt) -> None:
        """Queue an attempt whose image is not ready yet."""
        assert attempt.task
        assert attempt.task.image
        image = attempt.task.image
        if image in self._pulls:
            self._pulls[image].attempts.append(attempt)
            return
        request = ImageRequest(partial(self._post_progress, image))
        pull = self._pulls[image] = _Pull(request, [attempt])
        launch = self.context.launch
        runtime = _runtime(launch, image)
        assert runtime
        assert launch.cache
        self._report_progress(image, "begins")
        self.context.workers.submit(
            partial(_prepare, launch.cache, runtime, image, request),
            partial(self._ended, image, pull),
            partial(self._failed, image, pull),
            lane=LANE,
        )

    def note_image(self, attempt: LocalAttempt) -> None:
        """Add the image and its runtime to the note of an attempt."""
        image = attempt.task.image if attempt.task else None
        prepared = self.context.launch.prepared.get(image or "")
        runtime = _runtime(self.context.launch, image) if image else None
        if not prepared or not runtime:
            return
        attempt.note = replace(
            attempt.note, runtime=runtime.name, image_digest=prepared.digest, image_key=prepared.key
        )

    def tick(self, now: float) -> float:
        """Release attempts that are not to start any more; return the next wake-up."""
        for image, pull in list(self._pulls.items()):
            for attempt in [attempt for attempt in pull.attempts if self._is_unwanted(attempt)]:
                pull.attempts.remove(attempt)
                if attempt.phase is not Phase.REPORTING:
                    why = attempt.end_reason or "its pilot is stopping"
                    self._reporter.release(attempt, f"not started: {why}")
            if not pull.attempts:
                self._cancel(image, pull)
        if now >= self._unuse_at:
            self._unuse_at = now + UNUSE_EVERY
            self._update_used()
        return float("inf")

    def _cancel(self, image: str, pull: _Pull) -> None:
        del self._pulls[image]
        self.context.troubles.pop(_trouble_name(image), None)
        pull.request.cancel("no job waits for it any more")

    def _is_unwanted(self, attempt: LocalAttempt) -> bool:
        ends = attempt.end_reason is not None or attempt.phase is Phase.REPORTING
        return ends or self.context.state.draining

    def _update_used(self) -> None:
        """Protect the images of attempts on this node from removal, and no others."""
        launch = self.context.launch
        cache = launch.cache
        if cache is None:
            return
        needed = {attempt.note.image_key for attempt in self.context.state.attempts.values()}
        for key in needed - {None}:
            cache.use(key or "")
        for image, prepared in list(launch.prepared.items()):
            if prepared.key in cache.in_use and prepared.key not in needed:
                del launch.prepared[image]  # it may be removed from now on
        for key in cache.in_use - needed:
            cache.release(key)

    # Results of the I/O thread

    def _post_progress(self, image: str, text: str) -> None:
        self.context.inbox.post(partial(self._report_progress, image, text))

    def _report_progress(self, image: str, text: str) -> None:
        if image in self._pulls:
            self.context.troubles[_trouble_name(image)] = troubles.preparing(image, text)

    def _failed(self, image: str, pull: _Pull, error: Exception) -> None:
        self._ended(image, pull, ImageError(f"it could not be prepared: {error!r}"))

    def _ended(self, image: str, pull: _Pull, result: Result) -> None:
        if self._pulls.get(image) is not pull:
            return  # it was canceled
        del self._pulls[image]
        attempts = [attempt for attempt in pull.attempts if not self._is_unwanted(attempt)]
        self.context.troubles.pop(_trouble_name(image), None)
        if isinstance(result, Prepared):
            launch = self.context.launch
            if result.key and launch.cache:
                # `_update_used` may have unprotected it while no attempt here used it yet.
                launch.cache.use(result.key)
            launch.prepared[image] = result
            self._prepare_attempts(attempts)
            return
        why = plain_text(" ".join(filter(None, (str(result), result.hint)))) or ""
        for attempt in attempts:
            outcome = Outcome(attempt.key, Cause.NO_CONTAINER, reason=why)
            self._reporter.add(attempt, outcome)
        for attempt in self._waiting_for(image):
            self._reporter.release(attempt, why)
        for task in self._tasks_with(image):
            self.context.back_off_task(task, why)

    def _waiting_for(self, image: str) -> Iterator[LocalAttempt]:
        waiting = self.context.state.waiting()
        return (attempt for attempt in waiting if attempt.task and attempt.task.image == image)

    def _tasks_with(self, image: str) -> set[int]:
        return {spec.id for spec in self.context.tasks.values() if spec.image == image}


def _trouble_name(image: str) -> str:
    return f"image {image}"


def _runtime(launch: LaunchConfig, image: str) -> ContainerRuntime | None:
    runtime = choose(launch.runtimes, image)
    return runtime if isinstance(runtime, ContainerRuntime) else None
