"""Refits by the command, of three real classifiers on real rows, by losses that have no slope."""

import json
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score, roc_auc_score
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

from model_store.store import Store
from server.cli.main import application

NAME = "breast"
MODELS = {
    "logistic": make_pipeline(StandardScaler(), LogisticRegression(C=0.02)),
    "bayes": GaussianNB(),
    "tree": DecisionTreeClassifier(max_depth=3, min_samples_leaf=10, random_state=0),
}


@pytest.fixture(name="folder", scope="module")
def fixture_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from skl2onnx import to_onnx  # noqa: PLC0415 - heavy

    folder = tmp_path_factory.mktemp("breast")
    x, y = load_breast_cancer(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(y))
    learn, validate, test = np.split(order, [200, 400])
    for name, rows in (("val", validate), ("test", test)):
        np.savez(folder / f"{name}.npz", X=x[rows].astype(np.float32), y=y[rows])
    members = []
    for name, model in MODELS.items():
        model.fit(x[learn], y[learn])
        options = {id(model): {"zipmap": False, "output_class_labels": False}}
        made = to_onnx(model, x[:1].astype(np.float32), options=options)
        (folder / f"{name}.onnx").write_bytes(made.SerializeToString())
        members += ["--member", f"{name}={folder / f'{name}.onnx'}"]
    store = ["--store", str(folder / "store")]
    assert application()(["publish", NAME, *members, "--classes", "malignant,benign", *store]) == 0
    return folder


@pytest.mark.parametrize(("objective", "measure"), [("auc", "1 - AUC"), ("f1", "1 - macro F1")])
def test_f1_and_the_area_decide_where_they_are_asked_to(
    folder: Path, objective: str, measure: str, capsys: pytest.CaptureFixture[str]
) -> None:
    from onnxruntime import InferenceSession  # noqa: PLC0415 - heavy

    capsys.readouterr()
    application()(
        ["refit", NAME, "--store", str(folder / "store"), "--data", str(folder / "val.npz"), "--objective",
         objective, "--test", str(folder / "test.npz"), "--dry-run", "-o", "json", "--report",
         str(folder / f"{objective}.json")]
    )  # fmt: skip
    told = json.loads(capsys.readouterr().out)
    rows = np.load(folder / "test.npz")
    pooled = np.zeros((len(rows["y"]), 2))
    for name, weight in told["weights"].items():
        session = InferenceSession(folder / f"{name}.onnx")
        pooled += weight * session.run(None, {"X": rows["X"]})[1]
    value = {
        "auc": lambda: roc_auc_score(rows["y"], pooled[:, 1]),
        "f1": lambda: f1_score(rows["y"], pooled.argmax(axis=1), average="macro"),
    }[objective]()
    assert told["test"]["measure"] == measure
    assert told["test"]["decides"]["learned"] == pytest.approx(1 - value, abs=1e-6)
    assert told["validation"]["decides"]["learned"] <= told["validation"]["decides"]["incumbent"]
    assert any(measure in reason or "no other weights" in reason for reason in told["verdict"]["reasons"])
    report = json.loads((folder / f"{objective}.json").read_text())
    assert report["measure"] == measure
    assert [line["decides"] is not None for line in report["losses"]["test"]] == [True] * 7
    assert Store.open(str(folder / "store")).current(NAME) == 1


def test_the_measure_that_decides_has_a_column(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    application()(
        ["refit", NAME, "--store", str(folder / "store"), "--data", str(folder / "val.npz"), "--objective",
         "auc", "--dry-run"]
    )  # fmt: skip
    shown = capsys.readouterr().out
    assert "1 - AUC" in shown
    assert "Held-out 1 - AUC of each candidate" in shown
