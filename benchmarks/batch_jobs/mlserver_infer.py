"""`mlserver infer`: MLServer's own batch command, against its server on the same machine.

    python -m batch_jobs.mlserver_infer GRAPHS ENSEMBLE FEW.jsonl MANY.jsonl OUT PYTHON

PYTHON is that of MLServer's environment. Requests go out sixteen at a time from four workers, as JSON: its
server couldn't read what the command sends as binary data.
"""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from peers.processes import Tree, free_port
from peers.systems import BENCHMARKS

from batch_jobs.executors import told

START_SECS = 90.0
TOGETHER, WORKERS = 16, 4


def main(arguments: list[str]) -> None:
    """Start the server, score both files and tell."""
    graphs, name, few, many, output, python = arguments
    folder, seconds = Path(output), []
    folder.mkdir()
    environment = os.environ | {"PYTHONPATH": str(BENCHMARKS)}
    command = [python, "-m", "peers.given.mlserver_server", graphs, str(free_port())]
    server = Tree(command, folder / "log", environment=environment, folder=folder)
    try:
        server.wait_until(lambda: _ready(folder), START_SECS)
        address = f"127.0.0.1:{_port(folder)}"
        for lines in (few, many):
            answers = folder / f"{Path(lines).stem}.out"
            infer = [python, "-m", "mlserver.cli.main", "infer", "-u", address, "-m", name]
            infer += ["-s", str(TOGETHER), "-w", str(WORKERS), "-i", lines, "-o", str(answers)]
            began = time.perf_counter()
            subprocess.run(infer, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            seconds.append(time.perf_counter() - began)
    finally:
        server.stop()
    told(seconds[0], seconds[1], _first(folder / f"{Path(few).stem}.out"))


def _port(folder: Path) -> int:
    return int(json.loads((folder / "settings.json").read_text())["http_port"])


def _ready(folder: Path) -> None:
    """Raise until the server takes requests."""
    with urllib.request.urlopen(f"http://127.0.0.1:{_port(folder)}/v2/health/ready", timeout=5):
        pass


def _first(answers: Path) -> list[float]:
    """Return the scores of the first request, whose answer may come at any place."""
    found = [json.loads(line) for line in answers.read_text().splitlines()]
    (first,) = [one for one in found if one["parameters"]["batch_index"] == 0]
    return list(first["outputs"][0]["data"])


if __name__ == "__main__":
    # Whoever is cut off ends what it started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    main(sys.argv[1:])
