"""A run's state after each epoch, so that a killed run goes on as if nothing had been."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import keras

from training.files import replace_file

from .captured import CaptureScores

BEST = "best.keras"  # the network as it was when the held-out loss was least
# What these callbacks know at the end of an epoch, and forget when `fit` begins.
_KEPT = {
    keras.callbacks.EarlyStopping: ("wait", "best", "best_epoch"),
    keras.callbacks.ReduceLROnPlateau: ("wait", "best", "cooldown_counter"),
    keras.callbacks.ModelCheckpoint: ("best",),
    CaptureScores: ("best",),
}

_PARAMETERS = ".weights.h5"  # Keras insists on it


def forget(run: Path) -> None:
    """Remove what a run left to be gone on with: the member is made."""
    for path in (*run.glob(f"epoch-*{_PARAMETERS}"), run / "state.json", run / BEST):
        path.unlink(missing_ok=True)


class SaveState(keras.callbacks.Callback):  # type: ignore[misc]  # Keras has no types
    """Writes parameters, the optimizer's state and what `others` know, each epoch; the last of the callbacks.

    `made_by` is whatever decides the run: a state of another run is not gone on with.
    """

    def __init__(self, folder: Path, made_by: Mapping[str, Any], others: list[Any]) -> None:
        super().__init__()
        self._folder = folder
        self._made_by = made_by
        self._others = [other for other in others if type(other) in _KEPT]
        self._state = self._read()

    @property
    def epochs_done(self) -> int:
        """How many epochs the run has behind it: 0 for a new one."""
        return int(self._state.get("epochs_done", 0))

    @property
    def stopped(self) -> bool:
        """Whether the run had ended early."""
        return bool(self._state.get("stopped"))

    def restore(self, network: Any) -> Self:
        """Give `network`, compiled, the parameters and the optimizer's state that were saved, if any were."""
        if self._state:
            network.optimizer.build(network.trainable_variables)
            network.load_weights(self._folder / self._state["parameters"])
        return self

    def on_train_begin(self, logs: Any = None) -> None:  # noqa: ARG002 - Keras' signature
        """Give the others back what they knew; they have just forgotten it."""
        for other in self._others:
            for name, value in self._state.get(type(other).__name__, {}).items():
                setattr(other, name, value)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002 - Keras' signature
        """Write the state, then forget the one before: whenever the process dies, one of them is whole."""
        parameters = self._folder / f"epoch-{epoch + 1}{_PARAMETERS}"
        with replace_file(parameters, ending=_PARAMETERS) as made:
            self.model.save_weights(made)
        knowledge = {
            type(other).__name__: {name: _plain(getattr(other, name)) for name in _KEPT[type(other)]}
            for other in self._others
        }
        state = {
            "made_by": self._made_by,
            "epochs_done": epoch + 1,
            "stopped": bool(self.model.stop_training),
            "parameters": parameters.name,
            **knowledge,
        }
        self._state = state
        with replace_file(self._folder / "state.json") as made:
            made.write_text(json.dumps(state, indent=2), encoding="utf-8")
        for older in self._folder.glob(f"epoch-*{_PARAMETERS}"):
            if older != parameters:
                older.unlink()

    def _read(self) -> dict[str, Any]:
        try:
            state: dict[str, Any] = json.loads((self._folder / "state.json").read_bytes())
            same = state["made_by"] == json.loads(json.dumps(self._made_by))
        except (OSError, ValueError, KeyError, TypeError):
            return {}
        return state if same and (self._folder / state["parameters"]).exists() else {}


def _plain(value: Any) -> float | int | None:
    """Return a number as JSON has it; float(repr(x)) is x again."""
    return None if value is None else value if isinstance(value, int) else float(value)
