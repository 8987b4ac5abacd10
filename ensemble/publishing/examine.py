"""All that publishing checks of one model file, a step at a time, for people who want to know."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ..errors import InvalidModelError
from ..loading.convert import Conversion, convert, parity
from ..loading.formats import Format, format_of
from ..loading.keras_file import check_keras_file
from ..loading.onnx_file import read_signature
from ..loading.probe import probe
from ..runtimes.onnx_runtime import OnnxMember
from ..signature import Signature, TensorSpec
from .agreement import with_scores_output
from .prepare import private_copy, tried


@dataclass(frozen=True, slots=True)
class Passed:
    """One check that the file passed, and what it found."""

    check: str
    found: str


def examine(path: Path, work: Path, allowed: frozenset[Format] = frozenset()) -> Iterator[Passed]:
    """Check the model at `path` step by step, writing below `work`; InvalidModelError at the step that fails.

    What is checked is a private copy: the file may change meanwhile.
    """
    kind = format_of(path, allowed)
    yield Passed("format", f"{kind}, told by its bytes")
    copy, name = work / "file", _name(path)
    private_copy(path, copy)
    with copy.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    yield Passed("digest", f"sha256 {digest}, {copy.stat().st_size} bytes")
    conversion = None
    if kind == "keras":
        check_keras_file(copy)
        yield Passed("contents", "layers, operations and functions of Keras that are known to be harmless")
    if kind != "onnx":
        conversion = convert({name: copy}, work, formats={name: kind})[name]
        yield Passed("loading", f"loaded and converted in a confined process by {conversion.made_by}")
        copy = conversion.onnx
    signature = read_signature(copy)
    yield Passed("graph", "ONNX that needs no other file and no other operators than ONNX Runtime's")
    yield Passed("signature", _signature(conversion.signature if conversion else signature))
    yield from _trial(name, copy, work, conversion, signature)


def _trial(
    name: str, file: Path, work: Path, conversion: Conversion | None, signature: Signature
) -> Iterator[Passed]:
    """Run the model, if it has one output that can be its scores."""
    try:
        chosen = with_scores_output(name, conversion.signature if conversion else signature, None)
    except InvalidModelError as error:
        yield Passed("trial", f"not run: {error}")
        return
    probe({name: (file, chosen)}, work)
    member = OnnxMember.open(file, name=name, digest="", signature=chosen)
    if conversion is not None:
        yield Passed(
            "agreement",
            f"off from {conversion.made_by} by {parity(conversion, member)['max_abs_error']:.2g} at most",
        )
    yield Passed("trial", f"{tried(member)[1]} finite scores a row, the same whatever rows are beside it")


def _name(path: Path) -> str:
    """Return a member's name for the file: errors name it."""
    return (
        "".join(letter if letter.isalnum() or letter in "_-" else "_" for letter in path.stem)[:64] or "model"
    )


def _signature(signature: Signature) -> str:
    """Write inputs and outputs in one line."""
    sides = (", ".join(map(_spec, specs)) for specs in (signature.inputs, signature.outputs))
    return " -> ".join(sides)


def _spec(spec: TensorSpec) -> str:
    sizes = ", ".join("any" if size < 0 else str(size) for size in spec.shape)
    return f"{spec.name} {spec.dtype} [rows{', ' if sizes else ''}{sizes}]"
