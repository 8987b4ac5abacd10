"""Fixtures that tests of several packages share."""

import fcntl
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from tests.support import figures
from tests.support import small_members as support
from tests.support.bindings import Binding, EnvoyProcess, envoy_running
from tests.support.small_members import REPOSITORY

# How long an example takes depends on what else the machine does; no property does.
settings.register_profile("unisono", deadline=None)
settings.load_profile("unisono")

# What servers measure and keep is kept here: no test leaves anything in anybody's home.
os.environ["XDG_CACHE_HOME"] = str(REPOSITORY / ".cache" / "home")

MEMBERS = ("sepconv.keras", "bndense.keras", "bnconv.keras", "forest.onnx")
Unisono = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def small_members() -> Path:
    """`sepconv.keras`, `bndense.keras`, `bnconv.keras`, `forest.onnx`, `validation.npz` and `test.npz`.

    Real architectures on real digits, hardly trained. Read only: every test run shares them.
    """
    return support.small_members()


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


@pytest.fixture(scope="session")
def envoy() -> Iterator[EnvoyProcess]:
    """An Envoy for every test of this process that needs one."""
    with envoy_running() as process:
        yield process


@pytest.fixture(params=["grpcio", "http2", "envoy"])
def binding(request: pytest.FixtureRequest) -> Binding:
    """Each transport in turn."""
    if request.param == "envoy":
        return Binding(request.getfixturevalue("envoy"))
    return Binding(http2=request.param == "http2")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let the longest files begin."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    need = {item.path for item in items if "small_members" in getattr(item, "fixturenames", ())}
    items.sort(key=lambda item: turn(item.path.name, slow=item.path in slow, needs=item.path in need))


def turn(file: str, *, slow: bool, needs: bool) -> int:
    """Say when a file's tests run, so that no process is left with a long file when the others are done.

    One makes the small members while others do what is long without them; then come those that need them.
    """
    if file == "test_small_members.py":
        return 0
    if not slow:
        return 3
    return 2 if needs else 1


# Seconds that one test may take: a test that hangs should say so, and not hold up the run for ever.
LONGEST_SECONDS = 3600 if os.environ.get("UNISONO_PROOF") == "whole" else 300


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """Fail a test that takes too long, wherever it waits."""

    def stop(*_: object) -> None:
        raise TimeoutError(f"{item.nodeid} took more than {LONGEST_SECONDS} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, LONGEST_SECONDS)
    try:
        return (yield)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Hand the figures of a run in several processes to the one that prints."""
    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        output["figures"] = session.config.stash.get(figures.FIGURES, [])


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Take the figures of one of the processes."""
    for figure in getattr(node, "workeroutput", {}).get("figures", []):
        figures.report(node.config, figure)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print the figures that this run measured."""
    measured = config.stash.get(figures.FIGURES, [])
    if measured:
        terminalreporter.section("figures, measured and not asserted")
        for figure in measured:
            terminalreporter.write_line(figure)
