"""Members executed by OpenVINO on the CPU, from the same ONNX files.

It keeps the rule of `onnx_runtime`, a row's scores don't depend on its batch, or it refuses the member: there
is always ONNX Runtime, so a member that needs a special way isn't worth one here.
"""

import sys
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Self

import numpy as np

from ..errors import InvalidModelError, MemberError
from ..member import Rows, Scores, row_count
from ..signature import Signature
from .sample import random_rows
from .source import ONNX, Found, Source
from .trial import TRIAL_ROWS, spread

# OpenVINO reports each import to its makers, from a process that it forks: a server must do neither. Without
# this package, which only does that, it stays silent.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
import openvino  # noqa: E402 - after what keeps it silent


@dataclass(frozen=True, slots=True)
class OpenvinoMember:
    """A member run by OpenVINO. `open` makes one."""

    name: str
    digest: str
    signature: Signature
    model: Any
    output: Any
    # One request holds the arrays of one call, so each call that runs at the same time needs its own.
    idle: SimpleQueue[Any] = field(default_factory=SimpleQueue, repr=False)
    runtime: str = "openvino"

    @classmethod
    def opened(cls, source: Source, *, threads: int, known: Found | None = None) -> Self:
        """Open a member as `Runtime` says; refused too if a row's scores depend on its batch."""
        with source.copied(ONNX) as path:
            return cls._opened(source, path, threads, tried=known is not None)

    @classmethod
    def _opened(cls, source: Source, path: Path, threads: int, *, tried: bool) -> Self:
        settings: dict[str, Any] = {
            "PERFORMANCE_HINT": "LATENCY",
            # Where the processor has bfloat16, OpenVINO would compute in it.
            "INFERENCE_PRECISION_HINT": "f32",
            # Every process would begin with the first core, and workers beside each other share it.
            "ENABLE_CPU_PINNING": False,
        } | ({"INFERENCE_NUM_THREADS": threads} if threads else {})
        name, signature = source.name, source.signature
        core = _core()
        try:
            model = core.compile_model(core.read_model(path), "CPU", settings)
            member = cls(name, source.digest, signature, model, model.output(signature.outputs[0].name))
            moved = 0.0 if tried else spread(member.predict, random_rows(signature, TRIAL_ROWS))
        except Exception as error:  # OpenVINO's errors have no class in common
            text = " ".join(str(error).split())
            raise InvalidModelError(f"member {name!r} can't be opened by OpenVINO: {text}") from error
        if moved:
            raise InvalidModelError(f"member {name!r}: OpenVINO's scores move by {moved:.3g} with the batch")
        return member

    @property
    def found(self) -> Found:
        """Nothing but that its scores don't move: otherwise it wouldn't have been opened."""
        return {}

    def predict(self, rows: Rows) -> Scores:
        """Score `rows`: float32 [row, class], C-contiguous; MemberError if OpenVINO can't."""
        try:
            given = {spec.name: rows[spec.name] for spec in self.signature.inputs}
        except KeyError as error:
            raise MemberError(f"member {self.name!r} needs input {error}; got {sorted(rows)}") from None
        try:
            request = self.idle.get_nowait()
        except Empty:
            request = self.model.create_infer_request()
        try:
            # Shared inputs are read where they lie; the outputs are copied, since the request is used again.
            scores = request.infer(given, share_inputs=True)[self.output]
        except Exception as error:  # OpenVINO's errors have no class in common
            text = " ".join(str(error).split())
            raise MemberError(f"member {self.name!r} failed on {row_count(rows)} rows: {text}") from error
        self.idle.put(request)
        if scores.ndim != 2 or len(scores) != row_count(given):  # noqa: PLR2004 - row and class
            raise MemberError(
                f"member {self.name!r} gave shape {scores.shape} for {row_count(given)} rows; "
                "want [row, class]"
            )
        return np.ascontiguousarray(scores, dtype=np.float32)


@cache
def _core() -> Any:
    """Return the one core of this process, which is never let go.

    Its first use gives the thread another stack for signals. Where there is a second core, OpenVINO 2026.4
    frees the stack while it is in use, and the next signal ends the process.
    """
    return openvino.Core()
