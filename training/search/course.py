"""The course of a search as a picture: each trial's loss, and the least so far."""

from collections.abc import Sequence
from pathlib import Path

from optuna.trial import FrozenTrial, TrialState

from training.files import replace_file


def draw_course(trials: Sequence[FrozenTrial], path: Path) -> None:
    """Write a PNG: a dot a trial that came to an end, a cross one ended early, a line the least so far."""
    from matplotlib.figure import Figure  # noqa: PLC0415 - heavy: only when the search is over

    figure = Figure(figsize=(8, 4), layout="constrained")
    axes = figure.subplots()
    done = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    pruned = [trial for trial in trials if trial.state == TrialState.PRUNED and trial.intermediate_values]
    axes.plot([trial.number for trial in done], [trial.values[0] for trial in done], "o", label="trial")
    if pruned:
        axes.plot(
            [trial.number for trial in pruned],
            [trial.intermediate_values[max(trial.intermediate_values)] for trial in pruned],
            "x",
            color="0.6",
            label="ended early (held-out loss)",
        )
    numbers, least = _least_so_far(done)
    axes.step(numbers, least, where="post", label="least so far")
    axes.set(xlabel="trial", ylabel="what is made small")
    # Above the axes: any place among them may hold dots.
    axes.legend(frameon=False, loc="lower right", bbox_to_anchor=(1, 1), ncols=3)
    axes.spines[["top", "right"]].set_visible(False)
    with replace_file(path) as made:
        figure.savefig(made, dpi=110)


def _least_so_far(done: Sequence[FrozenTrial]) -> tuple[list[int], list[float]]:
    numbers: list[int] = []
    least: list[float] = []
    for trial in done:
        numbers.append(trial.number)
        least.append(min(trial.values[0], *least[-1:]) if least else trial.values[0])
    return numbers, least
