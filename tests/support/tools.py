"""What tests need beside this checkout: where it is missing a test skips, and says so; on CI it fails."""

import os
import shutil
from typing import NoReturn

import pytest


def needs(command: str) -> None:
    """Skip or fail the test if there is no such command."""
    if shutil.which(command) is not None:
        return
    missing(f"there is no command {command} here: `make system-deps` installs it on Debian")


def missing(reason: str) -> NoReturn:
    """Skip the test for this reason; on CI, where nothing may be missing, fail."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)
