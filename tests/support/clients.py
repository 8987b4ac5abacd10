"""The environment of the stock clients."""

import os
from pathlib import Path

import pytest

PYTHON = Path(__file__).parents[2] / ".venv-clients/bin/python"


def clients_python() -> Path:
    """Return its Python; skip the test where it wasn't made, fail where CI should have made it."""
    if not PYTHON.exists():
        reason = "no .venv-clients with the stock clients: `make install` makes it"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return PYTHON
