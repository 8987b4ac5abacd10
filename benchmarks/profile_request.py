"""Where a request's time goes: CPU by thread, and, within Python, by the station of the request's way.

    python benchmarks/profile_request.py [--system unisono-http2] [--ensembles tabular images] [--seconds 6]

Loads the server as `beside_peers.py` does, with py-spy (`make bench` puts it in .venv-profile) looking at the
process that works most. Threads' times are the kernel's; shares of stations are samples of threads that ran
Python or called from it. py-spy stops the process for each sample, so throughput here is no figure.
"""

import argparse
import re
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from ensembles import benchmark_store
from measure import described, machine
from peers.offered import Offer, offers, reference_of, write_graphs
from peers.page import PAGE
from peers.processes import TICKS, free_port, heed_sigterm
from peers.running import Running, start
from peers.systems import BY_NAME, OURS, Place
from results import fill, save, table

from model_store.store import Store

PY_SPY = Path(__file__).parents[1] / ".venv-profile" / "bin" / "py-spy"
SAMPLES_A_SEC = 100
CALLERS = 64
# A thread that waits: what py-spy shows of it is no work.
WAITS = ("_worker (concurrent/futures/thread.py", "(selectors.py", "Condition.wait", "Event.wait")
# The first that fits the innermost frame of ours.
STATIONS = (
    ("metrics", r"server/telemetry/|prometheus_client/"),
    ("decode and encode messages", r"server/wire/(\w*codec|tensors|oip_outputs|messages)"),
    ("transport", r"server/(workers/|wire/(transport|asgi|http2|head|framing))"),
    ("admission, deadlines, finding the model", r"server/(wire|lifecycle)/"),
    ("batching", r"server/batching/"),
    ("members: ONNX Runtime, OpenVINO", r"ensemble/runtimes/"),
    ("engine and pooling", r"server/engine/|ensemble/"),
)
ELSEWHERE = "event loop and libraries"
MOST_FUNCTIONS = 12
# Envoy's own threads call into Python, which has no better name for the one that does.
EVENT_LOOP = {"Dummy", "MainThread"}


def station(stack: Sequence[str]) -> str:
    """Return the station that the innermost of our own frames belongs to; `stack` is from outermost on."""
    for frame in reversed(stack):
        for name, pattern in STATIONS:
            if re.search(pattern, frame):
                return name
    return ELSEWHERE


def samples(raw: str) -> list[tuple[list[str], int]]:
    """Read py-spy's raw format: frames, the outermost first, and how often; without threads that wait."""
    found = []
    for line in raw.splitlines():
        stack, _, count = line.rpartition(" ")
        frames = [frame for frame in stack.split(";") if re.search(r" \([^()]+:\d+\)$", frame)]
        if frames and not any(wait in frames[-1] for wait in WAITS):
            found.append((frames, int(count)))
    return found


def python_threads(pid: int) -> dict[int, str]:
    """Return what Python calls its threads, by the kernel's number."""
    done = subprocess.run(
        [str(PY_SPY), "dump", "--pid", str(pid)], check=True, capture_output=True, text=True
    )
    named = re.findall(r'^Thread (\d+) \(\S+\): "(.*)"$', done.stdout, re.MULTILINE)
    plain = {int(number): re.sub(r"[-_ (]*[0-9].*$", "", name) for number, name in named}
    return {
        number: f"Python: {'event loop' if name in EVENT_LOOP else name}" for number, name in plain.items()
    }


def thread_ticks(pids: Sequence[int]) -> dict[tuple[int, int], tuple[str, int]]:
    """Return each thread's name and its ticks of processor time so far."""
    found = {}
    for pid in pids:
        for folder in Path(f"/proc/{pid}/task").iterdir():
            text = (folder / "stat").read_text()
            name, fields = text[text.index("(") + 1 : text.rindex(")")], text.rpartition(")")[2].split()
            found[pid, int(folder.name)] = (name, int(fields[11]) + int(fields[12]))
    return found


def profiled(running: Running, offer: Offer, seconds: float, folder: Path) -> dict[str, Any]:
    """Load the server, and look at it meanwhile."""
    raw = folder / "raw"
    running.warm(offer)
    pids = [stat.pid for stat in running.tree.stats()]
    busiest = max(running.tree.stats(), key=lambda stat: stat.cpu_secs).pid
    command = [
        str(PY_SPY),
        "record",
        "--pid",
        str(busiest),
        "--duration",
        str(round(seconds / 2)),
        "--format",
        "raw",
    ]
    command += ["--rate", str(SAMPLES_A_SEC), "--function", "--output", str(raw)]
    names = python_threads(busiest)
    before = thread_ticks(pids)
    with ThreadPoolExecutor(1) as load:
        done = load.submit(running.load, offer, CALLERS, seconds)
        time.sleep(seconds * 0.4)  # threads' times are of the part that nobody looks at
        after = thread_ticks(pids)
        subprocess.run(command, check=True, capture_output=True)
        done.result()
    spent: Counter[str] = Counter()
    for (pid, number), (name, ticks) in after.items():
        called = names.get(number, f"native: {re.sub(r'[-_:]?[0-9]+$', '', name)}")
        spent[called] += ticks - before.get((pid, number), (name, 0))[1]
    stations: Counter[str] = Counter()
    functions: Counter[str] = Counter()
    for stack, count in samples(raw.read_text()):
        stations[station(stack)] += count
        functions[re.sub(r":\d+\)$", ")", stack[-1])] += count
    return {
        "threads_secs": {name: ticks / TICKS for name, ticks in spent.most_common() if ticks},
        "stations": dict(stations.most_common()),
        "functions": dict(functions.most_common(MOST_FUNCTIONS)),
    }


def shares(counts: Mapping[str, float], what: str) -> str:
    """Return a table of shares."""
    whole = sum(counts.values()) or 1
    return table([what, "share"], [[name, f"{count / whole:.0%}"] for name, count in counts.items()])


def markdown(found: Mapping[str, Any], title: str) -> str:
    """Write the tables."""
    parts = []
    for name, own in found.items():
        parts += [
            f"### {name}, {CALLERS} at once, {title}",
            "Processor time by thread:",
            shares(own["threads_secs"], "thread"),
            "Within Python, by station:",
            shares(own["stations"], "station"),
        ]
    return "\n\n".join(parts)


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    ours = [name for name, system in BY_NAME.items() if system.kind == OURS]
    parser.add_argument("--system", choices=ours, default="unisono-http2")
    parser.add_argument("--ensembles", nargs="+", default=["tabular", "images"])
    parser.add_argument("--seconds", type=float, default=12.0)
    parser.add_argument("--page", action="store_true", help="write the tables into docs/performance.md too")
    given = parser.parse_args()
    heed_sigterm()
    if not PY_SPY.exists():
        raise SystemExit(f"no {PY_SPY}: `make .venv-profile/.done` makes it")
    store, facts, system = benchmark_store(), machine(), BY_NAME[given.system]
    asked = offers(Store.open(str(store)), reference_of(store))
    asked = {name: asked[name] for name in given.ensembles}
    with tempfile.TemporaryDirectory() as place:
        write_graphs(Store.open(str(store)), asked, Path(place))
        folder = Path(place, "run")
        running = start(system, Place(store, Path(place), given.ensembles, free_port()), asked, folder)
        try:
            for offer in asked.values():
                running.check(offer)
            found = {name: profiled(running, offer, given.seconds, folder) for name, offer in asked.items()}
        finally:
            running.tree.stop()
    text = markdown(found, system.title)
    head = f"# Where a request's time goes\n\n{described(facts)}"
    save(
        "profile_request",
        {"machine": facts, "system": given.system, "profiles": found},
        f"{head}\n\n{text}\n",
    )
    if given.page:
        fill(PAGE, {"profile": f"{described(facts)}\n\n{text}"})


if __name__ == "__main__":
    main()
