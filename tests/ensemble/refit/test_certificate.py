"""The certificate against optima that are known: to fifty digits, or exactly by symmetry."""

from decimal import Decimal, localcontext

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from ensemble.refit.objective import LogLoss, Matrix, Vector, gap_of
from ensemble.refit.solver import solve

from .problems import random_weights, seeds, true_class_scores

DIGITS = 50
# What float64 may add to a mean of logarithms of about one.
ROUNDING = Decimal("2e-15")


def exact(scores: Matrix) -> list[list[Decimal]]:
    return [[Decimal(float(value)) for value in row] for row in scores]


def exact_loss(rows: list[list[Decimal]], weights: list[Decimal]) -> Decimal:
    """The mean log-loss of an average whose weights are brought to a sum of one."""
    nothing = Decimal(0)
    total = sum(weights, nothing)
    averages = [sum((w * p for w, p in zip(weights, row, strict=True)), nothing) / total for row in rows]
    return -sum((average.ln() for average in averages), nothing) / len(rows)


def least_of_two(rows: list[list[Decimal]]) -> Decimal:
    """The least loss of two members' averages: the slope changes its sign once, and bisection finds where."""

    def slope(first: Decimal) -> Decimal:
        return sum(((b - a) / (first * a + (1 - first) * b) for a, b in rows), Decimal(0))

    low, high = Decimal(0), Decimal(1)
    if slope(low) >= 0 or slope(high) <= 0:
        return min(exact_loss(rows, [low, 1 - low]), exact_loss(rows, [high, 1 - high]))
    for _ in range(4 * DIGITS):
        middle = (low + high) / 2
        low, high = (middle, high) if slope(middle) < 0 else (low, middle)
    return exact_loss(rows, [low, 1 - low])


def claimed(scores: Matrix, weights: Vector) -> Decimal:
    """What the certificate says of any weights."""
    return Decimal(gap_of(weights, LogLoss.of(scores).value_and_gradient(weights)[1]))


@settings(max_examples=25)
@given(seeds)
def test_no_weights_are_further_from_the_least_loss_of_two_members_than_their_certificate_says(
    seed: int,
) -> None:
    scores = true_class_scores(seed, rows=20, members=2)
    with localcontext() as context:
        context.prec = DIGITS
        rows = exact(scores)
        least = least_of_two(rows)
        solved = solve(LogLoss.of(scores), np.full(2, 0.5))
        for weights in (solved.weights, random_weights(seed, 2), np.array([1.0, 0.0]), np.array([0.0, 1.0])):
            excess = exact_loss(rows, [Decimal(float(weight)) for weight in weights]) - least
            assert -ROUNDING <= excess <= claimed(scores, weights) + ROUNDING
        assert exact_loss(rows, [Decimal(float(weight)) for weight in solved.weights]) - least <= Decimal(
            "1e-9"
        )


@settings(max_examples=25)
@given(seeds, st.integers(2, 8))
def test_no_weights_are_further_from_a_least_loss_known_by_symmetry_than_their_certificate_says(
    seed: int, members: int
) -> None:
    # Every member takes every other's place once: uniform weights have the least loss.
    row = np.random.default_rng(seed).uniform(0.01, 1, size=members)
    scores = np.stack([np.roll(row, shift) for shift in range(members)])
    with localcontext() as context:
        context.prec = DIGITS
        rows = exact(scores)
        least = exact_loss(rows, [Decimal(1)] * members)
        solved = solve(LogLoss.of(scores), random_weights(seed, members))
        for weights in (solved.weights, random_weights(seed + 1, members), np.eye(members)[0]):
            excess = exact_loss(rows, [Decimal(float(weight)) for weight in weights]) - least
            assert -ROUNDING <= excess <= claimed(scores, weights) + ROUNDING
        assert solved.gap <= 1e-9
