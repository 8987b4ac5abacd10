"""Plots of a measurement: throughput as bars, and latency against throughput."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from peers.systems import ALONE, OURS

COLOURS = {OURS: "#1b6ca8", ALONE: "#8a8a8a"}
PEERS = ("#c1543c", "#d98a29", "#7b9f35", "#8e5aa8", "#4f4f8f", "#b5487e")
WIDTH, HEIGHT = 5.0, 4.4  # inches of one panel
LEGEND_HEIGHT = 0.7  # inches, below all panels
# Our own share a colour: a line for each transport, by how its name begins; two workers have hollow points.
LINES = {f"{OURS}-http2": "solid", f"{OURS}-envoy": "dashdot", OURS: "dashed"}


def bars(found: Mapping[str, Any], file: Path) -> None:
    """Draw rows a second at the most callers, a panel an ensemble; lines show least and most."""
    figure = _panels(found)
    for axes, (name, columns) in zip(figure.axes, found["cells"].items(), strict=True):
        cell = columns[max(columns, key=int)]
        ranked = sorted(cell, key=lambda system: cell[system]["rows_per_sec"])
        titles = [found["systems"][system]["title"] for system in ranked]
        speeds = [cell[system]["rows_per_sec"] for system in ranked]
        spread = [
            [cell[system]["rows_per_sec"] - cell[system]["slowest"] for system in ranked],
            [cell[system]["fastest"] - cell[system]["rows_per_sec"] for system in ranked],
        ]
        colours = [_colour(found, system) for system in ranked]
        drawn = axes.barh(titles, speeds, xerr=spread, color=colours, error_kw={"elinewidth": 0.8})
        # On a scale of powers of ten a bar's length says nothing by itself.
        axes.bar_label(drawn, labels=[f"{speed:,.0f}" for speed in speeds], fontsize=7, padding=3)
        axes.margins(x=0.2)
        axes.set_title(f"{name}, {max(columns, key=int)} at once: rows/s", fontsize=10)
        axes.tick_params(labelsize=8)
        if max(speeds, default=0) > 20 * sorted(speeds)[len(speeds) // 2]:
            axes.set_xscale("log")
    _write(figure, file)


def latency(found: Mapping[str, Any], file: Path) -> None:
    """Draw median latency against rows a second: a line a server, a point for each number of callers."""
    figure = _panels(found)
    for axes, (name, columns) in zip(figure.axes, found["cells"].items(), strict=True):
        for system, described in found["systems"].items():
            cells = [cells[system] for cells in columns.values() if system in cells]
            if not cells or described["kind"] == ALONE:
                continue
            axes.plot(
                [cell["rows_per_sec"] for cell in cells],
                [cell["p50"] for cell in cells],
                marker="o",
                markersize=3.5,
                markerfacecolor="white" if system.endswith("-2") else None,
                linewidth=1.8 if described["kind"] == OURS else 1.0,
                linestyle=_line(system),
                color=_colour(found, system),
                label=described["title"],
            )
        axes.set(xscale="log", yscale="log", xlabel="rows/s", ylabel="median latency, ms")
        callers = ", ".join(map(str, columns))
        axes.set_title(f"{name}, {callers} at once", fontsize=10)
        axes.grid(visible=True, which="both", linewidth=0.3)
    figure.set_figheight(HEIGHT + LEGEND_HEIGHT)
    figure.legend(
        *figure.axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=6, fontsize=8
    )
    _write(figure, file)


def _panels(found: Mapping[str, Any]) -> Figure:
    count = len(found["cells"])
    figure = Figure(figsize=(WIDTH * count, HEIGHT), layout="constrained")
    figure.subplots(1, count)
    return figure


def _colour(found: Mapping[str, Any], system: str) -> str:
    kinds = {name: described["kind"] for name, described in found["systems"].items()}
    if kinds[system] in COLOURS:
        return COLOURS[kinds[system]]
    peers = [name for name, kind in kinds.items() if kind not in COLOURS]
    return PEERS[peers.index(system) % len(PEERS)]


def _line(system: str) -> str:
    """Tell our own transports apart; peers have a colour each."""
    return next((line for begins, line in LINES.items() if system.startswith(begins)), "solid")


def _write(figure: Figure, file: Path) -> None:
    FigureCanvasAgg(figure).print_png(file, metadata={"Software": ""})
