"""What a refit of values and of labels does with a cache, other processes, a price and rows that weigh."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ensemble.errors import InvalidDataError
from model_store.store import Store
from tests.e2e.values_and_labels.published import LABELS, VALUES, Call, least, scores_of_validation
from tests.support.other_kinds import Floats, Made

ENSEMBLES = ("sugar", "topics", "forces")


@pytest.fixture(name="made", scope="session")
def fixture_made(values: Made, labels: Made, several: Made) -> Mapping[str, Made]:
    return dict(zip(ENSEMBLES, (values, labels, several), strict=True))


def counts(rows: int) -> Floats:
    """How much each row counts: nothing, or as much as one, two or three."""
    return np.random.default_rng(0).integers(0, 4, rows).astype(np.float64)


def weighed_and_repeated(made: Made, folder: Path) -> tuple[Path, Path]:
    """The validation rows with a column of how much each counts, and each of them as often as that."""
    with np.load(made.validation) as arrays:
        inputs, truth = arrays["X"], arrays["y"]
    count = counts(len(inputs))
    np.savez(folder / "weighed.npz", X=inputs, y=truth, counts=count)
    often = np.repeat(np.arange(len(inputs)), count.astype(int))
    np.savez(folder / "repeated.npz", X=inputs[often], y=truth[often])
    return folder / "weighed.npz", folder / "repeated.npz"


@pytest.mark.parametrize("name", ENSEMBLES)
def test_scores_that_are_kept_and_worked_out_elsewhere_give_the_same_weights(
    name: str, made: Mapping[str, Made], call: Call, tmp_path: Path
) -> None:
    def refit(*options: object) -> dict[str, Any]:
        code, found = call(
            "refit", name, "--data", made[name].validation, "--dry-run", *options, "-o", "json"
        )
        assert code == 0
        return dict(found)

    def kept() -> dict[Path, int]:
        return {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").rglob("*.npy")}

    plain = refit()
    elsewhere = refit("--cache", tmp_path / "cache", "--executor", "process", "--workers", "2")
    first = kept()
    again = refit("--cache", tmp_path / "cache")

    assert len(first) == 3
    assert kept() == first
    for found in (elsewhere, again):
        assert found["weights"] == plain["weights"]
        for part in ("validation", "parts", "weight_intervals", "without", "held_out", "figures"):
            assert found[part] == plain[part]


@pytest.mark.parametrize(
    ("name", "objective"),
    [
        ("sugar", "mse"),
        ("sugar", "pinball:0.3"),
        ("topics", "log_loss"),
        ("topics", "brier"),
        ("forces", "mse"),
    ],
)
def test_a_row_that_counts_three_times_is_as_good_as_three_rows(
    name: str, objective: str, made: Mapping[str, Made], call: Call, tmp_path: Path
) -> None:
    weighed, repeated = weighed_and_repeated(made[name], tmp_path)
    options = ("--objective", objective, "--dry-run", "-o", "json")

    _, one = call("refit", name, "--data", weighed, "--sample-weight", "counts", *options)
    _, other = call("refit", name, "--data", repeated, *options)

    # On other rows other candidates could be chosen: here none is.
    assert one["chosen"] == other["chosen"] == "linear"
    assert one["weights"] == pytest.approx(other["weights"], abs=1e-6)
    for contender in ("learned", "uniform", "incumbent"):
        losses = [found["validation"]["losses"][contender] for found in (one, other)]
        assert losses[0] == pytest.approx(losses[1], rel=1e-9)


def test_how_much_a_row_counts_has_to_be_a_number(
    made: Mapping[str, Made], call: Call, tmp_path: Path
) -> None:
    with np.load(made["forces"].validation) as arrays:
        inputs, truth = arrays["X"], arrays["y"]
    for wrong, said in ((-1.0, "row 3 of column 'counts' has -1.0"), (np.nan, "row 3 of column 'counts'")):
        count = counts(len(inputs))
        count[3] = wrong  # the row, of which each value is a question
        np.savez(tmp_path / "wrong.npz", X=inputs, y=truth, counts=count)
        with pytest.raises(InvalidDataError, match=said):
            call("refit", "forces", "--data", tmp_path / "wrong.npz", "--sample-weight", "counts")


def test_weights_of_several_values_are_those_of_a_quadratic_program(
    made: Mapping[str, Made], call: Call, tmp_path: Path, store: Store
) -> None:
    forces = made["forces"]
    weighed, _ = weighed_and_repeated(forces, tmp_path)
    with np.load(forces.test) as arrays:
        np.savez(tmp_path / "test.npz", counts=np.arange(len(arrays["X"])), **arrays)
    options = ("--sample-weight", "counts", "-o", "json")

    with pytest.raises(InvalidDataError, match=r"test.npz: has no array \['counts'\]"):
        call("refit", "forces", "--data", weighed, "--test", forces.test, *options)
    code, found = call("refit", "forces", "--data", weighed, "--test", tmp_path / "test.npz", *options)

    assert (code, found["outcome"], found["objective"], found["truth"]) == (0, "published", "mse", "values")
    given, truth = scores_of_validation(forces)
    stacked, count = np.stack(given), counts(len(truth))

    def loss(weights: Floats) -> float:
        squares = (np.tensordot(weights, stacked, axes=1) - truth) ** 2
        return float(np.average(squares.mean(axis=1), weights=count))

    best, lowest = least(loss, 3)
    learned = np.array([found["weights"][name] for name in forces.files])
    assert learned == pytest.approx(best, abs=1e-3)
    assert loss(learned) <= lowest * (1 + 1e-6)
    assert found["validation"]["losses"]["learned"] == pytest.approx(loss(learned), rel=1e-6)
    squares = (forces.average(found["weights"]) - forces.truth) ** 2
    tested = np.average(squares.mean(axis=1), weights=np.arange(len(squares)))
    assert found["test"]["losses"]["learned"] == pytest.approx(tested, rel=1e-6)
    assert found["test"]["losses"]["learned"] < found["test"]["losses"]["uniform"]
    # Each value is judged by itself, and what is published is what was learned.
    assert set(found["parts"]) == set(VALUES)
    assert store.weights(store.manifest("forces")) == found["weights"]


@pytest.mark.parametrize(("name", "price"), [("sugar", 200), ("topics", 0.01)])
def test_members_are_let_go_for_what_they_may_cost(
    name: str, price: float, made: Mapping[str, Made], call: Call, tmp_path: Path, store: Store
) -> None:
    options = ("--max-cost", price, "--cache", tmp_path / "cache", "-o", "json")
    gone = {"sugar": {"old", "ridge"}, "topics": {"raw"}}[name]

    code, found = call("refit", name, "--data", made[name].validation, *options)

    assert (code, found["outcome"]) == (0, "published")
    removed = found["pruning"]["removed"]
    assert {each["member"] for each in removed} == gone
    assert all(each["cost"] <= price and each["milliseconds_a_row"] > 0 for each in removed)
    weights = store.weights(store.manifest(name))
    assert {member for member, weight in weights.items() if weight == 0} == gone
    # In place of who is left there are the others' best weights, for labels and values too.
    assert set(found["without"]) >= {member for member, weight in weights.items() if 0 < weight < 1}


def test_everything_at_once_is_learned_and_told(made: Mapping[str, Made], call: Call, tmp_path: Path) -> None:
    """The same rows, all options named: each label judged, each member's price told, the weights the same."""
    weighed, repeated = weighed_and_repeated(made["topics"], tmp_path)
    options = ("--max-cost", "0.01", "--dry-run", "-o", "json")
    elsewhere = ("--cache", tmp_path / "cache", "--executor", "process", "--workers", "2")

    weighing = ("--data", weighed, "--sample-weight", "counts")
    code, found = call("refit", "topics", *weighing, *elsewhere, *options)
    _, other = call("refit", "topics", "--data", repeated, *options)

    assert (code, set(found["parts"])) == (0, set(LABELS))
    assert [each["member"] for each in found["pruning"]["removed"]] == ["raw"]
    assert found["weights"] == pytest.approx(other["weights"], abs=1e-6)
