"""Which files a list of paths means."""

from collections.abc import Sequence
from glob import glob
from pathlib import Path

from ..errors import InvalidDataError
from .images import IMAGE_ENDINGS
from .opening import PACKINGS, is_packed, kind

# How a file's name ends says how it is read. Those that are read from start to end may be packed.
WHOLE = (".arrow", ".feather", ".npy", ".npz", ".parquet")
STREAMS = (".csv", ".jsonl", ".ndjson", ".tfrecord", ".tfrecords")
ENDINGS = (*sorted((*WHOLE, *STREAMS)), *(ending + packing for packing in PACKINGS for ending in STREAMS))


def find_files(paths: Sequence[Path]) -> list[Path]:
    """Return the data files that `paths` names, in the order in which they are read.

    A path is a file, a folder (its data files, those in folders below too, sorted; or, if it holds none but
    images, the folder itself) or a glob pattern (sorted). In a folder, names that start with `.` or `_` are
    left out, as Spark and Arrow do.
    """
    if not paths:
        raise InvalidDataError("no data files given: name a file, a folder or a pattern")
    return [file for path in paths for file in _files_of(path)]


def _files_of(path: Path) -> list[Path]:
    """Return the files that one path names."""
    known = (*ENDINGS, *IMAGE_ENDINGS)
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if _is_data(file) and _shown(file, path))
        if not files and any(_is_image(file) and _shown(file, path) for file in path.rglob("*")):
            return [path]
        if not files:
            raise InvalidDataError(f"{path}: holds no data files; these end in {', '.join(known)}")
        return files
    # Path.glob would need the pattern split off its folder first.
    names = [str(path)] if path.is_file() else sorted(glob(str(path), recursive=True))  # noqa: PTH207 - see above
    files = [Path(name) for name in names]
    if not files:
        raise InvalidDataError(f"{path}: no such file, folder or pattern")
    for file in files:
        if not (_is_data(file) or _is_image(file)):
            raise InvalidDataError(f"{file}: can't be read; known endings are {', '.join(known)}")
    return files


def _is_data(file: Path) -> bool:
    return kind(file) in (STREAMS if is_packed(file) else (*WHOLE, *STREAMS))


def _is_image(file: Path) -> bool:
    return file.suffix.lower() in IMAGE_ENDINGS


def _shown(file: Path, folder: Path) -> bool:
    """Whether neither the file nor a folder on the way to it is marked as not data."""
    return not any(part.startswith((".", "_")) for part in file.relative_to(folder).parts)
