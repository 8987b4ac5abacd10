"""Keras, imported without TensorFlow's chatter and set up to give the same numbers every time."""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from .devices import GpuMemory

_STDERR = 2


def import_keras(seed: int, gpu_memory: GpuMemory | None = None) -> Any:
    """Import Keras on TensorFlow, seed everything random in this process, and return the module.

    This changes the whole process: call it where members are made and nowhere else.
    """
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with stderr_kept_back():
        import keras  # noqa: PLC0415 - heavy: only when members are trained
        import tensorflow as tf  # noqa: PLC0415 - heavy: only when members are trained

        tf.get_logger().setLevel("ERROR")
        tf.config.experimental.enable_op_determinism()
        if gpu_memory is not None:
            gpu_memory.apply(tf.config)
    keras.utils.set_random_seed(seed)
    return keras


@contextmanager
def stderr_kept_back() -> Iterator[None]:
    """Keep what is written to file descriptor 2 to itself; show it only if the block fails.

    TensorFlow's C++ part logs before anything can tell it not to.
    """
    sys.stderr.flush()
    shown = os.dup(_STDERR)
    with tempfile.TemporaryFile() as kept:
        os.dup2(kept.fileno(), _STDERR)
        try:
            yield
        except BaseException:
            os.dup2(shown, _STDERR)
            kept.seek(0)
            os.write(_STDERR, kept.read())
            raise
        finally:
            sys.stderr.flush()
            os.dup2(shown, _STDERR)
            os.close(shown)
