"""Tools that tests need beside Python: where one is missing a test skips, and says so; on CI it fails."""

import os
import shutil

import pytest


def needs(command: str) -> None:
    """Skip or fail the test if there is no such command."""
    if shutil.which(command) is not None:
        return
    reason = f"there is no command {command} here: `make system-deps` installs it on Debian"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)
