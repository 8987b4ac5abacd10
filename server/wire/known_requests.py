"""Inference requests that say the same as one before but for their numbers: read, and answered, as bytes.

Who scores rows sends the same names, dtypes and shapes again and again, and gets the same back. To read that
as a message, check it and write the answer's takes some 30 us, to see that it is the same takes one.

Rule: what is known of a request was found by the plain way, `oip_codec` and `oip_outputs`, and is believed
only of a message of the same length that has the same bytes wherever no numbers are, and of the same version.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import isnan
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError

from ensemble.errors import EnsembleError
from ensemble.member import Rows
from ensemble.servable import Scored
from server.batching.promise import Promise

from . import tensors
from .call import Call
from .messages import message_class
from .oip_codec import plain_rows
from .oip_outputs import encode_response, requested_outputs, scores
from .serving import Answer, ModelInfo, Models
from .tensors import WireType

# So many are known at once, then all are forgotten; so many of one length, and so much of each is kept.
MOST_KNOWN, MOST_OF_A_LENGTH, MOST_KEPT_BYTES = 256, 4, 4096
# To find out that a request can't be known takes as long as to answer it: it is tried so often at most.
LEARN_EVERY_SECS = 0.005
SEVEN_BITS = 0x7F


def _tag(message: str, name: str) -> bytes:
    """Return what comes before a field of bytes, and its length: its number and its kind."""
    number = message_class(message).DESCRIPTOR.fields_by_name[name].number
    return bytes([number << 3 | 2])


RAW_INPUT = _tag("inference.ModelInferRequest", "raw_input_contents")
RAW_OUTPUT = _tag("inference.ModelInferResponse", "raw_output_contents")


@dataclass(frozen=True, slots=True)
class Numbers:
    """Where a message has the numbers of one input."""

    name: str
    start: int
    stop: int
    wire: WireType
    shape: tuple[int, ...]

    def of(self, data: bytes) -> Any:
        """Lay an array over them; None if one is NaN, which others refuse."""
        array = np.frombuffer(data[self.start : self.stop], self.wire.little)
        # The least of numbers is NaN if any is.
        if array.dtype.kind == "f" and isnan(np.minimum.reduce(array)):
            return None
        return array.astype(self.wire.numpy, copy=False).reshape(self.shape)


@dataclass(slots=True, eq=False)
class KnownRequest:
    """All of a request but its numbers, and of its answer but the scores."""

    message: Any  # without its numbers
    info: ModelInfo
    fixed: Sequence[tuple[int, bytes]]  # the bytes that must be there, and where
    inputs: Sequence[Numbers]
    outputs: int  # how often the scores are answered
    name: str = field(init=False)  # as the caller says
    version: str = field(init=False)
    labels: tuple[str, str] = field(init=False)  # for the metrics
    # Of the answer all before the scores, by their shape and dtype.
    answers: dict[tuple[Any, ...], bytes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Take out what every call asks for."""
        self.name, self.version = self.message.model_name, self.message.model_version
        self.labels = self.info.name, str(self.info.version)

    def fits(self, data: bytes) -> bool:
        """Whether a message as long as the known one says the same."""
        return all(data.startswith(part, at) for at, part in self.fixed)

    def rows(self, data: bytes) -> Rows | None:
        """Read the rows of a message that fits; None if it is to be refused."""
        rows = {each.name: each.of(data) for each in self.inputs}
        return None if any(array is None for array in rows.values()) else rows

    def answer(self, scored: Scored) -> bytes:
        """Write the answer."""
        array = scored.scores
        wire = tensors.BY_NUMPY[array.dtype]
        raw = tensors.to_raw(array, wire)
        part = (RAW_OUTPUT + written_length(len(raw)) + raw) * self.outputs
        if not scored.missing:
            begun = self.answers.get((array.shape, wire))
            if begun is not None:
                return begun + part
        wanted = requested_outputs(self.message, self.info)
        told = Answer(self.info.version, array, missing=scored.missing)
        whole: bytes = encode_response(self.message, told, wanted).SerializeToString()
        if not scored.missing and whole.endswith(part):
            self.answers[array.shape, wire] = whole.removesuffix(part)
        return whole


class KnownRequests:
    """The requests that are known of `models`: a `Shortcut`. Used on the event loop only."""

    def __init__(self, models: Models) -> None:
        self.models = models
        self._by_size: dict[int, list[KnownRequest]] = {}
        self._count = 0
        self._learn_at = float("-inf")

    def read(self, data: bytes, now: float) -> "KnownCall | None":
        """Read a request that is known, or is from now on; None if it is to be read the plain way."""
        known = self._find(data)
        if known is None:
            if now < self._learn_at:
                return None
            self._learn_at = now + LEARN_EVERY_SECS
            known = learnt(data, self.models)
            if known is None:
                return None
            self._keep(len(data), known)
        rows = known.rows(data)
        return None if rows is None else KnownCall(self, known, rows)

    def forget(self) -> None:
        """Begin anew: the models are others now."""
        self._by_size.clear()
        self._count = 0

    def _find(self, data: bytes) -> KnownRequest | None:
        for known in self._by_size.get(len(data), ()):
            if known.fits(data):
                return known
        return None

    def _keep(self, size: int, known: KnownRequest) -> None:
        if self._count >= MOST_KNOWN:
            self.forget()
        alike = self._by_size.setdefault(size, [])
        alike.insert(0, known)
        self._count += 1 - len(alike[MOST_OF_A_LENGTH:])
        del alike[MOST_OF_A_LENGTH:]


class KnownCall:
    """A call whose request is known, and its own rows."""

    __slots__ = ("_known", "_requests", "_rows")

    def __init__(self, requests: KnownRequests, known: KnownRequest, rows: Rows) -> None:
        self._requests, self._known, self._rows = requests, known, rows

    def begin(self, call: Call, promise: Promise) -> Callable[[], None] | None:
        """Have the rows scored, as `Shortened` says."""
        known = self._known
        withdraw = self._requests.models.begin(
            (known.name, known.version), known.info, self._rows, call.deadline, promise
        )
        if withdraw is None:
            self._requests.forget()
        else:
            call.model, call.version = known.labels
        return withdraw

    def answer(self, scored: Scored) -> bytes:
        """Write the answer."""
        return self._known.answer(scored)


def learnt(data: bytes, models: Models) -> KnownRequest | None:
    """Find out what there is to know of a request; None if it isn't as plain as that, or wrong."""
    try:
        message = message_class("inference.ModelInferRequest").FromString(data)
        info = models.find(message.model_name, message.model_version)
        rows = plain_rows(message, info, allow_nan=True)
        wanted = requested_outputs(message, info)
    except (DecodeError, EnsembleError):
        return None
    # One that has a name of its own won't come again.
    if rows is None or message.id or any(output.values is not scores for output in wanted):
        return None
    raw = list(message.raw_input_contents)
    del message.raw_input_contents[:]
    tail = b"".join(RAW_INPUT + written_length(len(each)) + each for each in raw)
    begun = data.removesuffix(tail)
    if not data.endswith(tail) or len(data) - sum(map(len, raw)) > MOST_KEPT_BYTES:
        return None
    try:
        # What comes before the numbers must be a message by itself: then they can't lie within anything else.
        if message_class("inference.ModelInferRequest").FromString(begun) != message:
            return None
    except DecodeError:
        return None
    fixed, inputs, at = list[tuple[int, bytes]](), list[Numbers](), 0
    part = begun
    for spec, each in zip(info.signature.inputs, raw, strict=True):
        part += RAW_INPUT + written_length(len(each))
        fixed.append((at, part))
        start = at + len(part)
        at, part = start + len(each), b""
        inputs.append(Numbers(spec.name, start, at, tensors.BY_DTYPE[spec.dtype], rows[spec.name].shape))
    return KnownRequest(message, info, fixed, inputs, len(wanted))


def written_length(size: int) -> bytes:
    """Write a length as protobuf does: seven bits a byte, the lowest first."""
    written = bytearray()
    while size > SEVEN_BITS:
        written.append(size & SEVEN_BITS | SEVEN_BITS + 1)
        size >>= 7
    written.append(size)
    return bytes(written)
