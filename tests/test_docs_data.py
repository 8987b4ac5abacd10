import re
from pathlib import Path

import numpy as np
import pytest

from ensemble.data.dataset import open_dataset
from ensemble.data.paths import ENDINGS
from ensemble.scoring.columns import OWN_COLUMNS
from ensemble.signature import Signature, TensorSpec

PAGE = Path(__file__).parents[1] / "docs/reference/data.md"
SCORING = PAGE.with_name("scoring.md")
SIGNATURE = Signature(
    (TensorSpec("image", "float32", (8, 8, 1)), TensorSpec("age", "float32", ())),
    (TensorSpec("scores", "float32", (3,)),),
)


def test_the_example_on_the_page_writes_files_that_are_read_alike(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    monkeypatch.chdir(tmp_path)
    exec(example, {})  # noqa: S102 - our own page
    read = {}
    for ending in ("npz", "parquet", "csv"):
        dataset = open_dataset([Path(f"data/rows.{ending}")], SIGNATURE, label="y")
        (chunk,) = dataset.batches(100)
        read[ending] = chunk
    assert read["npz"].rows["image"].shape == (100, 8, 8, 1)
    assert read["npz"].rows["age"][:3].tolist() == [0.0, 1.0, 2.0]
    for other in ("parquet", "csv"):
        for name in ("image", "age"):
            np.testing.assert_array_equal(read[other].rows[name], read["npz"].rows[name])
        assert list(read[other].labels) == [row % 3 for row in range(100)]  # type: ignore[arg-type]


def test_the_page_names_every_format_and_every_column_of_the_results() -> None:
    page, scoring = PAGE.read_text(), SCORING.read_text()
    named = {part for ending in ENDINGS for part in ending.split(".")}
    assert all(part in page.lower() for part in named)
    assert all(f"| `{column}` |" in scoring for column in OWN_COLUMNS)
