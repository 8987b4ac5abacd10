"""What benchmarks/batch.py writes: its tables, and its place in the docs."""

import json
import subprocess
import sys
from pathlib import Path

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
SCRIPT = """
import json, sys
from batch_jobs import page
from batch_jobs.ways import BEST, ONE, OURS, TWO
run = lambda rate, **more: {"rows": 4096, "rows_per_sec": rate, "start_secs": 1.0, "seconds": 5.0, **more}
ways = {BEST: [run(1000.0, way="one graph", batch=64), run(1100.0, way="one graph", batch=64)],
        OURS: [run(990.0, cpu_a_row=0.002, mib=300.0), run(1078.0, cpu_a_row=0.002, mib=301.0)],
        ONE: [run(500.0)], TWO: [run(900.0)]}
images = {"rows": 4096, "failed": {"mlserver infer": "ended with 1: no such file"}, "ways": ways}
print(page.speeds(images))
print(page.targets({"images": images}, {"score": {"10,000 rows": 99.6, "1,000,000 rows": 101.2}}))
marks = page.PAGE.read_text()
print(json.dumps([f"begin batch {name}:" in marks for name in ("how", *page_names, "targets")]))
"""


def test_the_tables_tell_rates_ratios_and_what_failed_and_the_docs_have_a_place_for_each() -> None:
    script = SCRIPT.replace("page_names", "('picture', 'images', 'heavy', 'tabular')")
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": f"{BENCHMARKS}:{BENCHMARKS.parent}"},
    )
    lines = done.stdout.splitlines()
    assert lines[2:7] == [
        "| in process, best: one graph, batch 64 | 4,096 | 1,050 (1,000-1,100) | 1.00 | 1.0 |  |  |",
        "| unisono score | 4,096 | 1,034 (990-1,078) | 0.98 | 1.0 | 2 | 300 |",
        "| 2 processes of 1 thread | 4,096 | 900 | 0.86 | 1.0 |  |  |",
        "| 1 process of 1 thread | 4,096 | 500 | 0.48 | 1.0 |  |  |",
        "| mlserver infer |  | not measured: ended with 1: no such file |  |  |  |  |",
    ]
    assert lines[9:12] == [
        "| images: of the best in process | >= 0.95 | 0.98 (0.98-0.99) | yes |",
        "| images: 2 processes of 1 thread beside 1 process of 1 thread | 2 | 1.80 | - |",
        "| tabular: memory of score | flat | 100 MiB for 10,000 rows, 101 MiB for 1,000,000 rows | - |",
    ]
    assert json.loads(lines[-1]) == [True] * 6
