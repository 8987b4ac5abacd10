"""Disks that die, fail, or forget: put in the place of `durable.Disk`."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from model_store.durable import Disk

OPERATIONS = ("make_folder", "create", "write", "sync", "link", "replace", "remove", "touch", "sync_folder")


class Died(BaseException):
    """The process is gone: nothing after this may reach the disk."""


class QuickDisk(Disk):
    """A disk that doesn't wait for the metal: enough where a process dies, not the machine."""

    def sync(self, descriptor: int) -> None:
        """Leave the bytes with the kernel."""

    def sync_folder(self, path: Path) -> None:
        """Leave the names with the kernel."""


class CountingDisk(QuickDisk):
    """Calls `at(number, operation)` before each operation, counted from 1; keeps a record."""

    def __init__(self, at: Callable[[int, str], None] = lambda _number, _operation: None) -> None:
        self.record: list[str] = []
        self._at = at

    def __getattribute__(self, name: str) -> Any:
        found = object.__getattribute__(self, name)
        if name not in OPERATIONS:
            return found

        def counted(*arguments: Any) -> Any:
            self.record.append(name)
            self._at(len(self.record), name)
            return found(*arguments)

        return counted


def dying_disk(at: int) -> CountingDisk:
    """A disk on which operation `at` and all that would follow it never happen."""

    def die(number: int, operation: str) -> None:
        if number >= at:
            raise Died(operation)

    return CountingDisk(die)


def failing_disk(at: int, error: int) -> CountingDisk:
    """A disk on which operation `at` fails once with an error number."""

    def fail(number: int, _operation: str) -> None:
        if number == at:
            raise OSError(error, os.strerror(error))

    return CountingDisk(fail)


class ShortDisk(Disk):
    """A disk that takes one byte a time."""

    def write(self, descriptor: int, data: bytes) -> int:
        return super().write(descriptor, data[:1])


def files_below(root: Path) -> set[str]:
    """The files below `root`, by relative path."""
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file() or path.is_symlink()}
