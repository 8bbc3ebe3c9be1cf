"""Images in the storage of Podman or Docker."""

from __future__ import annotations

from orchestra.runtimes.engines import EngineRuntime
from orchestra.runtimes.images.fetcher import Fetcher
from orchestra.runtimes.images.folder import CacheFolder, key_of
from orchestra.runtimes.images.prepared import Prepared
from orchestra.runtimes.images.request import ImageError, ImageRequest
from orchestra.runtimes.images.trial import no_answer


def stored(
    folder: CacheFolder,
    fetcher: Fetcher,
    runtime: EngineRuntime,
    address: str,
    request: ImageRequest,
) -> Prepared:
    """Return an image in the engine's storage, fetched if it is not there.

    Raises:
        ImageError: it cannot be fetched, or the request was cancelled.
    """
    key = key_of(f"{runtime.name} {address}")
    with folder.translated_errors():
        folder.create()
        with folder.exclusive(key, request):
            name = address
            of_registry = address.startswith("docker://")
            found = _inspect(fetcher, runtime, address, request) if of_registry else None
            if found is None:
                words = fetcher.fetch(runtime.fetch(address), address, request).split()
                # The last word that Podman prints is the id, the only name of an image from an archive.
                if not of_registry and words:
                    name = words[-1]
                found = _inspect(fetcher, runtime, name, request)
    if found is None:
        raise ImageError(f"{runtime.name} has fetched {address}, but does not find it")
    return found


def _inspect(
    fetcher: Fetcher, runtime: EngineRuntime, name: str, request: ImageRequest
) -> Prepared | None:
    done = fetcher.run(runtime.inspect(name), request)
    if done is None:
        raise no_answer(fetcher, runtime.name)
    if done.returncode:
        return None
    ident, digest, *_ = [*done.stdout.decode(errors="replace").splitlines(), "", ""]
    if not ident:
        return None
    ident = ident if ident.startswith("sha256:") else f"sha256:{ident}"
    found = digest.rpartition("@")[2]
    return Prepared(ident, found if found.startswith("sha256:") else ident)
