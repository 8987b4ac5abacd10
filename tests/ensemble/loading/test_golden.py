"""A version that gives other scores than when it was published is held back."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ensemble.errors import GoldenMismatchError, MemberError
from ensemble.loading import arrays
from ensemble.loading.golden import ROWS, TOLERANCE, Golden, golden_rows
from ensemble.loading.load import Runtimes, load_servable
from ensemble.member import Member, Rows, Scores
from ensemble.publishing.publish import PublishOptions, publish
from ensemble.runtimes.onnx_runtime import OnnxMember
from ensemble.runtimes.source import Source
from ensemble.signature import Signature, TensorSpec
from model_store.errors import StoreCorruptError
from model_store.store import Store
from model_store.verify import verify
from model_store.weights import weights_json
from tests.support.members import Failing, signature_of
from tests.support.onnx_models import write_constant, write_linear


@pytest.fixture(name="files")
def fixture_files(tmp_path: Path) -> dict[str, Path]:
    write_constant(tmp_path / "constant.onnx", [0.5, 0.25, 0.25])
    write_linear(tmp_path / "linear.onnx")
    return {"constant": tmp_path / "constant.onnx", "linear": tmp_path / "linear.onnx"}


@pytest.fixture(name="store")
def fixture_store(tmp_path: Path, files: dict[str, Path]) -> Store:
    """Ensemble "digits": version 1 of a constant and a linear member, 0.25 and 0.75."""
    store = Store.open(str(tmp_path / "store"))
    publish(store, "digits", files, PublishOptions(weights={"constant": 0.25, "linear": 0.75}))
    return store


class Off:
    """A runtime whose scores are off by `error`."""

    def __init__(self, error: float) -> None:
        self.error = error

    def __call__(self, source: Source, threads: int) -> Member:
        member, error = OnnxMember.opened(source, threads=threads), self.error

        class Moved:
            name, digest, signature = member.name, member.digest, member.signature
            runtime = "off"

            def predict(self, rows: Rows) -> Scores:
                moved: Scores = member.predict(rows) + np.float32(error)
                return moved

        return Moved()


def golden_of(store: Store, version: int | None = None) -> Golden:
    golden = Golden.read(store, store.manifest("digits", version))
    assert golden is not None
    return golden


def test_publishing_keeps_rows_and_what_members_and_ensemble_give_to_them(store: Store) -> None:
    golden, servable = golden_of(store), load_servable(store, "digits")

    assert {name: (array.shape, array.dtype) for name, array in golden.rows.items()} == {
        "x": ((ROWS, 4), np.dtype("float32"))
    }
    for member in servable.members:
        np.testing.assert_array_equal(golden.members[member.name], member.predict(golden.rows))
    np.testing.assert_array_equal(golden.scores, servable.score(golden.rows))
    assert verify(store.layout("digits")).findings == []


def test_real_rows_are_kept_where_there_are_any(tmp_path: Path, files: dict[str, Path]) -> None:
    store = Store.open(str(tmp_path / "store"))
    sample = {"x": np.arange(40, dtype=np.float64).reshape(10, 4)}
    publish(store, "digits", files, PublishOptions(sample=sample))

    np.testing.assert_array_equal(golden_of(store).rows["x"], sample["x"][:ROWS].astype(np.float32))


def test_made_up_rows_of_an_input_are_the_same_whatever_others_there_are() -> None:
    x, y = TensorSpec("x", "float32", (2,)), TensorSpec("y", "int64", (3,))
    both, one = golden_rows(signature_of(x, y), None), golden_rows(signature_of(y), None)
    np.testing.assert_array_equal(both["y"], one["y"])


@pytest.mark.parametrize("error", [0.0, TOLERANCE / 2])
def test_rounding_is_no_reason_to_hold_a_version_back(store: Store, error: float) -> None:
    assert load_servable(store, "digits", runtimes=Runtimes(open=Off(error))).version == 1


def test_a_runtime_that_computes_otherwise_is_held_back_and_said(store: Store) -> None:
    with pytest.raises(
        GoldenMismatchError,
        match=r"^member 'constant' of version 1 of 'digits' gives scores that differ by 0.01 from those kept "
        r"when it was published; 0.0001 may be: .* publish it again here$",
    ):
        load_servable(store, "digits", runtimes=Runtimes(open=Off(0.01)))


def test_scores_that_are_no_numbers_are_held_back(store: Store) -> None:
    with pytest.raises(GoldenMismatchError, match="differ by"):
        load_servable(store, "digits", runtimes=Runtimes(open=Off(float("nan"))))


def test_an_average_of_other_weights_is_held_back(store: Store) -> None:
    draft = store.manifest("digits").draft
    weights = store.put_blob("digits", weights_json({"constant": 0.5, "linear": 0.5}, draft.digests))
    store.publish("digits", replace(draft, weights=weights), by="", why="")

    with pytest.raises(GoldenMismatchError, match=r"^version 2 of 'digits' gives scores that differ by"):
        load_servable(store, "digits")
    assert load_servable(store, "digits", 1).version == 1


def test_a_member_that_cannot_score_its_golden_rows_or_gives_other_shapes_is_held_back(store: Store) -> None:
    golden, servable = golden_of(store), load_servable(store, "digits")
    narrow = replace(golden, members={**golden.members, "constant": golden.members["constant"][:, :2]})
    with pytest.raises(GoldenMismatchError, match=r"scores of shape \(8, 3\), not \(8, 2\) as"):
        narrow.check(servable, TOLERANCE)
    broken = replace(servable, members=(Failing("constant", MemberError("no memory")), servable.members[1]))
    with pytest.raises(GoldenMismatchError, match="can't score its golden rows: no memory"):
        golden.check(broken, TOLERANCE)


def test_a_version_without_golden_outputs_still_loads(store: Store) -> None:
    draft = replace(store.manifest("digits").draft, golden=None)
    store.publish("digits", draft, by="", why="")

    manifest = store.manifest("digits")
    assert "golden" not in manifest.to_json()
    assert Golden.read(store, manifest) is None
    assert load_servable(store, "digits").version == 2


def test_golden_scores_of_other_members_are_refused(store: Store) -> None:
    draft = store.manifest("digits").draft
    assert draft.golden is not None
    scores = store.put_blob("digits", arrays.write({"ensemble": np.zeros((8, 3), np.float32)}))
    store.publish("digits", replace(draft, golden=replace(draft.golden, scores=scores)), by="", why="")

    with pytest.raises(
        StoreCorruptError, match=r"golden scores of version 2 of 'digits' are of \['ensemble'\]"
    ):
        load_servable(store, "digits")


def test_what_an_earlier_version_kept_of_a_member_is_kept_again(store: Store, files: dict[str, Path]) -> None:
    """So a publish that is repeated, elsewhere, is the same to the last bit."""
    draft, golden = store.manifest("digits").draft, golden_of(store)
    nudged = {name: scores + np.float32(1e-6) for name, scores in golden.members.items()}
    kept = Golden(golden.rows, nudged, golden.scores).put(store, "digits")
    store.publish("digits", replace(draft, golden=kept), by="", why="")
    publish(store, "digits", files, PublishOptions())

    again = golden_of(store, 3)
    for name, scores in nudged.items():
        np.testing.assert_array_equal(again.members[name], scores)
    assert store.manifest("digits", 3).draft.golden.rows == kept.rows  # type: ignore[union-attr]


def test_members_are_asked_anew_on_other_rows(store: Store, files: dict[str, Path]) -> None:
    sample = {"x": np.full((3, 4), 2.0, np.float32)}
    publish(store, "digits", files, PublishOptions(sample=sample))

    golden = golden_of(store, 2)
    assert golden.scores.shape == (3, 3)
    np.testing.assert_array_equal(load_servable(store, "digits").score(sample), golden.scores)


def test_signatures_of_the_rows_are_the_ensembles(store: Store) -> None:
    signature = Signature.from_json(store.manifest("digits").signature)
    assert golden_of(store).rows.keys() == {spec.name for spec in signature.inputs}
