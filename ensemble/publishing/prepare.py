"""From files that somebody names to members that can be published: checked, converted, tried."""

import hashlib
import logging
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from model_store.manifest import MemberRecord
from model_store.output import AS_IT_IS, Output

from ..errors import InvalidModelError, MemberError
from ..loading.convert import TOLERANCE, Conversion, convert, parity
from ..loading.formats import OPTIONAL, Format, format_of
from ..loading.golden import golden_rows
from ..loading.onnx_file import read_signature
from ..loading.probe import probe
from ..loading.saved_model import pack
from ..member import Rows, Scores
from ..runtimes.onnx_runtime import OnnxMember
from ..runtimes.sample import random_rows
from ..signature import ANY_SIZE, Signature, TensorSpec
from .agreement import with_scores_output

log = logging.getLogger("unisono.publishing")

# How far a file made of a member's own may be from what it should give: the same graph, and steps that are
# worked out in float64 or only move numbers. What is left is rounding to float32.
REWRITTEN_TOLERANCE = 1e-6
# How far a row's scores may move with the rows beside it: further is no rounding, the model mixes rows.
MOST_SPREAD = 1e-3
_TRIAL_ROWS = 8


@dataclass(frozen=True, slots=True)
class Wishes:
    """How to take the files: which output is the scores, by member; real rows to compare Keras on."""

    outputs: Mapping[str, str] = field(default_factory=dict)
    sample: Rows | None = None
    tolerance: float = TOLERANCE
    # The optional formats that are taken.
    allowed: frozenset[Format] = frozenset()
    # By the file's digest: members of earlier versions, whose conversion need not be done again.
    earlier: Mapping[str, MemberRecord] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Prepared:
    """A member that may be published: a private copy of its file and what came of it.

    `converted` is the ONNX file made from it now, `parity` how well it agrees; `earlier` one made before.
    `golden` is what it gives to golden rows; None of a member that was not opened now. `inputs` are the
    ensemble's by the file's own names, where they differ.
    """

    name: str
    format: Format
    file: Path
    digest: str
    signature: Signature
    classes: int
    converted: Path | None = None
    parity: Mapping[str, Any] | None = None
    earlier: MemberRecord | None = None
    golden: Scores | None = None
    output: Output = AS_IT_IS
    inputs: Mapping[str, str] = field(default_factory=dict)

    @property
    def served(self) -> Path:
        """The ONNX file, of a member that was opened now."""
        return self.converted or self.file

    def rewritten(self, made: OnnxMember, file: Path, golden: Scores, apart: float) -> "Prepared":
        """Return it with another ONNX `file`, opened as `made`, whose scores `golden` are off by `apart`."""
        parity = self.parity or {
            "rows": len(golden),
            "max_abs_error": apart,
            "tolerance": REWRITTEN_TOLERANCE,
            "against": "the file's own scores",
        }
        return replace(
            self,
            digest=made.digest,
            signature=made.signature,
            classes=golden.shape[1],
            converted=file,
            parity=parity,
            golden=golden,
        )


@dataclass(frozen=True, slots=True)
class _Copy:
    """A file as it was when publishing began; nobody changes it between check and use."""

    given: Path
    file: Path
    format: Format
    digest: str


def prepare(files: Mapping[str, Path], work: Path, wishes: Wishes) -> dict[str, Prepared]:
    """Check every file, convert what needs it, try every member; InvalidModelError names the bad one."""
    copies = {
        name: _copy(name, path, work / f"file-{index}", wishes.allowed)
        for index, (name, path) in enumerate(files.items())
    }
    known = {name: record for name, copy in copies.items() if (record := _earlier(name, copy, wishes))}
    signatures = {name: _onnx_signature(name, copy) for name, copy in copies.items() if copy.format == "onnx"}
    to_convert = {name: copy.file for name, copy in copies.items() if name not in known | signatures}
    with _naming(copies):
        formats = {name: copies[name].format for name in to_convert}
        conversions = convert(to_convert, work, formats=formats, sample=wishes.sample)
    probe(_to_try(signatures, conversions, copies, wishes), work)
    prepared = {}
    for name, copy in copies.items():
        if name in known:
            prepared[name] = _known(name, copy, known[name])
        elif name in conversions:
            prepared[name] = _converted(name, copy, conversions[name], wishes)
        else:
            prepared[name] = _as_it_is(name, copy, signatures[name], wishes)
    return prepared


def _to_try(
    signatures: Mapping[str, Signature],
    conversions: Mapping[str, Conversion],
    copies: Mapping[str, _Copy],
    wishes: Wishes,
) -> dict[str, tuple[Path, Signature]]:
    """Return what was never opened yet: each ONNX file, and its signature with its scores alone."""
    files = {name: (copies[name].file, signature) for name, signature in signatures.items()}
    files |= {name: (made.onnx, made.signature) for name, made in conversions.items()}
    return {
        name: (path, with_scores_output(name, signature, wishes.outputs.get(name)))
        for name, (path, signature) in files.items()
    }


def _copy(name: str, given: Path, target: Path, allowed: frozenset[Format]) -> _Copy:
    """Copy one file, if it is of a format that is taken."""
    try:
        found = format_of(given, allowed)
        private_copy(given, target)
        with target.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except InvalidModelError as error:
        raise InvalidModelError(f"member {name!r}: {error}") from None
    if found in OPTIONAL:
        log.warning(
            "member %s is taken because %s was given: what the file asks for was checked and is run once, "
            "confined, to make an ONNX file from it; publish such files only from people you trust",
            name,
            OPTIONAL[found],
        )
    return _Copy(given, target, found, digest)


def private_copy(given: Path, target: Path) -> None:
    """Copy a file that somebody named, so that nobody changes it between check and use; InvalidModelError.

    A SavedModel's folder becomes one file.
    """
    try:
        if given.is_dir():
            pack(given, target)
        else:
            shutil.copyfile(given, target)
    except OSError as error:
        raise InvalidModelError(f"{str(given)!r} can't be copied: {error.strerror}") from error


@contextmanager
def _naming(copies: Mapping[str, _Copy]) -> Iterator[None]:
    """Say in errors which file was given, where they name its copy."""
    try:
        yield
    except InvalidModelError as error:
        text = str(error)
        for name, copy in copies.items():
            if (place := repr(str(copy.file))) in text:
                text = f"member {name!r}: {text.replace(place, repr(str(copy.given)))}"
        raise InvalidModelError(text) from error


def _onnx_signature(name: str, copy: _Copy) -> Signature:
    with _naming({name: copy}):
        return read_signature(copy.file)


def _earlier(name: str, copy: _Copy, wishes: Wishes) -> MemberRecord | None:
    """Return the record of an earlier version that holds the same file, already converted as wished."""
    record = wishes.earlier.get(copy.digest)
    if record is None or "onnx" not in record.derived:
        return None
    signature = Signature.from_json(record.signature)
    wished = wishes.outputs.get(name, signature.outputs[0].name) == signature.outputs[0].name
    close = record.derived["onnx"].parity.get("max_abs_error", np.inf) <= wishes.tolerance
    return record if wished and close else None


def _known(name: str, copy: _Copy, record: MemberRecord) -> Prepared:
    """Take a member over from an earlier version, which tried it."""
    signature = Signature.from_json(record.signature)
    classes = signature.outputs[0].shape[0]
    return Prepared(name, copy.format, copy.file, copy.digest, signature, classes, earlier=record)


def _converted(name: str, copy: _Copy, conversion: Conversion, wishes: Wishes) -> Prepared:
    """Try a converted member against Keras."""
    read_signature(conversion.onnx)
    signature = with_scores_output(name, conversion.signature, wishes.outputs.get(name))
    member = OnnxMember.open(conversion.onnx, name=name, digest=copy.digest, signature=signature)
    found = parity(conversion, member, wishes.tolerance)
    made = _as_tried(copy, member, wishes)
    return replace(made, converted=conversion.onnx, parity=found)


def _as_it_is(name: str, copy: _Copy, signature: Signature, wishes: Wishes) -> Prepared:
    """Try a member that was published as ONNX."""
    signature = with_scores_output(name, signature, wishes.outputs.get(name))
    return _as_tried(
        copy, OnnxMember.open(copy.file, name=name, digest=copy.digest, signature=signature), wishes
    )


def _as_tried(copy: _Copy, member: OnnxMember, wishes: Wishes) -> Prepared:
    """Try a member, and keep what it gives to golden rows."""
    signature, classes = tried(member)
    golden = member.predict(golden_rows(signature, wishes.sample))
    return Prepared(member.name, copy.format, copy.file, copy.digest, signature, classes, golden=golden)


def tried(member: OnnxMember) -> tuple[Signature, int]:
    """Return the member's signature with its number of classes known, and that number; InvalidModelError."""
    signature, output = member.signature, member.signature.outputs[0]
    try:
        scores = member.predict(random_rows(signature, _TRIAL_ROWS))
    except (MemberError, InvalidModelError) as error:
        raise InvalidModelError(f"member {member.name!r} can't score made-up rows: {error}") from error
    if not np.isfinite(scores).all():
        raise InvalidModelError(f"member {member.name!r} gives scores that are not finite; train it again")
    classes = scores.shape[1]
    if output.shape[0] not in (ANY_SIZE, classes):
        raise InvalidModelError(
            f"member {member.name!r} gives {classes} scores a row; its graph says {output.shape[0]}:"
            " correct the shape of that output in the file, or export it with another tool"
        )
    if member.spread > MOST_SPREAD:
        raise InvalidModelError(
            f"member {member.name!r} mixes rows: a row's scores move by {member.spread:.3g} with the rows "
            "beside it; export it in inference mode and without dynamic quantisation"
        )
    known = TensorSpec(output.name, output.dtype, (classes,))
    return Signature(signature.inputs, (known,)), classes
