"""The refit command on flowers: the fixture `folder` has the store and the rows."""

from pathlib import Path

from server.cli.main import application
from tests.support.flowers import NAME


def refit(folder: Path, *more: str) -> int:
    """Run it; return the exit code."""
    code: int = application()(
        ["refit", NAME, "--data", str(folder / "val.npz"), "--test", str(folder / "test.npz"), *more]
    )
    return code
