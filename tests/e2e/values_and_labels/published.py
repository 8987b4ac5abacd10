"""What the tests of published values and labels share: their columns' names, and members' own scores."""

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.optimize import minimize

from tests.support.other_kinds import Floats, Made

LABELS = ("sport", "art", "work", "food")
VALUES = ("east", "north", "up")
Call = Callable[..., Any]


def least(loss: Callable[[Floats], float], members: int) -> tuple[Floats, float]:
    """Find the weights of the least loss by a general solver; return them and the loss."""
    uniform = np.full(members, 1 / members)
    scale = loss(uniform)
    best = minimize(
        lambda weights: loss(weights) / scale,
        uniform,
        bounds=[(0, 1)] * members,
        constraints={"type": "eq", "fun": lambda weights: weights.sum() - 1},
        options={"ftol": 1e-15},
    )
    return best.x, best.fun * scale


def scores_of_validation(made: Made) -> tuple[list[Floats], Floats]:
    """What each member gives for the validation rows [row, column], by ONNX Runtime, and what is true."""
    import onnxruntime as ort  # noqa: PLC0415 - the reference alone needs it

    with np.load(made.validation) as arrays:
        inputs, truth = arrays["X"], np.asarray(arrays["y"], np.float64)
    found = []
    for path in made.files.values():
        session = ort.InferenceSession(path)
        name = session.get_outputs()[-1].name
        found.append(np.asarray(session.run([name], {"X": inputs})[0], np.float64).reshape(len(inputs), -1))
    return found, truth.reshape(len(truth), -1)
