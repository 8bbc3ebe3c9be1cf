"""The image cache of a pilot: prepares images and protects those in use."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from orchestra.domain import images
from orchestra.domain.images import Kind
from orchestra.runtimes.apptainer import ApptainerRuntime
from orchestra.runtimes.engines import EngineRuntime
from orchestra.runtimes.images import engine_storage, local_files
from orchestra.runtimes.images.eviction import evict
from orchestra.runtimes.images.fetcher import PAUSES, SILENCE, Fetcher
from orchestra.runtimes.images.folder import CacheFolder
from orchestra.runtimes.images.prepared import Prepared
from orchestra.runtimes.images.request import ImageRequest
from orchestra.runtimes.images.sif import SifImages
from orchestra.runtimes.images.trial import try_image


class ImageCache:
    """The images of one pilot, or of one command.

    Args:
        limit: the bytes that images not in use may take.
        pauses, silence: see `Fetcher`.
    """

    def __init__(
        self,
        folder: Path,
        environ: Mapping[str, str],
        *,
        limit: int,
        pauses: tuple[float, ...] = PAUSES,
        silence: float = SILENCE,
    ) -> None:
        self.folder, self.limit = folder, limit
        self._folder = CacheFolder(folder)
        self._fetcher = Fetcher(environ, pauses, silence)
        self._requests: set[ImageRequest] = set()
        self.use, self.release = self._folder.use, self._folder.release
        self.touch = self._folder.touch

    @property
    def in_use(self) -> frozenset[str]:
        """The keys of the images that this pilot protects from eviction."""
        return self._folder.in_use

    def prepare(
        self,
        runtime: ApptainerRuntime | EngineRuntime,
        image: str,
        request: ImageRequest | None = None,
    ) -> Prepared:
        """Fetch or find an image, and try it. May take long; ends when the request is cancelled.

        Raises:
            ImageError: it cannot be run here, with the runtime's own words.
        """
        request = request or ImageRequest()
        self._requests.add(request)
        try:
            prepared = self._prepare(runtime, image, request)
            if isinstance(runtime, ApptainerRuntime) and runtime.unsquash and prepared.digest:
                prepared = self._sif_images(runtime, request).unpacked(prepared)
                evict(self._folder, self.limit)
            try_image(self._fetcher, runtime, prepared.image, request)
        finally:
            self._requests.discard(request)
        return prepared

    def _prepare(
        self, runtime: ApptainerRuntime | EngineRuntime, image: str, request: ImageRequest
    ) -> Prepared:
        kind = images.kind_of(image)
        if kind is Kind.FOLDER:
            return local_files.local_folder(image)
        if kind is Kind.FILE:
            return local_files.local_file(self._folder, image, request)
        address = images.address(image)
        if isinstance(runtime, EngineRuntime):
            return engine_storage.stored(self._folder, self._fetcher, runtime, address, request)
        prepared = self._sif_images(runtime, request).fetched(address)
        evict(self._folder, self.limit)
        return prepared

    def _sif_images(self, runtime: ApptainerRuntime, request: ImageRequest) -> SifImages:
        return SifImages(self._folder, self._fetcher, runtime, request)

    def stop(self) -> None:
        """Cancel all requests."""
        for request in list(self._requests):
            request.cancel("the pilot is stopping")
