"""The server through real gRPC beside the best that one process reaches, in one run.

    python benchmarks/front_end.py [--repeats 3] [--seconds 4] [--ensembles images tabular heavy]
                                   [--servers grpcio grpcio-2 envoy envoy-2]

Starts `unisono serve` on the benchmark store, with each transport and number of workers, and drives one
after another with h2load (Debian: nghttp2-client), one row a request, one request at a time on each of 1, 16
and 64 connections. Between the servers' runs, the best way of `engine.py` scores batches of as many rows in
this process. The load generator shares the cores with the
server. Every answer must have been OK, by the server's own metrics, or nothing is written.
"""

import argparse
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import engine
import numpy as np
from ensembles import ENSEMBLES, benchmark_store
from measure import described, interleaved, machine
from results import save, table

from ensemble.member import Rows
from ensemble.runtimes.sample import random_rows
from ensemble.signature import Signature
from model_store.store import Store
from server.wire import tensors
from server.wire.messages import message_class

CONCURRENCY = (1, 16, 64)
READY = re.compile(r"gRPC on (\S+), metrics on (\S+)")
START_SECS = 60.0
# Transport and workers, as for `unisono serve`.
SERVERS = {"grpcio": ("grpcio", 1), "grpcio-2": ("grpcio", 2), "envoy": ("envoy", 1), "envoy-2": ("envoy", 2)}


@dataclass(frozen=True)
class Run:
    """What one load came to. Latencies in ms; `cpu_ms` is the server's user and system time for one row."""

    rows_per_sec: float
    p50: float
    p95: float
    p99: float
    cpu_ms: float


@dataclass(frozen=True)
class Server:
    """A running server: its process, where it answers, and what it was told."""

    pid: int
    address: str
    metrics: str

    def cpu_secs(self) -> float:
        """Return the user and system time that it and its workers have taken so far."""
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        return sum(map(_cpu_secs, (self.pid, *map(int, children))))

    def answers(self) -> dict[str, float]:
        """Return how many ModelInfer calls it has answered, by code."""
        with urllib.request.urlopen(self.metrics, timeout=10) as page:  # noqa: S310 - our own server
            text = page.read().decode()
        found: dict[str, float] = {}
        for labels, value in re.findall(r"^unisono_requests_total\{(.*)\} (\S+)$", text, re.MULTILINE):
            if 'method="ModelInfer"' in labels:
                code = labels.split('code="')[1].split('"')[0]
                found[code] = found.get(code, 0) + float(value)
        return found


def _cpu_secs(pid: int) -> float:
    after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(after_name[11]) + int(after_name[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def serving(store: Path, name: str, runtime: str, server: str) -> Iterator[Server]:
    """Run the server on ensemble `name` while the block runs."""
    transport, workers = SERVERS[server]
    command = [sys.executable, "-m", "unisono", "serve", "--store", str(store), "--ensemble", name]
    command += ["--runtime", runtime, "--transport", transport, "--workers", str(workers)]
    with tempfile.TemporaryFile("w+") as log:
        child = subprocess.Popen([*command, "--grpc-port", "0", "--metrics-port", "0"], stderr=log)
        try:
            address, metrics = _ready(child, log)
            yield Server(child.pid, address, metrics)
        finally:
            child.send_signal(signal.SIGTERM)
            child.wait(60)


def _ready(child: "subprocess.Popen[bytes]", log: Any) -> tuple[str, str]:
    end = time.monotonic() + START_SECS
    while time.monotonic() < end and child.poll() is None:
        log.seek(0)
        found = READY.search(log.read())
        if found:
            return found[1], found[2]
        time.sleep(0.05)
    log.seek(0)
    raise SystemExit(f"the server did not start:\n{log.read()}")


def request_body(name: str, rows: Rows, signature: Signature) -> bytes:
    """Write a ModelInferRequest as gRPC sends it: a zero byte, its length, the message."""
    request = message_class("inference.ModelInferRequest")(model_name=name)
    for spec in signature.inputs:
        array, wire = rows[spec.name], tensors.BY_DTYPE[spec.dtype]
        request.inputs.add(name=spec.name, datatype=wire.datatype, shape=array.shape)
        request.raw_input_contents.append(tensors.to_raw(array, wire))
    message = bytes(request.SerializeToString())
    return b"\0" + len(message).to_bytes(4, "big") + message


def load(server: Server, body: Path, connections: int, seconds: int) -> Run:
    """Keep `connections` requests going for `seconds`."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "requests"
        cpu, answered = server.cpu_secs(), server.answers()
        command = ["h2load", "-c", str(connections), "-m", "1", "-D", str(seconds), "-d", str(body)]
        command += ["-H", "content-type: application/grpc", "-H", "te: trailers", f"--log-file={log}"]
        url = f"http://{server.address}/inference.GRPCInferenceService/ModelInfer"
        subprocess.run([*command, url], check=True, capture_output=True, timeout=seconds + 60)
        micros = np.array([int(line.split()[2]) for line in log.read_text().splitlines()])
    now = server.answers()
    if now.keys() - answered.keys() - {"OK", "CANCELLED"}:
        raise SystemExit(f"not every call was answered with OK: {now}")
    rows = now["OK"] - answered.get("OK", 0)
    p50, p95, p99 = np.percentile(micros, [50, 95, 99]) / 1e3
    return Run(rows / seconds, p50, p95, p99, (server.cpu_secs() - cpu) * 1e3 / rows)


def measured(
    store_path: Path, name: str, options: argparse.Namespace
) -> dict[str, dict[int, dict[str, Any]]]:
    """Drive each server at each concurrency, again and again, with the in-process best in between."""
    store = Store.open(str(store_path))
    signature = Signature.from_json(store.manifest(name).signature)
    ways = engine.ways(store, name)
    runs = {(server, size): list[Run]() for server in options.servers for size in CONCURRENCY}
    alone: dict[int, list[tuple[float, str]]] = {size: [] for size in CONCURRENCY}
    with ExitStack() as stack:
        body = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "request"
        body.write_bytes(request_body(name, random_rows(signature, 1), signature))
        servers = {
            server: stack.enter_context(serving(store_path, name, options.runtime, server))
            for server in options.servers
        }
        for server in servers.values():
            load(server, body, 4, 1)  # warms the way
        for _ in range(options.repeats):
            for concurrency in CONCURRENCY:
                rows = random_rows(signature, concurrency)
                works = {way: lambda run=run, rows=rows: run(rows) for way, run in ways.items()}
                timings = interleaved(works, repeats=3)
                best = min(timings, key=lambda way: timings[way].median)
                alone[concurrency].append((timings[best].median, best))
                for key, server in servers.items():
                    runs[key, concurrency].append(load(server, body, concurrency, options.seconds))
    return {
        server: {size: _summary(size, runs[server, size], alone[size]) for size in CONCURRENCY}
        for server in options.servers
    }


def _summary(size: int, runs: list[Run], alone: list[tuple[float, str]]) -> dict[str, Any]:
    """Put repeats together: medians, the spread of the throughput, and the ratio to the in-process best."""
    middle = {key: statistics.median(asdict(run)[key] for run in runs) for key in asdict(runs[0])}
    speeds = [run.rows_per_sec for run in runs]
    ratios = [run.rows_per_sec * secs / size for run, (secs, _) in zip(runs, alone, strict=True)]
    in_process = statistics.median(secs for secs, _ in alone)
    return middle | {
        "slowest": min(speeds),
        "fastest": max(speeds),
        "in_process_rows_per_sec": size / in_process,
        "in_process_ms": in_process * 1e3,
        "in_process_ways": sorted({way for _, way in alone}),
        "ratio": statistics.median(ratios),
        "ratios": sorted(ratios),
    }


def markdown(
    found: Mapping[str, Mapping[str, Mapping[int, Mapping[str, Any]]]], facts: Mapping[str, Any]
) -> str:
    """Write the figures as a table."""
    header = [
        "ensemble",
        "server",
        "c",
        "rows/s (spread)",
        "p50 / p95 / p99 ms",
        "CPU ms a row",
        "in process rows/s",
        "ratio (spread)",
    ]
    lines = [
        [
            name,
            server,
            str(size),
            f"{row['rows_per_sec']:,.0f} ({row['slowest']:,.0f}-{row['fastest']:,.0f})",
            f"{row['p50']:.2f} / {row['p95']:.2f} / {row['p99']:.2f}",
            f"{row['cpu_ms']:.2f}",
            f"{row['in_process_rows_per_sec']:,.0f}",
            f"{row['ratio']:.2f} ({row['ratios'][0]:.2f}-{row['ratios'][-1]:.2f})",
        ]
        for name, servers in found.items()
        for server, sizes in servers.items()
        for size, row in sizes.items()
    ]
    head = "# The server through gRPC, beside one process without a server"
    note = (
        "server: the transport, and how many workers if more than one. "
        "c: connections, one request of one row at a time each; the load generator shares the cores. "
        "In process: the best of `engine.py`'s ways in batches of c rows, in the same run."
    )
    return "\n\n".join([head, described(facts), note, table(header, lines)]) + "\n"


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=4)
    parser.add_argument("--ensembles", nargs="+", choices=ENSEMBLES, default=list(ENSEMBLES))
    parser.add_argument("--servers", nargs="+", choices=SERVERS, default=list(SERVERS))
    parser.add_argument("--runtime", default="auto", help="as for unisono serve")
    parser.add_argument("--name", default="front_end", help="what the files in results/ are called")
    options = parser.parse_args()
    store, facts = benchmark_store(), machine()
    found = {name: measured(store, name, options) for name in options.ensembles}
    save(options.name, {"machine": facts, "runs": found}, markdown(found, facts))


if __name__ == "__main__":
    main()
