"""What readers are to find in the results."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq


def assert_same(rows: list[dict[str, Any]], output: Path) -> None:
    """Check that `rows` are those of all parts, in order."""
    assert [near(row) for row in rows] == [near(row) for row in expected(output)]
    assert [row["id"] for row in rows] == [number for number in range(100, 120) if number not in {103, 109}]


def expected(output: Path) -> list[dict[str, Any]]:
    parts = [pq.read_table(output / f"part-0000{number}.parquet") for number in range(3)]
    return [row for part in parts for row in part.to_pylist()]


def near(row: dict[str, Any]) -> Any:
    """Float32 values, which some readers print with fewer digits than others."""
    return {
        name: near(value)
        if isinstance(value, dict)
        else value
        if isinstance(value, str)
        else np.float32(value).tolist()
        for name, value in row.items()
    }
