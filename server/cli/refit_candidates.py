"""Models outside the ensemble, as members that a refit can try without publishing them."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from ensemble.errors import InvalidRequestError
from ensemble.member import Member
from ensemble.publishing.prepare import Wishes, prepare
from ensemble.runtimes.onnx_runtime import OnnxMember


@contextmanager
def candidates(given: Sequence[str]) -> Iterator[tuple[Member, ...]]:
    """Check, convert and open files, each given as NAME=FILE; they are gone when the body ends.

    InvalidRequestError for text that is no NAME=FILE, InvalidModelError for a file that is no member.
    """
    files: dict[str, Path] = {}
    for text in given:
        name, equals, file = text.partition("=")
        if not (name and equals and file):
            raise InvalidRequestError(f"a candidate is given as NAME=FILE; got {text!r}")
        if name in files:
            raise InvalidRequestError(f"candidate {name!r} is given twice; give each a name of its own")
        files[name] = Path(file)
    if not files:
        yield ()
        return
    with TemporaryDirectory(prefix="unisono-candidates-") as work:
        prepared = prepare(files, Path(work), Wishes())
        yield tuple(
            OnnxMember.open(
                made.converted or made.file, name=name, digest=made.digest, signature=made.signature
            )
            for name, made in prepared.items()
        )
