"""What an ensemble's scores are about: which class a row is of, which labels it has, or what values."""

from collections.abc import Iterable
from enum import StrEnum

from model_store.output import Output


class Truth(StrEnum):
    """What is true of a row. The columns of the scores are one class, one label or one value each."""

    CLASSES = "classes"  # one of them: scores add up to 1
    LABELS = "labels"  # each by itself is there or not: scores are probabilities of yes
    VALUES = "values"  # numbers


def truth_of(outputs: Iterable[Output]) -> Truth:
    """Return what an ensemble is about, by what its members' files give; classes where nobody looked."""
    found = {_truth(output) for output in outputs}
    return found.pop() if len(found) == 1 else Truth.CLASSES


def _truth(output: Output) -> Truth:
    if output.kind == "values":
        return Truth.VALUES
    # The single column of a probability was made two classes when it was published.
    return Truth.LABELS if output.kind == "sigmoid" and not output.steps else Truth.CLASSES
