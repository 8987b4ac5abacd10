"""Figures of a whole measurement: medians and spread of the rounds, ratios within a round, the targets."""

import json
import statistics
import subprocess
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

from peers.campaign import Findings, Plan
from peers.loads import Run
from peers.perf_analyzer import Witness
from peers.systems import BY_NAME, OURS, PEER, System

BEST = "best"
VERSIONS = (
    "import importlib.metadata as m, json, sys; print(json.dumps({d: m.version(d) for d in sys.argv[1:]}))"
)
Cells = dict[str, dict[int, dict[str, dict[str, Any]]]]  # ensemble, concurrency, system


def summary(plan: Plan, findings: Findings, mflop: Mapping[str, float]) -> dict[str, Any]:
    """Return all that is written of a measurement, as JSON; `mflop`: what a row of each ensemble costs."""
    return {
        "plan": {
            "ensembles": list(plan.ensembles),
            "concurrency": list(plan.concurrency),
            "rounds": plan.repeats,
            "seconds": plan.seconds,
        },
        "mflop": {name: mflop[name] for name in plan.ensembles},
        "systems": {system.name: _described(system, findings) for system in plan.systems},
        "cells": cells(plan, findings.runs),
        "perf_analyzer": [
            {"system": system, "ensemble": name, "concurrency": concurrency}
            | ({"failed": one} if isinstance(one, str) else asdict(one))
            for (system, name, concurrency), one in findings.witnesses.items()
        ],
    }


def earlier(found: Mapping[str, Any]) -> Findings:
    """Return the findings that `summary` wrote, so that more can be added."""
    findings = Findings()
    for name, columns in found["cells"].items():
        for size, by_system in columns.items():
            for system, cell in by_system.items():
                rounds = {int(number): Run(**run) for number, run in cell["rounds"].items()}
                findings.runs[system, name, int(size)] = rounds
    for system, described in found["systems"].items():
        if described["largest_error"] is not None:
            findings.errors[system] = described["largest_error"]
        if described["left_out"]:
            findings.left_out[system] = described["left_out"]
    for one in found["perf_analyzer"]:
        figures = {key: one[key] for key in Witness.__annotations__ if key in one}
        cell = (one["system"], one["ensemble"], one["concurrency"])
        findings.witnesses[cell] = one["failed"] if "failed" in one else Witness(**figures)
    return findings


def rounds_of(findings: Findings) -> int:
    """Return how many rounds there were."""
    return max(map(len, findings.runs.values()), default=0)


def merged(plan: Plan, found: Mapping[str, Any]) -> Plan:
    """Return `plan` with the ensembles, callers and systems that an earlier measurement had."""
    old = found["plan"]
    rounds = max(
        (len(c["rounds"]) for one in found["cells"].values() for s in one.values() for c in s.values()),
        default=0,
    )
    names = [name for name in BY_NAME if name in found["systems"] or BY_NAME[name] in plan.systems]
    return replace(
        plan,
        systems=[BY_NAME[name] for name in names],
        ensembles=list(dict.fromkeys([*old["ensembles"], *plan.ensembles])),
        concurrency=sorted({*old["concurrency"], *plan.concurrency}),
        repeats=rounds,
    )


def cells(plan: Plan, runs: Mapping[tuple[str, str, int], Mapping[int, Run]]) -> Cells:
    """Put the rounds of each cell together; ratios are to the best in process, round by round."""
    found: Cells = {}
    for name in plan.ensembles:
        for concurrency in plan.concurrency:
            best = runs.get((BEST, name, concurrency), {})
            found.setdefault(name, {})[concurrency] = {
                system.name: _cell(runs[system.name, name, concurrency], best)
                for system in plan.systems
                if (system.name, name, concurrency) in runs
            }
    return found


def ratio(cell: Mapping[str, Mapping[str, Any]], one: str, other: str) -> tuple[float, float, float] | None:
    """Return rows/s of `one` over those of `other`, round by round: median, least, most; None if not both."""
    if one not in cell or other not in cell:
        return None
    mine, theirs = cell[one]["rounds"], cell[other]["rounds"]
    ratios = sorted(mine[n]["rows_per_sec"] / theirs[n]["rows_per_sec"] for n in mine.keys() & theirs.keys())
    if not ratios:
        return None
    return statistics.median(ratios), ratios[0], ratios[-1]


def fastest(cell: Mapping[str, Mapping[str, Any]], described: Mapping[str, Any], kind: str) -> str | None:
    """Return the system of `kind` with the most rows a second; None if there is none."""
    names = [name for name in cell if described[name]["kind"] == kind]
    return max(names, key=lambda name: float(cell[name]["rows_per_sec"]), default=None)


def targets(found: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return each target: what was wanted, what came of it, and whether it is met; None: not measured."""
    by_name, described = found["cells"], found["systems"]
    most = max(found["plan"]["concurrency"])
    asked: list[tuple[str, str, float]] = [
        ("images", BEST, 0.85),
        ("images", "tensorflow", 3.0),
        ("images", "mlserver", 5.0),
        ("images", "pytriton", 2.5),
        ("heavy", BEST, 0.95),
        ("heavy", "tensorflow", 2.0),
        ("tabular", PEER, 3.0),
        ("tabular", "unisono", 3.0),
    ]
    results = []
    for name, other, wanted in asked:
        cell = by_name.get(name, {}).get(most, {})
        ours = fastest(cell, described, OURS)
        theirs = fastest(cell, described, PEER) if other == PEER else other
        got = ratio(cell, ours, theirs) if ours and theirs else None
        results.append(
            {
                "target": f"{name}, {most} at once: times {_called(other, theirs, described)}",
                "wanted": f"at least {wanted:g}",
                "got": f"{got[0]:.2f} ({got[1]:.2f}-{got[2]:.2f}), {described[ours]['title']}"
                if got and ours
                else "not measured",
                "met": got[0] >= wanted if got else None,
            }
        )
    return [*results, _latency_target(by_name.get("images", {}).get(1, {}), described)]


def _latency_target(cell: Mapping[str, Mapping[str, Any]], described: Mapping[str, Any]) -> dict[str, Any]:
    """Images, one at a time: at most a millisecond more than in process, at the median."""
    ours = [name for name in cell if described[name]["kind"] == OURS]
    found = {"target": "images, one at once: median ms beyond in process", "wanted": "at most 1.00"}
    if BEST not in cell or not ours:
        return found | {"got": "not measured", "met": None}
    quickest = min(ours, key=lambda name: float(cell[name]["p50"]))
    more = cell[quickest]["p50"] - cell[BEST]["p50"]
    return found | {"got": f"{more:.2f}, {described[quickest]['title']}", "met": more <= 1.0}


def _called(asked: str, name: str | None, described: Mapping[str, Any]) -> str:
    title = described[name]["title"] if name is not None and name in described else asked
    return f"the best peer ({title})" if asked == PEER else str(title)


def _cell(runs: Mapping[int, Run], best: Mapping[int, Run]) -> dict[str, Any]:
    middle = {
        key: statistics.median(asdict(run)[key] for run in runs.values()) for key in Run.__annotations__
    }
    speeds = [run.rows_per_sec for run in runs.values()]
    ratios = sorted(
        run.rows_per_sec / best[number].rows_per_sec for number, run in runs.items() if number in best
    )
    return middle | {
        "slowest": min(speeds),
        "fastest": max(speeds),
        "ratio": statistics.median(ratios) if ratios else None,
        "ratios": ratios,
        "rounds": {number: asdict(run) for number, run in sorted(runs.items())},
    }


def _described(system: System, findings: Findings) -> dict[str, Any]:
    return {
        "title": system.title,
        "kind": system.kind,
        "setup": system.setup,
        "asked_by": system.wire.told if system.wire else "itself, in batches",
        "versions": _versions(system),
        "largest_error": findings.errors.get(system.name),
        "left_out": findings.left_out.get(system.name),
    }


def _versions(system: System) -> dict[str, str]:
    if not system.python.exists() or not system.distributions:
        return {}
    command = [str(system.python), "-c", VERSIONS, *system.distributions]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    versions: dict[str, str] = json.loads(done.stdout) if done.returncode == 0 else {}
    return versions
