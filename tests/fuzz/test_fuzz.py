"""A short run of every target; `make fuzz` runs them for long."""

import importlib.util
import logging
import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fuzz.target import Target
from tests.fuzz.targets import targets

TARGETS = targets()


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize("name", TARGETS)
def test_the_seeds_are_taken(name: str) -> None:
    for seed in TARGETS[name].seeds:
        TARGETS[name].read(seed)


@pytest.mark.parametrize("name", ["http_infer", "oip_infer", "tfs_predict", "tf_examples", "http2"])
def test_right_requests_are_among_the_seeds(name: str) -> None:
    assert "OK" in [TARGETS[name].read(seed) for seed in TARGETS[name].seeds]


@pytest.mark.parametrize("name", TARGETS)
def test_bytes_that_are_nothing_are_taken_or_refused(name: str) -> None:
    for data in (b"", b"\0", b"\n", b"{}", b"[]", b"\xff" * 99, b"[" * 9000, b'{"a":' * 9000, b"\x80" * 99):
        TARGETS[name].check(data)


def test_a_target_lets_what_is_no_refusal_through() -> None:
    target = Target("strict", int, (), (ValueError,))
    target.check(b"x")
    with pytest.raises(TypeError):
        Target("strict", lambda data: int([data]), (), (ValueError,)).check(b"x")  # type: ignore[call-overload]


def test_nothing_is_found_in_a_moment(tmp_path: Path) -> None:
    if importlib.util.find_spec("atheris") is None:
        where = f"{platform.system()} {platform.machine()}"
        if os.environ.get("CI") == "true" and where == "Linux x86_64":
            pytest.fail("no atheris: `make install` brings it")
        pytest.skip(f"no atheris, which is built for Linux on x86-64 and not {where}")
    short = ["--seconds", "1", "--runs", "1000", "--seed", "1"]
    command = [sys.executable, "-m", "tests.fuzz", *short, "--corpus", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=200)

    assert done.returncode == 0, done.stdout + done.stderr
    assert [line.split()[:2] for line in sorted(done.stdout.splitlines())] == [
        [name, "ok"] for name in sorted(TARGETS)
    ]
