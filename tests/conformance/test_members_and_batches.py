"""Every member's scores of a row are the same, bit for bit, whatever rows share its batch."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

from ensemble.loading.load import load_servable
from ensemble.member import Member, Rows, Scores
from ensemble.runtimes.onnx_runtime import OnnxMember, Way
from ensemble.runtimes.sample import random_rows
from ensemble.signature import Signature, TensorSpec
from model_store.store import Store
from tests.support.onnx_models import write_convnet, write_linear

from . import awkward_models

ROWS = 257
SIZES = (1, 2, 3, 7, 8, 16, 17, 64, 128, 257)


def wide(path: Path) -> None:
    write_linear(path, {"x": 300}, classes=17)


def two_inputs(path: Path) -> None:
    write_linear(path, {"x": 64, "z": 3}, classes=10)


WELL_BEHAVED = (wide, two_inputs, write_convnet)
AWKWARD = (
    awkward_models.large_forest,
    awkward_models.einsum,
    awkward_models.deep_mean,
    awkward_models.logarithm,
    awkward_models.batch_mean,
)


def signature_of(path: Path) -> Signature:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    inputs = tuple(TensorSpec(put.name, "float32", tuple(put.shape[1:])) for put in session.get_inputs())
    scores = session.get_outputs()[-1]
    return Signature(inputs, (TensorSpec(scores.name, "float32", tuple(scores.shape[1:])),))


def opened(write: Callable[[Path], Any], folder: Path, threads: int) -> OnnxMember:
    path = folder / "model.onnx"
    write(path)
    return OnnxMember.open(path, name="one", digest="0" * 64, signature=signature_of(path), threads=threads)


def batches(rows: Rows) -> Iterator[tuple[slice, Rows]]:
    """Batches of every size: at the start, in the middle, at the end."""
    for size in SIZES:
        for start in sorted({0, (ROWS - size) // 2, ROWS - size}):
            place = slice(start, start + size)
            yield place, {name: array[place] for name, array in rows.items()}


def changed_rows(member: Member) -> list[tuple[slice, int]]:
    """In which batches how many rows got other scores than in the batch of all rows."""
    rows = random_rows(member.signature, ROWS, seed=1)
    together = member.predict(rows)
    found = [(place, different(member.predict(batch), together[place])) for place, batch in batches(rows)]
    return [(place, count) for place, count in found if count]


def different(some: Scores, others: Scores) -> int:
    return int((some.view(np.uint32) != others.view(np.uint32)).any(axis=1).sum())


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("write", WELL_BEHAVED + AWKWARD)
def test_the_scores_of_a_row_do_not_depend_on_its_batch(
    tmp_path: Path, write: Callable[[Path], Any], threads: int
) -> None:
    assert changed_rows(opened(write, tmp_path, threads)) == []


@pytest.mark.parametrize("write", WELL_BEHAVED + AWKWARD)
def test_the_scores_of_a_row_do_not_depend_on_the_threads(
    tmp_path: Path, write: Callable[[Path], Any]
) -> None:
    one, two = opened(write, tmp_path, 1), opened(write, tmp_path, 2)
    rows = random_rows(one.signature, 40, seed=2)

    assert different(one.predict(rows), two.predict(rows)) == 0


@pytest.mark.parametrize("write", WELL_BEHAVED)
def test_networks_with_constant_matrices_run_as_they_are(
    tmp_path: Path, write: Callable[[Path], Any]
) -> None:
    assert opened(write, tmp_path, 2).way == Way(2)


@pytest.mark.parametrize(
    ("write", "way"),
    [
        (awkward_models.large_forest, Way(1, pinned=True)),
        (awkward_models.einsum, Way(1, fewest=2, pinned=True)),
        (awkward_models.logarithm, Way(1, most=1, pinned=True)),
        (awkward_models.batch_mean, Way(1, most=1, pinned=True)),
    ],
)
def test_the_others_run_in_the_fastest_way_that_keeps_the_promise(
    tmp_path: Path, write: Callable[[Path], Any], way: Way
) -> None:
    assert opened(write, tmp_path, 2).way == way


def test_a_model_that_mixes_rows_is_told_from_rounding(tmp_path: Path) -> None:
    mixing = opened(awkward_models.batch_mean, tmp_path, 2)
    rounding = opened(awkward_models.einsum, tmp_path, 2)

    assert mixing.spread > 1
    assert 0 < rounding.spread < 1e-4


@pytest.mark.slow
def test_real_members_keep_the_promise_and_so_does_their_average(published: Path) -> None:
    store = Store.open(str(published))
    one, two = (load_servable(store, "digits", threads=threads) for threads in (1, 2))

    rows = random_rows(two.signature, ROWS, seed=1)
    together = two.score(rows)

    assert {member.name: changed_rows(member) for member in two.members} == {
        "sepconv": [], "bndense": [], "bnconv": [], "forest": [],
    }  # fmt: skip
    assert different(one.score(rows), together) == 0
    assert [place for place, batch in batches(rows) if different(two.score(batch), together[place])] == []
