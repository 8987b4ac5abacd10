import pytest

from ensemble.runtimes import trial

from .timed import CLOCK


@pytest.fixture
def turned_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Time is what members of `timed` say."""
    monkeypatch.setattr(trial, "perf_counter", lambda: CLOCK[0])
