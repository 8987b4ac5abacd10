from pathlib import Path

import pytest

from ensemble.scoring.columns import Columns
from ensemble.scoring.plan import Plan, Shard, part_rows_for
from ensemble.scoring.target import Target

from .jobs import ENSEMBLE, dataset_of, written


def test_a_plan_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    dataset = dataset_of(written(tmp_path / "in", 5), keep=["id", "y"])
    plan = Plan.of(Target.of_servable(ENSEMBLE), dataset, Columns(("label",), members=True), 4)
    again = Plan.from_json(plan.to_json())
    assert again == plan
    assert again.fingerprint == plan.fingerprint
    assert again.open_dataset().rows == 10


def test_parts_follow_each_other_over_all_files(tmp_path: Path) -> None:
    plan = Plan.of(Target.of_servable(ENSEMBLE), dataset_of(written(tmp_path / "in", 5)), Columns(), 4)
    assert plan.shards == (Shard(0, 0, 4), Shard(1, 4, 8), Shard(2, 8, 10))


@pytest.mark.parametrize(
    ("rows", "part"),
    [(1, 8192), (200_000, 8192), (524_288, 8192), (524_289, 16_384), (10**6, 16_384), (10**9, 131_072)],
)
def test_large_jobs_have_some_sixty_parts_until_parts_are_large(rows: int, part: int) -> None:
    assert part_rows_for(rows, 120) == part


@pytest.mark.parametrize(
    ("rows", "size", "part"),
    [
        (6000, 49_152, 1024),
        (10**6, 49_152, 16_384),
        (10**9, 49_152, 131_072),
        (6000, 2**22, 128),
        (60, 2**28, 64),
    ],
)
def test_parts_of_large_rows_have_fewer_so_that_many_workers_share_them(
    rows: int, size: int, part: int
) -> None:
    assert part_rows_for(rows, size) == part
