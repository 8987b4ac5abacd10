"""NVIDIA's own load generator, in its own environment, against a real server: what it asks, and prints."""

import os
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from server.cli.demonstration.server_process import ServerProcess, serving
from tests.support.onnx_models import write_linear
from tests.support.tools import missing

ENVIRONMENT = Path(__file__).parents[2] / ".venv-perf"
PERF_ANALYZER = ENVIRONMENT / "bin" / "perf_analyzer"
# Short windows, and one that differs from the one before is no reason to go on.
BRIEFLY = ("--measurement-interval", "400", "--max-trials", "10", "--stability-percentage", "500")
FIGURES = (
    r"Avg request latency: (?P<latency>\d+) usec "
    r"\(overhead \d+ usec \+ queue (?P<queue>\d+) usec \+ compute (?P<compute>\d+) usec\)"
)


@pytest.fixture(scope="module")
def libraries() -> str:
    """Where the binary finds what it was linked with; skips where that can't be had, and fails on CI."""
    if not PERF_ANALYZER.exists():
        missing(f"there is no {PERF_ANALYZER}: `make install` makes it, on Linux on x86-64")
    folders = [*ENVIRONMENT.glob("lib/python*/site-packages/nvidia/cuda_runtime/lib")]
    folders += ENVIRONMENT.glob("usr/lib/*")
    path = ":".join(map(str, folders))
    done = subprocess.run(
        [PERF_ANALYZER, "--version"],
        env={**os.environ, "LD_LIBRARY_PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    if "error while loading shared libraries" in done.stderr:
        missing(f"{done.stderr.strip()}: `make system-deps` installs what it was linked with on Debian")
    return path


@pytest.fixture(scope="module")
def server(
    tmp_path_factory: pytest.TempPathFactory, unisono: Callable[..., object]
) -> Iterator[ServerProcess]:
    """A server of `sums`: members `a` and `b`, and `silent`, which weighs nothing."""
    folder = tmp_path_factory.mktemp("perf")
    members = []
    for seed, name in enumerate(("a", "b", "silent")):
        write_linear(folder / f"{name}.onnx", seed=seed)
        members.append(f"--member={name}={folder / f'{name}.onnx'}")
    weights = ("--weights", "a=0.5,b=0.5,silent=0")
    unisono("publish", "sums", *members, *weights, "--store", folder / "store")
    with serving(str(folder / "store"), folder / "serve.log", ("--http-port", "0")) as process:
        yield process


@pytest.fixture
def analyze(libraries: str, server: ServerProcess) -> Callable[..., str]:
    """Run perf_analyzer briefly on `sums`; give what it printed."""

    def run(*options: str, protocol: str = "grpc") -> str:
        address = server.address if protocol == "grpc" else server.http_address
        done = subprocess.run(
            [PERF_ANALYZER, "-i", protocol, "-u", address, "-m", "sums", *BRIEFLY, *options],
            env={**os.environ, "LD_LIBRARY_PATH": libraries},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=120,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout

    return run


@pytest.mark.parametrize("protocol", ["grpc", "http"])
def test_it_prints_the_table_of_the_members_that_are_asked(
    analyze: Callable[..., str], protocol: str
) -> None:
    printed = analyze("--concurrency-range", "4", "-b", "2", protocol=protocol)

    whole, _, composing = printed.partition("Composing models:")
    assert re.findall(r"^ *(sums\S*), version: *(\d*)", composing, re.MULTILINE) == [
        ("sums.a", "1"),
        ("sums.b", "1"),
    ]
    assert [int(count) > 0 for count in re.findall(r"Successful request count: (\d+)", printed)] == [True] * 3
    # The members' waits and times add up to no more than the ensemble's.
    figures = re.search(FIGURES, whole)
    assert figures is not None, whole
    assert int(figures["queue"]) + int(figures["compute"]) <= int(figures["latency"]) + 1


def test_a_member_is_a_model_of_its_own(analyze: Callable[..., str]) -> None:
    printed = analyze("-m", "sums.silent")

    assert "Composing models" not in printed
    assert int(re.findall(r"Inference count: (\d+)", printed)[0]) > 0


def test_it_streams(analyze: Callable[..., str]) -> None:
    printed = analyze("--streaming", "--concurrency-range", "4")

    assert "Composing models:" in printed
    assert float(re.findall(r"throughput: ([\d.]+) infer/sec", printed)[0]) > 0


@pytest.mark.parametrize("version", [(), ("-x", "1")])
def test_it_is_a_tensorflow_serving_to_those_who_take_it_for_one(
    analyze: Callable[..., str], version: tuple[str, ...]
) -> None:
    # It sends a version as a label.
    printed = analyze("--service-kind", "tfserving", "-b", "2", "--concurrency-range", "4", *version)

    assert float(re.findall(r"throughput: ([\d.]+) infer/sec", printed)[0]) > 0
