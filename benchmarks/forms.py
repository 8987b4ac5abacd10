"""What each form of pool is worth on real data, and what the choice among them is worth.

    python benchmarks/forms.py [--splits 5]

Eight scikit-learn classifiers are trained on half of digits and of breast_cancer; weights are learned on a
quarter, and judged on the last: log-loss in nats, accuracy, calibration error (15 bins), means over splits.
Every candidate is fitted as `unisono refit` does; "chosen" is what it would choose, among averages and among
all forms. The last column is the log-loss less that of uniform weights, with its standard error over all
test rows of all splits, which share rows: read it as a rough guide.
"""

import argparse
from collections.abc import Iterator

import numpy as np
from form_members import DATASETS, Split, splits

from ensemble.refit.blend import Blend
from ensemble.refit.candidates import POOLS, Candidates, Choice, ChoiceOptions, choose, fit
from ensemble.refit.comparison import losses_of, row_losses
from ensemble.refit.objective import Vector
from ensemble.refit.sample import Sample, mean_and_error
from ensemble.refit.solver import SolverOptions

ALL = ChoiceOptions(pools=POOLS, taus=())
AVERAGES = ChoiceOptions(taus=())
CHOSEN = {"chosen among averages (the default)": AVERAGES, "chosen among all forms": ALL}


def judged(split: Split) -> Iterator[tuple[str, str, Blend]]:
    """Give what competes on one split: its name, which candidate it is, and how it pools."""
    sample = Sample.of(split.validation)
    uniform = Blend.uniform(sample.members)
    for name in Candidates(sample, uniform, ALL).names[1:]:
        yield name, name, fit(Choice(name, {}), sample, uniform, SolverOptions(), ALL).blend
    for title, options in CHOSEN.items():
        choice = choose(sample, uniform, options)
        # Before anything was learned uniform weights are what is being served.
        name = "uniform" if choice.name == "incumbent" else choice.name
        yield title, name, fit(choice, sample, uniform, SolverOptions(), options).blend


def report(dataset: str, count: int) -> None:
    """Print the table of one dataset."""
    figures: dict[str, list[tuple[float, ...]]] = {}
    excess: dict[str, list[Vector]] = {}
    picked: dict[str, list[str]] = {}
    for split in splits(dataset, count):
        test = Sample.of(split.test)
        uniform = row_losses(test, Blend.uniform(test.members))
        for title, name, blend in judged(split):
            losses = losses_of(test, blend)
            figures.setdefault(title, []).append((losses.loss, losses.accuracy, losses.calibration_error))
            excess.setdefault(title, []).append(row_losses(test, blend) - uniform)
            picked.setdefault(title, []).append(name)
        rows = split.validation.rows, split.test.rows
    print(f"\n{dataset}: {count} splits, {rows[0]} rows to learn on, {rows[1]} to test, 8 members")
    print("| | log-loss | accuracy | ECE | against uniform |\n|---|--:|--:|--:|--:|")
    for title, found in figures.items():
        means = np.mean(found, axis=0)
        mean, error = mean_and_error(np.concatenate(excess[title]))
        against = f"{mean:+.4f} ± {error:.4f}" if title != "uniform" else ""
        named = title.replace("_", " ")
        print(f"| {named} | {means[0]:.4f} | {means[1]:.4f} | {means[2]:.4f} | {against} |")
    for title in CHOSEN:
        print(f"{title}: {', '.join(name.replace('_', ' ') for name in picked[title])}")


def main() -> None:
    """Print one table a dataset."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--splits", type=int, default=5)
    asked = parser.parse_args()
    for dataset in DATASETS:
        report(dataset, asked.splits)


if __name__ == "__main__":
    main()
