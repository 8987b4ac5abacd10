from pathlib import Path

import pytest

from ensemble.data.locations import Locations
from ensemble.data.paths import find_files
from ensemble.errors import InvalidDataError


def names(folder: Path, *paths: str) -> list[str]:
    return [
        str(Path(str(file)).relative_to(folder))
        for file in find_files([folder / path for path in paths], Locations())
    ]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("b.csv", "a.npz", "sub/c.parquet", "sub/_x.csv", "_tmp/d.csv", ".e.csv", "readme.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "empty").mkdir()
    return tmp_path


def test_folders_are_walked_in_order_without_what_is_hidden(folder: Path) -> None:
    assert names(folder, ".") == ["a.npz", "b.csv", "sub/c.parquet"]


def test_files_keep_the_order_in_which_they_are_named(folder: Path) -> None:
    assert names(folder, "b.csv", "a.npz") == ["b.csv", "a.npz"]


def test_patterns_are_sorted(folder: Path) -> None:
    assert names(folder, "[ab].*") == ["a.npz", "b.csv"]
    assert names(folder, "**/c.parquet") == ["sub/c.parquet"]


def test_a_file_whose_name_looks_like_a_pattern_is_that_file(tmp_path: Path) -> None:
    (tmp_path / "run[1].csv").touch()
    assert names(tmp_path, "run[1].csv") == ["run[1].csv"]


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("missing.csv", "missing.csv: no such file, folder or pattern"),
        ("empty", r"empty: holds no data files; these end in \.arrow, \.csv, "),
        ("readme.txt", r"readme.txt: can't be read; known endings are \.arrow, \.csv, "),
    ],
)
def test_what_holds_no_data_is_refused(path: str, message: str, folder: Path) -> None:
    with pytest.raises(InvalidDataError, match=message):
        names(folder, path)


def test_no_paths_at_all_are_refused() -> None:
    with pytest.raises(InvalidDataError, match="no data files given"):
        find_files([], Locations())
