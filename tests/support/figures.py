"""Figures that a test run measures and reports at its end; none of them is asserted."""

import pytest

FIGURES = pytest.StashKey[list[str]]()


def report(config: pytest.Config, figure: str) -> None:
    """Have `figure`, a sentence, printed at the end of the run."""
    config.stash.setdefault(FIGURES, []).append(figure)
