"""Fixtures that tests of several packages share."""

from pathlib import Path

import pytest

from tests.support import figures
from tests.support import small_members as support


@pytest.fixture(scope="session")
def small_members() -> Path:
    """`sepconv.keras`, `bndense.keras`, `bnconv.keras`, `forest.onnx`, `validation.npz` and `test.npz`.

    Real architectures on real digits, hardly trained. Read only: every test run shares them.
    """
    return support.small_members()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print the figures that this run measured."""
    measured = config.stash.get(figures.FIGURES, [])
    if measured:
        terminalreporter.section("figures, measured and not asserted")
        for figure in measured:
            terminalreporter.write_line(figure)
