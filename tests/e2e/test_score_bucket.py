"""`unisono score` from a bucket into a bucket: killed with `kill -9`, and run again.

`make test` has a job die at every single write instead: tests/ensemble/scoring/test_places.py.
"""

import os
import subprocess
from contextlib import suppress
from pathlib import Path

import numpy as np
import obstore
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from obstore.store import S3Store

from model_store.store import Store
from server.cli.main import EXIT_ERROR_ROWS
from tests.ensemble.data.files import write_jsonl
from tests.ensemble.scoring.test_places import keys
from tests.support.flowers import NAME, publish_uniform
from tests.support.killing import STILL_RUNS, job, kill, wait_until_gone, workers_of
from tests.support.s3 import BUCKET

WHOLE = os.environ.get("UNISONO_PROOF") == "whole"
pytestmark = [pytest.mark.slow, pytest.mark.skipif(not WHOLE, reason="a long proof: make proof")]

ROWS = 20_000
INPUT, OUTPUT = f"s3://{BUCKET}/in/*", f"s3://{BUCKET}/out"


def wait_for_a_marker(client: S3Store, process: subprocess.Popen[str]) -> None:
    """Wait until a part is done, or the process has ended."""
    while process.poll() is None and not any(obstore.list(client, "out/_job/done")):
        with suppress(subprocess.TimeoutExpired):
            process.wait(0.01)


def test_a_job_between_buckets_that_is_killed_ends_with_the_bytes_of_one_on_disk(
    client: S3Store, tmp_path: Path
) -> None:
    store = Store.open(str(tmp_path / "store"))
    publish_uniform(store, tmp_path)
    x = np.random.default_rng(0).normal(size=(ROWS, 3)).astype(np.float32)
    x[9000] = np.nan
    lists = pa.FixedSizeListArray.from_arrays(pa.array(x.ravel()), 3)
    pq.write_table(pa.table({"x": lists}), tmp_path / "b.parquet")
    packed = tmp_path / "a.jsonl.gz"
    packed.write_bytes(
        pa.compress(write_jsonl(tmp_path / "a", {"x": x[:50]}).read_bytes(), "gzip", asbytes=True)
    )
    for path in (packed, tmp_path / "b.parquet"):
        obstore.put(client, f"in/{path.name}", path)
    arguments = [
        NAME,
        "--input",
        INPUT,
        "--output",
        OUTPUT,
        "--store",
        store.address,
        "--max-error-rows",
        "1",
    ]

    with job(*arguments, "--executor", "process", "--workers", "2") as process:
        wait_for_a_marker(client, process)
        workers = workers_of(process.pid)
        kill(process.pid)
        process.communicate(timeout=STILL_RUNS)
    assert wait_until_gone(workers)
    before = keys(client, OUTPUT)
    with job(*arguments) as process:
        out, err = process.communicate(timeout=STILL_RUNS)
    assert process.returncode == EXIT_ERROR_ROWS, err
    assert f" parts in {OUTPUT}; 1 rows could not be scored, see {OUTPUT}/_errors" in out
    assert "of them before" in out or "already done" in out

    after = keys(client, OUTPUT)
    assert {name: after[name] for name in before} == before
    assert sorted(name for name in after if name.startswith("part-")) == [
        f"part-0000{n}.parquet" for n in range(3)
    ]
    parts = [
        pq.read_table(pa.BufferReader(after[name])) for name in sorted(after) if name.startswith("part-")
    ]
    table = pa.concat_tables(parts)
    rows = list(zip(table["source"].to_pylist(), table["row"].to_pylist(), strict=True))
    assert rows == [
        *((f"s3://{BUCKET}/in/a.jsonl.gz", row) for row in range(50)),
        *((f"s3://{BUCKET}/in/b.parquet", row) for row in range(ROWS) if row != 9000),
    ]
