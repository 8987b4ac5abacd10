"""A search from its configuration to members: trials until there are enough, the best of them kept."""

import json
import math
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from optuna.exceptions import TrialPruned
from optuna.trial import FrozenTrial, Trial, TrialState

from ensemble.errors import InvalidModelError
from training.config import MemberConfig
from training.data.parts import Data
from training.data.written import write_rows
from training.devices import GpuMemory
from training.files import replace_file
from training.make import PREDICTIONS, RUNS, Order, figures, make
from training.progress import OnProgress, Progress
from training.quiet_keras import import_keras
from training.receipts import Trained, sources_digest, write_receipt
from training.train import load

from .beside import CurrentEnsemble
from .config import TuneConfig
from .course import draw_course
from .study import TrialLog

COURSE = "course.png"
TEST = "test.json"
OnTrial = Callable[[FrozenTrial, list[FrozenTrial]], None]


@dataclass(frozen=True, slots=True)
class Tuned:
    """What a search found.

    Attributes:
        best: The trials that were kept, best first; the loss is the value that was made small.
        trials: How many there were, of all states.
        test: How well the best does on the test rows.
        looks: Trials that the test rows were asked about, in order; fresh evidence for the first alone.
    """

    best: list[FrozenTrial]
    trials: int
    test: Mapping[str, float]
    looks: list[int]


def tune(folder: Path, config: TuneConfig, on_trial: OnTrial, gpu_memory: str = "grow") -> Tuned:
    """Search as `config` says, in `folder`; a search that was killed goes on, and finds what it would have.

    Networks are trained in the calling process, which has TensorFlow in it from then on. The test rows are
    looked at once, for the best trial when all are done.
    """
    folder.mkdir(parents=True, exist_ok=True)
    data = load(config.data)
    write_rows(folder, data)
    search = _Search(folder, config, data, GpuMemory.parse(gpu_memory))
    until = time.monotonic() + config.search.seconds if config.search.seconds else math.inf
    while len(search.log.over) < config.search.trials and time.monotonic() < until:
        done = search.try_next()
        on_trial(done, search.log.over)
    best = ranked(search.log.over)[: config.search.keep]
    draw_course(search.log.over, folder / COURSE)
    if not best:
        why = sorted({str(trial.user_attrs.get("error", "ended early")) for trial in search.log.over})
        raise InvalidModelError(f"none of {len(search.log.over)} trials gave a network: {'; '.join(why)}")
    looks = _look(folder, data, member_name(best[0].number))
    return Tuned(best, len(search.log.over), looks[-1]["figures"], [look["trial"] for look in looks])


def ranked(trials: list[FrozenTrial]) -> list[FrozenTrial]:
    """Return the trials that came to an end, best first; of equal ones, the first."""
    done = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    return sorted(done, key=lambda trial: (trial.values[0], trial.number))


def member_name(number: int) -> str:
    """Return what the member is called that a trial made."""
    return f"trial-{number:04d}"


class _Search:
    """The trials of one search, one after the other."""

    def __init__(self, folder: Path, config: TuneConfig, data: Data, gpu_memory: GpuMemory) -> None:
        self._folder, self._config, self._data, self._gpu_memory = folder, config, data, gpu_memory
        beside = config.search.beside
        self._beside = CurrentEnsemble.open(beside, data, folder / "validation.npz") if beside else None
        self._made_by = {**config.told(), "rows": data.digest}
        self.log = TrialLog(folder, config.search, self._made_by)
        self._clear()

    def try_next(self) -> FrozenTrial:
        """Draw a trial, train its network, judge it, write it down; keep its files if it is good."""
        trial = self.log.draw()
        member = self._config.member(member_name(trial.number), self._config.space.draw(trial))
        try:
            made = self._make(member, trial)
        except TrialPruned:
            done = self.log.end_early(trial)
        except (ValueError, InvalidModelError) as error:
            # A network that can't be: more poolings than pixels, for one. The next one may be.
            trial.set_user_attr("error", str(error).splitlines()[0])
            done = self.log.end(trial, None)
        else:
            done = self.log.end(trial, self._loss(trial, made))
        self._clear()
        return done

    def _make(self, member: MemberConfig, trial: Trial) -> Trained:
        keras = import_keras(self._config.search.seed, self._gpu_memory)
        # Or the graphs of all trials would stay in memory.
        keras.utils.clear_session()
        made_by = {
            "search": self._made_by,
            "seed": self._config.search.seed,
            "member": asdict(member),
            "rows": self._data.digest,
            "sources": sources_digest(),
        }
        seed = self._config.search.seed
        order = Order(self._folder, member, self._data, seed, False, self._gpu_memory, made_by)
        made = make(order, _watched(trial))
        write_receipt(self._folder, made, made_by)
        return made

    def _loss(self, trial: Trial, made: Trained) -> float:
        """Return what is made small, and note the rest with the trial."""
        for name, value in {**made.figures, "seconds": made.seconds, "parameters": made.parameters}.items():
            trial.set_user_attr(name, value)
        if self._beside is None:
            return made.figures["log_loss" if self._data.classes else "squared_error"]
        with np.load(self._folder / PREDICTIONS / f"{made.name}.npz", allow_pickle=False) as captured:
            worth = self._beside.worth(made.name, captured["scores"])
        for name, value in worth.items():
            trial.set_user_attr(name, value)
        return -worth["held_out_gain"]

    def _clear(self) -> None:
        """Remove what trials left that are not among the best, or were killed."""
        kept = {member_name(trial.number) for trial in ranked(self.log.over)[: self._config.search.keep]}
        for path in _files(self._folder):
            if path.name.split(".")[0] not in kept:
                shutil.rmtree(path) if path.is_dir() else path.unlink()


def _files(folder: Path) -> Iterator[Path]:
    for place in (folder, folder / RUNS, folder / PREDICTIONS):
        yield from list(place.glob("trial-*"))


def _watched(trial: Trial) -> OnProgress:
    """Return what ends a trial whose held-out losses are no good."""

    def after_epoch(step: Progress) -> None:
        if step.loss is None:
            return
        if not math.isfinite(step.loss):
            raise TrialPruned
        trial.report(step.loss, step.epoch)
        if trial.should_prune():
            raise TrialPruned

    return after_epoch


def _look(folder: Path, data: Data, name: str) -> list[dict[str, Any]]:
    """Ask the test rows about the trial called `name`, unless they were, last; return all they were asked."""
    path, number = folder / TEST, int(name.removeprefix("trial-"))
    looks: list[dict[str, Any]] = json.loads(path.read_bytes()) if path.exists() else []
    if looks and looks[-1]["trial"] == number:
        return looks
    found = {} if not data.test.rows else figures(_test_outputs(folder / f"{name}.keras", data), data.test)
    looks.append({"trial": number, "rows": data.test.rows, "figures": found})
    with replace_file(path) as made:
        made.write_text(json.dumps(looks, indent=2) + "\n", encoding="utf-8")
    return looks


def _test_outputs(file: Path, data: Data) -> dict[str, Any]:
    keras = import_keras(0)
    from training.predict import predict  # noqa: PLC0415 - beside its only use

    return predict(keras.models.load_model(file), data.test.inputs)
