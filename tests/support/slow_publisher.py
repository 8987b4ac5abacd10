"""A publisher that stops wherever a test wants to look at what lies in the store by then."""

from collections.abc import Callable, Iterator
from pathlib import Path
from queue import SimpleQueue
from threading import Semaphore
from typing import Any, cast

import onnx

from model_store.hashing import CHUNK_BYTES, Hashed
from model_store.objects import Objects


class Pauses:
    """Holds a publisher up at each place that it comes by, until the test lets it go on."""

    def __init__(self) -> None:
        self.reached: SimpleQueue[str] = SimpleQueue()
        self._going_on = Semaphore(0)
        self._over = False

    def at(self, place: str) -> None:
        """Wait here."""
        self.reached.put(place)
        if not self._over:
            self._going_on.acquire()

    def go_on(self) -> None:
        self._going_on.release()

    def end(self) -> None:
        """Hold nobody up any more."""
        self._over = True
        self.go_on()


class _Slowly:
    """A store's keys, written with pauses before each."""

    def __init__(self, objects: Objects, pauses: Pauses) -> None:
        self._objects, self._pauses = objects, pauses

    def __getattr__(self, name: str) -> Any:
        return getattr(self._objects, name)

    def create(self, key: str, data: bytes, role: str) -> bool:
        self._pauses.at(f"before the {role}")
        return self._objects.create(key, data, role)

    def file_away(self, source: Path | bytes, key_of: Callable[[str], str], role: str) -> tuple[str, int]:
        self._pauses.at(f"before a {role}")
        return self._objects.file_away(source, key_of, role)


def pausing_within(pauses: Pauses) -> type[Hashed]:
    """What reads the bytes to be stored, with a pause after each mebibyte."""

    class HashedSlowly(Hashed):
        def __iter__(self) -> Iterator[bytes]:
            for chunk in super().__iter__():
                yield chunk
                if len(chunk) == CHUNK_BYTES:
                    pauses.at("within a blob")

    return HashedSlowly


def padded(source: Path, target: Path) -> Path:
    """A model that answers like `source` and takes twelve mebibytes: a bucket takes them in two parts."""
    model = onnx.load(source)
    model.metadata_props.add(key="padding", value=target.stem + "x" * 12 * CHUNK_BYTES)
    onnx.save(model, target)
    return target


def slowly(objects: Objects, pauses: Pauses) -> Objects:
    """Return what writes the same keys, with pauses before each."""
    return cast("Objects", _Slowly(objects, pauses))
