"""The demo's picture: what the members weigh, and what everybody's loss is on rows nobody learned from."""

from collections.abc import Mapping
from pathlib import Path

MEMBER_COLOUR = "#8fa3b8"
OTHER_COLOUR = "#4f7cac"
LEARNED_COLOUR = "#d1495b"


def draw(path: Path, weights: Mapping[str, float], losses: Mapping[str, float], learned: str) -> None:
    """Save the weights and the test log-losses (nats), best last; `learned` is the entry to show off."""
    import matplotlib as mpl  # noqa: PLC0415 - heavy: only when the picture is drawn

    mpl.use("Agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415 - heavy: only when the picture is drawn

    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4), layout="constrained", width_ratios=(2, 3))
    names = sorted(weights, key=lambda name: weights[name])
    left.barh(names, [weights[name] for name in names], color=MEMBER_COLOUR)
    left.set_title("What each member counts", loc="left")
    left.set_xlabel("weight")
    left.bar_label(left.containers[0], fmt="%.3f", padding=4)
    left.set_xlim(0, 1.15 * max(weights.values()))

    entries = sorted(losses, key=lambda name: -losses[name])
    colours = [_colour(entry, weights, learned) for entry in entries]
    right.barh(entries, [losses[entry] for entry in entries], color=colours)
    right.set_title("Log-loss on rows that nothing was learned from (less is better)", loc="left")
    right.set_xlabel("nats a row")
    right.bar_label(right.containers[0], fmt="%.4f", padding=4)
    right.set_xlim(0, 1.15 * max(losses.values()))

    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=130)
    plt.close(figure)


def _colour(entry: str, weights: Mapping[str, float], learned: str) -> str:
    if entry == learned:
        return LEARNED_COLOUR
    return MEMBER_COLOUR if entry in weights else OTHER_COLOUR
