"""How fast and how exactly weights are learned: ours against what tools and scripts do.

    python benchmarks/refit.py [--quick]

Every method gets the same true-class scores `[row, member]` in float64. Told are the median time of the
repeats with the fastest and slowest, the loss above the least one found, and the gap: a proven bound on how
much lower any weighting's loss can be. Methods take turns, so that a busy moment falls on all of them. Greedy
selection of more than 2,000,000 scores is timed on its first three rounds, and scaled up. AutoGluon's own is
measured where `make .venv-autogluon/.done` has made its environment.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from measure import described, machine
from results import fill, save, table
from scipy.optimize import minimize

from ensemble.refit.objective import LogLoss, Matrix, Vector, gap_of
from ensemble.refit.solver import TOLERANCE, solve

SIZES = ((449, 8), (10_000, 16), (100_000, 16), (1_000_000, 16), (1_000_000, 64))
# Above this many scores greedy selection runs this many rounds only, and its time is scaled up.
GREEDY_WHOLE = 2_000_000
GREEDY_ROUNDS = 3
EM_SECONDS = 5.0
EM_GAP = 1e-6
# A member with less than this is not counted as used.
USED = 1e-4
# A method is repeated until it has taken so long in all, or so often.
SECONDS, REPEATS = 2.0, 15
OURS, GREEDY = "ours", "greedy-25"
AUTOGLUON = Path(__file__).parents[1] / ".venv-autogluon/bin/python"
PAGE = Path(__file__).parents[1] / "docs/refit.md"


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
    OURS: ours,
    "SLSQP alone": slsqp,
    "EM": em,
    GREEDY: greedy(25),
    "greedy-100": greedy(100),
    "softmax + L-BFGS": softmax_lbfgs,
}


@dataclass
class Course:
    """What a method took, each time, and what it found; why nothing, where there is nothing."""

    seconds: list[float] = field(default_factory=list)
    weights: Vector | None = None
    note: str = ""

    @property
    def waits(self) -> bool:
        """Whether it is to be run once more."""
        return len(self.seconds) < REPEATS and sum(self.seconds) < SECONDS

    @property
    def median(self) -> float:
        """The time that is told, in seconds; not a number where it was not measured."""
        return statistics.median(self.seconds) if self.seconds else float("nan")

    def run(self, method: Callable[[Matrix], Outcome], scores: Matrix) -> None:
        """Run it once more."""
        begin = time.perf_counter()
        outcome = method(scores)
        self.seconds.append((time.perf_counter() - begin) * outcome.scale)
        self.weights = outcome.weights
        self.note = f"from {GREEDY_ROUNDS} rounds" if outcome.scale > 1 else ""


def autogluon(scores: Matrix, rounds: int) -> Course:
    """Run AutoGluon's own selection, in its own environment."""
    if not AUTOGLUON.exists():
        return Course(note="not measured: run `make .venv-autogluon/.done` first")
    run, repeats = rounds if scores.size <= GREEDY_WHOLE else GREEDY_ROUNDS, 3 if len(scores) < 1000 else 1  # noqa: PLR2004 - a second or so
    script = Path(__file__).with_name("autogluon_selection.py")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "scores.npy"
        np.save(path, scores)
        command = [str(AUTOGLUON), str(script), str(path), str(run), str(repeats)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    told = json.loads(done.stdout.splitlines()[-1])
    seconds = [taken * rounds / run for taken in told["seconds"]]
    if run < rounds:
        return Course(seconds, None, f"{told['version']}, from {run} rounds")
    return Course(seconds, np.array(told["weights"]), told["version"])


def uniform(members: int) -> Vector:
    """Return equal weights."""
    return np.full(members, 1 / members)


def softmax(logits: Vector) -> Vector:
    """Return the weights of these logits."""
    powers = np.exp(logits - logits.max())
    return np.asarray(powers / powers.sum(), dtype=np.float64)


def measured(scores: Matrix) -> dict[str, Course]:
    """Run every method, in turns."""
    found = {name: Course() for name in METHODS}
    if scores.size <= GREEDY_WHOLE:
        for method in METHODS.values():
            method(scores)  # the first run pays for cold caches
    while any(course.waits for course in found.values()):
        for name, course in found.items():
            if course.waits:
                course.run(METHODS[name], scores)
    return found | {f"AutoGluon's own, {rounds}": autogluon(scores, rounds) for rounds in (25, 100)}


def figures(rows: int, members: int) -> dict[str, Any]:
    """Measure one size."""
    scores = scores_of(rows, members)
    objective = LogLoss.of(scores)
    found = measured(scores)
    told: dict[str, dict[str, Any]] = {}
    losses = {
        name: objective.value(course.weights) for name, course in found.items() if course.weights is not None
    }
    least = min(losses.values())
    for name, course in found.items():
        told[name] = {"seconds": course.seconds, "median": course.median, "note": course.note}
        if course.weights is not None:
            gap = gap_of(course.weights, objective.value_and_gradient(course.weights)[1])
            used = int((course.weights > USED).sum())
            told[name] |= {"above_least": losses[name] - least, "gap": gap, "members": used}
    kept: bool = told[OURS]["gap"] <= TOLERANCE and found[OURS].median < found[GREEDY].median
    return {"rows": rows, "members": members, "least": least, "methods": told, "kept": kept}


def shown(size: dict[str, Any]) -> str:
    """Return one size as a section."""
    lines = []
    for name, told in size["methods"].items():
        line = [name, "", "", "", "", told["note"]]
        if told["seconds"]:
            seconds = told["seconds"]
            line[1] = f"{1e3 * told['median']:,.2f} ({1e3 * min(seconds):,.2f} to {1e3 * max(seconds):,.2f})"
        if "gap" in told:
            line[2:5] = f"{told['above_least']:.1e}", f"{told['gap']:.1e}", str(told["members"])
        lines.append(line)
    methods = size["methods"]
    times = methods[GREEDY]["median"] / methods[OURS]["median"]
    verdict = (
        f"Ours is certified to {methods[OURS]['gap']:.1e} nats and takes 1/{times:.1f} of greedy-25's time."
    )
    head = f"## {size['rows']:,} rows x {size['members']} members, least loss {size['least']:.6f}"
    header = ["", "ms, median (fastest to slowest)", "above the least", "gap", "members used", ""]
    return f"{head}\n\n{table(header, lines)}\n\n{verdict}"


def side_by_side(sizes: Sequence[dict[str, Any]]) -> str:
    """Return the table of docs/refit.md: a line a size, medians and gaps of every method."""
    lines, ratios = [], []
    for size in sizes:
        methods = size["methods"]
        cells = [f"{size['rows']:,} x {size['members']}"]
        for told in methods.values():
            cells.append(_time(told["median"]) if told["seconds"] else told["note"])
            cells += [f"{told['gap']:.1e}"] if "gap" in told else [""]
        lines.append(cells)
        ratios.append(methods[GREEDY]["median"] / methods[OURS]["median"])
    header = ["rows x members", *(word for name in sizes[0]["methods"] for word in (name, "gap"))]
    worst = max(size["methods"][OURS]["gap"] for size in sizes)
    verdict = (
        f"Ours is certified to {worst:.1e} at worst, and takes between 1/{max(ratios):.0f} and "
        f"1/{min(ratios):.1f} of the time that 25 rounds of greedy selection take."
    )
    return f"{table(header, lines)}\n\n{verdict}"


def _time(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds >= 1 else f"{1e3 * seconds:.1f} ms"


def main() -> int:
    """Measure, print and write; return 1 unless ours is certified and faster than greedy-25 at every size."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="up to 100,000 rows only; nothing is written")
    quick, facts = parser.parse_args().quick, machine()
    sizes = [figures(rows, members) for rows, members in (SIZES[:3] if quick else SIZES)]
    text = "\n\n".join(["# Learning weights", described(facts), *map(shown, sizes)]) + "\n"
    if quick:
        print(text)
    else:
        save("refit", {"machine": facts, "sizes": sizes}, text)
        fill(PAGE, {"solver": side_by_side(sizes)})
    return 0 if all(size["kept"] for size in sizes) else 1


if __name__ == "__main__":
    sys.exit(main())
