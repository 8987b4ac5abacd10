"""A server that is asked for ten times what it can do: what it still answers, and how soon it says no.

    python benchmarks/overload.py [--ensemble heavy] [--times 10] [--seconds 6] [--repeats 3]
    python benchmarks/overload.py --server max-queue-wait-ms=250 max-in-flight=64

Starts `unisono serve` with the flags of `--server`. First callers that wait for their answers tell what
the server can do; then calls of one row come at `--times` that rate, on a timer, whether or not earlier ones
were answered; then one caller asks again and again until it is served as fast as before. Members compute on
one thread, so that the generator, which shares the cores, isn't what is measured.
"""

import argparse
import asyncio
import contextlib
import os
import re
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ensembles import ENSEMBLES, benchmark_store
from light_client import Call, Load
from measure import described, machine
from peers.wires import open_inference_body
from results import save, table

from ensemble.runtimes.sample import random_rows
from ensemble.signature import Signature
from model_store.store import Store
from server.cli.demonstration.server_process import ServerProcess, serving

METHOD = "/inference.GRPCInferenceService/ModelInfer"
CONNECTIONS = 8
CALM_SECS = 4.0
DEADLINE_SECS = 5.0
RECOVERY_SECS = 5.0
SOON_SECS = 0.01
OK, REFUSED = "OK", "RESOURCE_EXHAUSTED"


def go_first() -> None:
    """Let the generator have a core when it wants one, where that is allowed: else its waits count.

    The server, which runs by then, keeps the priority that it has.
    """
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, -10)


def busy_secs() -> float:
    """Return for how long this machine's cores have been busy, all together."""
    user, nice, system, _idle, _waiting, *others = map(int, Path("/proc/stat").read_text().split()[1:9])
    return (user + nice + system + sum(others)) / os.sysconf("SC_CLK_TCK")


def cpu_secs(pid: int) -> float:
    """Return the user and system time that a process has taken."""
    after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(after_name[11]) + int(after_name[12])) / os.sysconf("SC_CLK_TCK")


async def recovery(load: Load, usual: float) -> float:
    """Ask one by one until two answers in a row come in twice the usual time; return after how long."""
    began, good = time.monotonic(), 0
    while good < 2 and time.monotonic() - began < 2 * RECOVERY_SECS:  # noqa: PLR2004 - two in a row
        call = await load.call(0)
        good = good + 1 if call.code == OK and call.seconds <= 2 * usual else 0
    return time.monotonic() - began


def refused_inside(page: str) -> tuple[float, float]:
    """Read in the metrics how many calls were refused before their model was known, and in 10 ms or less."""

    def figure(name: str, labels: str = "") -> float:
        pattern = rf'^unisono_request_seconds_{name}{{{labels}method="ModelInfer",model=""}} (\S+)$'
        found = re.search(pattern, page, re.MULTILINE)
        return float(found[1]) if found else 0.0

    return figure("count"), figure("bucket", 'le="0.01",')


async def measured(server: ServerProcess, body: bytes, options: argparse.Namespace) -> dict[str, Any]:
    """Run the three parts, and put them in figures."""
    load = Load(server.address, METHOD, body, connections=CONNECTIONS, timeout=DEADLINE_SECS)
    await load.open()
    before = os.getloadavg()[0]
    await load.waiting(4, 0.5)  # warms the way
    alone = await load.waiting(1, 1.0)
    usual = float(np.median([call.seconds for call in alone]))
    calm = await load.waiting(options.callers, CALM_SECS)
    capacity = _rate(calm, OK)
    seen = refused_inside(server.metrics())
    spent = (busy_secs(), cpu_secs(server.process.pid), time.process_time())
    storm = await load.on_a_timer(options.times * capacity, options.seconds)
    now = (busy_secs(), cpu_secs(server.process.pid), time.process_time())
    busy, inside, generator = (
        (after - before) / options.seconds for after, before in zip(now, spent, strict=True)
    )
    recovered = await recovery(load, usual)
    refused, soon = (now - then for now, then in zip(refused_inside(server.metrics()), seen, strict=True))
    load.close()
    codes = sorted({call.code for call in storm})
    return {
        "load_before": before,
        "capacity_per_sec": capacity,
        "calm_p99_ms": _ms(calm, OK, 99),
        "offered_per_sec": len(storm) / options.seconds,
        "goodput_per_sec": _rate(storm, OK),
        "goodput_share": _rate(storm, OK) / capacity,
        "accepted_p50_ms": _ms(storm, OK, 50),
        "accepted_p99_ms": _ms(storm, OK, 99),
        "accepted_p95_ms": _ms(storm, OK, 95),
        "refusal_p50_ms": _ms(storm, REFUSED, 50),
        "refusal_p95_ms": _ms(storm, REFUSED, 95),
        "refusal_p99_ms": _ms(storm, REFUSED, 99),
        "refused_under_10_ms": sum(call.seconds < SOON_SECS for call in storm if call.code == REFUSED)
        / max(1, sum(call.code == REFUSED for call in storm)),
        "refused_under_10_ms_inside": soon / max(1, refused),
        "recovery_secs": recovered,
        "cores": {"server": inside, "generator": generator, "others": busy - inside - generator},
        "codes": {code: sum(call.code == code for call in storm) for code in codes},
    }


def _rate(calls: Sequence[Call], code: str) -> float:
    """Answers of `code` a second, from the first call to the last answer."""
    span = max(call.sent + call.seconds for call in calls) - min(call.sent for call in calls)
    return sum(call.code == code for call in calls) / span


def _ms(calls: Sequence[Call], code: str, percent: float) -> float:
    seconds = [call.seconds for call in calls if call.code == code]
    return float(np.percentile(seconds, percent) * 1e3) if seconds else float("nan")


def markdown(runs: Sequence[dict[str, Any]], options: argparse.Namespace, facts: dict[str, Any]) -> str:
    """Write the figures as a table, a column a run, with what they should be."""
    ms = {name: f"{name}_p50_ms {name}_p95_ms {name}_p99_ms".split() for name in ("accepted", "refusal")}
    rows: dict[str, tuple[str, Callable[[dict[str, Any]], str]]] = {
        "load average before": ("", lambda run: f"{run['load_before']:.1f}"),
        "capacity, callers that wait": ("", lambda run: f"{run['capacity_per_sec']:,.0f} a second"),
        "offered": (f"{options.times:g} times that", lambda run: f"{run['offered_per_sec']:,.0f} a second"),
        "goodput, share of capacity": ("at least 80 %", lambda run: f"{run['goodput_share']:.0%}"),
        "calm p99": ("", lambda run: f"{run['calm_p99_ms']:,.0f} ms"),
        "accepted p50 / p95 / p99": (
            "bounded",
            lambda run: " / ".join(f"{run[key]:,.0f}" for key in ms["accepted"]) + " ms",
        ),
        "refused p50 / p95 / p99": (
            "under 10 ms",
            lambda run: " / ".join(f"{run[key]:.1f}" for key in ms["refusal"]) + " ms",
        ),
        "refused in 10 ms, as callers see it": ("", lambda run: f"{run['refused_under_10_ms']:.1%}"),
        "refused in 10 ms, inside the server": ("", lambda run: f"{run['refused_under_10_ms_inside']:.1%}"),
        "cores: server / generator / others": (
            "",
            lambda run: " / ".join(f"{cores:.2f}" for cores in run["cores"].values()),
        ),
        "recovery": ("within 5 s", lambda run: f"{run['recovery_secs']:.2f} s"),
        "answers": (
            "no other code",
            lambda run: ", ".join(f"{code} {count:,}" for code, count in run["codes"].items()),
        ),
    }
    lines = [[name, wanted, *map(shown, runs)] for name, (wanted, shown) in rows.items()]
    header = ["figure", "wanted", *(f"run {number}" for number in range(1, len(runs) + 1))]
    note = (
        f"Ensemble `{options.ensemble}`, one row a call, {' '.join(options.server) or 'defaults'}, one "
        f"thread for members, {options.seconds:g} s of calls on {CONNECTIONS} connections. Latencies "
        "are what callers see, in a generator that shares the cores with the server; what others took of "
        "them is told below."
    )
    head = "# The server when it is asked for more than it can do"
    return "\n\n".join([head, described(facts), note, table(header, lines)]) + "\n"


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--ensemble", choices=ENSEMBLES, default="heavy")
    parser.add_argument("--times", type=float, default=10.0)
    parser.add_argument("--seconds", type=float, default=6.0)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--callers", type=int, default=16, help="that wait, to find the capacity")
    parser.add_argument("--server", nargs="*", default=[], help="more flags of `unisono serve`, without --")
    parser.add_argument("--name", default="overload", help="what the files in results/ are called")
    options = parser.parse_args()
    place, facts = benchmark_store(), machine()
    signature = Signature.from_json(Store.open(str(place)).manifest(options.ensemble).signature)
    body = open_inference_body(options.ensemble, dict(random_rows(signature, 1)))
    flags = ["--ensemble", options.ensemble, "--threads", "1"]
    flags += [f"--{flag}" for flag in options.server]
    with (
        tempfile.TemporaryDirectory() as folder,
        serving(str(place), Path(folder) / "log", flags) as server,
    ):
        go_first()
        runs = [asyncio.run(measured(server, body, options)) for _ in range(options.repeats)]
    save(options.name, {"machine": facts, "runs": runs}, markdown(runs, options, facts))


if __name__ == "__main__":
    main()
