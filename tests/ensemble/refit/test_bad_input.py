"""Data and members that nobody wants, through the whole of a refit: what happens, what is published of it."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from onnx import helper

from ensemble.data.dataset import Dataset, open_dataset
from ensemble.errors import InvalidDataError, InvalidWeightsError, MemberError
from ensemble.loading.load import load_servable
from ensemble.refit.learn import LearnOptions
from ensemble.refit.row_columns import RowColumns
from ensemble.refit.run import RefitOptions, refit
from model_store.errors import StoreCorruptError
from model_store.store import Store
from tests.support.flowers import (
    CLASSES,
    NAME,
    SHARPNESS,
    SIGNATURE,
    publish_members,
    write_members,
    write_rows,
)
from tests.support.onnx_models import save_graph, write_constant


@pytest.fixture(name="store")
def fixture_store(tmp_path: Path) -> Store:
    return Store.open(str(tmp_path / "store"))


@pytest.fixture(name="files")
def fixture_files(tmp_path: Path) -> dict[str, Path]:
    """The three members that there are anyway."""
    return write_members(tmp_path, SHARPNESS)


def opened(path: Path) -> Dataset:
    return open_dataset([path], SIGNATURE, label="y", classes=CLASSES)


def rows_of(folder: Path, rows: int = 400) -> Dataset:
    return opened(write_rows(folder / "val.npz", rows))


def constant(folder: Path, name: str, scores: tuple[float, float, float]) -> Path:
    path = folder / f"{name}.onnx"
    write_constant(path, scores, features=3)
    return path


def served_weights(store: Store, folder: Path) -> Mapping[str, float]:
    """The weights of the current version, once it is seen that a server could serve it."""
    servable = load_servable(store, NAME)
    weights = servable.weights.by_member
    assert all(weight >= 0 for weight in weights.values())
    assert sum(weights.values()) == pytest.approx(1, abs=1e-12)
    scores = servable.score({"x": np.load(folder / "val.npz")["x"]})
    assert np.isfinite(scores).all()
    np.testing.assert_allclose(scores.sum(axis=1), 1, atol=1e-5)
    return weights


def test_fewer_rows_than_members_publish_nothing(
    store: Store, files: dict[str, Path], tmp_path: Path
) -> None:
    files |= {"never": constant(tmp_path, "never", (0.2, 0.4, 0.4))}
    publish_members(store, files)
    result = refit(store, NAME, rows_of(tmp_path, rows=3))
    assert result.learned.verdict.reasons[0].startswith("3 rows can't tell 4 members apart")
    assert (result.version, store.versions(NAME)) == (None, [1])


def test_an_absent_class_publishes_nothing(store: Store, files: dict[str, Path], tmp_path: Path) -> None:
    publish_members(store, files)
    rows = np.load(write_rows(tmp_path / "val.npz"))
    kept = rows["y"] != 2
    np.savez(tmp_path / "val.npz", x=rows["x"][kept], y=rows["y"][kept])
    result = refit(store, NAME, opened(tmp_path / "val.npz"))
    assert "no row is of class 'daisy'" in result.learned.verdict.reasons[0]
    assert (result.version, store.versions(NAME)) == (None, [1])


def test_a_constant_member_gets_no_more_than_it_is_worth(
    store: Store, files: dict[str, Path], tmp_path: Path
) -> None:
    publish_members(store, files | {"flat": constant(tmp_path, "flat", (0.25, 0.25, 0.5))})
    result = refit(store, NAME, rows_of(tmp_path))
    assert result.version == 2
    assert served_weights(store, tmp_path)["flat"] == 0
    assert result.learned.solution.gap <= 1e-9


def test_a_member_published_twice_shares_its_weight_and_changes_no_score(
    store: Store, files: dict[str, Path], tmp_path: Path
) -> None:
    publish_members(store, files)
    alone = refit(store, NAME, rows_of(tmp_path))
    once, scores = served_weights(store, tmp_path), load_servable(store, NAME)
    publish_members(store, files | {"again": files["fair"]})
    shared = refit(store, NAME, rows_of(tmp_path))
    assert (alone.version, shared.version) == (2, 4)
    twice = served_weights(store, tmp_path)
    assert twice["fair"] + twice["again"] == pytest.approx(once["fair"], abs=1e-4)
    x = {"x": np.load(tmp_path / "val.npz")["x"]}
    np.testing.assert_allclose(load_servable(store, NAME).score(x), scores.score(x), atol=1e-4)


def test_a_member_that_rules_out_true_classes_never_gets_to_rule_out_any(
    store: Store, files: dict[str, Path], tmp_path: Path
) -> None:
    publish_members(store, files | {"sure": constant(tmp_path, "sure", (1.0, 0.0, 0.0))})
    result = refit(store, NAME, rows_of(tmp_path))
    assert result.version == 2
    assert store.manifest(NAME).evidence["validation"]["losses"]["members"]["sure"] is None
    served_weights(store, tmp_path)
    rows = np.load(tmp_path / "val.npz")
    scores = load_servable(store, NAME).score({"x": rows["x"]})
    assert (scores[np.arange(len(scores)), rows["y"]] > 0).all()


def test_a_row_that_every_member_rules_out_stops_the_refit(store: Store, tmp_path: Path) -> None:
    publish_members(
        store,
        {
            "a": constant(tmp_path, "a", (1.0, 0.0, 0.0)),
            "b": constant(tmp_path, "b", (0.5, 0.5, 0.0)),
        },
    )
    with pytest.raises(InvalidDataError, match="a score of zero, the first in row 2"):
        refit(store, NAME, rows_of(tmp_path), RefitOptions(force=True, why="whatever it takes"))
    assert store.versions(NAME) == [1]


def test_rows_that_hold_nan_stop_the_refit(store: Store, files: dict[str, Path], tmp_path: Path) -> None:
    publish_members(store, files)
    rows = np.load(write_rows(tmp_path / "val.npz"))
    x = rows["x"].copy()
    x[7, 1] = np.nan
    np.savez(tmp_path / "val.npz", x=x, y=rows["y"])
    with pytest.raises((InvalidDataError, MemberError), match=r"finite|nan|NaN"):
        refit(store, NAME, opened(tmp_path / "val.npz"), RefitOptions(force=True, why="whatever it takes"))
    assert store.versions(NAME) == [1]


def test_a_member_that_answers_nan_stops_the_refit_and_is_named(
    store: Store, files: dict[str, Path], tmp_path: Path
) -> None:
    path = tmp_path / "roots.onnx"
    nodes = [helper.make_node("Sqrt", ["x"], ["scores"])]
    save_graph(path, nodes, inputs={"x": ("rows", 3)}, outputs={"scores": ("rows", 3)}, parameters={})
    publish_members(store, files | {"roots": path})
    with pytest.raises(MemberError, match="'roots'"):
        refit(store, NAME, rows_of(tmp_path), RefitOptions(force=True, why="whatever it takes"))
    assert store.versions(NAME) == [1]


def test_members_that_weigh_nothing_are_called_on_where_they_help(
    store: Store, files: dict[str, Path], tmp_path: Path
) -> None:
    publish_members(store, files, {"blunt": 1.0, "fair": 0.0, "over": 0.0})
    result = refit(store, NAME, rows_of(tmp_path))
    assert result.version == 2
    assert served_weights(store, tmp_path)["fair"] > 0.4


def test_weights_that_are_all_zero_are_served_and_refitted_by_nobody(
    store: Store, files: dict[str, Path], tmp_path: Path
) -> None:
    publish_members(store, files, dict.fromkeys(files, 0.0))
    with pytest.raises(InvalidWeightsError, match="weights must sum to 1"):
        refit(store, NAME, rows_of(tmp_path))
    assert store.versions(NAME) == [1]


def test_rows_that_all_count_for_nothing_teach_nothing(
    store: Store, files: dict[str, Path], tmp_path: Path
) -> None:
    publish_members(store, files)
    rows = np.load(write_rows(tmp_path / "val.npz"))
    np.savez(tmp_path / "val.npz", x=rows["x"], y=rows["y"], counts=np.zeros(400))
    data = open_dataset([tmp_path / "val.npz"], SIGNATURE, label="y", classes=CLASSES, keep=("counts",))
    options = RefitOptions(learning=LearnOptions(columns=RowColumns(weight="counts")))
    with pytest.raises(InvalidDataError, match="zero"):
        refit(store, NAME, data, options)
    assert store.versions(NAME) == [1]


def test_one_member_keeps_its_weight_of_one_and_nothing_is_published(
    store: Store, files: dict[str, Path], tmp_path: Path
) -> None:
    publish_members(store, {"fair": files["fair"]})
    result = refit(store, NAME, rows_of(tmp_path))
    assert dict(result.learned.after) == {"fair": 1.0}
    assert (result.version, store.versions(NAME)) == (None, [1])
    assert served_weights(store, tmp_path) == {"fair": 1.0}


def test_members_in_another_order_have_the_same_weights_and_scores(
    store: Store, files: dict[str, Path], tmp_path: Path
) -> None:
    publish_members(store, files, {"blunt": 0.2, "fair": 0.7, "over": 0.1})
    publish_members(store, dict(reversed(files.items())), {"blunt": 0.2, "fair": 0.7, "over": 0.1})
    first, second = load_servable(store, NAME, 1), load_servable(store, NAME, 2)
    assert [member.name for member in first.members] == ["blunt", "fair", "over"]
    assert [member.name for member in second.members] == ["over", "fair", "blunt"]
    assert first.weights == second.weights
    x = {"x": np.load(write_rows(tmp_path / "val.npz"))["x"]}
    np.testing.assert_allclose(first.score(x), second.score(x), atol=1e-7)
    learned = [refit(store, NAME, rows_of(tmp_path), RefitOptions(dry_run=True)).learned.after]
    store.rollback(NAME, 1, by="test", why="the other order")
    learned.append(refit(store, NAME, rows_of(tmp_path), RefitOptions(dry_run=True)).learned.after)
    assert learned[0] == pytest.approx(learned[1], abs=1e-5)


def test_weights_of_members_whose_files_were_exchanged_are_not_served(
    store: Store, files: dict[str, Path]
) -> None:
    publish_members(store, files, {"blunt": 0.2, "fair": 0.7, "over": 0.1})
    manifest = store.manifest(NAME)
    blunt, fair, over = manifest.members
    exchanged = (replace(blunt, blob=fair.blob), replace(fair, blob=blunt.blob), over)
    with pytest.raises(StoreCorruptError, match="or their files differ"):
        store.publish(NAME, replace(manifest.draft, members=exchanged), by="test", why="exchanged")
    assert store.versions(NAME) == [1]
