"""What learned weights gain on 5,000 real images of MNIST: four kinds of members, several seeds.

    python benchmarks/members.py [--seeds 5] [--folder FOLDER]

Each seed trains the members of `training/configs/mnist5k.toml`, publishes them, learns weights on the 1,000
validation images and is judged on the 1,000 test images, all by the commands that a user types. The rows are
the same for every seed. What was trained in FOLDER before is used again; the time it took then is counted.
Writes results/members.json and .md, and the table in docs/members.md.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from results import fill, save, table

NAME = "mnist"
BEST = "best member"
POOLS = "linear,temperature,log"  # What competes is chosen on validation rows.
PAGE = Path(__file__).parents[1] / "docs" / "members.md"


def unisono(*words: str | Path, codes: tuple[int, ...] = (0,)) -> str:
    """Run a command and return what it printed; one that fails ends the benchmark."""
    command = [sys.executable, "-m", "unisono", *map(str, words)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode not in codes:
        raise SystemExit(f"{' '.join(command)} ended with exit code {done.returncode}")
    return done.stdout


def one_seed(folder: Path, seed: int) -> dict[str, Any]:
    """Train, publish and refit; return the weights and the figures on test rows."""
    members, store = folder / str(seed), folder / f"store-{seed}"
    began = time.monotonic()
    unisono("train", "mnist5k", "--seed", str(seed), "--output", members, "--progress", "plain")
    trained = max(time.monotonic() - began, _trained_seconds(members))
    began = time.monotonic()
    files = [path for path in sorted(members.iterdir()) if path.suffix in (".keras", ".onnx")]
    shutil.rmtree(store, ignore_errors=True)
    unisono("publish", NAME, *(f"--member={path.stem}={path}" for path in files), "--store", store)
    data = ("--data", members / "validation.npz", "--test", members / "test.npz", "--label", "label")
    # The gate holds back what isn't surely better than uniform weights: then those are what is served.
    unisono("refit", NAME, *data, "--pools", POOLS, "--store", store, codes=(0, 3))
    shown = json.loads(unisono("inspect", NAME, "-o", "json", "--store", store))
    test = shown["evidence"].get("test")
    if test is None:
        raise SystemExit(f"seed {seed}: the gate held; see `unisono history {NAME} --store {store}`")
    return {
        "seconds": trained + time.monotonic() - began,
        "chosen": shown["evidence"]["chosen"],
        "pool": shown["pool"],
        "weights": shown["weights"],
        "log_loss": _flat(test["losses"]),
        "accuracy": _flat(test["accuracy"]),
        "best_on_validation": test["losses"]["best_single"]["member"],
    }


def _trained_seconds(members: Path) -> float:
    """Return how long the members' training took, whenever that was."""
    receipts = [json.loads(path.read_text()) for path in members.glob("*.json")]
    return sum(float(receipt["trained"]["seconds"]) for receipt in receipts)


def _flat(figures: Mapping[str, Any]) -> dict[str, float]:
    """One measure of every member, of uniform weights, and of the learned ones."""
    return {**figures["members"], "uniform": figures["uniform"], "learned": figures["learned"]}


def markdown(seeds: Sequence[Mapping[str, Any]]) -> str:
    """Render the table, and how often learned weights won."""
    members = sorted(seeds[0]["weights"], key=lambda name: -_mean(seeds, "weights", name))
    lines = [
        [
            name,
            _spread(seeds, "weights", name),
            _spread(seeds, "log_loss", name),
            _spread(seeds, "accuracy", name),
        ]
        for name in members
    ]
    lines += [
        [f"**{name}**", "", _spread(seeds, "log_loss", name), _spread(seeds, "accuracy", name)]
        for name in ("uniform", "learned")
    ]
    header = ("", "weight", "test log-loss", "test accuracy")
    taken = sum(found["seconds"] for found in seeds) / 60
    chosen = ", ".join(found["pool"]["form"] for found in seeds)
    return (
        f"{table(header, lines)}\n\n"
        f"Means over {len(seeds)} seeds, with their standard deviation. {_won(seeds, members)}"
        f" Pools chosen, by seed: {chosen}. {taken:.0f} minutes in all.\n"
    )


def _won(seeds: Sequence[Mapping[str, Any]], members: Sequence[str]) -> str:
    """Say how often, and by how much, learned weights had the lower test log-loss."""
    losses = [found["log_loss"] for found in seeds]
    others = {
        # The best on test rows: harder to beat than the one that validation rows would have chosen.
        BEST: [min(found[name] for name in members) for found in losses],
        "uniform weights": [found["uniform"] for found in losses],
    }
    said = []
    for name, theirs in others.items():
        gains = [loss - found["learned"] for loss, found in zip(theirs, losses, strict=True)]
        wins = sum(gain > 0 for gain in gains)
        said.append(
            f"{name} in {wins} of {len(seeds)} seeds (by {np.mean(gains):.4f} ± {np.std(gains):.4f} nats)"
        )
    return (
        f"Learned weights had a lower test log-loss than the {' and than '.join(said)}; the best member is"
        " the one that test rows say was best."
    )


def _mean(seeds: Sequence[Mapping[str, Any]], figure: str, name: str) -> float:
    return float(np.mean([found[figure][name] for found in seeds]))


def _spread(seeds: Sequence[Mapping[str, Any]], figure: str, name: str) -> str:
    return f"{_mean(seeds, figure, name):.4f} ± {np.std([found[figure][name] for found in seeds]):.4f}"


def main() -> None:
    """Run every seed; write the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument(
        "--folder", type=Path, help="Where members are kept; a folder that goes away if left out."
    )
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        folder = asked.folder or Path(made)
        folder.mkdir(parents=True, exist_ok=True)
        seeds = [one_seed(folder, seed) for seed in range(asked.seeds)]
    found = markdown(seeds)
    save("members", {"seeds": seeds}, found)
    fill(PAGE, {"mnist": found})


if __name__ == "__main__":
    main()
