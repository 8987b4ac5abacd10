"""The report's charts: SVG with real text, in the page's own colours, so that they follow its light and dark.

They are drawn with stand-in colours, each of which then becomes a variable of the page's style.
"""

import re
from collections.abc import Mapping, Sequence
from io import StringIO
from math import isfinite
from typing import Any

from ensemble.errors import UnavailableError

INK, MUTED, GRID, ACCENT, GHOST, LEARNED, PAPER = (f"#0{digit}0{digit}0{digit}" for digit in "1234567")
VARIABLES = {
    INK: "var(--ink)",
    MUTED: "var(--muted)",
    GRID: "var(--grid)",
    ACCENT: "var(--accent)",
    GHOST: "var(--ghost)",
    LEARNED: "var(--learned)",
    PAPER: "var(--paper)",
}
WIDTH = 9.4  # inches; the page scales it
ROW = 0.3  # inches a bar
# Cells of the matrix have their figure written in them up to so many members.
FIGURES_SHOWN = 14
STRONG = 0.7  # cells of more colour than this have light figures


class Charts:
    """Draws with matplotlib; UnavailableError, with what to install, where it is missing."""

    def __init__(self) -> None:
        try:
            import matplotlib as mpl  # noqa: PLC0415 - heavy, and optional
            from matplotlib.figure import Figure  # noqa: PLC0415 - heavy, and optional
        except ImportError as error:
            raise UnavailableError(
                "an HTML report is drawn with matplotlib, which is not installed: pip install"
                " 'unisono[training]', or write the report as .json"
            ) from error
        self._style = mpl.rc_context
        self._figure = Figure

    def weights(self, lines: Sequence[Mapping[str, Any]]) -> str:
        """Draw each member's weight: a bar, a tick where it was before, a whisker for its interval."""
        shown = list(reversed(lines))

        def draw(axes: Any) -> None:
            places = range(len(shown))
            axes.barh(places, [line["after"] for line in shown], color=LEARNED, height=0.52)
            for place, line in zip(places, shown, strict=True):
                if line["before"] is not None:
                    axes.plot([line["before"]] * 2, [place - 0.38, place + 0.38], color=INK, linewidth=1.6)
                if line["interval"] is not None:
                    axes.plot(line["interval"], [place] * 2, color=INK, linewidth=1.1, solid_capstyle="butt")
            axes.set_yticks(places, [line["member"] for line in shown])
            axes.set_xlim(0, 1.06 * max(_largest(line) for line in shown))
            axes.set_xlabel("weight")

        return self._drawn("weights", draw, height=0.75 + ROW * len(shown))

    def losses(self, lines: Sequence[Mapping[str, Any]], part: str, loss: str) -> str:
        """Draw losses and 95% intervals, members above weightings; infinite ones are named so."""
        shown = list(reversed(lines))
        finite = [line["loss"] for line in shown if line["loss"] is not None]

        def draw(axes: Any) -> None:
            for place, line in enumerate(shown):
                colour = (
                    LEARNED if line["kind"] == "learned" else MUTED if line["kind"] == "member" else ACCENT
                )
                if line["loss"] is None:
                    axes.text(
                        0.01,
                        place,
                        "infinite",
                        color=MUTED,
                        va="center",
                        transform=axes.get_yaxis_transform(),
                    )
                    continue
                if line["interval"] is not None:
                    axes.plot(line["interval"], [place] * 2, color=colour, linewidth=2.2, alpha=0.45)
                axes.plot([line["loss"]], [place], "o", color=colour, markersize=6.5)
            weightings = sum(line["kind"] != "member" for line in shown)
            axes.axhline(weightings - 0.5, color=GRID, linewidth=1)
            if shown[0]["loss"] is not None:
                axes.axvline(shown[0]["loss"], color=LEARNED, linewidth=0.9, linestyle=(0, (3, 3)))
            axes.set_yticks(range(len(shown)), [line["name"] for line in shown])
            axes.set_ylim(-0.6, len(shown) - 0.4)
            if finite:
                axes.set_xlim(left=min(0.9 * min(finite), axes.get_xlim()[0]))
            axes.set_xlabel(f"{loss} on {part} rows (less is better)")

        return self._drawn(f"losses-{part}", draw, height=0.75 + ROW * len(shown))

    def worth(self, lines: Sequence[Mapping[str, Any]]) -> str:
        """Draw by how much the loss rises without each member; infinite ones are named so."""
        shown = list(reversed(lines))

        def draw(axes: Any) -> None:
            places = range(len(shown))
            axes.barh(places, [line["worth"] or 0.0 for line in shown], color=LEARNED, height=0.52)
            for place, line in zip(places, shown, strict=True):
                if line["worth"] is None:
                    axes.text(0, place, " infinite", color=MUTED, va="center")
            axes.set_yticks(places, [line["name"] for line in shown])
            axes.set_xlim(left=0)
            axes.set_xlabel("log-loss rises without the member, nats a row")

        return self._drawn("worth", draw, height=0.75 + ROW * len(shown))

    def reliability(self, bins: Mapping[str, Sequence[Mapping[str, float]]], part: str) -> str:
        """Draw accuracy against confidence, before and after, over how many rows were how sure after.

        A dot is a bin of rows, the larger the more rows.
        """
        with self._style(_STYLE):
            figure = self._figure(figsize=(4.6, 4.6), layout="constrained")
            upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(4, 1))
            upper.plot([0, 1], [0, 1], color=GRID, linewidth=1.2)
            for which, colour, marker, title in (
                ("incumbent", ACCENT, "s", "served before"),
                ("learned", LEARNED, "o", "learned"),
            ):
                points = [(each["confidence"], each["accuracy"], each["rows"]) for each in bins[which]]
                most = max(rows for _, _, rows in points)
                sizes = [16 + 150 * rows / most for _, _, rows in points]
                where = [point[0] for point in points], [point[1] for point in points]
                upper.scatter(
                    *where, s=sizes, marker=marker, color=colour, alpha=0.75, linewidth=0, label=title
                )
            upper.set(ylabel="share that was right", xlim=(0, 1.04), ylim=(-0.04, 1.06))
            # Above the axes: any place among them may hold dots.
            legend = upper.legend(
                frameon=False, loc="lower right", bbox_to_anchor=(1, 1), ncols=2, labelcolor=INK
            )
            for handle in legend.legend_handles:
                handle.set_sizes([36])
            learned = bins["learned"]
            lower.bar(
                [each["confidence"] for each in learned],
                [each["rows"] for each in learned],
                width=0.045,
                color=LEARNED,
                alpha=0.55,
            )
            lower.set(xlabel=f"how sure the ensemble was ({part} rows)", ylabel="rows")
            for axes in (upper, lower):
                _plain(axes)
            return _svg(figure, f"reliability-{part}")

    def correlation(self, members: Sequence[str], matrix: Sequence[Sequence[float]]) -> str:
        """Draw how alike the members' errors are: the deeper a cell's colour, the more alike."""
        return self.heat("correlation", members, matrix)

    def heat(
        self,
        name: str,
        members: Sequence[str],
        matrix: Sequence[Sequence[float | None]],
        *,
        deepest: float = 1.0,
        digits: int = 2,
    ) -> str:
        """Draw a figure for each two members: the deeper a cell's colour, the nearer it is to `deepest`.

        Figures below 0 have the other colour; cells without one stay empty.
        """
        size = len(members)
        with self._style(_STYLE):
            from matplotlib.patches import Rectangle  # noqa: PLC0415 - heavy, and optional

            figure = self._figure(figsize=(4.6, 4.6), layout="constrained")
            axes = figure.subplots()
            for row in range(size):
                for column in range(size):
                    value = matrix[row][column]
                    if value is None:
                        continue
                    strength = min(abs(value) / deepest, 1.0)
                    colour = LEARNED if value >= 0 else ACCENT
                    axes.add_patch(
                        Rectangle(
                            (column - 0.48, row - 0.48), 0.96, 0.96, color=colour, alpha=strength, linewidth=0
                        )
                    )
                    if size <= FIGURES_SHOWN:
                        ink = PAPER if strength > STRONG else INK
                        axes.text(
                            column,
                            row,
                            f"{value:.{digits}f}",
                            ha="center",
                            va="center",
                            color=ink,
                            fontsize=8.5,
                        )
            axes.set(xlim=(-0.5, size - 0.5), ylim=(size - 0.5, -0.5), aspect="equal")
            axes.set_yticks(range(size), members)
            axes.set_xticks(range(size), members, rotation=40, ha="right", rotation_mode="anchor")
            for spine in axes.spines.values():
                spine.set_visible(False)
            return _svg(figure, name)

    def _drawn(self, name: str, draw: Any, *, height: float) -> str:
        with self._style(_STYLE):
            figure = self._figure(figsize=(WIDTH, height), layout="constrained")
            axes = figure.subplots()
            draw(axes)
            _plain(axes)
            axes.grid(axis="x", color=GRID, linewidth=0.8)
            axes.set_axisbelow(True)
            axes.spines["left"].set_visible(False)
            axes.tick_params(axis="y", labelcolor=INK)
            return _svg(figure, name)


_STYLE = {
    "font.family": "sans-serif",
    "font.size": 9.5,
    "svg.fonttype": "none",
    # Ids that depend on the drawing alone: the same report is the same bytes.
    "svg.hashsalt": "unisono",
    "text.parse_math": False,
    "text.color": INK,
    "axes.edgecolor": GRID,
    "axes.labelcolor": MUTED,
    "xtick.color": MUTED,
    "ytick.color": INK,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
}


def _largest(line: Mapping[str, Any]) -> float:
    ends = line["interval"] or [0.0]
    largest: float = max(line["after"], line["before"] or 0.0, *(end for end in ends if isfinite(end)), 0.01)
    return largest


def _plain(axes: Any) -> None:
    axes.spines[["top", "right"]].set_visible(False)


def _svg(figure: Any, name: str) -> str:
    """Return the figure as an `<svg>` element for a page that holds others too."""
    written = StringIO()
    figure.savefig(written, format="svg", transparent=True, metadata={"Date": None})
    text = written.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>", "", text, flags=re.DOTALL)
    text = re.sub(r'\s+xmlns(:\w+)?="[^"]*"', "", text).replace("xlink:href", "href")
    text = re.sub(r'\b(id="|href="#|url\(#)', rf"\g<1>{name}-", text)
    # The page's own font.
    text = re.sub(r"font-family: [^;\"]*;?", "", text)
    for colour, variable in VARIABLES.items():
        text = text.replace(colour, variable)
    return text
