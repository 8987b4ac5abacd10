"""The order of a whole measurement: every system in turn, again and again, the others asleep meanwhile."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import grpc

from peers.loads import LoadError, Run
from peers.offered import Offer
from peers.perf_analyzer import Witness, analyze
from peers.processes import StartError, Tree, WrongError, free_port
from peers.running import Running, Server, start
from peers.systems import Place, System

Cell = tuple[str, str, int]  # system, ensemble, concurrency
# The largest crowd is loaded so much longer: it is answered a batch at once, and a few of them say little.
CROWD_TIMES = 3
FAILURES = (StartError, WrongError, LoadError, OSError, subprocess.SubprocessError, ValueError, grpc.RpcError)


@dataclass(frozen=True)
class Plan:
    """What is measured."""

    systems: Sequence[System]
    ensembles: Sequence[str]
    concurrency: Sequence[int]
    repeats: int
    seconds: float
    perf_analyzer: bool = False
    first_round: int = 0
    most_secs: float = float("inf")  # no round begins that would end later

    def seconds_at(self, concurrency: int) -> float:
        """Return how long a load of so many callers lasts."""
        return self.seconds * (CROWD_TIMES if concurrency == max(self.concurrency) else 1)


@dataclass
class Findings:
    """What came of it: runs by cell; by system the largest error, and why it can't be run."""

    runs: dict[Cell, dict[int, Run]] = field(default_factory=dict)  # by round
    witnesses: dict[Cell, Witness | str] = field(default_factory=dict)  # or why there is none
    errors: dict[str, float] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)


class Campaign:
    """Starts the systems of a plan, measures them in rounds, and ends them."""

    def __init__(
        self, plan: Plan, offers: Mapping[str, Offer], place: Place, folder: Path, findings: Findings
    ) -> None:
        """Add to `findings`, in `folder`; `place` says where the members are."""
        self.findings = findings
        self._plan, self._place, self._folder = plan, place, folder
        self._offers = {name: offers[name] for name in plan.ensembles}
        self._running: dict[str, Running] = {}
        self._began = time.monotonic()

    def run(self) -> Findings:
        """Measure everything; a system that fails is left out from there on, and the findings say why."""
        with ExitStack() as ends:
            for system in self._plan.systems:
                self.findings.left_out.pop(system.name, None)
                self._guarded(system, self._start, ends)
            self._rounds()
            if self._plan.perf_analyzer:
                self._witness()
        return self.findings

    def _rounds(self) -> None:
        """Measure every system in turn, as often as is wanted and there is time for; once at least."""
        began, first = time.monotonic(), self._plan.first_round
        for number in range(first, first + self._plan.repeats):
            for name in self._plan.ensembles:
                for system in _rotated(self._plan.systems, number):
                    self._guarded(system, self._turn, name, number)
            now = time.monotonic()
            if now + (now - began) / (number + 1 - first) - self._began > self._plan.most_secs:
                self._say("no time for another round")
                return

    def _witness(self) -> None:
        """Have perf_analyzer load those that speak its protocol; what it can't do is told, and no failure."""
        for name in self._plan.ensembles:
            for system in self._plan.systems:
                running = self._running.get(system.name)
                if system.perf_analyzer and isinstance(running, Server):
                    with _awake(running):
                        self._analyze(system, running, name)

    def _analyze(self, system: System, server: Server, name: str) -> None:
        # One caller and the most: what lies between them says little, and takes as long.
        for concurrency in sorted({min(self._plan.concurrency), max(self._plan.concurrency)}):
            found: Witness | str
            try:
                found = analyze(server.address, name, concurrency, self._folder)
            except FAILURES as error:
                found = " ".join(str(error).split())
            self.findings.witnesses[system.name, name, concurrency] = found
            self._say(f"perf_analyzer, {name}, {system.title}, {concurrency} at once: {found}")
            if isinstance(found, str):
                return

    def _guarded(self, system: System, step: Callable[..., None], *given: object) -> None:
        if system.name in self.findings.left_out:
            return
        try:
            step(system, *given)
        except FAILURES as error:
            self.findings.left_out[system.name] = " ".join(str(error).split())
            self._say(f"{system.title} is left out: {self.findings.left_out[system.name]}")

    def _start(self, system: System, ends: ExitStack) -> None:
        place = Place(self._place.store, self._place.given, self._place.ensembles, free_port())
        running = start(system, place, self._offers, self._folder / system.name)
        ends.push(partial(_ended, running.tree))
        self._say(f"{system.title} is ready")
        self._running[system.name] = running
        worst = max(running.check(offer) for offer in self._offers.values())
        self.findings.errors[system.name] = max(worst, self.findings.errors.get(system.name, 0.0))
        for offer in self._offers.values():
            running.warm(offer)
        running.tree.pause()

    def _turn(self, system: System, name: str, number: int) -> None:
        running, offer = self._running[system.name], self._offers[name]
        with _awake(running):
            running.warm(offer)
            for concurrency in self._plan.concurrency:
                run = running.load(offer, concurrency, self._plan.seconds_at(concurrency))
                self.findings.runs.setdefault((system.name, name, concurrency), {})[number] = run
                self._say(
                    f"round {number + 1}, {name}, {system.title}, {concurrency} at once: "
                    f"{run.rows_per_sec:,.0f} rows/s, p50 {run.p50:.2f} ms, CPU {run.cpu_ms:.3f} ms a row"
                )

    def _say(self, text: str) -> None:
        print(f"{time.monotonic() - self._began:6.0f} s  {text}", file=sys.stderr, flush=True)


@contextmanager
def _awake(running: Running) -> Iterator[None]:
    running.tree.resume()
    try:
        yield
    finally:
        running.tree.pause()


def _ended(tree: Tree, kind: type[BaseException] | None, *_: object) -> None:
    """End a system: asked first, unless the whole measurement was cut off."""
    if kind is None:
        tree.stop()
    else:
        tree.kill()


def _rotated(systems: Sequence[System], number: int) -> list[System]:
    """Let every round begin with another system."""
    first = number * len(systems) // 3 % len(systems)
    return [*systems[first:], *systems[:first]]
