from pathlib import Path

import numpy as np
import pytest

from ensemble.errors import InvalidDataError
from ensemble.refit.captured import read_captured

SCORES = [[0.75, 0.25], [0.5, 0.5], [0.125, 0.875]]


def write(path: Path, scores: object = SCORES, label: object = (0, 1, 1)) -> None:
    np.savez(path, scores=np.array(scores, np.float32), label=np.array(label, np.int64), epoch=np.array(3))


def test_each_file_is_a_member(tmp_path: Path) -> None:
    write(tmp_path / "b.npz")
    write(tmp_path / "a.npz", [[1, 0], [1, 0], [0, 1]])
    found = read_captured(tmp_path, ("no", "yes"))
    assert (found.members, found.classes, found.labels.tolist()) == (("a", "b"), ("no", "yes"), [0, 1, 1])
    assert found.true_class_scores().tolist() == [[1.0, 0.75], [0.0, 0.5], [1.0, 0.875]]
    assert read_captured(tmp_path).classes == ("0", "1")


def test_files_that_do_not_fit_together_are_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidDataError, match=r"holds no captured predictions: no \.npz file"):
        read_captured(tmp_path)
    write(tmp_path / "a.npz")
    with pytest.raises(InvalidDataError, match="scores of 2 classes and labels up to 1 don't fit 3 classes"):
        read_captured(tmp_path, ("x", "y", "z"))
    write(tmp_path / "b.npz", label=(0, 1, 0))
    with pytest.raises(InvalidDataError, match=r"b\.npz is of other rows than a\.npz: capture them anew"):
        read_captured(tmp_path)
    write(tmp_path / "b.npz", label=(0, 1))
    with pytest.raises(InvalidDataError, match=r"scores are \[3, 2\] and labels \[2\]; they are"):
        read_captured(tmp_path)
    (tmp_path / "b.npz").write_bytes(b"PK")
    with pytest.raises(InvalidDataError, match=r"b\.npz can't be read as captured predictions"):
        read_captured(tmp_path)
    np.savez(tmp_path / "b.npz", value=np.zeros(3))
    with pytest.raises(InvalidDataError, match="can't be read as captured predictions"):
        read_captured(tmp_path)
