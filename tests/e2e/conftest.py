"""A store with the small members published in it, made once; every test gets a copy of its own."""

import fcntl
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from server.cli.demonstration.server_process import ServerProcess, serving
from tests.support.small_members import REPOSITORY

MEMBERS = ("sepconv.keras", "bndense.keras", "bnconv.keras", "forest.onnx")
Unisono = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def unisono() -> Unisono:
    """Run the `unisono` command as a user does; its output is text."""

    def run(*words: str | Path, code: int = 0) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "unisono", *map(str, words)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
        assert done.returncode == code, f"{words}: exit code {done.returncode}\n{done.stdout}{done.stderr}"
        return done

    return run


@pytest.fixture(scope="session")
def published(small_members: Path, unisono: Unisono) -> Path:
    """A store whose ensemble `digits` has the four small members, weighed alike, as version 1."""
    cache = REPOSITORY / ".cache" / "stores"
    cache.mkdir(parents=True, exist_ok=True)
    store = cache / small_members.name
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not store.exists():
            made = Path(tempfile.mkdtemp(dir=cache))
            members = [f"--member={Path(file).stem}={small_members / file}" for file in MEMBERS]
            unisono("publish", "digits", *members, "--store", made)
            made.rename(store)
    return store


@pytest.fixture
def store(published: Path, tmp_path: Path) -> Path:
    """A copy of the published store that the test may change."""
    return shutil.copytree(published, tmp_path / "store")


@pytest.fixture
def server(store: Path, tmp_path: Path) -> Iterator[ServerProcess]:
    """A server of `store` in its own process, ended with the test."""
    with serving(str(store), tmp_path / "serve.log", ["--poll-interval-secs", "0.1"]) as process:
        yield process
