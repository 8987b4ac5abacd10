"""One network's training loop."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .digits import CLASSES, SHAPE, Part, divide, with_shifted
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
    # Moved after the division, so that no row that decides when to stop was learned from in disguise.
    learning = with_shifted(learning) if recipe.shifted else learning
    # Seeded again for each network, so that it doesn't matter which were trained before it.
    keras.utils.set_random_seed(seed)
    network = recipe.build(SHAPE, CLASSES)
    steps = recipe.epochs * math.ceil(len(learning.label) / recipe.batch_rows)
    rate = keras.optimizers.schedules.CosineDecay(recipe.learning_rate, steps)
    # XLA takes longer to compile these than it would save.
    network.compile(keras.optimizers.Adam(rate), loss="sparse_categorical_crossentropy", jit_compile=False)
    history = network.fit(
        learning.image,
        learning.label,
        validation_data=(stopping.image, stopping.label),
        epochs=recipe.epochs,
        batch_size=recipe.batch_rows,
        callbacks=[
            keras.callbacks.LambdaCallback(
                on_epoch_end=lambda epoch, logs: on_epoch(epoch + 1, logs["val_loss"])
            ),
            keras.callbacks.EarlyStopping(patience=recipe.patience, restore_best_weights=True),
        ],
        verbose=0,
    )
    # What is kept has no optimiser: nobody trains it on, and loading it would warn about the missing state.
    kept = recipe.build(SHAPE, CLASSES)
    kept.set_weights(network.get_weights())
    return kept, len(history.epoch)


def predict(network: Any, image: NDArray[np.float32]) -> NDArray[np.float32]:
    """Score the images: [row, class]."""
    scores: NDArray[np.float32] = network(image, training=False).numpy()
    return scores
