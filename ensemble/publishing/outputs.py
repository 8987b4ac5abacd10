"""What each member's columns are: probabilities, logits or values, and of which class.

Told by what they are on rows that were tried, or by whoever publishes. Nothing is guessed: where two readings
fit, the error names the option that settles it.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidModelError
from ..loading.onnx_adapt import SIGMOID, SOFTMAX, TWO_CLASSES

KINDS = ("softmax", "sigmoid", "logits", "values")
# 16-bit floats add up to 1 within so much.
_SUM_ERROR = 1e-2
_RANGE_ERROR = 1e-6
_BINARY = 2


def kind_of(name: str, scores: NDArray[Any], declared: str | None, classes: int) -> str:
    """Return of which kind `scores` [row, column] are; InvalidModelError if that is open or not as declared.

    `classes` is how many classes the ensemble has as far as it is known; 0 if it isn't.
    """
    columns = scores.shape[1]
    shares = bool((scores >= -_RANGE_ERROR).all() and (scores <= 1 + _RANGE_ERROR).all())
    whole = columns > 1 and shares and bool((np.abs(scores.sum(axis=1) - 1) <= _SUM_ERROR).all())
    if declared is not None:
        _check_declared(name, declared, scores, shares=shares, whole=whole)
        return declared
    if whole:
        return "softmax"
    if columns == 1 and classes != _BINARY:
        return "values"
    if shares:
        return "sigmoid"
    raise InvalidModelError(
        f"member {name!r} gives scores from {scores.min():.3g} to {scores.max():.3g}, which are no "
        f"probabilities; say what they are: --output-kind {name}=logits, or {name}=values for numbers"
    )


def _check_declared(name: str, declared: str, scores: NDArray[Any], *, shares: bool, whole: bool) -> None:
    """Refuse a kind that these scores can't be."""
    fits = {"softmax": whole, "sigmoid": shares, "logits": not whole, "values": True}
    if declared not in fits:
        raise InvalidModelError(
            f"--output-kind {name}={declared}: kinds are {', '.join(KINDS)}; or leave it out"
        )
    if not fits[declared]:
        sums = scores.sum(axis=1)
        raise InvalidModelError(
            f"member {name!r} is declared to give {declared}; its scores lie between {scores.min():.3g} and "
            f"{scores.max():.3g}, and a row's add up to {sums.min():.3g} to {sums.max():.3g}: "
            f"leave out --output-kind {name}={declared} or give another"
        )


def steps_of(kind: str, columns: int) -> tuple[str, ...]:
    """Return what makes scores of columns of `kind`: see `Output.steps`."""
    one = columns == 1
    if kind == "logits":
        return (SIGMOID, TWO_CLASSES) if one else (SOFTMAX,)
    return (TWO_CLASSES,) if one and kind == "sigmoid" else ()


def order_of(name: str, own: Sequence[str], classes: Sequence[str], *, declared: bool) -> tuple[int, ...]:
    """Return which of a member's columns is each class of the ensemble; empty if they are in its order.

    `own` are the member's names of its columns; InvalidModelError if they aren't the ensemble's. Numbers that
    its file holds are no names unless the ensemble has the same: they count labels.
    """
    if not own or tuple(own) == tuple(classes):
        return ()
    if sorted(own) != sorted(classes) or len(set(own)) != len(own):
        if not declared and all(label.lstrip("-").isdecimal() for label in own):
            return ()
        missing, foreign = sorted(set(classes) - set(own)), sorted(set(own) - set(classes))
        raise InvalidModelError(
            f"member {name!r} has the classes {list(own)}; the ensemble's are {list(classes)}: "
            f"missing are {missing}, unknown {foreign}; name the member's columns in its order: "
            f"--member-classes {name}={','.join(classes)}"
        )
    return tuple(own.index(label) for label in classes)


def named_classes(own: Mapping[str, Sequence[str]], given: Sequence[str] | None) -> Sequence[str] | None:
    """Return the ensemble's classes: `given`, or those of the first member whose columns have names."""
    if given is not None:
        return given
    return next((labels for labels in own.values() if not all(map(str.isdecimal, labels))), None)
