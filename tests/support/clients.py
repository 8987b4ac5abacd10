"""The environments of the stock clients."""

import asyncio
import importlib.util
import json
import os
from pathlib import Path
from typing import Any

from tests.support.tools import missing

ROOT = Path(__file__).parents[2]
PYTHON = ROOT / ".venv-clients/bin/python"
TFS_PYTHON = ROOT / ".venv-tfs-clients/bin/python"
# What the stock TensorFlow Serving client imports of TensorFlow: messages, all of them in these folders.
BORROWED = ("core", "compiler")


def clients_python() -> Path:
    """Return the Python with Triton's client; skip where it wasn't made, fail where CI should have."""
    return _made(PYTHON, "the stock clients")


def _made(python: Path, what: str) -> Path:
    if not python.exists():
        missing(f"no {python.parents[1].name} with {what}: `make install` makes it")
    return python


def borrow_tensorflow(folder: Path) -> None:
    """Make `folder` one where Python finds TensorFlow's messages, and no TensorFlow; skip if there are none.

    Importing TensorFlow takes half a minute and another protobuf; its messages take neither.
    """
    found = importlib.util.find_spec("tensorflow")
    if found is None or not found.submodule_search_locations:
        missing("no TensorFlow in .venv, whose messages the stock client imports: `make install` brings it")
    source = Path(found.submodule_search_locations[0])
    (folder / "tensorflow").mkdir()
    for name in BORROWED:
        (folder / "tensorflow" / name).symlink_to(source / name)


async def run_triton(program: str, *arguments: str) -> Any:
    """What a program of `tests/clients` that uses Triton's client printed."""
    return await _printed(clients_python(), program, *arguments, path=str(ROOT))


async def run_tfs(program: str, *arguments: str, borrowed: Path) -> Any:
    """What a program of `tests/clients` that uses TensorFlow Serving's client printed."""
    python = _made(TFS_PYTHON, "the stock TensorFlow Serving client")
    return await _printed(python, program, *arguments, path=f"{ROOT}{os.pathsep}{borrowed}")


async def _printed(python: Path, program: str, *arguments: str, path: str) -> Any:
    """The JSON that a program printed, which finds what it imports on `path`."""
    process = await asyncio.create_subprocess_exec(
        str(python),
        str(ROOT / "tests" / "clients" / program),
        *arguments,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": path},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(process.communicate(), 120)
    assert process.returncode == 0, err.decode()
    return json.loads(out)
