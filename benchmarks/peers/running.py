"""A system that runs: checked against the right scores, then loaded."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from peers.loads import LoadError, Run, check_sizes, h2load, summed_up
from peers.offered import Offer
from peers.processes import StartError, Tree, WrongError, free_port
from peers.systems import BENCHMARKS, ROOT, Place, System
from peers.wires import Wire

START_SECS = 90.0
CALLERS = 8
# The most that a score may be from the float64 reference.
TOLERANCE = 1e-5
WARM_SECS = 0.5
WARM_CONNECTIONS = 16


class Running(Protocol):
    """A system while it runs."""

    tree: Tree

    def check(self, offer: Offer) -> float:
        """Ask for every row of `offer`; return the largest error; WrongError if it is over the tolerance."""
        ...

    def warm(self, offer: Offer) -> None:
        """Wake the way that is loaded next."""
        ...

    def load(self, offer: Offer, concurrency: int, seconds: float) -> Run:
        """Ask for single rows from `concurrency` callers, or for batches of as many in process."""
        ...


@dataclass
class Server:
    """A server and the loads sent to it."""

    tree: Tree
    wire: Wire
    address: str
    folder: Path
    answer_bytes: dict[str, int] = field(default_factory=dict)

    def check(self, offer: Offer) -> float:
        """Ask row by row, from several callers at once: answers must not be mixed up between them."""
        with ThreadPoolExecutor(CALLERS) as callers:
            answers = list(callers.map(lambda row: self.wire.ask(self.address, offer, row[None]), offer.rows))
        self.answer_bytes[offer.name] = answers[0][1]
        return _checked(np.concatenate([scores for scores, _ in answers]), offer)

    def warm(self, offer: Offer) -> None:
        """Send a short load, once it answers: who was stopped may need a moment."""
        self.wire.ask(self.address, offer, offer.rows[:1])
        self._send(offer, WARM_CONNECTIONS, WARM_SECS)

    def load(self, offer: Offer, concurrency: int, seconds: float) -> Run:
        """Send the same row again and again on `concurrency` connections."""
        before = self.tree.cpu_secs()
        answered, data_bytes, answers = self._send(offer, concurrency, seconds)
        check_sizes(answered, data_bytes, self.answer_bytes[offer.name])
        return summed_up(answers, 1, self.tree.cpu_secs() - before)

    def _send(self, offer: Offer, connections: int, seconds: float) -> tuple[int, int, NDArray[np.float64]]:
        body = self.folder / f"{offer.name}.request"
        body.write_bytes(self.wire.body(offer, offer.rows[:1]))
        url = self.wire.url(self.address, offer)
        return h2load(url, tuple(self.wire.flags), body, connections=connections, seconds=seconds)


@dataclass
class Worker:
    """A process that asks itself."""

    tree: Tree
    folder: Path

    def check(self, offer: Offer) -> float:
        """Score all rows together, in every way that may be timed."""
        reply = self._ask(offer, {"do": "check"})
        return max(_checked(np.array(scores), offer) for scores in reply["scores"])

    def warm(self, offer: Offer) -> None:
        """Do nothing: a load begins with a batch that isn't counted."""

    def load(self, offer: Offer, concurrency: int, seconds: float) -> Run:
        """Score batches of `concurrency` rows."""
        reply = self._ask(offer, {"do": "load", "rows": concurrency, "seconds": seconds})
        return summed_up(np.array(reply["answers"]), concurrency, reply["cpu"])

    def _ask(self, offer: Offer, asked: Mapping[str, Any]) -> dict[str, Any]:
        stdin, stdout = self.tree.process.stdin, self.tree.process.stdout
        if stdin is None or stdout is None:
            raise LoadError("the worker has no pipes")
        file = self.folder / f"{offer.name}.npy"
        np.save(file, offer.rows)
        line = {**asked, "ensemble": offer.name, "input": offer.input, "file": str(file)}
        stdin.write(json.dumps(line).encode() + b"\n")
        stdin.flush()
        answer = stdout.readline()
        if not answer:
            raise LoadError(f"it ended: {self.tree.last_line()}")
        reply: dict[str, Any] = json.loads(answer)
        return reply


def start(system: System, place: Place, offers: Mapping[str, Offer], folder: Path) -> Running:
    """Start `system` and wait until it answers for every ensemble; StartError says why it can't."""
    why = unavailable(system)
    if why:
        raise StartError(why)
    folder.mkdir(parents=True, exist_ok=True)
    scratch = Path(folder, f"run{free_port()}")
    scratch.mkdir()
    paths = [BENCHMARKS, ROOT] if system.python == Path(sys.executable) else [BENCHMARKS]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, paths)), "TF_CPP_MIN_LOG_LEVEL": "3"}
    tree = Tree(
        [str(system.python), *system.command(place)],
        folder / "log",
        environment=environment,
        folder=scratch,
        talks=system.wire is None,
        sleeps=system.sleeps,
    )
    if system.wire is None:
        return Worker(tree, scratch)
    server = Server(tree, system.wire, f"127.0.0.1:{place.port}", scratch)
    try:
        tree.wait_until(partial(tree.printed, system.ready), START_SECS)
        for offer in offers.values():
            tree.wait_until(partial(server.check, offer), START_SECS)
    except BaseException:
        tree.kill()
        raise
    return server


def unavailable(system: System) -> str:
    """Return why `system` can't be run here, or nothing."""
    if not system.python.exists():
        return f"no {system.python.parents[1].relative_to(ROOT)}: `make bench-peers` makes it"
    if system.needs:
        command = [str(system.python), "-m", "unisono", "serve", "--help"]
        told = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT).stdout
        if system.needs not in told:
            return f"this release of unisono has no {system.needs}"
    return ""


def _checked(scores: NDArray[Any], offer: Offer) -> float:
    if scores.shape != offer.scores.shape:
        raise WrongError(f"{offer.name}: scores of shape {scores.shape}; want {offer.scores.shape}")
    error = float(np.abs(scores - offer.scores).max())
    if not error <= TOLERANCE:
        raise WrongError(f"{offer.name}: scores are up to {error:.1e} from the float64 reference")
    return error
