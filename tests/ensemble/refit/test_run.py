from collections.abc import Iterator
from pathlib import Path

import pytest

from ensemble.data.dataset import Chunk, Dataset, open_dataset
from ensemble.errors import InvalidRequestError, SolverError
from ensemble.refit.learn import LearnOptions
from ensemble.refit.run import RefitOptions, refit
from ensemble.refit.solver import SolverOptions
from model_store.errors import ConflictError, EnsembleNotFoundError
from model_store.store import Store
from tests.support.flowers import CLASSES, NAME, SIGNATURE, publish_uniform, write_rows


@pytest.fixture(name="store")
def fixture_store(tmp_path: Path) -> Store:
    store = Store.open(str(tmp_path / "store"))
    assert publish_uniform(store, tmp_path) == 1
    return store


def dataset(path: Path) -> Dataset:
    return open_dataset([path], SIGNATURE, label="y", classes=CLASSES)


@pytest.fixture(name="validation")
def fixture_validation(tmp_path: Path) -> Dataset:
    return dataset(write_rows(tmp_path / "val.npz"))


def test_better_weights_become_a_new_version_that_names_its_parent_and_its_data(
    store: Store, validation: Dataset, tmp_path: Path
) -> None:
    test = dataset(write_rows(tmp_path / "test.npz", seed=1))
    result = refit(store, NAME, validation, RefitOptions(by="ann", learning=LearnOptions(test=test)))
    assert result.version == 2
    assert store.current(NAME) == 2
    manifest = store.manifest(NAME)
    assert manifest.parent == 1
    assert manifest.members == store.manifest(NAME, 1).members
    assert store.weights(manifest) == dict(result.learned.after)
    assert manifest.evidence["validation"]["data"] == {"digest": validation.digest, "rows": 400}
    assert manifest.evidence["test"]["data"]["digest"] == test.digest
    assert manifest.evidence["forced"] is None
    losses = manifest.evidence["validation"]["losses"]
    assert losses["learned"] < losses["uniform"]
    assert losses["learned"] < losses["best_single"]["loss"]
    assert set(losses["members"]) == {"blunt", "fair", "over"}


def test_the_journal_says_who_and_why(store: Store, validation: Dataset) -> None:
    refit(store, NAME, validation, RefitOptions(by="ann"))
    head = store.head(NAME)
    assert head is not None
    assert head.by == "ann"
    assert head.why.startswith("refit: held-out log-loss falls by")


def test_a_dry_run_publishes_nothing(store: Store, validation: Dataset) -> None:
    result = refit(store, NAME, validation, RefitOptions(dry_run=True))
    assert result.version is None
    assert result.learned.verdict.publish
    assert store.current(NAME) == 1


def test_a_second_refit_on_the_same_file_is_held(store: Store, validation: Dataset) -> None:
    refit(store, NAME, validation)
    result = refit(store, NAME, validation)
    assert result.version is None
    assert not result.learned.verdict.publish
    assert store.current(NAME) == 2


def test_a_forced_refit_is_published_and_keeps_its_reason(store: Store, validation: Dataset) -> None:
    refit(store, NAME, validation)
    result = refit(store, NAME, validation, RefitOptions(force=True, why="we want version 3"))
    assert (result.version, result.forced) == (3, True)
    assert store.manifest(NAME).evidence["forced"] == "we want version 3"
    assert store.manifest(NAME).evidence["verdict"]["publish"] is False


def test_force_changes_nothing_where_the_gate_agrees(store: Store, validation: Dataset) -> None:
    result = refit(store, NAME, validation, RefitOptions(force=True, why="just in case"))
    assert (result.version, result.forced) == (2, False)
    assert store.manifest(NAME).evidence["forced"] is None


def test_force_without_a_reason_is_refused() -> None:
    with pytest.raises(InvalidRequestError, match="say why"):
        RefitOptions(force=True, why=" ")


def test_weights_that_did_not_converge_cannot_be_forced(store: Store, validation: Dataset) -> None:
    short = SolverOptions(max_newton_steps=0, max_slsqp_steps=1, max_em_steps=1)
    options = RefitOptions(force=True, why="no patience", learning=LearnOptions(solver=short))
    with pytest.raises(SolverError, match="nats above the least"):
        refit(store, NAME, validation, options)
    assert store.current(NAME) == 1


def test_a_version_published_meanwhile_is_not_overwritten(
    store: Store, validation: Dataset, tmp_path: Path
) -> None:
    class Meanwhile:
        rows, digest = validation.rows, validation.digest

        def batches(self, rows: int, start: int = 0, stop: int | None = None) -> Iterator[Chunk]:
            publish_uniform(store, tmp_path)
            return validation.batches(rows, start, stop)

    with pytest.raises(ConflictError):
        refit(store, NAME, Meanwhile())
    assert store.current(NAME) == 2
    assert store.manifest(NAME).evidence == {}


def test_an_ensemble_that_is_not_there_is_named(store: Store, validation: Dataset) -> None:
    with pytest.raises(EnsembleNotFoundError, match="trees"):
        refit(store, "trees", validation)
