"""Ensembles of values and of independent labels: published, refitted, served, scored, reported."""

import asyncio
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from scipy.optimize import linprog

from ensemble.errors import EnsembleError, InvalidDataError, InvalidRequestError
from model_store.store import Store
from server.cli.demonstration.scrape import samples_of
from server.cli.demonstration.server_process import serving
from tests.e2e.values_and_labels.published import LABELS, Call, least, scores_of_validation
from tests.support.clients import run_triton
from tests.support.other_kinds import Floats, Made


def rows(made: Made) -> tuple[object, ...]:
    return ("--data", made.validation, "--test", made.test)


def test_weights_of_values_are_those_of_a_quadratic_program(values: Made, call: Call) -> None:
    code, found = call("refit", "sugar", *rows(values), "-o", "json")
    assert (code, found["outcome"], found["objective"], found["truth"]) == (0, "published", "mse", "values")
    assert found["validation"]["loss"] == "mean squared error"

    given, truth = scores_of_validation(values)
    stacked = np.stack([each[:, 0] for each in given])

    def loss(weights: Floats) -> float:
        return float(np.mean((weights @ stacked - truth[:, 0]) ** 2))

    best, lowest = least(loss, 3)
    learned = np.array([found["weights"][name] for name in values.files])
    assert learned == pytest.approx(best, abs=1e-3)
    assert found["validation"]["losses"]["learned"] == pytest.approx(loss(learned), rel=1e-6)
    assert loss(learned) <= lowest * (1 + 1e-6)
    assert found["solver"]["gap"] <= 1e-9 * lowest
    own = {name: loss(np.eye(3)[place]) for place, name in enumerate(values.files)}
    assert found["validation"]["losses"]["members"] == pytest.approx(own, rel=1e-6)
    assert found["validation"]["r_squared"]["learned"] == pytest.approx(
        1 - loss(learned) / truth.var(), rel=1e-6
    )
    # On rows that nothing was learned from.
    assert found["test"]["losses"]["learned"] < found["test"]["losses"]["uniform"]


def test_weights_of_a_quantile_are_those_of_a_linear_program(values: Made, call: Call) -> None:
    code, found = call(
        "refit", "sugar", *rows(values), "--objective", "pinball:0.75", "--dry-run", "-o", "json"
    )
    assert (code, found["outcome"], found["chosen"]) == (0, "dry_run", "linear")
    given, truth = scores_of_validation(values)
    stacked, target = np.stack([each[:, 0] for each in given], axis=1), truth[:, 0]
    count = len(target)
    plain = linprog(
        np.r_[np.zeros(3), np.full(count, 0.75 / count), np.full(count, 0.25 / count)],
        A_eq=np.vstack(
            [np.hstack([stacked, np.eye(count), -np.eye(count)]), np.r_[np.ones(3), np.zeros(2 * count)]]
        ),
        b_eq=np.append(target, 1.0),
    )
    assert found["validation"]["losses"]["learned"] == pytest.approx(plain.fun, rel=1e-6)
    assert found["validation"]["loss"] == "pinball loss at 0.75"
    assert "a pinball loss at 0.75" in found["solver"]["proves"]


def test_weights_of_labels_make_the_mean_log_loss_of_a_label_least(labels: Made, call: Call) -> None:
    code, found = call("refit", "topics", *rows(labels), "-o", "json")
    assert (code, found["outcome"], found["objective"], found["truth"]) == (
        0,
        "published",
        "log_loss",
        "labels",
    )
    given, truth = scores_of_validation(labels)

    def loss(weights: Floats) -> float:
        pooled = sum(weight * each for weight, each in zip(weights, given, strict=True))
        return float(-np.mean(np.where(truth == 1, np.log(pooled), np.log1p(-pooled))))

    learned = np.array([found["weights"][name] for name in labels.files])
    assert found["validation"]["losses"]["learned"] == pytest.approx(loss(learned), abs=1e-6)
    assert found["solver"]["gap"] <= 1e-9
    for place in range(3):
        nudged = 0.999 * learned + 0.001 * np.eye(3)[place]
        assert loss(learned) <= loss(nudged) + 1e-9
    # Each label is judged by itself, as a class is elsewhere.
    assert set(found["parts"]) == set(LABELS)
    of_labels = found["figures"]["validation"]["classes"]
    assert [line["true"] for line in of_labels] == truth.sum(axis=0).astype(int).tolist()
    assert found["validation"]["data"]["rows"] == 400


@pytest.mark.parametrize(
    ("words", "refused"),
    [
        (("sugar", "--objective", "log_loss"), "log_loss doesn't judge values.*name one of mse, pinball:Q"),
        (("sugar", "--objective", "pinball:1.5"), "a quantile lies above 0 and below 1"),
        (("sugar", "--pools", "linear,log"), "pools of form log are for scores that add up to 1; of values"),
        (("topics", "--objective", "mse"), "mse doesn't judge labels.*name one of log_loss, brier"),
        (("topics", "--objective", "auc"), "auc doesn't judge labels"),
        (("topics", "--objective", "nonsense"), "the objective is one of log_loss, brier"),
        (("topics", "--pools", "temperature"), "of labels only the weighted average can be served"),
        (("sugar", "--label", "X"), "'X' is an input of the ensemble"),
    ],
)
def test_what_does_not_go_together_is_refused_with_the_way_out(
    words: tuple[str, ...], refused: str, values: Made, labels: Made, call: Call
) -> None:
    made = values if words[0] == "sugar" else labels
    with pytest.raises(EnsembleError, match=refused):
        call("refit", *words, *rows(made))


def test_labels_that_are_none_are_named_by_file_and_row(
    values: Made, labels: Made, call: Call, tmp_path: Path
) -> None:
    for name, made, wrong in (("sugar", values, np.inf), ("topics", labels, 2.0)):
        with np.load(made.validation) as arrays:
            inputs, truth = arrays["X"], np.asarray(arrays["y"], np.float64)
        truth.reshape(len(truth), -1)[7, -1] = wrong
        np.savez(tmp_path / "wrong.npz", X=inputs, y=truth)
        with pytest.raises(InvalidDataError, match=r"wrong.npz: row 7: 'y' is (inf|2); allowed are"):
            call("refit", name, "--data", tmp_path / "wrong.npz")


def test_a_second_refit_shrinks_towards_what_is_served(values: Made, call: Call) -> None:
    call("refit", "sugar", *rows(values))
    code, found = call("refit", "sugar", *rows(values), "--objective", "pinball:0.5", "-o", "json")
    assert code in (0, 3)
    assert {"shrunk_300", "shrunk_100", "shrunk_30", "shrunk_10"} <= set(found["held_out"])


def test_reports_tell_each_kind_in_its_own_words(
    values: Made, labels: Made, call: Call, tmp_path: Path
) -> None:
    _, shown = call("refit", "sugar", *rows(values), "--report", tmp_path / "sugar.html")
    for said in ("mean squared error", "MAE", "R²", "published version 2"):
        assert said in shown
    page = (tmp_path / "sugar.html").read_text()
    assert "mean squared error on validation rows" in page
    assert "log-loss" not in page
    assert "Are its probabilities true?" not in page

    _, shown = call("refit", "topics", *rows(labels), "--report", tmp_path / "topics.html")
    assert "Holm's limit" in shown
    page = (tmp_path / "topics.html").read_text()
    assert "Label by label" in page
    assert "holds (p &gt;" in page
    for label in LABELS:
        assert f"<td>{label}</td>" in page

    for name, truth in (("sugar", "values"), ("topics", "labels")):
        assert call("inspect", name, "-o", "json")[1]["truth"] == truth
        code, told = call("diff", name, 1, 2)
        assert code == 0
        assert "weight" in told
        assert call("verify", name)[0] == 0


def test_the_stock_client_gets_the_weighted_average_and_batch_scores_are_the_same_bits(
    values: Made, labels: Made, call: Call, store: Store, tmp_path: Path
) -> None:
    weights: dict[str, Mapping[str, float]] = {}
    for name, made in (("sugar", values), ("topics", labels)):
        call("refit", name, *rows(made))
        weights[name] = store.weights(store.manifest(name))
        assert store.current(name) == 2
    with serving(store.address, tmp_path / "serve.log") as server:
        for name, made in (("sugar", values), ("topics", labels)):
            told = asyncio.run(run_triton("ask_scores.py", server.address, name, str(made.test), "X"))
            served = np.array(told["scores"], np.float32)
            expected = made.average(weights[name])
            size = np.maximum(np.abs(expected), 1)
            assert (np.abs(served - expected) / size).max() < 1e-5
            kind = "values" if name == "sugar" else "labels"
            assert (
                f"output 'entropy' is of classes; the scores of model '{name}' are {kind}" in told["refused"]
            )

            assert call("score", name, "--input", made.test, "--output", tmp_path / name)[0] == 0
            scored = pq.read_table(tmp_path / name)["scores"].to_pylist()
            assert np.array_equal(np.array(scored, np.float32), served)
            with pytest.raises(
                InvalidDataError, match="entropy are of classes; this ensemble's scores are of"
            ):
                call("score", name, "--input", made.test, "--output", tmp_path / "no", "--outputs", "entropy")
        samples = samples_of(server.metrics(), "sugar")
    assert sum(samples["unisono_member_distance_total"].values()) > 0
    assert "unisono_member_divergence_nats_total" not in samples


def test_a_candidate_for_values_is_judged_by_the_loss_that_decides(values: Made, call: Call) -> None:
    files = dict(values.files)
    outside = files.pop("ridge")
    call("publish", "two", *(f"--member={name}={path}" for name, path in files.items()))
    options = ("--candidate", f"ridge={outside}", "--dry-run", "-o", "json")
    told = call("refit", "two", "--data", values.validation, *options)[1]["newcomers"]["ridge"]
    assert told["first_order_gain"] > told["gain"] > 0
    both = call("refit", "sugar", "--data", values.validation, "--dry-run", "-o", "json")[1]
    assert told["weight"] == pytest.approx(both["weights"]["ridge"], abs=1e-3)
    assert told["loss"] == pytest.approx(both["validation"]["losses"]["members"]["ridge"])
    with pytest.raises(InvalidRequestError, match="name of a member"):
        call("refit", "sugar", "--data", values.validation, "--candidate", f"ridge={outside}")
