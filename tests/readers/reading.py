"""Reads a folder of results as one dataset: `reading READER FOLDER`, run by the readers' own Python.

Prints a JSON list of the rows, as mappings from column to value, in the order in which the reader gives them.
"""

import json
import sys
from collections.abc import Callable
from typing import Any

Rows = list[dict[str, Any]]


def by_pyarrow(folder: str) -> Rows:
    """With a dataset, as its users open it."""
    from pyarrow import dataset  # noqa: PLC0415 - one reader a process

    rows: Rows = dataset.dataset(folder, format="parquet").to_table().to_pylist()
    return rows


def by_pandas(folder: str) -> Rows:
    """With `read_parquet`."""
    import pandas as pd  # noqa: PLC0415 - as above

    frame = pd.read_parquet(folder)
    return json.loads(frame.to_json(orient="records", double_precision=15))  # type: ignore[no-any-return]


def by_polars(folder: str) -> Rows:
    """With a pattern."""
    import polars as pl  # noqa: PLC0415 - as above

    rows: Rows = pl.read_parquet(f"{folder}/*.parquet").to_dicts()
    return rows


def by_duckdb(folder: str) -> Rows:
    """With a pattern, in SQL."""
    import duckdb  # noqa: PLC0415 - as above

    found = duckdb.sql(f"SELECT * FROM '{folder}/*.parquet'")  # noqa: S608 - the test's own folder
    return [dict(zip(found.columns, row, strict=True)) for row in found.fetchall()]


READERS: dict[str, Callable[[str], Rows]] = {
    "duckdb": by_duckdb,
    "pandas": by_pandas,
    "polars": by_polars,
    "pyarrow": by_pyarrow,
}

if __name__ == "__main__":
    print(json.dumps(READERS[sys.argv[1]](sys.argv[2])))  # noqa: T201 - what the test reads
