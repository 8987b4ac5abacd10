import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from ensemble.errors import InvalidRequestError, UnavailableError
from ensemble.publishing.publish import PublishOptions, publish
from model_store.store import Store
from server.cli.demonstration.server_process import serving
from server.cli.health import health
from server.cli.predict import predict
from tests.support.onnx_models import write_linear

ROWS = np.arange(12, dtype=np.float32).reshape(3, 4) / 10


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("asking")


@pytest.fixture(scope="module")
def address(folder: Path) -> Iterator[str]:
    """Where a server of the one-member ensemble `linear` listens."""
    write_linear(folder / "a.onnx")
    np.savez(folder / "rows.npz", x=ROWS)
    publish(Store.open(str(folder / "store")), "linear", {"a": folder / "a.onnx"}, PublishOptions())
    with serving(str(folder / "store"), folder / "serve.log") as server:
        yield server.address


def test_predict_prints_the_scores_of_the_first_rows_as_json(
    address: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = predict("linear", inputs=folder / "rows.npz", rows=2, address=address, output_format="json")
    said = json.loads(capsys.readouterr().out)
    reference = write_linear(folder / "again.onnx")({"x": ROWS[:2]})
    assert code == 0
    assert (said["model"], said["version"]) == ("linear", 1)
    np.testing.assert_allclose(said["scores"], reference, atol=1e-6)


def test_predict_shows_the_top_class_and_its_runner_up(
    address: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert predict("linear.a", inputs=folder / "rows.npz", address=address) == 0
    said = capsys.readouterr().out
    order = np.argsort(-write_linear(folder / "again.onnx")({"x": ROWS}), axis=1)
    lines = [line.split() for line in said.splitlines() if line.strip()[:1].isdigit()]
    assert [(int(line[1]), int(line[-2])) for line in lines] == [(int(row[0]), int(row[1])) for row in order]
    assert said.rstrip().endswith(f"linear.a version 1 at {address}")


def test_predict_says_what_the_server_refused(address: str, folder: Path) -> None:
    with pytest.raises(InvalidRequestError, match="refused: Request for unknown model: 'linear' version 9"):
        predict("linear", inputs=folder / "rows.npz", version="9", address=address)


def test_health_is_an_exit_code(address: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert health(address=address) == 0
    assert health("linear", address=address) == 0
    assert capsys.readouterr().out == f"{address}: serving\nlinear: serving\n"


def test_asking_where_nobody_listens_says_so() -> None:
    with pytest.raises(UnavailableError, match=r"did not answer \(UNAVAILABLE\).*is `unisono serve` running"):
        health(address="127.0.0.1:1")
