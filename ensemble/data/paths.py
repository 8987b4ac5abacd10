"""Which files a list of paths means."""

from collections.abc import Sequence
from glob import glob
from pathlib import Path
from typing import TypeVar

from ..errors import InvalidDataError
from .folders import RemoteFolder, is_image, shown
from .images import IMAGE_ENDINGS
from .locations import Locations, local_path
from .opening import PACKINGS, File, RemoteFile, is_packed, kind

# How a file's name ends says how it is read. Those that are read from start to end may be packed.
WHOLE = (".arrow", ".feather", ".npy", ".npz", ".parquet")
STREAMS = (".csv", ".jsonl", ".ndjson", ".tfrecord", ".tfrecords")
ENDINGS = (
    *sorted((*WHOLE, *STREAMS)),
    *(ending + packing for packing in PACKINGS for ending in STREAMS),
    *IMAGE_ENDINGS,
)

Found = TypeVar("Found", Path, RemoteFile)


def find_files(paths: Sequence[str | Path], locations: Locations) -> list[File]:
    """Return the data files that `paths` names, in the order in which they are read.

    A path is a file, a folder (its data files, those in folders below too, sorted; or, if it holds none but
    images, the folder itself) or a glob pattern (sorted); the same in a bucket. In a folder, names that
    start with `.` or `_` are left out, as Spark and Arrow do.
    """
    if not paths:
        raise InvalidDataError("no data files given: name a file, a folder or a pattern")
    found: list[File] = []
    for path in paths:
        local = local_path(path)
        found += _files_in_bucket(str(path), locations) if local is None else _files_of(local)
    return found


def _files_in_bucket(address: str, locations: Locations) -> Sequence[RemoteFile]:
    """Return the files that one address names."""
    listed = locations.listed(address)
    if listed.what == "file":
        return [_readable(file) for _, file in listed.files]
    found = [file for name, file in listed.files if shown(name.split("/"))]
    files = [file for file in found if _is_data(file) or (listed.what == "pattern" and is_image(file))]
    if not files and any(map(is_image, found)):
        return [RemoteFolder.of(listed.root, listed.files)]
    if not files:
        raise InvalidDataError(
            f"{address}: no such file or pattern, and no data files below; these end in {', '.join(ENDINGS)}"
        )
    return files


def _files_of(path: Path) -> list[Path]:
    """Return the files that one path names."""
    if path.is_dir():
        found = [file for file in path.rglob("*") if shown(file.relative_to(path).parts)]
        files = sorted(file for file in found if _is_data(file))
        if not files and any(map(is_image, found)):
            return [path]
        if not files:
            raise InvalidDataError(f"{path}: holds no data files; these end in {', '.join(ENDINGS)}")
        return files
    # Path.glob would need the pattern split off its folder first.
    names = [str(path)] if path.is_file() else sorted(glob(str(path), recursive=True))  # noqa: PTH207 - see above
    files = [Path(name) for name in names]
    if not files:
        raise InvalidDataError(f"{path}: no such file, folder or pattern")
    return [_readable(file) for file in files]


def _readable(file: Found) -> Found:
    """Return a file, or raise `InvalidDataError` if its name doesn't say how it is read."""
    if not (_is_data(file) or is_image(file)):
        raise InvalidDataError(f"{file}: can't be read; known endings are {', '.join(ENDINGS)}")
    return file


def _is_data(file: File) -> bool:
    return kind(file) in (STREAMS if is_packed(file) else (*WHOLE, *STREAMS))
