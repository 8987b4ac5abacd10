"""Models whose scores can be worked out in the head, for tests of the wire."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from ensemble.errors import EnsembleError
from ensemble.member import Rows, Scores, row_count
from ensemble.servable import Scored
from ensemble.signature import Signature, TensorSpec
from server.batching.promise import Promise
from server.lifecycle.repository import IndexEntry
from server.wire.serving import Answer, ModelInfo, Step, find_version
from server.wire.tensors import WIRE_TYPES

SCORES = TensorSpec("scores", "float32", (2,))


def info_of(name: str, *inputs: TensorSpec, max_batch_size: int = 8) -> ModelInfo:
    """Version 3 of a model of two classes."""
    signature = Signature(inputs, (SCORES,))
    return ModelInfo(name, 3, (2, 3), signature, ("no", "yes"), max_batch_size, "ensemble")


def infos() -> dict[str, ModelInfo]:
    """`sums` takes [-1,4] FP32; `pair` two inputs; `wide` 8 MB; `takes_X` one input of datatype X."""
    x = TensorSpec("x", "float32", (4,))
    models = [
        replace(info_of("sums", x), steps=(Step("sums.first", Signature((x,), (SCORES,))),)),
        replace(info_of("sums.first", x), platform="onnxruntime_onnx", backend="onnxruntime"),
        info_of("pair", TensorSpec("a", "float32", (2,)), TensorSpec("b", "int64", ())),
        info_of("wide", TensorSpec("x", "float32", (-1,)), max_batch_size=0),
        *(
            info_of(f"takes_{wire.datatype}", TensorSpec("x", wire.dtype, (2,)), max_batch_size=0)
            for wire in WIRE_TYPES
        ),
    ]
    return {info.name: info for info in models}


def sums(rows: Rows) -> Scores:
    """Class 0 scores the sum of a row's values, class 1 twice that. Text counts by its length."""
    totals = np.zeros(row_count(rows))
    for array in rows.values():
        numbers = np.vectorize(len)(array) if array.dtype == object else array.astype(np.float64)
        totals += numbers.reshape(len(array), -1).sum(axis=1)
    return np.stack([totals, 2 * totals], axis=1).astype(np.float32)


@dataclass
class FakeModels:
    """Every model of `infos`, or as told; version 2 and 3 are ready, 4 is loading.

    With `failure` every model fails so, and the server isn't ready; with `failures`, those named.
    """

    by_name: Mapping[str, ModelInfo] = field(default_factory=infos)
    failure: Exception | None = None
    failures: Mapping[str, Exception] = field(default_factory=dict)
    deadlines: list[float] = field(default_factory=list)
    run: Callable[[Rows], Scores] = sums

    def ready(self) -> bool:
        return self.failure is None

    def find(self, name: str, version: str) -> ModelInfo:
        info = self.by_name.get(name)
        found = find_version(name, version, ready=info.versions if info else None, loading=(4,), current=3)
        if info is None:  # For the type checker: find_version has raised.
            raise EnsembleError(name)
        return replace(info, version=found)

    async def infer(
        self,
        name: str,
        version: str,
        decode: Callable[[ModelInfo], Rows],
        deadline: float,
        *,
        members: bool = False,
    ) -> Answer:
        self.deadlines.append(deadline)
        info = self.find(name, version)
        rows = decode(info)
        failure = self.failures.get(name, self.failure)
        if failure is not None:
            raise failure
        scores = self.run(rows)
        # One member says the same as the ensemble, and the other the opposite.
        by_member = {"first": scores, "second": scores[:, ::-1]} if members else {}
        return Answer(info.version, scores, by_member, {"first": 0.75, "second": 0.25})

    def begin(
        self, asked: tuple[str, str], info: ModelInfo, rows: Rows, deadline: float, promise: Promise
    ) -> Callable[[], None] | None:
        self.deadlines.append(deadline)
        found = self.find(*asked)
        failure = self.failures.get(found.name, self.failure)
        if failure is not None:
            raise failure
        if found != info:
            return None
        promise.set_result(Scored(self.run(rows)))
        return lambda: None

    def names(self) -> list[str]:
        return sorted(self.by_name)


class FakeRepository:
    """Has `digits` served and `letters` not, and remembers what it was told to do."""

    def __init__(self) -> None:
        self.done: list[str] = []

    async def index(self) -> list[IndexEntry]:
        return [IndexEntry("digits", 3, "READY"), IndexEntry("letters", 1, "UNAVAILABLE", "unloaded")]

    async def load(self, name: str) -> None:
        self.done.append(f"load {name}")

    async def unload(self, name: str) -> None:
        self.done.append(f"unload {name}")
