"""Models outside the ensemble, as members that a command can try without publishing them."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from ensemble.errors import InvalidModelError
from ensemble.member import Member
from ensemble.publishing.adapting import Meaning, adapt_members
from ensemble.publishing.inputs import take_inputs
from ensemble.publishing.prepare import Wishes, prepare
from ensemble.publishing.publish import PublishOptions, publish
from ensemble.runtimes.onnx_runtime import OnnxMember
from ensemble.signature import Signature
from model_store.store import Store

from . import member_files
from .member_files import Candidates


@contextmanager
def published_apart(given: Candidates, classes: tuple[str, ...] | None, name: str) -> Iterator[str]:
    """Publish files as an ensemble of their own, weighed alike, in a store that is there for the body alone.

    Gives its address. Errors as of `candidates`.
    """
    named = member_files.pairs(given.candidate or (), "--candidate", "NAME=FILE")
    options = PublishOptions(
        classes=classes,
        outputs=member_files.pairs(given.scores_output or (), "--scores-output", "NAME=OUTPUT"),
        inputs=member_files.inputs(given.member_input or ()),
        member_classes=member_files.classes(given.member_classes or ()),
        kinds=member_files.pairs(given.output_kind or (), "--output-kind", "NAME=KIND"),
    )
    with TemporaryDirectory(prefix="unisono-candidates-") as folder:
        publish(Store.open(folder), name, {member: Path(file) for member, file in named.items()}, options)
        yield folder


@contextmanager
def candidates(given: Candidates, store: str, name: str) -> Iterator[tuple[Member, ...]]:
    """Check, convert and open files as members of ensemble `name` in `store`, until the body ends.

    Their inputs and scores are made those of the ensemble, as in publishing. InvalidModelError for text that
    is not of its option's form, and for a file that is no member.
    """
    named = member_files.pairs(given.candidate or (), "--candidate", "NAME=FILE")
    inputs = member_files.inputs(given.member_input or ())
    outputs = member_files.pairs(given.scores_output or (), "--scores-output", "NAME=OUTPUT")
    kinds = member_files.pairs(given.output_kind or (), "--output-kind", "NAME=KIND")
    meaning = Meaning(None, member_files.classes(given.member_classes or ()), kinds)
    for option, said in (("--member-input", inputs), ("--scores-output", outputs)):
        if unknown := sorted(set(said) - set(named)):
            raise InvalidModelError(f"{option} names {unknown}; the candidates are {sorted(named)}")
    if not named:
        meaning.check(())
        yield ()
        return
    manifest = Store.open(store).manifest(name)
    with TemporaryDirectory(prefix="unisono-candidates-") as folder:
        work = Path(folder)
        made = prepare({member: Path(file) for member, file in named.items()}, work, Wishes(outputs))
        made = take_inputs(made, work, inputs, ensemble=Signature.from_json(manifest.signature))
        ready, _ = adapt_members(made, work, replace(meaning, classes=manifest.classes))
        yield tuple(
            OnnxMember.open(each.served, name=each.name, digest=each.digest, signature=each.signature)
            for each in ready.values()
        )
