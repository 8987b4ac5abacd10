"""unisono beside its peers, in one run: throughput, latency and processor time on the same members.

    python benchmarks/beside_peers.py [--repeats 3] [--seconds 1.5] [--minutes 16]
                                      [--ensembles images tabular heavy]
                                      [--systems unisono fastapi ...] [--concurrency 1 16 64]
                                      [--quick] [--add] [--no-perf-analyzer]

Every system gets the same graphs; those that run user code get the same engine. Each is checked against
scores worked out in float64 before it is timed. h2load (Debian: nghttp2-client) asks for one row a request.
Systems take turns, those that wait are stopped; what can't be run is listed with the reason. `make
bench-peers` makes the environments that the peers need.
"""

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path

from ensembles import ENSEMBLES, benchmark_store
from measure import machine, sgemm_peak
from peers.campaign import Campaign, Findings, Plan
from peers.offered import offers, reference_of, write_graphs
from peers.page import read, write
from peers.processes import heed_sigterm
from peers.summary import earlier, merged, rounds_of, summary
from peers.systems import BY_NAME, SYSTEMS, Place
from results import RESULTS

from model_store.store import Store

QUICK = {
    "repeats": 1,
    "seconds": 0.7,
    "concurrency": [1, 8],
    "systems": ["unisono", "fastapi"],
    "perf_analyzer": False,
}


def parsed(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument(
        "--seconds",
        type=float,
        default=1.5,
        help="of one load; the largest crowd's lasts three times as long",
    )
    parser.add_argument("--minutes", type=float, default=16.0, help="no round begins that would end later")
    parser.add_argument("--concurrency", type=int, nargs="+", default=[1, 16, 64])
    parser.add_argument("--systems", nargs="+", choices=list(BY_NAME), default=list(BY_NAME))
    parser.add_argument("--ensembles", nargs="+", help="of the store; all that the reference holds")
    parser.add_argument("--store", type=Path, help="instead of the benchmark ensembles'")
    parser.add_argument("--reference", type=Path, help="an NPZ of right scores [row, class] by ensemble")
    parser.add_argument("--name", default="beside_peers", help="what the files are called")
    parser.add_argument("--results", type=Path, default=RESULTS, help="the folder they go to")
    parser.add_argument("--add", action="store_true", help="more rounds to what NAME.json holds")
    parser.add_argument("--perf-analyzer", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--quick", action="store_true", help="a smoke test: unisono and FastAPI, short loads")
    given = parser.parse_args(arguments)
    if given.quick:
        vars(given).update(QUICK)
    return given


def main(arguments: list[str] | None = None) -> None:
    """Measure, print and write."""
    given = parsed(arguments)
    heed_sigterm()
    facts, place = machine(), given.store or benchmark_store()
    asked = offers(Store.open(str(place)), given.reference or reference_of(place))
    names = given.ensembles or [name for name in ENSEMBLES if name in asked] or list(asked)
    plan = Plan(
        [system for system in SYSTEMS if system.name in given.systems],
        names,
        given.concurrency,
        given.repeats,
        given.seconds,
        perf_analyzer=given.perf_analyzer,
        most_secs=60 * given.minutes,
    )
    file = given.results / f"{given.name}.json"
    old = read(file) if given.add and file.exists() else None
    findings = earlier(old) if old else Findings()
    plan = replace(plan, first_round=next_round(findings, names))
    with tempfile.TemporaryDirectory() as name:
        folder, graphs = Path(name), Path(name) / "graphs"
        graphs.mkdir()
        write_graphs(Store.open(str(place)), {key: asked[key] for key in names}, graphs)
        Campaign(plan, asked, Place(place, graphs, names, 0), folder, findings).run()
    facts["sgemm_gflops"] = sgemm_peak()
    plan = merged(plan, old) if old else replace(plan, repeats=rounds_of(findings))
    mflop = {key: asked[key].mflop for key in plan.ensembles}
    write(given.name, facts, summary(plan, findings, mflop), given.results)


def next_round(findings: Findings, ensembles: list[str]) -> int:
    """Return the number of the first round that none of `ensembles` has had."""
    had = [number for (_, name, _), runs in findings.runs.items() if name in ensembles for number in runs]
    return max(had, default=-1) + 1


if __name__ == "__main__":
    main()
