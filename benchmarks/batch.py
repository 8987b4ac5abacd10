"""Rows a second of `unisono score`, beside the best in process, and beside other ways to score files.

    python benchmarks/batch.py [--ensembles images heavy tabular] [--rounds 5] [--share 1.0] [--ways ...]
                               [--no-memory]

Rates are those of a job once it runs: what a job of a few rows takes, the start, is taken off, and told by
itself. In process and `unisono score` take turns for some rounds; the others run once. Every way gets the
same rows in the same files, the slow ones fewer of them; MLServer's command gets them as JSON, which is all
it reads. Memory is the most that one process of a command held. Ten minutes or so on two cores; a run with
everything writes the tables and the picture of docs/reference/scoring.md.
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from batch_jobs.inputs import FEW, Inputs, made, write_lines
from batch_jobs.page import write
from batch_jobs.timing import HELD, timed
from batch_jobs.ways import BEST, COMMANDS, OURS, PROGRAMS, ROWS, SHORT, Given
from ensembles import ENSEMBLES, benchmark_store
from measure import machine
from peers.offered import Offer, write_graphs

from ensemble.signature import Signature
from model_store.store import Store

HERE = Path(__file__).parent
LARGEST_ERROR = 1e-4
LONGEST_SECS = 180
MEMORY_ROWS = (10_000, 100_000, 1_000_000)


@dataclass
class Found:
    """What was measured of one ensemble. `runs`: of each way, the rounds; `failed`: why others have none."""

    rows: int
    runs: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)

    def add(self, way: str, rows: tuple[int, int], seconds: tuple[float, float], **more: Any) -> None:
        """Put down a run: a job of few rows and one of many, and their seconds."""
        (few, many), (short, long) = rows, seconds
        if long <= short:
            self.failed[way] = f"{many:,} rows took {long:.1f} s, {few:,} rows {short:.1f} s"
            return
        rate = (many - few) / (long - short)
        told = {"rows": many, "rows_per_sec": rate, "start_secs": short - few / rate, "seconds": long}
        self.runs.setdefault(way, []).append(told | more)


def command(given: Given, inputs: Inputs, options: Sequence[str], *, first: bool) -> dict[str, Any]:
    """Run `unisono score` on some rows and on all; return the seconds and what the second held.

    The first job measures how the members run best, and keeps it: it isn't counted.
    """
    told = {}
    for kind, files in (
        *([("warm", inputs.some)] if first else []),
        ("few", inputs.some),
        ("many", inputs.many),
    ):
        output = given.folder / "out"
        shutil.rmtree(output, ignore_errors=True)
        words = [sys.executable, "-m", "unisono", "score", given.name, "--input", str(files)]
        words += ["--output", str(output), "--store", given.store, "--progress", "none", *options]
        told[kind] = timed(words, given.environment)
    scores = pq.ParquetFile(output / "part-00000.parquet").read_row_group(0).column("scores")[0].as_py()
    digests = [part["sha256"] for part in json.loads((output / "_SUCCESS.json").read_text())["parts"]]
    return {"few": told["few"], "many": told["many"], "first": scores, "digests": digests}


@contextmanager
def in_process(given: Given, inputs: Inputs) -> Iterator[subprocess.Popen[str]]:
    """Start what scores from memory, one run for each line it is sent."""
    words = [sys.executable, "-m", "batch_jobs.in_process", given.store, given.name, str(inputs.many)]
    with subprocess.Popen(
        words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=given.environment
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def asked(process: subprocess.Popen[str]) -> dict[str, Any]:
    """Have it score everything once."""
    if process.stdin is None or process.stdout is None:
        raise SystemExit("in_process has no pipes")
    process.stdin.write("go\n")
    process.stdin.flush()
    return dict(json.loads(process.stdout.readline()))


def measured(given: Given, inputs: Inputs, options: argparse.Namespace) -> Found:
    """Measure every way on one ensemble."""
    found, first = Found(inputs.rows), np.empty(0)
    with in_process(given, inputs) as process:
        for _ in range(options.rounds):
            told = asked(process)
            first = np.array(told["first"])
            rate, cpu = inputs.rows / told["seconds"], told["cpu"] / inputs.rows
            found.runs.setdefault(BEST, []).append(
                {"rows": inputs.rows, "rows_per_sec": rate, "cpu_a_row": cpu, **told}
            )
            ours(given, inputs, found, (OURS,), first)
    wanted = [way for way in options.ways if given.name not in SHORT or not _only_ours(way)]
    ours(given, inputs, found, [way for way in wanted if way in COMMANDS], first)
    for way in wanted:
        if way in PROGRAMS:
            beside(way, given, inputs, found, first)
    return found


def _only_ours(way: str) -> bool:
    """Whether a way is one of our own."""
    return way in COMMANDS or PROGRAMS[way].ours


def ours(given: Given, inputs: Inputs, found: Found, ways: Sequence[str], first: Any) -> None:
    """Measure ways to run the command; all must write the same bytes but that with other runtimes."""
    for way in ways:
        told = command(given, inputs, COMMANDS[way], first=way not in found.runs)
        check(way, told["first"], first)
        few, many, rows = told["few"], told["many"], (inputs.some_rows, inputs.rows)
        cpu = (many["cpu"] - few["cpu"]) / (rows[1] - rows[0])
        more = {"cpu_a_row": cpu, "mib": many["mib"], "digests": told["digests"]}
        found.add(way, rows, (few["seconds"], many["seconds"]), **more)
    digests = {str(found.runs[way][0]["digests"]) for way in ways if way != OURS and way in found.runs}
    if len(digests) > 1:
        raise SystemExit(f"{given.name}: {ways} wrote different bytes")


def beside(way: str, given: Given, inputs: Inputs, found: Found, first: Any) -> None:
    """Measure a way that has a program of its own; what can't be run is told with the reason."""
    program = PROGRAMS[way]
    rows = program.rows(inputs, given.name)
    print(f"{given.name}: {way}", file=sys.stderr, flush=True)
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        words = program.words(given, inputs, Path(folder) / "out", rows)
        code, out, err = ended(words, given.environment, Path(folder))
    lines = out.splitlines()
    if code or not lines:
        said = (err.strip() or out.strip() or "nothing").splitlines()
        found.failed[way] = f"ended with {code}: {said[-1][-300:]}"
        return
    told = json.loads(lines[-1])
    check(way, told["first"], first)
    found.add(way, (program.few(inputs), rows), (told["few"], told["many"]))


def ended(words: Sequence[str], environment: Mapping[str, str], folder: Path) -> tuple[int, str, str]:
    """Run a program to its end, or until it takes too long; return its exit code and what it printed."""
    pipe = subprocess.PIPE
    with subprocess.Popen(
        words, stdout=pipe, stderr=pipe, text=True, env=dict(environment), cwd=folder
    ) as process:
        try:
            out, err = process.communicate(timeout=LONGEST_SECS)
        except subprocess.TimeoutExpired:
            return 124, "", f"it took more than {LONGEST_SECS} s"
        finally:
            # Asked, not killed: some have servers of their own to end.
            process.terminate()
    return process.returncode, out, err


def check(way: str, scores: Sequence[float], expected: Any) -> None:
    """Stop if the first row got other scores than in process."""
    apart = float(np.abs(np.array(scores) - expected).max())
    if apart > LARGEST_ERROR:
        raise SystemExit(f"{way}: the first row's scores are {apart:.3g} from those in process")


def memory(given: Given, signature: Signature, folder: Path) -> dict[str, dict[str, float]]:
    """Return the most MiB that scoring, and a refit with its labels, held for few and for many rows.

    Anonymous memory is told too: the rest are files that are mapped, which the system takes back at will.
    """
    held: dict[str, dict[str, float]] = {}
    for rows in MEMORY_ROWS:
        inputs = made(signature, rows, folder / f"memory{rows}")
        x = np.concatenate([np.load(file) for file in sorted(inputs.many.glob("*.npy"))])
        labels = np.random.default_rng(0).integers(0, signature.outputs[0].shape[-1], rows)
        file, output = folder / f"labelled{rows}.npz", folder / f"scores{rows}"
        np.savez(file, **{inputs.input: x, "label": labels})  # type: ignore[arg-type]
        ways = {
            "score": ["--input", str(inputs.many), "--output", str(output), "--progress", "none"],
            "refit": ["--data", str(file), "--label", "label", "--dry-run"],
        }
        ways["refit"] += ["--cache", str(folder / f"cache{rows}")]
        for command, options in ways.items():
            words = [sys.executable, "-m", "unisono", command, given.name, *options, "--store", given.store]
            told = timed(words, given.environment, HELD)
            held.setdefault(command, {})[f"{rows:,} rows"] = told["mib"]
            held.setdefault(f"{command}, anonymous", {})[f"{rows:,} rows"] = told["own_mib"]
        file.unlink()
        shutil.rmtree(output)
        shutil.rmtree(inputs.folder)
    return held


def parsed() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    every = [*(way for way in COMMANDS if way != OURS), *PROGRAMS]
    parser.add_argument("--ensembles", nargs="+", default=list(ROWS), choices=list(ROWS))
    parser.add_argument("--ways", nargs="*", default=every, choices=every, help=f"beside {OURS!r}")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--share", type=float, default=1.0, help="of the rows, for a quick look")
    parser.add_argument("--memory", action=argparse.BooleanOptionalAction, default=True)
    given = parser.parse_args()
    given.whole = given.memory and given.share >= 1 and given.ways == every and given.ensembles == list(ROWS)
    return given


def main() -> None:
    """Measure, print and write."""
    options = parsed()
    facts, store = machine(), Store.open(str(benchmark_store()))
    # What is measured about the members is measured anew: what is kept may stem from a busy machine.
    with tempfile.TemporaryDirectory(prefix="unisono-batch-") as place:
        environment = os.environ | {
            "XDG_CACHE_HOME": f"{place}/cache",
            "PYTHONPATH": os.pathsep.join([str(HERE), str(HERE.parent)]),
            "TF_CPP_MIN_LOG_LEVEL": "3",
        }
        found, held = {}, {}
        for name in options.ensembles:
            print(f"{name}: in process and {OURS}", file=sys.stderr, flush=True)
            folder = Path(place, name)
            signature = Signature.from_json(store.manifest(name).signature)
            inputs = made(signature, int(ROWS[name] * options.share), folder)
            lines = folder / "few.jsonl", folder / "many.jsonl"
            write_lines(inputs, inputs.few, FEW, lines[0])
            write_lines(inputs, inputs.many, PROGRAMS["mlserver infer"].rows(inputs, name), lines[1])
            graphs = folder / "graphs"
            graphs.mkdir()
            offer = Offer(name, inputs.input, np.load(inputs.few / "0000.npy"), np.empty((0, 10)))
            write_graphs(store, {name: offer}, graphs)
            given = Given(name, store.address, graphs, folder, environment)
            found[name] = measured(given, inputs, options)
            if options.memory and name == "tabular":
                held = memory(given, signature, folder)
            shutil.rmtree(folder)
    write(facts, found_json(found), held, whole=options.whole)


def found_json(found: Mapping[str, Found]) -> dict[str, Any]:
    """Return the form that is written; which bytes it were is nobody's concern any more."""
    return {
        name: {
            "rows": one.rows,
            "failed": one.failed,
            "ways": {
                way: [
                    {key: value for key, value in run.items() if key not in ("digests", "first")}
                    for run in runs
                ]
                for way, runs in one.runs.items()
            },
        }
        for name, one in found.items()
    }


if __name__ == "__main__":
    # A measurement that is cut off ends what it started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    sys.path.insert(0, str(HERE.parent))
    if unknown := set(ROWS) - set(ENSEMBLES):
        raise SystemExit(f"no benchmark ensembles are called {unknown}")
    main()
