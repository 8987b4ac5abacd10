"""A real `unisono serve` in a process of its own, for as long as a block runs."""

import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread
from time import monotonic
from typing import IO
from urllib.request import urlopen

from ensemble.errors import UnavailableError

READY = re.compile(
    r"^ready in [\d.]+ s: gRPC on (?P<grpc>\S+), metrics on (?P<metrics>[^\s,]+)(, HTTP on (?P<http>\S+))?$"
)
# A server that ends is noticed at once; one that is only slow, on a busy machine, may take its time.
START_SECONDS = 180
STOP_SECONDS = 180


# Of the log of a server that doesn't start.
LINES_TOLD = 10


@dataclass(slots=True)
class ServerProcess:
    """A server that is ready: where it listens, how long it took from its start, and where its log is."""

    process: subprocess.Popen[str]
    log: Path
    began: float  # on the monotonic clock
    address: str = ""
    metrics_url: str = ""
    http_address: str = ""
    ready_seconds: float = 0.0

    def metrics(self) -> str:
        """Scrape it once."""
        with urlopen(self.metrics_url, timeout=10) as response:  # noqa: S310 - our own http address
            text: str = response.read().decode()
        return text

    def stop(self) -> int:
        """Send SIGTERM, wait for the drain, and return the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()


@contextmanager
def serving(store: str, log: Path, options: Sequence[str] = ()) -> Iterator[ServerProcess]:
    """Run `unisono serve` on free ports; UnavailableError if it ends, or isn't ready in three minutes."""
    command = [sys.executable, "-m", "unisono", "serve", "--store", store, "--log-format", "json"]
    began = monotonic()
    process = subprocess.Popen(  # noqa: S603 - our own command
        [*command, "--grpc-port", "0", "--metrics-port", "0", *options],
        stderr=subprocess.PIPE,
        text=True,
    )
    server, ready = ServerProcess(process, log, began), Event()
    reader = Thread(target=_follow, args=(process.stderr, server, ready), daemon=True)
    reader.start()
    try:
        if not ready.wait(START_SECONDS) or not server.address:
            last = log.read_text().splitlines()[-LINES_TOLD:] if log.exists() else []
            told = "\n".join(["", *last])
            raise UnavailableError(f"the server did not get ready; {log} says why, and ends with{told}")
        yield server
    finally:
        server.stop()
        reader.join()


def _follow(stream: IO[str] | None, server: ServerProcess, ready: Event) -> None:
    """Copy the server's log to its file, and read from it when and where the server is ready."""
    if stream is None:
        raise ValueError("the server's standard error is not a pipe")
    with stream, server.log.open("w") as log:
        for line in stream:
            log.write(line)
            log.flush()
            found = READY.match(_message(line))
            if found:
                server.address, server.metrics_url = found["grpc"], found["metrics"]
                server.http_address = found["http"] or ""
                server.ready_seconds = monotonic() - server.began
                ready.set()
    # It ended: whoever waits for it to get ready needs to wait no longer.
    ready.set()


def _message(line: str) -> str:
    try:
        event = json.loads(line)
    except ValueError:
        return ""
    return str(event.get("message", "")) if isinstance(event, dict) else ""
