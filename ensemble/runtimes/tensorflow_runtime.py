"""Members executed by TensorFlow: the Keras originals, each a graph for a few batch sizes.

Importing this module imports TensorFlow: seconds, and half a gigabyte. Only `opening` does, where it is asked
for. A graph is made for each size when the member is opened, so none is made while callers wait. A row's
scores must not depend on its batch: where graphs of several sizes give it other bits, every batch is cut
and filled up to one size.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from ..errors import InvalidModelError, MemberError
from ..member import Rows, Scores, row_count
from ..padding import cut, joined
from ..signature import ANY_SIZE, Signature
from .devices import Devices, gpu_memory, memory_limits, placed
from .sample import random_rows
from .source import KERAS, Found, Source
from .trial import TRIAL_ROWS, least_seconds, spread

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import keras
import tensorflow as tf

SIZES = (1, 4, 16, 64)
ONE_SIZE = (16,)
# XLA must take at most this much of the time: compiling with it makes a start longer.
XLA_WORTH = 0.8


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class TensorflowMember:
    """A member run by TensorFlow. `TensorflowRuntime` makes one."""

    name: str
    digest: str
    signature: Signature
    device: str
    xla: bool
    graphs: Mapping[int, Any]  # by batch size, least first
    runtime: str = "tensorflow"

    @property
    def found(self) -> Found:
        """Which batch sizes it has graphs for, and whether XLA compiled them."""
        return {"sizes": list(self.graphs), "xla": self.xla}

    def predict(self, rows: Rows) -> Scores:
        """Score `rows`: float32 [row, class], C-contiguous; MemberError if TensorFlow can't."""
        try:
            given = {spec.name: rows[spec.name] for spec in self.signature.inputs}
        except KeyError as error:
            raise MemberError(f"member {self.name!r} needs input {error}; got {sorted(rows)}") from None
        sizes, count = tuple(self.graphs), row_count(given)
        if not count:
            return np.zeros((0, self.signature.outputs[0].shape[0]), np.float32)
        starts = range(0, count, sizes[-1])
        parts = [self._run(cut(given, slice(start, min(start + sizes[-1], count)))) for start in starts]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _run(self, rows: Rows) -> Scores:
        count = row_count(rows)
        filled = joined([rows], tuple(self.graphs))
        try:
            # XLA's graphs look for the parameters on the device that they are called on.
            with tf.device(self.device):
                tensors = [tf.convert_to_tensor(filled[spec.name]) for spec in self.signature.inputs]
                scores = self.graphs[row_count(filled)](*tensors).numpy()
        except Exception as error:  # TensorFlow's errors have no class in common
            raise MemberError(f"member {self.name!r} failed on {count} rows: {_line(error)}") from error
        if scores.ndim != 2 or len(scores) != row_count(filled):  # noqa: PLR2004 - row and class
            raise MemberError(
                f"member {self.name!r} gave shape {scores.shape} for {count} rows; want [row, class]"
            )
        return np.ascontiguousarray(scores[:count], dtype=np.float32)


class TensorflowRuntime:
    """Opens members as `Runtime` says, each on the device that has the fewest parameters so far."""

    def __init__(self, devices: Devices) -> None:
        self._options = devices
        self._devices: list[str] = []
        self._bytes: WeakKeyDictionary[TensorflowMember, int] = WeakKeyDictionary()

    def __call__(self, source: Source, *, threads: int, known: Found | None = None) -> TensorflowMember:
        """Open a member; the first one's `threads` are those of all: TensorFlow has one pool of them."""
        self._devices = self._devices or logical_devices(self._options, threads)
        taken: dict[str, int] = {}
        for member, size in self._bytes.items():
            taken[member.device] = taken.get(member.device, 0) + size
        device = placed(self._devices, taken)
        with source.copied(KERAS) as path:
            try:
                with tf.device(device):
                    model = keras.models.load_model(path, compile=False, safe_mode=True)
                    member = _Maker(source, model, device).member(known)
            except InvalidModelError:
                raise
            except Exception as error:  # Keras' and TensorFlow's errors have no class in common
                raise InvalidModelError(
                    f"member {source.name!r} can't be opened by TensorFlow: {_line(error)}"
                ) from error
        self._bytes[member] = sum(int(np.prod(v.shape)) * v.dtype.size for v in _variables(model))
        return member


@dataclass(frozen=True, slots=True)
class _Maker:
    """Makes graphs of one model."""

    source: Source
    model: Any
    device: str

    def member(self, known: Found | None) -> TensorflowMember:
        """Return the member as it is `known` to run best, or as trying shows."""
        if known is not None:
            return self._with(known["sizes"], xla=bool(known["xla"]))
        plain, signature = self._keeping_the_rule(xla=False), self.source.signature
        if any(ANY_SIZE in spec.shape for spec in signature.inputs):
            return plain  # XLA would compile for every length that comes.
        rows = random_rows(signature, ONE_SIZE[0])
        try:
            compiled = self._with(ONE_SIZE, xla=True)
            compiled.predict(rows)
        except Exception:  # noqa: BLE001 - what XLA can't compile, TensorFlow runs without it
            return plain
        alone, faster = least_seconds(lambda: plain.predict(rows), lambda: compiled.predict(rows))
        return self._keeping_the_rule(xla=True) if faster <= XLA_WORTH * alone else plain

    def _keeping_the_rule(self, *, xla: bool) -> TensorflowMember:
        """Return a member whose rows' scores don't depend on their batch, or raise InvalidModelError."""
        rows = random_rows(self.source.signature, TRIAL_ROWS)
        moved = 0.0
        for sizes in (SIZES, ONE_SIZE):
            member = self._with(sizes, xla=xla)
            moved = spread(member.predict, rows)
            if not moved:
                return member
        name = self.source.name
        raise InvalidModelError(f"member {name!r}: TensorFlow's scores move by {moved:.3g} with the batch")

    def _with(self, sizes: Sequence[int], *, xla: bool) -> TensorflowMember:
        source, call = self.source, tf.function(self._scores, jit_compile=xla)
        graphs = {size: call.get_concrete_function(*self._specs(size)) for size in sizes}
        return TensorflowMember(source.name, source.digest, source.signature, self.device, xla, graphs)

    def _specs(self, size: int) -> list[Any]:
        return [
            tf.TensorSpec(
                [size, *(None if length == ANY_SIZE else length for length in spec.shape)], spec.dtype
            )
            for spec in self.source.signature.inputs
        ]

    def _scores(self, *tensors: Any) -> Any:
        by_name = dict(zip((spec.name for spec in self.source.signature.inputs), tensors, strict=True))
        with tf.device(self.device):
            named = keras.tree.map_structure(lambda put: by_name[put.name], self.model.input)
            answer = self.model(named, training=False)
        wanted = self.source.signature.outputs[0].name
        if isinstance(answer, dict):
            return answer[wanted]
        return dict(zip(_output_names(self.model), keras.tree.flatten(answer), strict=True))[wanted]


def logical_devices(devices: Devices, threads: int) -> list[str]:
    """Set TensorFlow up, before it first computes, and return the names of what members may be put on."""
    if threads:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
    gpus = tf.config.list_physical_devices("GPU")
    if devices.kind == "cpu" or not gpus:
        if gpus:
            tf.config.set_visible_devices([], "GPU")
        if devices.logical > 1:
            [cpu] = tf.config.list_physical_devices("CPU")
            parts = [tf.config.LogicalDeviceConfiguration() for _ in range(devices.logical)]
            tf.config.set_logical_device_configuration(cpu, parts)
        return [device.name for device in tf.config.list_logical_devices("CPU")]
    for index, gpu in enumerate(gpus):
        limits = memory_limits(devices, gpu_memory(index))
        if limits:
            parts = [tf.config.LogicalDeviceConfiguration(memory_limit=limit) for limit in limits]
            tf.config.set_logical_device_configuration(gpu, parts)
        else:
            tf.config.experimental.set_memory_growth(gpu, True)
    return [device.name for device in tf.config.list_logical_devices("GPU")]


def _output_names(model: Any) -> list[str]:
    """Return the outputs' names as publishing found them: a Sequential's is its last layer's."""
    return list(keras.Model(model.inputs, model.outputs).output_names)


def _variables(model: Any) -> list[Any]:
    return [variable.value for variable in model.variables]


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:500]
