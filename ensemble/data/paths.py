"""Which files a list of paths means."""

from collections.abc import Sequence
from glob import glob
from pathlib import Path

from ..errors import InvalidDataError
from .images import IMAGE_ENDINGS
from .locations import Locations, local_path
from .opening import PACKINGS, File, RemoteFile, is_packed, kind

# How a file's name ends says how it is read. Those that are read from start to end may be packed.
WHOLE = (".arrow", ".feather", ".npy", ".npz", ".parquet")
STREAMS = (".csv", ".jsonl", ".ndjson", ".tfrecord", ".tfrecords")
ENDINGS = (*sorted((*WHOLE, *STREAMS)), *(ending + packing for packing in PACKINGS for ending in STREAMS))


def find_files(paths: Sequence[str | Path], locations: Locations) -> list[File]:
    """Return the data files that `paths` names, in the order in which they are read.

    A path is a file, a folder (its data files, those in folders below too, sorted; or, if it holds none but
    images, the folder itself) or a glob pattern (sorted); the same in a bucket, images aside. In a folder,
    names that start with `.` or `_` are left out, as Spark and Arrow do.
    """
    if not paths:
        raise InvalidDataError("no data files given: name a file, a folder or a pattern")
    found: list[File] = []
    for path in paths:
        local = local_path(path)
        found += _files_in_bucket(str(path), locations) if local is None else _files_of(local)
    return found


def _files_in_bucket(address: str, locations: Locations) -> list[RemoteFile]:
    """Return the files that one address names."""
    found, alone = locations.files(address)
    if alone and not _is_data(found[0][1]):
        raise InvalidDataError(f"{address}: can't be read; known endings are {', '.join(ENDINGS)}")
    files = [file for name, file in found if _is_data(file) and (alone or _all_shown(name.split("/")))]
    if not files:
        raise InvalidDataError(
            f"{address}: no such file or pattern, and no data files below; these end in {', '.join(ENDINGS)}"
        )
    return files


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


def _is_data(file: File) -> bool:
    return kind(file) in (STREAMS if is_packed(file) else (*WHOLE, *STREAMS))


def _is_image(file: Path) -> bool:
    return file.suffix.lower() in IMAGE_ENDINGS


def _shown(file: Path, folder: Path) -> bool:
    """Whether neither the file nor a folder on the way to it is marked as not data."""
    return _all_shown(file.relative_to(folder).parts)


def _all_shown(parts: Sequence[str]) -> bool:
    return not any(part.startswith((".", "_")) for part in parts)
