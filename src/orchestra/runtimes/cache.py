"""Images made ready: fetched and converted once a node, whoever asks; looked at; kept within a limit.

The folder holds, for each image that Apptainer fetched, `KEY.sif`, `KEY.json` (what it is) and `KEY.lock`; where the
account can mount no SIF, each one unpacked as well, `KEY.sandbox` instead of `KEY.sif`. Whoever
fetches holds the lock alone; whoever runs jobs of the image shares it, so that it is not removed; a folder
`KEY.<pid>.part` is work under way. The same folder may be that of several pilots, also of several machines.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from orchestra.domain import human, images
from orchestra.domain.images import Kind
from orchestra.homefolder import make_own
from orchestra.runtimes.apptainer import ApptainerRuntime
from orchestra.runtimes.engines import EngineRuntime
from orchestra.runtimes.fetching import (
    PAUSES,
    SAY_EVERY,
    SILENCE,
    Fetcher,
    ImageError,
    Order,
    last_words,
    size_of,
)

_BLOCK = 1 << 20
_OLD_PART = 7 * 86400.0
_PLAIN = re.compile(r"[A-Za-z0-9._/-]+")


@dataclass(frozen=True, slots=True)
class Prepared:
    """An image that can be run.

    Args:
        image: what the runtime is given: a path, or an id in its storage.
        digest: `sha256:...` of what runs, None for a folder, which has none.
        key: its name in the cache, None where it is not kept there.
        looks: size, time and inode of its file when it was looked at.
        source: that file, where it is not the image itself.
    """

    image: str
    digest: str | None = None
    key: str | None = None
    looks: tuple[int, int, int] | None = None
    source: str | None = None

    def is_unchanged(self) -> bool:
        """Whether the file is still the one that was looked at. A folder's answer is whether it is there."""
        if self.image.startswith("sha256:"):
            return True
        try:
            return self.looks is None or _looks(Path(self.source or self.image)) == self.looks
        except OSError:
            return False


def _looks(path: Path) -> tuple[int, int, int]:
    facts = path.stat()
    return facts.st_size, facts.st_mtime_ns, facts.st_ino


class ImageCache:
    """The images of one pilot, or of one command."""

    def __init__(
        self,
        folder: Path,
        environ: Mapping[str, str],
        *,
        limit: int,
        pauses: tuple[float, ...] = PAUSES,
        silence: float = SILENCE,
    ) -> None:
        """`limit` is how many bytes the folder may hold, as far as they are not in use."""
        self.folder, self.limit = folder, limit
        self._fetcher = Fetcher(environ, pauses, silence)
        self._shares: dict[str, int] = {}
        self._orders: set[Order] = set()
        self._lock = threading.Lock()

    # What pilots ask for

    def prepare(
        self,
        runtime: ApptainerRuntime | EngineRuntime,
        image: str,
        order: Order | None = None,
    ) -> Prepared:
        """Make an image ready and try it; takes as long as it takes, or until the order is called off.

        Raises:
            ImageError: it cannot be run here; with the runtime's own words.
        """
        order = order or Order()
        self._orders.add(order)
        try:
            prepared = self._made_ready(runtime, image, order)
            if isinstance(runtime, ApptainerRuntime) and runtime.unsquash and prepared.digest:
                prepared = self._unpacked(runtime, prepared, order)
            self._try(runtime, prepared.image, order)
        finally:
            self._orders.discard(order)
        return prepared

    def _made_ready(
        self, runtime: ApptainerRuntime | EngineRuntime, image: str, order: Order
    ) -> Prepared:
        kind = images.kind_of(image)
        if kind is Kind.FOLDER:
            return self._there(image, None)
        if kind is Kind.FILE:
            return self._there(image, order)
        if isinstance(runtime, ApptainerRuntime):
            return self._cached(runtime, images.address(image), order)
        return self._stored(runtime, images.address(image), order)

    def use(self, key: str) -> bool:
        """Keep others from removing an image, until `release`; False while it is being fetched. May be repeated."""
        with self._lock:
            if key in self._shares:
                return True
            try:
                path = self.folder / f"{key}.lock"
                self._shares[key] = _locked(path, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except OSError:
                return False
            return True

    def touch(self, key: str) -> None:
        """Note that an image is used now."""
        with suppress(OSError):
            os.utime(self.folder / f"{key}.json")

    def release(self, key: str) -> None:
        """Let an image be removed when there is no room."""
        with self._lock:
            descriptor = self._shares.pop(key, None)
        if descriptor is not None:
            os.close(descriptor)

    @property
    def in_use(self) -> frozenset[str]:
        """The images that are kept from being removed for this pilot."""
        return frozenset(self._shares)

    def stop(self) -> None:
        """End what fetches images now."""
        for order in list(self._orders):
            order.call_off("the pilot leaves")

    # Files

    def _there(self, image: str, order: Order | None) -> Prepared:
        path = Path(image)
        try:
            if order is None:
                path.joinpath(".").stat()
                return Prepared(image)
            looks = _looks(path)
            return Prepared(image, self._hash(path, looks, order), looks=looks)
        except OSError as error:
            reason = "is not there" if isinstance(error, FileNotFoundError) else error.strerror
            raise ImageError(f"the image {image} on this node: {reason}") from None

    def _hash(self, path: Path, looks: tuple[int, int, int], order: Order) -> str:
        """Take the SHA-256 of a file, or remember it."""
        known = self.folder / f"{_key(str(path))}.file.json"
        record = _read(known)
        if record.get("looks") == list(looks):
            return str(record["digest"])
        digest, done, said = hashlib.sha256(), 0, time.monotonic()
        with path.open("rb", buffering=0) as file:
            while block := file.read(_BLOCK):
                digest.update(block)
                done += len(block)
                if time.monotonic() - said > SAY_EVERY:
                    said = time.monotonic()
                    order.say(f"reading it, {human.size(done)} of {human.size(looks[0])}")
                order.check()
        text = f"sha256:{digest.hexdigest()}"
        with suppress(OSError):  # then it is read again
            self._make_folder()
            _write(known, {"image": str(path), "digest": text, "looks": looks})
        return text

    # What Apptainer fetches

    def _cached(self, runtime: ApptainerRuntime, address: str, order: Order) -> Prepared:
        key = _key(f"{address} {self._state_of_archive(address)}".strip())
        try:
            self._make_folder()
            while (prepared := self._shared(key)) is None:
                if (descriptor := _try_alone(self.folder / f"{key}.lock")) is None:
                    self._wait_for_another(order)
                    continue
                try:
                    self._fetch_file(runtime, address, key, order)
                finally:
                    os.close(descriptor)
        except OSError as error:
            raise ImageError(f"the image cache {self.folder}: {error.strerror or error}") from None
        self._make_room()
        return prepared

    def _state_of_archive(self, address: str) -> str:
        """What changes when an archive is written anew."""
        path = images.path_of(address)
        if path is None:
            return ""
        try:
            return str(_looks(Path(path)))
        except OSError as error:
            raise ImageError(f"the image {address} on this node: {error.strerror}") from None

    def _shared(self, key: str) -> Prepared | None:
        """Give an image that is there, in use from now on."""
        if self.use(key) and (prepared := self._kept(key)):
            return prepared
        self.release(key)
        return None

    def _kept(self, key: str) -> Prepared | None:
        path = self.folder / f"{key}.sif"
        record = _read(self.folder / f"{key}.json")
        try:
            if path.stat().st_size != record["bytes"]:
                return None  # cut short by somebody else: it is fetched again
            os.utime(self.folder / f"{key}.json")
            return Prepared(str(path), str(record["digest"]), key, _looks(path))
        except (OSError, KeyError):
            return None

    def _fetch_file(self, runtime: ApptainerRuntime, address: str, key: str, order: Order) -> None:
        for left in self.folder.glob(f"{key}.*.part"):
            shutil.rmtree(left, ignore_errors=True)
        part = Path(tempfile.mkdtemp(prefix=f"{key}.", suffix=".part", dir=self.folder))
        # It fails to convert an image in a folder with quotes or blanks in its name.
        odd = not _PLAIN.fullmatch(str(part))
        work = Path(tempfile.mkdtemp(prefix="orchestra-image-", dir="/var/tmp")) if odd else part
        try:
            # Whatever it keeps for itself is part of the work under way, and goes with it.
            own = {
                f"{prefix}_{name}": str(work)
                for prefix in ("APPTAINER", "SINGULARITY")
                for name in ("CACHEDIR", "TMPDIR")
            }
            made = part / "image.sif"
            self._fetcher.fetch(runtime.fetch(address, str(made)), address, order, own, work)
            digest = self._hash_of_new(made, order)
            size = made.stat().st_size
            made.chmod(0o644)
            made.replace(self.folder / f"{key}.sif")
            _write(self.folder / f"{key}.json", {"image": address, "digest": digest, "bytes": size})
        finally:
            shutil.rmtree(part, ignore_errors=True)
            shutil.rmtree(work, ignore_errors=True)

    def _hash_of_new(self, path: Path, order: Order) -> str:
        order.say("reading it")
        with path.open("rb") as file:
            return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"

    # What is unpacked

    def _unpacked(self, runtime: ApptainerRuntime, packed: Prepared, order: Order) -> Prepared:
        """Give a SIF as a folder, unpacked once: an account that can mount none would do it for each job.

        Where there is no room for that, it is given as it was.
        """
        key = _key(f"unpacked {packed.digest}")
        lock = self.folder / f"{key}.lock"
        try:
            self._make_folder()
            while (found := self._shared_folder(key, packed)) is None:
                if (descriptor := _try_alone(lock)) is None:
                    self._wait_for_another(order)
                    continue
                try:
                    if not self._unpack(runtime, packed, key, order):
                        return packed
                finally:
                    os.close(descriptor)
        except OSError as error:
            raise ImageError(f"the image cache {self.folder}: {error.strerror or error}") from None
        self._make_room()
        return found

    def _shared_folder(self, key: str, packed: Prepared) -> Prepared | None:
        """Give a folder that is there, in use from now on."""
        path = self.folder / f"{key}.sandbox"
        if self.use(key) and _read(self.folder / f"{key}.json") and path.is_dir():
            self.touch(key)
            if packed.key:
                self.release(packed.key)
            source = None if packed.key else packed.image
            looks = None if packed.key else packed.looks
            return Prepared(f"{path}/", packed.digest, key, looks, source)
        self.release(key)
        return None

    def _unpack(self, runtime: ApptainerRuntime, packed: Prepared, key: str, order: Order) -> bool:
        """Unpack a SIF; False where that fails."""
        for left in self.folder.glob(f"{key}.*.part"):
            _remove_tree(left)
        place = self.folder / f"{key}.sandbox"
        part = Path(tempfile.mkdtemp(prefix=f"{key}.", suffix=".part", dir=self.folder))
        try:
            made = part / "root"
            done = self._fetcher.run(runtime.unpack(packed.image, str(made)), order, watched=part)
            if done is None or done.returncode:
                return False
            size = size_of(made)
            _remove_tree(place)
            made.replace(place)
            record = {"image": packed.image, "digest": packed.digest, "bytes": size}
            _write(self.folder / f"{key}.json", record)
        finally:
            _remove_tree(part)
        return True

    # What engines fetch

    def _stored(self, runtime: EngineRuntime, address: str, order: Order) -> Prepared:
        key = _key(f"{runtime.name} {address}")
        try:
            self._make_folder()
            with self._alone(key, order):
                name = address
                of_registry = address.startswith("docker://")
                found = self._inspect(runtime, address, order) if of_registry else None
                if found is None:
                    said = self._fetcher.fetch(runtime.fetch(address), address, order)
                    # Podman's last word is the id, which for an archive is the only name.
                    if not of_registry:
                        name = said.split()[-1] if said.split() else address
                    found = self._inspect(runtime, name, order)
        except OSError as error:
            raise ImageError(f"the image cache {self.folder}: {error.strerror or error}") from None
        if found is None:
            raise ImageError(f"{runtime.name} fetched {address} and does not know it")
        return found

    def _inspect(self, runtime: EngineRuntime, name: str, order: Order) -> Prepared | None:
        done = self._fetcher.run(runtime.look(name), order)
        if done is None:
            raise self._unanswered(runtime)
        if done.returncode:
            return None
        ident, digest, *_ = [*done.stdout.decode(errors="replace").splitlines(), "", ""]
        if not ident:
            return None
        ident = ident if ident.startswith("sha256:") else f"sha256:{ident}"
        found = digest.rpartition("@")[2]
        return Prepared(ident, found if found.startswith("sha256:") else ident)

    def _try(self, runtime: ApptainerRuntime | EngineRuntime, image: str, order: Order) -> None:
        """Begin a container and end it: an image without a shell is known before a job needs it."""
        done = self._fetcher.run(runtime.trial(image), order)
        if done is None:
            raise self._unanswered(runtime)
        if done.returncode:
            words = last_words(done.stderr.decode(errors="replace"))
            raise ImageError(f"{runtime.name} cannot run the image: {words}")

    def _unanswered(self, runtime: ApptainerRuntime | EngineRuntime) -> ImageError:
        silence = human.duration(self._fetcher.silence)
        return ImageError(
            f"{runtime.name} on this node did not answer for {silence}.",
            hint=f"See whether {runtime.name} works there by hand.",
        )

    # The folder

    def _make_folder(self) -> None:
        make_own(self.folder, 0o755)

    @contextmanager
    def _alone(self, key: str, order: Order) -> Iterator[None]:
        """Hold an image's lock alone; another process may be fetching it."""
        path = self.folder / f"{key}.lock"
        while (descriptor := _try_alone(path)) is None:
            self._wait_for_another(order)
        try:
            yield
        finally:
            os.close(descriptor)

    def _wait_for_another(self, order: Order) -> None:
        order.say("another process makes it ready")
        order.wait(0.5)

    def _make_room(self) -> None:
        """Remove what was not used for the longest time, until the limit is kept. Never what is in use."""
        kept = []
        for path in (*self.folder.glob("*.sif"), *self.folder.glob("*.sandbox")):
            with suppress(OSError, KeyError):
                record = path.with_suffix(".json")
                kept.append((record.stat().st_mtime, path, int(str(_read(record)["bytes"]))))
        total = sum(size for _, _, size in kept)
        for _, path, size in sorted(kept):
            if total <= self.limit:
                break
            total -= size if self._remove(path) else 0
        for part in self.folder.glob("*.part"):
            with suppress(OSError):
                if time.time() - part.stat().st_mtime > _OLD_PART:
                    _remove_tree(part)

    def _remove(self, path: Path) -> bool:
        if path.stem in self._shares:
            return False
        try:
            descriptor = _locked(path.with_suffix(".lock"), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        try:
            path.with_suffix(".json").unlink(
                missing_ok=True
            )  # first: what is left is then no image
            if path.suffix == ".sandbox":
                _remove_tree(path)
            else:
                path.unlink(missing_ok=True)
        finally:
            os.close(descriptor)
        return True


def _key(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:24]


def _locked(path: Path, how: int) -> int:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(descriptor, how)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _try_alone(path: Path) -> int | None:
    try:
        return _locked(path, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return None


def _read(path: Path) -> dict[str, object]:
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}


def _write(path: Path, record: Mapping[str, object]) -> None:
    beside = path.with_suffix(f".{os.getpid()}.{threading.get_ident()}.new")
    beside.touch(mode=0o644)  # nobody else's to write, whatever the umask says
    beside.write_text(json.dumps(record), encoding="utf-8")
    beside.replace(path)


def _remove_tree(folder: Path) -> None:
    """Remove a folder, also one of an image, whose own folders may be closed to everybody."""
    shutil.rmtree(folder, ignore_errors=True)
    if folder.exists():
        for where, _, _ in os.walk(
            folder
        ):  # from the top, and through no link: what was closed is read next
            for path in (Path(where), *Path(where).iterdir()):
                if path.is_dir() and not path.is_symlink():
                    with suppress(OSError):
                        path.chmod(0o700)
        shutil.rmtree(folder, ignore_errors=True)
