"""How fast and how exactly weights are learned: ours against what tools and scripts do.

    python benchmarks/refit.py [--quick]

Every method gets the same true-class scores `[row, member]` in float64. Printed are the median time of the
repeats with the fastest and slowest, the loss above the least one found, and the gap: a proven bound on how
much lower any weighting's loss can be. Greedy selection beyond 10^5 rows is timed on its first rounds.
"""

import argparse
import os
import platform
import shutil
import statistics
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import minimize

from ensemble.refit.objective import LogLoss, Matrix, Vector, gap_of
from ensemble.refit.solver import solve

SIZES = ((449, 8), (10_000, 16), (100_000, 16), (1_000_000, 16), (1_000_000, 64))
# Above this many scores greedy selection runs this many rounds only, and its time is scaled up.
GREEDY_WHOLE = 2_000_000
GREEDY_ROUNDS = 3
EM_SECONDS = 10.0
EM_GAP = 1e-6
# A member with less than this is not counted as used.
USED = 1e-4


@dataclass(frozen=True)
class Outcome:
    """What a method found, and by how much its time has to be scaled up for the rounds it left out."""

    weights: Vector | None
    scale: float = 1.0


def scores_of(rows: int, members: int, seed: int = 0) -> Matrix:
    """Make true-class scores of members in four families: alike within, different between."""
    random = np.random.default_rng(seed)
    shared = random.normal(size=(rows, 1)).astype(np.float32)
    families = random.normal(size=(rows, 4)).astype(np.float32)
    skill = random.normal(1.0, 0.4, size=members)
    scores = np.empty((rows, members))
    for member in range(members):
        own = random.normal(size=rows) * random.uniform(0.3, 1.2)
        scores[:, member] = 1 / (1 + np.exp(-(skill[member] + shared[:, 0] + families[:, member % 4] + own)))
    return scores


def ours(scores: Matrix) -> Outcome:
    """Solve as `unisono refit` does, scaling and checks of the scores included."""
    objective = LogLoss.of(scores)
    return Outcome(solve(objective, uniform(objective.members)).checked().weights)


def slsqp(scores: Matrix) -> Outcome:
    """Run scipy's SLSQP with the analytic gradient and its default precision, and nothing after it."""

    def loss(weights: Vector) -> tuple[float, Vector]:
        mixed = np.maximum(scores @ weights, 1e-300)
        return -float(np.log(mixed).mean()), -(scores.T @ (1 / mixed)) / len(scores)

    members = scores.shape[1]
    result = minimize(
        loss,
        uniform(members),
        jac=True,
        method="SLSQP",
        bounds=[(0, 1)] * members,
        constraints={"type": "eq", "fun": lambda weights: weights.sum() - 1, "jac": np.ones_like},
    )
    return Outcome(np.clip(result.x, 0, None) / np.clip(result.x, 0, None).sum())


def em(scores: Matrix) -> Outcome:
    """Take EM steps to a gap of 1e-6, or for ten seconds."""
    weights, ends = uniform(scores.shape[1]), time.perf_counter() + EM_SECONDS
    while time.perf_counter() < ends:
        gain = scores.T @ (1 / (scores @ weights)) / len(scores)
        if gain.max() - 1 <= EM_GAP:
            break
        weights = weights * gain
    return Outcome(weights / weights.sum())


def greedy(rounds: int) -> Callable[[Matrix], Outcome]:
    """Select with replacement as AutoGluon does: scores rounded to six digits, best prefix kept."""

    def select(scores: Matrix) -> Outcome:
        run = rounds if scores.size <= GREEDY_WHOLE else GREEDY_ROUNDS
        columns = np.ascontiguousarray(scores.T)
        total, chosen, course = np.zeros(len(scores)), list[int](), list[float]()
        for count in range(1, run + 1):
            losses = np.array([-np.log((total + column) / count).mean() for column in columns]).round(6)
            tied = np.flatnonzero(losses == losses.min())
            best = next((int(member) for member in tied if member in chosen), int(tied[0]))
            chosen.append(best)
            course.append(float(losses[best]))
            total += columns[best]
        if run < rounds:
            return Outcome(None, rounds / run)
        kept = chosen[: int(np.argmin(course)) + 1]
        return Outcome(np.bincount(kept, minlength=len(columns)) / len(kept))

    return select


def softmax_lbfgs(scores: Matrix) -> Outcome:
    """Minimise over unconstrained logits with L-BFGS, as hand-written scripts do."""

    def loss(logits: Vector) -> tuple[float, Vector]:
        weights = softmax(logits)
        mixed = scores @ weights
        slope = -(scores.T @ (1 / mixed)) / len(scores)
        return -float(np.log(mixed).mean()), weights * (slope - weights @ slope)

    found = minimize(loss, np.zeros(scores.shape[1]), jac=True, method="L-BFGS-B")
    return Outcome(softmax(found.x))


METHODS: dict[str, Callable[[Matrix], Outcome]] = {
    "ours": ours,
    "SLSQP alone": slsqp,
    "EM": em,
    "greedy-25": greedy(25),
    "greedy-100": greedy(100),
    "softmax + L-BFGS": softmax_lbfgs,
}


def uniform(members: int) -> Vector:
    """Return equal weights."""
    return np.full(members, 1 / members)


def softmax(logits: Vector) -> Vector:
    """Return the weights of these logits."""
    powers = np.exp(logits - logits.max())
    return np.asarray(powers / powers.sum(), dtype=np.float64)


def measure(method: Callable[[Matrix], Outcome], scores: Matrix, repeats: int) -> tuple[list[float], Outcome]:
    """Return the seconds of each repeat and what the method found."""
    seconds = []
    if scores.size <= GREEDY_WHOLE:
        method(scores)  # the first run pays for cold caches
    for _ in range(repeats):
        begin = time.perf_counter()
        outcome = method(scores)
        seconds.append((time.perf_counter() - begin) * outcome.scale)
    return seconds, outcome


def report(rows: int, members: int) -> None:
    """Print one size."""
    scores = scores_of(rows, members)
    objective = LogLoss.of(scores)
    found: dict[str, Any] = {}
    for name, method in METHODS.items():
        repeats = 9 if scores.size <= GREEDY_WHOLE else 2
        found[name] = measure(method, scores, repeats)
    losses = {
        name: objective.value(outcome.weights)
        for name, (_, outcome) in found.items()
        if outcome.weights is not None
    }
    least = min(losses.values())
    print(f"\n{rows:,} rows x {members} members, least loss {least:.6f}")
    print(f"{'':18}{'seconds':>10}{'(fastest to slowest)':>26}{'above least':>14}{'gap':>10}{'members':>9}")
    for name, (seconds, outcome) in found.items():
        spread = f"({min(seconds):.4f} to {max(seconds):.4f})"
        line = f"{name:18}{statistics.median(seconds):10.4f}{spread:>26}"
        if outcome.weights is None:
            print(f"{line}{'':>14}  time scaled up from {GREEDY_ROUNDS} rounds")
            continue
        gap = gap_of(outcome.weights, objective.value_and_gradient(outcome.weights)[1])
        used = int((outcome.weights > USED).sum())
        print(f"{line}{losses[name] - least:14.1e}{gap:10.1e}{used:9}")


def main() -> None:
    """Print machine, commit and every size."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="up to 100,000 rows only")
    quick = parser.parse_args().quick
    git = shutil.which("git") or "git"
    found = subprocess.run([git, "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    print(f"{platform.platform()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    print(f"numpy {np.__version__}, commit {found.stdout.strip() or 'unknown'}")
    for rows, members in SIZES[:3] if quick else SIZES:
        report(rows, members)


if __name__ == "__main__":
    main()
