"""Models outside the ensemble, as members that a refit can try without publishing them."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from ensemble.errors import InvalidRequestError
from ensemble.member import Member
from ensemble.publishing.adapting import Meaning, adapt_members
from ensemble.publishing.prepare import Wishes, prepare
from ensemble.runtimes.onnx_runtime import OnnxMember
from model_store.store import Store


@contextmanager
def candidates(given: Sequence[str], store: str, name: str) -> Iterator[tuple[Member, ...]]:
    """Check, convert and open files, each given as NAME=FILE, as members of ensemble `name` in `store`.

    They are gone when the body ends. Their scores are made those of the ensemble's classes, as in publishing.

    InvalidRequestError for text that is no NAME=FILE, InvalidModelError for a file that is no member.
    """
    files: dict[str, Path] = {}
    for text in given:
        key, equals, file = text.partition("=")
        if not (key and equals and file):
            raise InvalidRequestError(f"a candidate is given as NAME=FILE; got {text!r}")
        if key in files:
            raise InvalidRequestError(f"candidate {key!r} is given twice; give each a name of its own")
        files[key] = Path(file)
    if not files:
        yield ()
        return
    with TemporaryDirectory(prefix="unisono-candidates-") as work:
        prepared = prepare(files, Path(work), Wishes())
        classes = Store.open(store).manifest(name).classes
        ready, _ = adapt_members(prepared, Path(work), Meaning(classes))
        yield tuple(
            OnnxMember.open(made.served, name=made.name, digest=made.digest, signature=made.signature)
            for made in ready.values()
        )
