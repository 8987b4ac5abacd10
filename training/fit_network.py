"""One network's training loop."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .digits import CLASSES, SHAPE, Part, divide
from .recipes import NetworkRecipe

# This share of the training rows decides when to stop, and never moves a parameter.
STOPPING_SHARE = 0.15


def fit_network(
    recipe: NetworkRecipe, rows: Part, *, seed: int, on_epoch: Callable[[int, float], None]
) -> tuple[Any, int]:
    """Train the recipe's network on `rows` and return it with the number of epochs it took.

    `on_epoch(done, loss)` is called after each. Keras must have been imported by `import_keras`.
    """
    import keras  # noqa: PLC0415 - heavy: only when members are trained

    learning, stopping = divide(rows, STOPPING_SHARE, seed=seed)
    # Seeded again for each network, so that it doesn't matter which were trained before it.
    keras.utils.set_random_seed(seed)
    network = recipe.build(SHAPE, CLASSES)
    # XLA takes longer to compile these than it would save.
    network.compile(
        keras.optimizers.Adam(recipe.learning_rate), loss="sparse_categorical_crossentropy", jit_compile=False
    )
    done = 0

    def count(epoch: int, logs: dict[str, float]) -> None:
        nonlocal done
        done = epoch + 1
        on_epoch(done, logs["val_loss"])

    network.fit(
        learning.image,
        learning.label,
        validation_data=(stopping.image, stopping.label),
        epochs=recipe.epochs,
        batch_size=recipe.batch_rows,
        callbacks=[
            keras.callbacks.LambdaCallback(on_epoch_end=count),
            keras.callbacks.EarlyStopping(patience=recipe.patience, restore_best_weights=True),
        ],
        verbose=0,
    )
    return network, done


def count_parameters(network: Any) -> int:
    """Count the network's parameters, moving averages of the normalisations included."""
    return int(network.count_params())


def save_network(network: Any, path: Path) -> None:
    """Write the network as a `.keras` file, without the optimiser: it will not be trained on."""
    network.optimizer = None
    network.save(path)


def predict(network: Any, image: NDArray[np.float32]) -> NDArray[np.float32]:
    """Score the images: [row, class]."""
    scores: NDArray[np.float32] = network(image, training=False).numpy()
    return scores
