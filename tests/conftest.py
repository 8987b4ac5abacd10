"""Fixtures that tests of several packages share."""

from pathlib import Path

import pytest

from tests.support import small_members as support


@pytest.fixture(scope="session")
def small_members() -> Path:
    """`sepconv.keras`, `bndense.keras`, `bnconv.keras`, `forest.onnx`, `validation.npz` and `test.npz`.

    Real architectures on real digits, hardly trained. Read only: every test run shares them.
    """
    return support.small_members()
