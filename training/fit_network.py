"""One network's training: built, fitted, and kept as it was at its best epoch. A killed run goes on."""

import csv
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .architectures import catalogue
from .architectures.task import Task, task_of
from .config import Fit, MemberConfig
from .data.images import with_shifted
from .data.parts import Data, divide

if TYPE_CHECKING:
    from .callbacks.choose import Places

# This share of the training rows decides when to stop, and never moves a parameter.
STOPPING_SHARE = 0.15


def fit_network(
    member: MemberConfig,
    data: Data,
    places: "Places",
    *,
    seed: int,
    made_by: Mapping[str, Any],
    on_epoch: Callable[[int, float], None],
) -> tuple[Any, int]:
    """Train the member's network and return it, without an optimizer, and the epochs it took.

    `on_epoch(done, loss)` is called after each. `made_by` is whatever decides what comes out: a run that was
    killed is gone on with where it is the same, and then gives what it would have given. Keras must have been
    imported by `import_keras`.
    """
    import keras  # noqa: PLC0415 - heavy: only when members are trained

    from .callbacks.choose import choose  # noqa: PLC0415 - it imports Keras
    from .callbacks.shuffled_rows import BeginEpoch, ShuffledRows, one_or_all  # noqa: PLC0415 - it imports Keras
    from .callbacks.state import SaveState  # noqa: PLC0415 - it imports Keras

    fit, task = member.fit, task_of(data)
    learning, stopping = divide(data.train, STOPPING_SHARE, seed=seed)
    # Moved after the division, so that no row that decides when to stop was learned from in disguise.
    learning = with_shifted(learning) if fit.shifted else learning
    # Seeded again for each network, so that it doesn't matter which were trained before it.
    keras.utils.set_random_seed(seed)
    network = _compiled(member, task)
    rows = ShuffledRows(learning, fit.batch_rows, seed)
    places.run.mkdir(parents=True, exist_ok=True)
    resumed = (places.run / "state.json").exists()
    callbacks = choose(fit, places, data, stopping, resumed=resumed)
    state = SaveState(places.run, made_by, callbacks).restore(network)
    _cut_losses(places.losses, state.epochs_done)
    if state.epochs_done < fit.epochs and not state.stopped:
        network.fit(
            rows,
            validation_data=(
                one_or_all(list(stopping.inputs.values())),
                one_or_all(list(stopping.targets.values())),
            ),
            initial_epoch=state.epochs_done,
            epochs=fit.epochs,
            shuffle=False,
            callbacks=[BeginEpoch(rows, seed), *callbacks, _told(on_epoch), state],
            verbose=0,
        )
    return _kept(member, task, places.best), int(state.epochs_done)


def _compiled(member: MemberConfig, task: Task) -> Any:
    """Return the network, ready to learn."""
    import keras  # noqa: PLC0415 - heavy: only when members are trained

    fit = member.fit
    with _precision(fit):
        network = catalogue.build(member.architecture, task, member.options)
    losses = [
        {"scores": "sparse_categorical_crossentropy", "value": "mean_squared_error"}[name]
        for name in network.output_names
    ]
    # So that being a standard deviation off counts as one nat.
    spread = 1.0 if task.value_spread is None else task.value_spread.variance[0]
    weights = [{"scores": 1.0, "value": 1.0 / spread}[name] for name in network.output_names]
    optimizer = keras.optimizers.get(
        {"class_name": fit.optimizer, "config": {"learning_rate": fit.learning_rate}}
    )
    # XLA takes longer to compile these than it would save.
    network.compile(optimizer, loss=losses, loss_weights=weights, jit_compile=False)
    return network


def _kept(member: MemberConfig, task: Task, best: Path) -> Any:
    """Return the network as it was at its best epoch, in float32 whatever it was trained in.

    It has no optimizer: nobody trains it on, and loading it would warn about the missing state.
    """
    network = catalogue.build(member.architecture, task, member.options)
    network.load_weights(best)
    return network


@contextmanager
def _precision(fit: Fit) -> Iterator[None]:
    """Build in 16 bits with parameters in 32 while the block runs, if the configuration says so."""
    import keras  # noqa: PLC0415 - heavy: only when members are trained

    before = keras.config.dtype_policy()
    if fit.mixed_precision:
        keras.config.set_dtype_policy("mixed_float16")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def _told(on_epoch: Callable[[int, float], None]) -> Any:
    import keras  # noqa: PLC0415 - heavy: only when members are trained

    return keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: on_epoch(epoch + 1, logs["val_loss"])
    )


def _cut_losses(path: Path, epochs_done: int) -> None:
    """Take out of a killed run's CSV what will be done again."""
    if not path.exists():
        return
    with path.open(newline="", encoding="utf-8") as file:
        header, *lines = list(csv.reader(file)) or [[]]
    done = [line for line in lines if line and line[0].isdigit() and int(line[0]) < epochs_done]
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([header, *done] if done else [])
