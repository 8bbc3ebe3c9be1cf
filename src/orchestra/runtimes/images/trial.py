"""Tries whether an image can be run."""

from __future__ import annotations

from orchestra.domain import human
from orchestra.runtimes.apptainer import ApptainerRuntime
from orchestra.runtimes.engines import EngineRuntime
from orchestra.runtimes.images.fetcher import Fetcher, error_summary
from orchestra.runtimes.images.request import ImageError, ImageRequest


def try_image(
    fetcher: Fetcher, runtime: ApptainerRuntime | EngineRuntime, image: str, request: ImageRequest
) -> None:
    """Start a container and end it, so that an image without a shell is reported before a job needs it.

    Raises:
        ImageError: the container cannot be started, or the request was cancelled.
    """
    done = fetcher.run(runtime.trial(image), request)
    if done is None:
        raise no_answer(fetcher, runtime.name)
    if done.returncode:
        words = error_summary(done.stderr.decode(errors="replace"))
        raise ImageError(f"{runtime.name} cannot run the image: {words}")


def no_answer(fetcher: Fetcher, name: str) -> ImageError:
    """Return the error of a runtime that makes no progress."""
    return ImageError(
        f"{name} on this node did not answer for {human.duration(fetcher.silence)}.",
        hint=f"Check whether {name} works there by hand.",
    )
