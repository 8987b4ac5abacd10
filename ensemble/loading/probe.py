"""The first load of an ONNX file, in a confined process: a model that takes all memory takes only that.

A graph of a few bytes can ask for any amount of memory as soon as it is opened, and ONNX Runtime gives it.
"""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from ..errors import InvalidModelError, MemberError
from ..runtimes.onnx_runtime import OnnxMember
from ..runtimes.sample import random_rows
from ..signature import Signature
from . import child
from .confine import Limits

START_BYTES = 2**30
COPIES = 16
START_SECS = 60.0
MODEL_SECS = 60.0
_ROWS = 8


def probe(models: Mapping[str, tuple[Path, Signature]], work: Path) -> None:
    """Open and run each model, by name, in a process apart; InvalidModelError names the one that ended it.

    What a model says in good order, such as that it can't score made-up rows, is left to who opens it next.
    """
    if not models:
        return
    place = work / "probe"
    place.mkdir(parents=True)
    largest = max(path.stat().st_size for path, _ in models.values())
    limits = Limits(START_SECS + MODEL_SECS * len(models), START_BYTES + COPIES * largest, 2**20)
    ended = child.run(_probe_all, [dict(models), str(place)], place, limits, what="trial")
    for index, name in enumerate(models):
        if not (place / str(index)).exists():
            raise InvalidModelError(
                f"member {name!r} can't be tried: {ended}; export it with smaller tensors, or leave it out"
            )


def _probe_all(models: Mapping[str, tuple[Path, Signature]], place: str) -> None:
    """Open and run each model, and leave a mark for each that was survived. Runs in the child."""
    for index, (name, (path, signature)) in enumerate(models.items()):
        with suppress(InvalidModelError, MemberError):
            member = OnnxMember.open(path, name=name, digest="", signature=signature)
            member.predict(random_rows(signature, _ROWS))
        (Path(place) / str(index)).touch()
