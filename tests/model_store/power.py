"""What a disk may hold after the power went: all that was synced, and any part of what wasn't.

A model of POSIX as weak as the standard lets it be: bytes not synced are there, cut off or gone; a name given
or taken, in a folder not synced since, counts or doesn't, each for itself and in any order.
"""

import random
import shutil
from dataclasses import dataclass, field
from pathlib import Path

from tests.model_store.disks import QuickDisk

Change = tuple[Path, int | None]  # a name, and the file it is given; None: the name is taken away
FOLDER = -1


@dataclass
class Inode:
    """One file's bytes: as written, and as synced."""

    written: bytes = b""
    synced: bytes | None = None


@dataclass
class Recorded:
    """What was on disk for sure, and what wasn't yet, at one moment."""

    inodes: dict[int, Inode]
    lasting: list[Change]
    pending: list[Change]


@dataclass
class RecordingDisk(QuickDisk):
    """A disk that keeps, after each operation, what a loss of power would leave."""

    moments: list[Recorded] = field(default_factory=list)
    _inodes: list[Inode] = field(default_factory=list)
    _files: dict[Path, int] = field(default_factory=dict)
    _open: dict[int, int] = field(default_factory=dict)
    _lasting: list[Change] = field(default_factory=list)
    _pending: list[Change] = field(default_factory=list)

    def make_folder(self, path: Path) -> None:
        super().make_folder(path)
        self._change(path, FOLDER)

    def create(self, path: Path) -> int:
        descriptor = super().create(path)
        self._inodes.append(Inode())
        self._files[path] = self._open[descriptor] = len(self._inodes) - 1
        self._change(path, self._files[path])
        return descriptor

    def write(self, descriptor: int, data: bytes) -> int:
        taken = super().write(descriptor, data)
        self._inodes[self._open[descriptor]].written += data[:taken]
        self._keep()
        return taken

    def sync(self, descriptor: int) -> None:
        inode = self._inodes[self._open[descriptor]]
        inode.synced = inode.written
        self._keep()

    def link(self, temp: Path, final: Path) -> None:
        super().link(temp, final)
        self._files[final] = self._files[temp]
        self._change(final, self._files[temp])

    def replace(self, temp: Path, final: Path) -> None:
        raise AssertionError(f"{temp} would replace {final}: nothing here is to be mended")

    def remove(self, path: Path) -> None:
        super().remove(path)
        self._change(path, None)

    def sync_folder(self, path: Path) -> None:
        self._lasting += [change for change in self._pending if change[0].parent == path]
        self._pending = [change for change in self._pending if change[0].parent != path]
        self._keep()

    def _change(self, path: Path, file: int | None) -> None:
        self._pending.append((path, file))
        self._keep()

    def _keep(self) -> None:
        inodes = {number: Inode(inode.written, inode.synced) for number, inode in enumerate(self._inodes)}
        self.moments.append(Recorded(inodes, list(self._lasting), list(self._pending)))


def after_power_loss(moment: Recorded, base: Path, was: Path, target: Path, chance: random.Random) -> None:
    """Make in `target`, from a copy of `base`, what may be left of the store that was at `was`."""
    shutil.copytree(base, target)
    often = chance.choice((0.0, 0.5, 1.0))
    kept = [change for change in moment.pending if chance.random() < often]
    # Names are given and taken in any order too, but never before the folder they are in.
    for path, file in [*moment.lasting, *kept]:
        place = target / path.relative_to(was)
        if not place.parent.is_dir():
            continue
        if file is None:
            place.unlink(missing_ok=True)
        elif file == FOLDER:
            place.mkdir(exist_ok=True)
        elif not place.exists():
            place.write_bytes(_left(moment.inodes[file], chance))


def _left(inode: Inode, chance: random.Random) -> bytes:
    """Return what may be left of a file's bytes."""
    if inode.synced is not None:
        return inode.synced
    return inode.written[: chance.randint(0, len(inode.written))]
