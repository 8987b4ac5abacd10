"""Made-up rows fit the signature and are the same every time."""

import numpy as np
import pytest

from ensemble.errors import InvalidModelError
from ensemble.runtimes.sample import random_rows
from ensemble.signature import Signature, TensorSpec

SCORES = (TensorSpec("scores", "float32", (3,)),)


@pytest.mark.parametrize("dtype", ["float32", "float64", "int8", "uint8", "int64", "bool"])
def test_every_number_fits_its_input(dtype: str) -> None:
    signature = Signature((TensorSpec("x", dtype, (2, -1)),), SCORES)

    rows = random_rows(signature, 5)["x"]

    assert rows.dtype == dtype
    assert rows.shape == (5, 2, 8)
    assert rows.min() >= 0
    assert rows.max() <= 1
    np.testing.assert_array_equal(rows, random_rows(signature, 5)["x"])


def test_another_seed_makes_other_rows() -> None:
    signature = Signature((TensorSpec("x", "float32", (2,)),), SCORES)

    assert (random_rows(signature, 5, seed=1)["x"] != random_rows(signature, 5, seed=2)["x"]).any()


def test_text_cannot_be_made_up() -> None:
    with pytest.raises(InvalidModelError, match="input 'x' takes text, which members can't yet"):
        random_rows(Signature((TensorSpec("x", "bytes", ()),), SCORES), 5)
