"""What a request may be answered with, and scores -> OIP responses.

A model's own output, `scores`, is answered unless others are named. Four more are answered when asked for
by name, and cost nothing when not; metadata doesn't list them, because some clients ask for all it lists.
They read scores as probabilities. Every tensor is answered raw: stock clients read nothing else.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ensemble.pooling import disagreement as spread
from ensemble.truth import Truth

from . import tensors
from .messages import message_class
from .oip_codec import Subject
from .serving import Answer, ModelInfo

CLASSIFICATION = "classification"
SHARED_MEMORY = "shared_memory_region"
# Those that can't be worked out from the ensemble's scores alone.
OF_MEMBERS = frozenset({"disagreement", "member_scores"})

# Those that take a row's scores for the probabilities of classes, of which one is true.
OF_CLASSES = frozenset({"label", "entropy", "disagreement"})

Values = Callable[[Answer, ModelInfo], NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Wanted:
    """One output of `info` to answer with, and how its values come from the answer."""

    name: str
    info: ModelInfo
    values: Values


def wants_members(request: Any) -> bool:
    """Whether the request asks for an output that needs each member's scores."""
    return any(output.name in OF_MEMBERS for output in request.outputs)


def requested_outputs(request: Any, info: ModelInfo) -> tuple[Wanted, ...]:
    """List the outputs to answer with, in order: those asked for, or the model's own.

    Raises InvalidRequestError.
    """
    if not request.outputs:
        return tuple(Wanted(spec.name, info, scores) for spec in info.signature.outputs)
    subject = Subject(request.id, info.name)
    wanted: dict[str, Wanted] = {}
    for output in request.outputs:
        own = info.signature.output(output.name) is not None
        if not own and output.name not in OPTIONAL:
            raise subject.refuse(f"unexpected inference output '{output.name}' for model '{info.name}'")
        if output.name in OF_CLASSES and info.truth is not Truth.CLASSES:
            raise subject.refuse(
                f"output '{output.name}' is of classes; the scores of model '{info.name}' are "
                f"{info.truth}: ask for scores or member_scores"
            )
        if output.name in wanted:
            raise subject.refuse(f"output '{output.name}' already exists in request")
        if SHARED_MEMORY in output.parameters:
            raise subject.refuse(
                f"shared memory is not offered: leave parameter '{SHARED_MEMORY}' of output '{output.name}' "
                f"for model '{info.name}' out"
            )
        top = _top(output, subject) if own else 0
        if top:
            values: Values = partial(classified, top=top)
        else:
            values = scores if own else OPTIONAL[output.name]
        wanted[output.name] = Wanted(output.name, info, values)
    return tuple(wanted.values())


def encode_response(request: Any, answer: Answer, outputs: Sequence[Wanted]) -> Any:
    """Answer `request` with `outputs`."""
    arrays = [output.values(answer, output.info) for output in outputs]
    wires = [tensors.BY_NUMPY[array.dtype] for array in arrays]
    frames = tuple(
        (output.name, wire.datatype, array.shape)
        for output, wire, array in zip(outputs, wires, arrays, strict=True)
    )
    response = message_class("inference.ModelInferResponse")()
    response.CopyFrom(_frame(request.model_name, answer.version, frames))
    response.id = request.id
    if answer.missing:
        response.parameters["degraded"].string_param = ",".join(sorted(answer.missing))
    for at, output in enumerate(outputs):
        if output.name == "member_scores":
            response.outputs[at].parameters["members"].string_param = ",".join(answer.by_member)
    response.raw_output_contents.extend(map(tensors.to_raw, arrays, wires))
    return response


@lru_cache(maxsize=1024)
def _frame(model: str, version: int, frames: tuple[tuple[str, str, tuple[int, ...]], ...]) -> Any:
    """Make all of an answer but its values, which is the same again and again; to be copied, not changed."""
    frame = message_class("inference.ModelInferResponse")(model_name=model, model_version=str(version))
    frame.parameters["weights_version"].int64_param = version
    for name, datatype, shape in frames:
        frame.outputs.add(name=name, datatype=datatype, shape=shape)
    return frame


def scores(answer: Answer, info: ModelInfo) -> NDArray[Any]:  # noqa: ARG001 - as the others
    """Give the model's scores: FP32 [row, class]."""
    return answer.scores


def classified(answer: Answer, info: ModelInfo, *, top: int) -> NDArray[Any]:
    """Name the `top` classes of each row, best first, as `score:index:name`: BYTES [row, top]."""
    best = np.argsort(-answer.scores, axis=1, kind="stable")[:, :top]
    texts = [
        f"{answer.scores[row, index]:f}:{index}:{info.classes[index]}".encode()
        for row, indices in enumerate(best)
        for index in indices
    ]
    return _column(texts).reshape(best.shape)


def label(answer: Answer, info: ModelInfo) -> NDArray[Any]:
    """Name each row's first class: BYTES [row, 1]."""
    return _column([info.classes[index].encode() for index in answer.scores.argmax(axis=1)])


def total_entropy(answer: Answer, info: ModelInfo) -> NDArray[Any]:  # noqa: ARG001 - as the others
    """Say how undecided the ensemble is: the entropy of its scores in nats, FP32 [row, 1]."""
    return _nats(spread.entropy(answer.scores))


def disagreement(answer: Answer, info: ModelInfo) -> NDArray[Any]:  # noqa: ARG001 - as the others
    """Say how far the voters are from one mind, in nats, whatever the pool: FP32 [row, 1]."""
    return _nats(spread.disagreement(answer.by_member, answer.weights))


def member_scores(answer: Answer, info: ModelInfo) -> NDArray[Any]:  # noqa: ARG001 - as the others
    """Lay each voter's own scores side by side: FP32 [row, member, class]."""
    return np.stack(list(answer.by_member.values()), axis=1)


OPTIONAL: Mapping[str, Values] = {
    "label": label,
    "entropy": total_entropy,
    "disagreement": disagreement,
    "member_scores": member_scores,
}


def _top(output: Any, subject: Subject) -> int:
    if CLASSIFICATION not in output.parameters:
        return 0
    parameter = output.parameters[CLASSIFICATION]
    choice = parameter.WhichOneof("parameter_choice")
    if choice not in {"int64_param", "uint64_param"} or getattr(parameter, choice) < 1:
        raise subject.refuse(
            f"parameter '{CLASSIFICATION}' of output '{output.name}' for model '{subject.model}' must be a "
            "whole number of classes, 1 or more"
        )
    return int(getattr(parameter, choice))


def _column(texts: Sequence[bytes]) -> NDArray[Any]:
    column = np.empty((len(texts), 1), dtype=object)
    column[:, 0] = texts
    return column


def _nats(values: NDArray[np.float64]) -> NDArray[np.float32]:
    return values.astype(np.float32)[:, None]
