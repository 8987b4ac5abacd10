from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ensemble.errors import InvalidDataError
from ensemble.scoring.run import ScoreOptions, score

from .jobs import ENSEMBLE, Jobs, dataset_of, features, tree


@pytest.fixture
def jobs(tmp_path: Path) -> Jobs:
    return Jobs(tmp_path)


def beside(jobs: Jobs) -> list[str]:
    return sorted(path.name for path in jobs.folder.iterdir() if path.name.startswith(".out."))


def test_results_of_another_job_make_way_for_the_new_ones(jobs: Jobs) -> None:
    jobs(3)
    second = replace(ENSEMBLE, version=2)
    whole = jobs(5, "whole", ensemble=second)
    result = jobs(5, ensemble=second, overwrite=True)
    assert (result.rows, result.already_done) == (10, False)
    assert [path.parent for path in result.parts] == [jobs.output]
    assert tree(jobs.output) == tree(whole.parts[0].parent)
    assert not beside(jobs)


def test_a_folder_that_is_new_needs_nothing_to_be_overwritten(jobs: Jobs) -> None:
    assert jobs(3, overwrite=True).rows == 6
    assert not beside(jobs)


def test_the_same_job_is_gone_on_with_not_begun_again(jobs: Jobs) -> None:
    first = jobs(3)
    stamp = first.parts[0].stat().st_mtime_ns
    assert jobs(3, overwrite=True).already_done
    assert first.parts[0].stat().st_mtime_ns == stamp


def test_the_same_job_is_done_again_where_a_part_was_changed(jobs: Jobs) -> None:
    first = jobs(3)
    whole = tree(jobs.output)
    first.parts[0].chmod(0o644)
    first.parts[0].write_bytes(b"other scores")
    assert jobs(3, overwrite=True).rows == 6
    assert tree(jobs.output) == whole


def test_a_folder_with_anything_that_no_job_wrote_is_left_alone(jobs: Jobs) -> None:
    jobs(3)
    (jobs.output / "thesis.txt").write_text("precious")
    before = tree(jobs.output)
    with pytest.raises(InvalidDataError, match=r"holds 'thesis.txt', which no scoring job wrote"):
        jobs(5, overwrite=True)
    assert tree(jobs.output) == before
    assert not beside(jobs)


def test_a_job_that_fails_leaves_the_old_results_and_can_be_gone_on_with(jobs: Jobs) -> None:
    jobs(3)
    before = tree(jobs.output)

    def cut_off(rows: int, _: int) -> None:
        if rows == 8:
            raise KeyboardInterrupt

    options = ScoreOptions(batch_size=2, part_rows=4, overwrite=True)
    dataset = dataset_of(jobs.inputs(10))
    with pytest.raises(KeyboardInterrupt):
        score(ENSEMBLE, dataset, jobs.output, options, on_progress=cut_off)
    assert tree(jobs.output) == before
    assert len(beside(jobs)) == 1
    again = jobs(10, part_rows=4, overwrite=True)
    assert again.done_before >= 4
    assert tree(jobs.output) == tree(jobs(10, "whole", part_rows=4).parts[0].parent)
    assert not beside(jobs)


def test_too_many_bad_rows_leave_the_old_results(jobs: Jobs, tmp_path: Path) -> None:
    jobs(3)
    before = tree(jobs.output)
    x = features(4)
    x[1] = np.nan
    np.savez(tmp_path / "bad.npz", x=x)
    with pytest.raises(InvalidDataError, match=r"1 of 4 rows can't be scored.*\.new/_errors"):
        score(ENSEMBLE, dataset_of(tmp_path / "bad.npz"), jobs.output, ScoreOptions(overwrite=True))
    assert tree(jobs.output) == before


@pytest.mark.parametrize("renames", [0, 1, 2])
def test_wherever_the_swap_is_cut_off_the_next_run_ends_it(
    renames: int, jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = tree(jobs(5, "whole").parts[0].parent)
    jobs(3)
    done: list[str] = []
    rename: Callable[[Path, Path], Path] = Path.rename

    def dies(path: Path, target: Path) -> Path:
        if len(done) == renames:
            raise KeyboardInterrupt
        done.append(path.name)
        return rename(path, target)

    def dies_too(_: Path, *, ignore_errors: bool = False) -> None:
        if not ignore_errors:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", dies)
        patched.setattr("ensemble.scoring.overwriting.rmtree", dies_too)
        with pytest.raises(KeyboardInterrupt):
            jobs(5, overwrite=True)
    jobs(5, overwrite=True)
    assert tree(jobs.output) == whole
    assert not beside(jobs)


def test_a_link_to_the_folder_stays_a_link(jobs: Jobs) -> None:
    jobs(3)
    link = jobs.folder / "link"
    link.symlink_to(jobs.output, target_is_directory=True)
    jobs(5, "link", overwrite=True)
    assert link.is_symlink()
    assert tree(link) == tree(jobs(5, "whole").parts[0].parent)
