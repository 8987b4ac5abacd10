"""How often the gate errs: refits of a simulated ensemble whose true loss is known.

    python benchmarks/gate.py [--refits 80] [--rows 100 300 1000] [--pools linear,temperature,log]

The weights being served were learned on 2,000 rows; then a new file comes. Ungated, whatever is learned is
published; gated, what `unisono refit` would publish. Printed are the share of refits published, the share of
those that made the served loss worse, and the mean change of the served loss over all refits, all judged on
100,000 fresh rows. Three worlds: nothing changed; the heaviest member broke; 20% of the labels are wrong.
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ensemble.refit.blend import Blend
from ensemble.refit.candidates import Choice, ChoiceOptions, choose, fit
from ensemble.refit.checks import check
from ensemble.refit.comparison import Contenders, best_single, compare
from ensemble.refit.crossfit import capped_losses
from ensemble.refit.gate import Trial, judge
from ensemble.refit.objective import Vector
from ensemble.refit.predictions import Predictions
from ensemble.refit.sample import Sample
from ensemble.refit.solver import SolverOptions
from ensemble.refit.trying import on_held_out_rows

MEMBERS = 8
CLASSES = 3
OLD_ROWS = 2_000
FRESH_ROWS = 100_000
FLIPPED = 0.2
Labels = NDArray[np.int64]


@dataclass(frozen=True)
class World:
    """Members of different skill that share part of their errors; `broken` answers at random."""

    skill: Vector
    broken: int | None = None
    flipped: float = 0.0

    def rows(self, count: int, random: np.random.Generator) -> Predictions:
        """Draw rows: every member's scores, and labels of which a share may be wrong."""
        labels = random.integers(0, CLASSES, count)
        shared = random.normal(size=(count, CLASSES))
        scores = []
        for member, skill in enumerate(self.skill):
            signal = 0.0 if member == self.broken else skill
            noise = shared + random.normal(size=(count, CLASSES))
            odds = np.exp(1.5 * (signal * np.eye(CLASSES)[labels] + 0.7 * noise))
            scores.append((odds / odds.sum(axis=1, keepdims=True)).astype(np.float32))
        wrong = random.random(count) < self.flipped
        given = np.where(wrong, (labels + random.integers(1, CLASSES, count)) % CLASSES, labels)
        names = tuple(f"m{index}" for index in range(len(self.skill)))
        return Predictions(names, tuple("abc"), given, tuple(scores))


@dataclass(frozen=True)
class Refit:
    """One refit: by how much the served loss would change, ungated and as the gate has it; and the alarm."""

    ungated: float
    change: float
    published: bool
    alarm: bool


def refit(old: World, new: World, rows: int, seed: int, options: ChoiceOptions) -> Refit:
    """Learn on the old world, then refit on `rows` of the new one; judge on the new one's right labels."""
    random = np.random.default_rng(seed)
    past, solver = Sample.of(old.rows(OLD_ROWS, random)), SolverOptions()
    uniform = Blend.uniform(MEMBERS)
    incumbent = fit(Choice("linear", {}), past, uniform, solver, options).blend
    recorded = compare(past, Contenders(uniform, incumbent, best_single(past)), "old")
    file = Sample.of(new.rows(rows, random))
    fresh = Sample.of(World(new.skill, new.broken).rows(FRESH_ROWS, random))
    learned = fit(choose(file, incumbent, options), file, incumbent, solver, options)
    compared = compare(file, Contenders(incumbent, learned.blend, best_single(file)), "new")
    findings = check(file, compared, {"validation": recorded.to_json()})
    held_out = on_held_out_rows(file, incumbent, options)
    trial = Trial(
        learned.solution,
        held_out.gain,
        held_out.classes,
        jump=float(np.abs(learned.blend.weights - incumbent.weights).sum()),
        other_pool=not learned.blend.same_pool(incumbent),
        findings=findings,
    )
    publish = judge(trial).publish
    plain = fit(Choice("linear", {}), file, incumbent, solver, options).blend
    before = capped_losses(fresh, incumbent).mean()
    change = float(capped_losses(fresh, learned.blend).mean() - before)
    ungated = float(capped_losses(fresh, plain).mean() - before)
    return Refit(ungated, change if publish else 0.0, publish, bool(findings.alarms))


def broken(world: World) -> World:
    """Return the world in which the member of most skill answers at random."""
    return World(world.skill, broken=int(np.argmax(world.skill)))


def flipped(world: World) -> World:
    """Return the world in which a fifth of the labels is wrong."""
    return World(world.skill, flipped=FLIPPED)


WORLDS: dict[str, Callable[[World], World]] = {
    "no drift": lambda world: world,
    "top member broke": broken,
    "20% labels flipped": flipped,
}


def main() -> None:
    """Print one line a world and file size."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--refits", type=int, default=80)
    parser.add_argument("--rows", type=int, nargs="+", default=[100, 300, 1000])
    parser.add_argument("--pools", default="linear", help="which forms compete, with commas between")
    asked = parser.parse_args()
    options = ChoiceOptions(pools=tuple(asked.pools.split(",")))
    print(f"{asked.refits} refits each; changes of the served log-loss in thousandths of a nat")
    print(f"{'':20}{'rows':>6} | {'ungated: harmful':>17}{'change':>9} | {'gated: published':>17}", end="")
    print(f"{'of them harmful':>17}{'change':>9} | {'alarm':>6}")
    for name, happens in WORLDS.items():
        for rows in asked.rows:
            found = []
            for seed in range(asked.refits):
                world = World(np.random.default_rng(seed).uniform(0.8, 2.2, MEMBERS))
                found.append(refit(world, happens(world), rows, seed, options))
            print(f"{name:20}{rows:6} | {line(found)}", flush=True)


def line(found: list[Refit]) -> str:
    """Write the figures of one world and size."""
    published = [each for each in found if each.published]
    harmful = f"{np.mean([each.change > 0 for each in published]):17.0%}" if published else f"{'none':>17}"
    return (
        f"{np.mean([each.ungated > 0 for each in found]):17.0%}"
        f"{1000 * np.mean([each.ungated for each in found]):9.2f} | {len(published) / len(found):17.0%}"
        f"{harmful}{1000 * np.mean([each.change for each in found]):9.2f} |"
        f" {np.mean([each.alarm for each in found]):6.0%}"
    )


if __name__ == "__main__":
    main()
