"""A new job in the place of an old one: made beside it, and put in its place once it is whole.

Until then the old results stay as they are. Only what a job writes is ever removed.
"""

from pathlib import Path
from shutil import rmtree

from model_store.durable import Disk, explained

from ..errors import InvalidDataError
from .ledger import ERRORS_FOLDER, JOB_FOLDER, SUCCESS_FILE, Ledger
from .places import FolderPlace, Place
from .plan import Plan


def place_for(place: Place, plan: Plan) -> Place:
    """Return where to do the job `plan` that is to end in `place`: there, or beside what has to make way.

    InvalidDataError if `place` holds anything that no job wrote, or is in a bucket, where nothing is renamed.
    """
    if not isinstance(place, FolderPlace):
        raise InvalidDataError(f"{place.where()}: what is in a bucket isn't overwritten: name another prefix")
    output = place.folder
    strangers = _strangers(output)
    if strangers:
        raise InvalidDataError(
            f"{output}: holds {strangers[0]!r}, which no scoring job wrote, so it isn't overwritten:"
            " name another folder"
        )
    real = output.resolve()
    beside = real.with_name(f".{real.name}.{plan.fingerprint[:16]}.new")
    if beside.exists():
        return FolderPlace(beside)
    if output.exists():
        rmtree(beside.with_suffix(".old"), ignore_errors=True)
    try:
        Ledger(place, plan).look()
    except InvalidDataError:
        return FolderPlace(beside)
    return place


def put_in_place(finished: Place, place: Place) -> None:
    """Give the finished job, if it isn't in `place`, that name; then remove what had it. One disk has both.

    Cut off between the two renames, `output` is missing, and the next run with the same plan ends it.
    """
    if finished == place or not (isinstance(finished, FolderPlace) and isinstance(place, FolderPlace)):
        return
    beside, output = finished.folder, place.folder
    old, real = beside.with_suffix(".old"), output.resolve()
    with explained("put the new scores in the place of", output):
        if real.exists():
            real.rename(old)
        beside.rename(real)
        Disk().sync_folder(real.parent)
        if old.exists():
            rmtree(old)


def _strangers(folder: Path) -> list[str]:
    """The names in `folder` that no job gives."""
    if not folder.is_dir():
        return []
    own = {JOB_FOLDER, ERRORS_FOLDER, SUCCESS_FILE}
    found = sorted(path.name for path in folder.iterdir())
    return [name for name in found if name not in own and not name.startswith(("part-", ".part-"))]
