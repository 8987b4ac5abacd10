"""Making one member: a network or one of scikit-learn's estimators, to a file."""

import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ensemble.errors import InvalidModelError

from . import estimators
from .architectures import catalogue
from .config import MemberConfig
from .data.parts import Data, Part
from .devices import GpuMemory
from .files import replace_file, sha256
from .fit_network import fit_network
from .predict import predict
from .progress import OnProgress, Progress
from .quiet_keras import import_keras
from .receipts import Trained

RUNS = "runs"
PREDICTIONS = "predictions"
# What a wrong class scored 0 costs: -log of about the smallest step that float32 can take below 1.
_LEAST_SCORE = 1e-7


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be made, of what, where. `made_by` is whatever decides what comes out."""

    folder: Path
    member: MemberConfig
    data: Data
    seed: int
    pictures: bool
    gpu_memory: GpuMemory
    made_by: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _Made:
    """What came of making one member."""

    parameters: int
    epochs: int | None
    outputs: Mapping[str, NDArray[Any]]  # of the validation rows


def make(order: Order, on_progress: OnProgress) -> Trained:
    """Train one member and put its file, `NAME.keras` or `NAME.onnx`, in the order's folder."""
    started = time.monotonic()
    member = order.member
    network = member.architecture in catalogue.NAMES
    if not network and member.architecture not in estimators.KINDS:
        known = ", ".join((*catalogue.NAMES, *estimators.KINDS))
        raise InvalidModelError(
            f"[members.{member.name}] architecture is {member.architecture!r}; it is one of {known}"
        )
    epochs = member.fit.epochs if network else 1

    def report(epoch: int, loss: float | None) -> None:
        on_progress(Progress(member.name, epoch, epochs, loss))

    report(0, None)
    kind = "keras" if network else "onnx"
    file = order.folder / f"{member.name}.{kind}"
    with replace_file(file) as path:
        made = _make_network(order, path, report) if network else _make_estimator(order, path)
    if network:
        _forget_run(order)
    return Trained(
        name=member.name,
        kind=kind,
        file=file.name,
        sha256=sha256(file) or "",
        parameters=made.parameters,
        epochs=made.epochs,
        seconds=round(time.monotonic() - started, 2),
        figures=figures(made.outputs, order.data.validation),
    )


def figures(outputs: Mapping[str, NDArray[Any]], part: Part) -> dict[str, float]:
    """Return how well outputs fit: accuracy and mean log-loss of classes, mean squared error of values."""
    found = {}
    if part.label is not None:
        scores = outputs["scores"]
        given = scores[np.arange(part.rows), part.label].astype(np.float64)
        found["accuracy"] = float((scores.argmax(axis=1) == part.label).mean())
        found["log_loss"] = float(-np.log(np.maximum(given, _LEAST_SCORE)).mean())
    if part.value is not None and "value" in outputs:
        error = outputs["value"].reshape(-1).astype(np.float64) - part.value
        found["squared_error"] = float((error**2).mean())
    return found


def _make_network(order: Order, path: Path, report: Callable[[int, float | None], None]) -> _Made:
    import_keras(order.seed, order.gpu_memory)
    from .callbacks.choose import Places  # noqa: PLC0415 - it imports Keras

    folder, name = order.folder, order.member.name
    (folder / PREDICTIONS).mkdir(exist_ok=True)
    places = Places(folder / RUNS / name, folder / PREDICTIONS / f"{name}.npz")
    network, epochs = fit_network(
        order.member, order.data, places, seed=order.seed, made_by=order.made_by, on_epoch=report
    )
    network.save(path)
    if order.pictures:
        _draw(network, folder / f"{name}.png")
    return _Made(network.count_params(), epochs, predict(network, order.data.validation.inputs))


def _forget_run(order: Order) -> None:
    from .callbacks.state import forget  # noqa: PLC0415 - it imports Keras

    forget(order.folder / RUNS / order.member.name)


def _make_estimator(order: Order, path: Path) -> _Made:
    train = order.data.train
    made = estimators.fit(order.member.architecture, train, order.member.options, seed=order.seed)
    estimators.save(made, path, train)
    outputs = estimators.outputs(made, order.data.validation)
    return _Made(estimators.parameter_count(made), None, outputs)


def _draw(network: Any, path: Path) -> None:
    """Draw the network's layers and the shapes between them; it takes Graphviz."""
    import keras  # noqa: PLC0415 - heavy: only when members are trained

    if shutil.which("dot") is None:
        raise InvalidModelError("pictures need Graphviz, and there is no command dot here; install graphviz")
    keras.utils.plot_model(network, path, show_shapes=True, show_layer_activations=True, dpi=72)
