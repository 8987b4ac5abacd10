"""The ways to score files that are measured, and how each is started."""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from peers.systems import ENVIRONMENTS, ROOT

from batch_jobs.inputs import FEW, Inputs

# Rows of each ensemble: several seconds' work on two cores.
ROWS = {"images": 8192, "heavy": 4096, "tabular": 1_000_000}
BATCH = {"images": 64, "heavy": 64, "tabular": 1024}  # for those who have to be told

BEST = "in process, best"
OURS = "unisono score"
RAY = ROOT / ".venv-ray" / "bin" / "python"


@dataclass(frozen=True)
class Given:
    """What ways are started with: an ensemble in a store, its graph for those who know no store."""

    name: str
    store: str
    graphs: Path
    folder: Path
    environment: dict[str, str]


# What is given to `unisono score` beside the files.
COMMANDS: Mapping[str, tuple[str, ...]] = {
    OURS: ("--runtime", "auto"),
    "unisono score, ONNX Runtime": (),
    "unisono score, 2 processes": ("--executor", "process", "--workers", "2"),
}

# Ensembles on which nothing but `OURS` and the peers is measured: ONNX Runtime takes too long for them.
SHORT = ("heavy",)

Words = Callable[[Given, Inputs, Path, int], list[str]]


@dataclass(frozen=True)
class Program:
    """A way with a program of its own; the slow ones get one row in so many, by ensemble."""

    words: Words
    ours: bool = False
    one_in: Mapping[str, int] = field(default_factory=dict)
    short: tuple[str, ...] = ()  # ensembles of which it gets some rows

    def rows(self, inputs: Inputs, name: str) -> int:
        """How many rows it gets."""
        return inputs.some_rows if name in self.short else inputs.rows // self.one_in.get(name, 1)

    def few(self, inputs: Inputs) -> int:
        """How many rows tell what its start costs."""
        return inputs.some_rows if self.ours else FEW


def _module(name: str, python: str | Path = sys.executable) -> list[str]:
    return [str(python), "-m", f"batch_jobs.{name}"]


def _executors(kind: str, count: int, python: str | Path = sys.executable) -> Words:
    def words(given: Given, inputs: Inputs, output: Path, _: int) -> list[str]:
        files = [str(inputs.some), str(inputs.many), str(output)]
        return [*_module("executors", python), given.store, given.name, *files, kind, str(count)]

    return words


def _keras(given: Given, inputs: Inputs, output: Path, rows: int) -> list[str]:
    files = [str(inputs.few), str(inputs.many), str(output)]
    return [*_module("keras_predict"), given.store, given.name, *files, str(BATCH[given.name]), str(rows)]


def _ray_data(given: Given, inputs: Inputs, output: Path, rows: int) -> list[str]:
    files = [str(inputs.few), str(inputs.many if rows == inputs.rows else inputs.some), str(output)]
    return [*_module("ray_data", RAY), str(given.graphs), given.name, *files, str(BATCH[given.name])]


def _mlserver(given: Given, inputs: Inputs, output: Path, _: int) -> list[str]:
    files = [str(inputs.folder / "few.jsonl"), str(inputs.folder / "many.jsonl"), str(output)]
    python = str(ENVIRONMENTS / "mlserver" / "bin" / "python")
    return [*_module("mlserver_infer"), str(given.graphs), given.name, *files, python]


ONE, TWO = "1 process of 1 thread", "2 processes of 1 thread"
ONE_NODE, TWO_NODES = "1 Ray node of 1 CPU", "2 Ray nodes of 1 CPU"
PROGRAMS: Mapping[str, Program] = {
    ONE: Program(_executors("process", 1), ours=True),
    TWO: Program(_executors("process", 2), ours=True),
    ONE_NODE: Program(_executors("ray", 1, RAY), ours=True),
    TWO_NODES: Program(_executors("ray", 2, RAY), ours=True),
    "Ray Data map_batches": Program(_ray_data, short=SHORT),
    "Keras predict": Program(_keras, one_in={"images": 8, "heavy": 8, "tabular": 8}),
    "mlserver infer": Program(_mlserver, one_in={"images": 16, "heavy": 16, "tabular": 128}),
}
