"""The results are one dataset for whoever reads it: `make test-readers`, in an environment of its own."""

import json
import subprocess
from pathlib import Path

import pytest

from .expected import assert_same
from .reading import READERS

PYTHON = Path(__file__).parents[2] / ".venv-readers/bin/python"
SCRIPT = Path(__file__).with_name("reading.py")


@pytest.mark.parametrize("reader", sorted(READERS))
def test_the_folder_is_one_dataset(reader: str, output: Path) -> None:
    if not PYTHON.exists():
        pytest.skip("the readers aren't installed: make test-readers")
    done = subprocess.run(
        [str(PYTHON), "-P", str(SCRIPT), reader, str(output)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert_same(json.loads(done.stdout), output)


def test_all_that_is_no_part_has_a_name_that_readers_pass_over(output: Path) -> None:
    names = sorted(path.name for path in output.iterdir())
    assert names == [
        "_SUCCESS.json",
        "_errors",
        "_job",
        *(f"part-0000{number}.parquet" for number in range(3)),
    ]
