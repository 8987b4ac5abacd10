"""A server that is asked for ten times what it can do: what it still answers, and how soon it says no.

    python benchmarks/overload.py [--ensembles heavy images] [--transports grpcio envoy] [--times 10]
    python benchmarks/overload.py --ensembles images --add    # once more, beside what results/ holds
    python benchmarks/overload.py --shared                    # the generator on the server's cores too

Starts `unisono serve` with the flags of `--server`. First callers that wait for their answers tell what
the server can do; then calls of one row come at `--times` that rate, on a timer, whether or not earlier ones
were answered; then one caller asks again and again until it is served as fast as before; then callers wait
for their answers once more, for the machine may be faster or slower by now. The generator has
the machine's last core and the server the others, so that the server is what is measured; where they share
all cores, the goodput is also shown as a share of the capacity that the generator's own time leaves.
"""

import argparse
import asyncio
import gc
import json
import os
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from cores import busy_secs, cores, go_first, left_of_capacity
from ensembles import ENSEMBLES, benchmark_store
from light_client import Call, Load
from measure import described, machine
from peers.processes import cpu_secs
from peers.wires import METHOD, open_inference_body
from results import RESULTS, save, table

from ensemble.runtimes.sample import random_rows
from ensemble.signature import Signature
from model_store.store import Store
from server.cli.demonstration.server_process import ServerProcess, serving

CONNECTIONS = 8
CALLERS = 32
DEADLINE_SECS = 5.0
RECOVERY_SECS = 5.0
SOON_SECS = 0.01
NAME = "overload"
OK, REFUSED = "OK", "RESOURCE_EXHAUSTED"
Figures = dict[str, Any]


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


@dataclass(frozen=True)
class Calm:
    """What a server does that isn't asked for too much."""

    calls: Sequence[Call]
    rate: float  # answers a second
    served_cost: float  # the server's CPU seconds an answer
    cores: float  # that the generator took


async def calmly(server: ServerProcess, load: Load, seconds: float) -> Calm:
    """Have callers wait for their answers, and look at what that takes."""
    spent, ours = cpu_secs(server.process.pid), time.process_time()
    calls = await load.waiting(CALLERS, seconds)
    spent, ours = cpu_secs(server.process.pid) - spent, time.process_time() - ours
    answers = _codes(calls).get(OK, 0)
    if not answers:
        raise SystemExit(f"nothing was answered in the calm: {_codes(calls)}")
    return Calm(calls, _rate(calls, OK), spent / answers, ours / _span(calls))


async def measured(server: ServerProcess, body: bytes, options: argparse.Namespace) -> Figures:
    """Run the parts, and put them in figures."""
    load = Load(server.address, METHOD, body, connections=CONNECTIONS, timeout=DEADLINE_SECS)
    await load.open()
    await load.waiting(CALLERS, 1.0)  # warms the way
    usual = float(np.median([call.seconds for call in await load.waiting(1, 0.5)]))
    calm = await calmly(server, load, options.seconds)
    seen = refused_inside(server.metrics())
    before = (busy_secs(), cpu_secs(server.process.pid), time.process_time())
    print(f"{calm.rate:,.0f} calls a second in the calm; now {options.times:g} times that", file=sys.stderr)
    storm = await load.on_a_timer(options.times * calm.rate, options.seconds)
    after = (busy_secs(), cpu_secs(server.process.pid), time.process_time())
    busy, inside, generator = (now - then for now, then in zip(after, before, strict=True))
    recovered = await recovery(load, usual)
    refused, soon = (now - then for now, then in zip(refused_inside(server.metrics()), seen, strict=True))
    again = await calmly(server, load, options.seconds)
    load.close()
    capacity = (calm.rate + again.rate) / 2
    served_cost = (calm.served_cost + again.served_cost) / 2
    codes = _codes(storm)
    refusals = [call.seconds for call in storm if call.code == REFUSED]
    refused_cost = (inside - codes.get(OK, 0) * served_cost) / max(1, len(refusals))
    span = _span(storm)
    left = left_of_capacity(calm.cores, generator / span) if options.shared else 1.0
    return {
        "capacity_per_sec": capacity,
        "capacity_before_per_sec": calm.rate,
        "capacity_after_per_sec": again.rate,
        "calm_p99_ms": _ms([*calm.calls, *again.calls], OK, 99),
        "offered_per_sec": len(storm) / options.seconds,
        "goodput_per_sec": _rate(storm, OK),
        "goodput_share": _rate(storm, OK) / capacity,
        "goodput_share_of_left": _rate(storm, OK) / capacity / left,
        **{f"accepted_p{percent}_ms": _ms(storm, OK, percent) for percent in (50, 95, 99)},
        **{f"refusal_p{percent}_ms": _ms(storm, REFUSED, percent) for percent in (50, 95, 99)},
        "refused_under_10_ms": float(np.mean(np.array(refusals or [0.0]) < SOON_SECS)),
        "refused_under_10_ms_inside": soon / max(1, refused),
        "refused_by_python": refused / max(1, len(refusals)),
        "served_cpu_ms": served_cost * 1e3,
        "refused_cpu_ms": refused_cost * 1e3,
        "recovery_secs": recovered,
        "cores_server": inside / span,
        "cores_generator": generator / span,
        "cores_others": (busy - inside - generator) / span,
        "codes": codes,
    }


def _codes(calls: Sequence[Call]) -> dict[str, int]:
    return {code: sum(call.code == code for call in calls) for code in sorted({call.code for call in calls})}


def _rate(calls: Sequence[Call], code: str) -> float:
    """Answers of `code` a second, from the first call to the last answer."""
    return sum(call.code == code for call in calls) / _span(calls)


def _span(calls: Sequence[Call]) -> float:
    """Return the seconds from the first call to the last answer."""
    return max(call.sent + call.seconds for call in calls) - min(call.sent for call in calls)


def _ms(calls: Sequence[Call], code: str, percent: float) -> float:
    seconds = [call.seconds for call in calls if call.code == code]
    return float(np.percentile(seconds, percent) * 1e3) if seconds else float("nan")


def spread(runs: Sequence[Figures], key: str, form: str) -> str:
    """Write a figure's median, and the least and most where there are several runs."""
    values = [run[key] for run in runs if key in run]
    if not values:
        return "-"  # kept from before there was such a figure
    middle = format(statistics.median(values), form)
    return f"{middle} ({min(values):{form}}-{max(values):{form}})" if len(runs) > 1 else middle


def changed(runs: Sequence[Figures]) -> str:
    """Write how much faster the server was after the storm than before, without which no share is exact."""
    pairs = [(run.get("capacity_after_per_sec"), run.get("capacity_before_per_sec")) for run in runs]
    ratios = [{"times": after / before} for after, before in pairs if after and before]
    return spread(ratios, "times", ".2f") if ratios else "-"


def _line(runs: Sequence[Figures], keys: str, form: str) -> str:
    return " / ".join(spread(runs, key, form) for key in keys.split())


# What is printed: the figure, what is wanted of it, and how runs are written.
ROWS: dict[str, tuple[str, Callable[[Sequence[Figures]], str]]] = {
    "capacity: callers that wait, calls/s": ("", lambda runs: spread(runs, "capacity_per_sec", ",.0f")),
    "the same after / before the storm, times": ("", changed),
    "offered, calls/s": ("", lambda runs: spread(runs, "offered_per_sec", ",.0f")),
    "**goodput, share of capacity**": ("at least 80%", lambda runs: spread(runs, "goodput_share", ".0%")),
    "goodput, share of what the generator leaves": (
        "",
        lambda runs: spread(runs, "goodput_share_of_left", ".0%"),
    ),
    "**accepted: p50 / p99, ms**": (
        "bounded",
        lambda runs: _line(runs, "accepted_p50_ms accepted_p99_ms", ".0f"),
    ),
    "calm: p99, ms": ("", lambda runs: spread(runs, "calm_p99_ms", ".0f")),
    "**refused: p50 / p99, ms**": (
        "under 10",
        lambda runs: _line(runs, "refusal_p50_ms refusal_p99_ms", ".1f"),
    ),
    "refused in 10 ms, as callers see it": ("", lambda runs: spread(runs, "refused_under_10_ms", ".1%")),
    "the same, by the server's clock": ("", lambda runs: spread(runs, "refused_under_10_ms_inside", ".1%")),
    "CPU of a call served / refused, ms": (
        "",
        lambda runs: _line(runs, "served_cpu_ms refused_cpu_ms", ".3f"),
    ),
    "cores: server / generator / others": (
        "",
        lambda runs: _line(runs, "cores_server cores_generator cores_others", ".2f"),
    ),
    "**recovery, s**": ("within 5", lambda runs: spread(runs, "recovery_secs", ".2f")),
    "other codes": (
        "none",
        lambda runs: (
            ", ".join(sorted({code for run in runs for code in run["codes"]} - {OK, REFUSED})) or "none"
        ),
    ),
}


def markdown(by_setup: dict[str, list[Figures]], options: argparse.Namespace, facts: Figures) -> str:
    """Write the figures as a table, a column for each ensemble on each transport."""
    header = ["figure", "wanted", *by_setup]
    lines = [[name, wanted, *map(shown, by_setup.values())] for name, (wanted, shown) in ROWS.items()]
    ours, theirs = cores()
    where = (
        "the same cores as the server" if options.shared else f"{len(theirs)} core, the server {len(ours)}"
    )
    note = (
        f"Offered: {options.times:g} times the capacity. "
        f"Calls of one row, {CONNECTIONS} connections, `{' '.join(options.server)}`, one thread for members, "
        f"{options.seconds:g} s of calls; capacity is what {CALLERS} callers get who wait for their answers, "
        "the mean of before and after. "
        f"The generator has {where}. Medians of the runs, and the least and most. A refused call's CPU is "
        "what the server took beyond what the answered calls cost in the calm."
    )
    head = "# The server when it is asked for more than it can do"
    return "\n\n".join([head, described(facts), note, table(header, lines)]) + "\n"


def run(ensemble: str, transport: str, options: argparse.Namespace) -> list[Figures]:
    """Measure one ensemble on one transport."""
    place = benchmark_store()
    signature = Signature.from_json(Store.open(str(place)).manifest(ensemble).signature)
    body = open_inference_body(ensemble, dict(random_rows(signature, 1)))
    flags = ["--ensemble", ensemble, "--threads", "1", "--transport", transport]
    flags += [f"--{flag}" for flag in options.server]
    everything, (servers, ours) = os.sched_getaffinity(0), cores()
    os.sched_setaffinity(0, everything if options.shared else servers)
    try:
        with (
            tempfile.TemporaryDirectory() as folder,
            serving(str(place), Path(folder) / "log", flags) as server,
        ):
            os.sched_setaffinity(0, everything if options.shared else ours)
            go_first(server.process.pid)
            go_first(os.getpid())
            return [asyncio.run(measured(server, body, options)) for _ in range(options.repeats)]
    finally:
        os.sched_setaffinity(0, everything)


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--ensembles", nargs="+", choices=ENSEMBLES, default=["images", "heavy"])
    parser.add_argument(
        "--transports", nargs="+", choices=("grpcio", "http2", "envoy"), default=["grpcio", "http2", "envoy"]
    )
    parser.add_argument("--times", type=float, default=10.0)
    parser.add_argument("--seconds", type=float, default=4.0, help="of calm, and of storm")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--shared", action="store_true", help="no core for the generator alone")
    parser.add_argument(
        "--server",
        nargs="*",
        default=["max-queue-wait-ms=500"],
        help="more flags of `unisono serve`, without --",
    )
    parser.add_argument("--add", action="store_true", help="keep what results/ holds of other setups")
    parser.add_argument("--name", default=NAME, help="what the files in results/ are called")
    options = parser.parse_args()
    # With ten thousands of calls on their way the generator's own would stop it for 50 ms at a time.
    gc.disable()
    facts, file = machine(), RESULTS / f"{options.name}.json"
    by_setup: dict[str, list[Figures]] = json.loads(file.read_text())["runs"] if options.add else {}
    for ensemble in options.ensembles:
        for transport in options.transports:
            by_setup[f"{ensemble}, {transport}"] = run(ensemble, transport, options)
    save(options.name, {"machine": facts, "runs": by_setup}, markdown(by_setup, options, facts))


if __name__ == "__main__":
    main()
