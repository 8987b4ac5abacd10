"""Sums over shards have the same bits whoever works them out, and in whatever order they come."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ensemble.executors.executor import Report, Result, Work
from ensemble.executors.process import ProcessExecutor
from ensemble.refit import passes, remote_passes
from ensemble.refit.objective import LogLoss
from ensemble.refit.passes import HERE, Question, shards_of, summed
from ensemble.refit.remote_passes import RemotePasses
from ensemble.refit.solver import solve

from .problems import member_counts, random_weights, seeds, true_class_scores


@dataclass(frozen=True)
class Shuffled:
    """Answers in a random order, as several workers would."""

    seed: int

    def run(self, work: Work, items: Iterable[int], report: Report) -> Iterator[Result]:
        task = work.start(1)
        for item in np.random.default_rng(self.seed).permutation(list(items)).tolist():
            yield task(item, report)


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passes, "SHARD_ROWS", 7)
    monkeypatch.setattr(remote_passes, "LARGE", 0)


def test_parts_are_added_in_pairs_by_their_number() -> None:
    # One at a time from the left, each of these ones would be lost: 1e16 + 1 is 1e16.
    parts = [np.array([value]) for value in (1e16, 1.0, 1.0, 1.0, 1.0)]
    assert summed(parts).tolist() == [(1e16 + 1.0) + (1.0 + 1.0) + 1.0]
    assert summed(parts[:1]).tolist() == [1e16]


def test_shards_cover_every_row_once() -> None:
    assert [(rows.start, rows.stop) for rows in shards_of(15)] == [(0, 7), (7, 14), (14, 15)]


def test_the_prior_counts_as_rows_that_one_member_alone_explains() -> None:
    # Two rows and two more: the mean over four of -log of the averages.
    loss = LogLoss.of(np.array([[0.5, 1.0], [0.25, 0.5]])).shrunk(np.array([0.5, 0.5]), 2.0)
    expected = -(math.log(0.75) + math.log(0.375) + 2 * math.log(0.5)) / 4
    assert loss.value(np.array([0.5, 0.5])) == pytest.approx(expected, abs=1e-15)
    assert loss.value(np.array([1.0, 0.0])) == math.inf


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seeds, member_counts, st.integers(1, 60), st.booleans())
def test_weights_have_the_same_bits_wherever_shards_are_summed(
    tmp_path_factory: pytest.TempPathFactory, seed: int, members: int, rows: int, weighed: bool
) -> None:
    scores, file = true_class_scores(seed, rows, members), tmp_path_factory.mktemp("m") / "scores.npy"
    np.save(file, scores)
    row_weights = np.random.default_rng(seed).uniform(0.5, 2, rows) if weighed else None
    here = LogLoss.of(scores, row_weights)
    there = LogLoss.of(scores, row_weights, RemotePasses(Shuffled(seed), file))
    at = random_weights(seed, members)
    everyone = np.arange(members)
    assert there.value(at) == here.value(at)
    assert there.value_and_gradient(at)[1].tobytes() == here.value_and_gradient(at)[1].tobytes()
    assert there.hessian(at, everyone).tobytes() == here.hessian(at, everyone).tobytes()
    assert solve(there, at).weights.tobytes() == solve(here, at).weights.tobytes()


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seeds, member_counts)
def test_shards_say_what_one_plain_sum_says(seed: int, members: int) -> None:
    scores, at = true_class_scores(seed, members=members), random_weights(seed, members)
    value, gradient = LogLoss.of(scores).value_and_gradient(at)
    mixed = scores @ at
    assert value == pytest.approx(float(-np.log(mixed).mean()), abs=1e-12)
    np.testing.assert_allclose(gradient, -(scores / mixed[:, None]).mean(axis=0), rtol=1e-12)


def test_small_matrices_are_gone_over_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote_passes, "LARGE", 9)
    scores, row_weights, question = np.ones((4, 2)), np.full(4, 0.25), Question("value", np.array([0.5, 0.5]))
    found = RemotePasses(Shuffled(0), tmp_path / "not there").shards(scores, row_weights, question)
    assert found == HERE.shards(scores, row_weights, question)


@pytest.mark.parametrize("count", [1, 2, 7])
def test_worker_processes_add_nothing_of_their_own(
    count: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(passes, "SHARD_ROWS", 65_536)
    scores, at = true_class_scores(3, rows=200_000), random_weights(3, 4)
    np.save(tmp_path / "scores.npy", scores)
    there = LogLoss.of(scores, None, RemotePasses(ProcessExecutor(count), tmp_path / "scores.npy"))
    found, expected = there.value_and_gradient(at), LogLoss.of(scores).value_and_gradient(at)
    assert found[0] == expected[0]
    assert found[1].tobytes() == expected[1].tobytes()
