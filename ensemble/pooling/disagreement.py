"""How far members are from one mind, in nats, whatever the form of the pool.

The generalised Jensen-Shannon divergence of the members' scores under their weights (Lin, 1991): the entropy
of their weighted average less the weighted average of their entropies, which is also the weighted mean of the
divergences KL(member, average). Zero if and only if all say the same, and at most log(classes).

Where the average itself is served it is the part of the served entropy that is there because members differ:
the mutual information of class and member. A temperature or a log pool changes what is served, not how far
the members are apart, so it changes nothing here: figures from before and after it can be compared.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..member import Scores


def entropy(scores: NDArray[Any]) -> NDArray[np.float64]:
    """Shannon entropy of each row, nats, [row]; 0 log 0 is 0, and so is a score below 0."""
    exact = scores.astype(np.float64)
    logs = np.log(exact, out=np.zeros_like(exact), where=exact > 0)
    nats: NDArray[np.float64] = -(exact * logs).sum(axis=1)
    return nats


def disagreement(by_member: Mapping[str, Scores], weights: Mapping[str, float]) -> NDArray[np.float64]:
    """Return the divergence of each row, nats, [row]; members that weigh nothing are left out.

    `by_member` holds scores [row, class] of every member that weighs something.
    """
    voters = [(weight, by_member[name]) for name, weight in weights.items() if weight > 0]
    average = np.zeros(voters[0][1].shape, dtype=np.float64)
    within = np.zeros(len(average), dtype=np.float64)
    for weight, scores in voters:
        average += weight * scores.astype(np.float64)
        within += weight * entropy(scores)
    # Rounding can leave a hair below zero where all say the same.
    return np.maximum(entropy(average) - within, 0)
