"""Sharpens or softens scores: each to the power of 1 / temperature, and each row to a sum of one.

Below a temperature of 1 the ensemble grows surer, above it less sure; at 1 nothing changes.
"""

from collections.abc import Mapping
from math import isfinite
from typing import Any

import numpy as np

from ..errors import InvalidModelError
from .pool import ExactScores

# A score below this counts as this much, where a manifest names no other: the log of zero would be a veto.
FLOOR = 1e-6


def floored_logs(scores: ExactScores, floor: float) -> ExactScores:
    """Return natural logs of `scores`, in memory of their own and in C order; less counts as `floor`."""
    # numpy takes another way through arrays that aren't contiguous, whose last bits may differ.
    logs = np.ascontiguousarray(np.maximum(scores, floor))
    np.log(logs, out=logs)
    return logs


def tempered(logs: ExactScores, temperature: float) -> ExactScores:
    """Return probabilities proportional to exp(logs / temperature), `[row, class]`, row by row."""
    powers = np.ascontiguousarray(logs / temperature)
    powers -= powers.max(axis=1, keepdims=True)
    np.exp(powers, out=powers)
    powers /= powers.sum(axis=1, keepdims=True)
    return powers


def check_parameters(temperature: float, floor: float) -> None:
    """Refuse what no scores can be tempered by."""
    if not (isfinite(temperature) and temperature > 0):
        raise InvalidModelError(f"a pool's temperature must be finite and > 0; got {temperature!r}")
    if not 0 < floor < 1:
        raise InvalidModelError(f"a pool's floor must be above 0 and below 1; got {floor!r}")


def parameter(parameters: Mapping[str, Any], name: str, default: float) -> float:
    """Read a number from a manifest's pool, `default` if it isn't there."""
    given = parameters.get(name, default)
    if isinstance(given, bool) or not isinstance(given, int | float):
        raise InvalidModelError(f"a pool's {name} must be a number; got {given!r}")
    return float(given)
