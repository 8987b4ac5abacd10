"""How members differ, as one HTML file that needs nothing else."""

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any

from .charts import Charts
from .markup import Row, change, document, figure, html_table, number, percent, section
from .write import Render

Matrix = list[list[float | None]]
# Which figures of pairs are drawn, what the map is called, how to read it, the deepest (None: the largest).
MAPS = (
    (
        "error_correlation",
        "Do they err together?",
        "1: the same errors. 0: unrelated ones, which averaging takes away.",
        1.0,
    ),
    (
        "disagreement",
        "How often is one of two right, and the other not?",
        "The share of rows. Where it is large, each knows something that the other doesn't.",
        None,
    ),
    (
        "double_fault",
        "How often are both wrong?",
        "The share of rows. No weights of the two help there.",
        None,
    ),
    (
        "q_statistic",
        "Are they right about the same rows?",
        "Yule's Q. 1: about the same. 0: as chance would have it. Below 0: about others.",
        1.0,
    ),
)


def render() -> Render:
    """Return what makes the page; UnavailableError without matplotlib."""
    charts = Charts()
    return lambda told: document(f"{told['name']}: how its members differ", "".join(_body(told, charts)))


def _body(told: Mapping[str, Any], charts: Charts) -> Iterator[str]:
    members = [line["name"] for line in told["members"]]
    yield '<header><div class="eyebrow">unisono · diversity</div>'
    yield f"<h1>{escape(told['name'])}</h1>"
    yield f'<p class="under">how {len(members)} members differ on {told["rows"]:,} rows</p></header>\n'
    yield _tiles(told)
    yield _members(told, charts)
    for first in range(0, len(MAPS), 2):
        yield '<div class="pair">'
        for measure, title, lead, deepest in MAPS[first : first + 2]:
            matrix = _matrix(told, measure, itself=1.0 if deepest else None)
            largest = deepest or max((value for row in matrix for value in row if value), default=1.0)
            drawn = charts.heat(measure, members, matrix, deepest=largest, digits=2 if deepest else 3)
            yield section(title, lead, figure(drawn))
        yield "</div>\n"
    yield _pairs(told)
    yield _ambiguity(told)
    yield (
        "<footer>Log-losses are in nats a row. Figures are of the rows given, on which the weights of pairs"
        " and of the others are fitted, too.</footer>\n"
    )


def _tiles(told: Mapping[str, Any]) -> str:
    best = min((line["log_loss"] for line in told["members"] if line["log_loss"] is not None), default=None)
    parts = told["ambiguity"]["brier"]
    tiles = [
        (number(best), "log-loss of the best member"),
        (percent(_mean(told, "disagreement")), "mean disagreement of two"),
        (number(_mean(told, "error_correlation")), "mean correlation of errors"),
        (
            percent(parts["ambiguity"] / parts["members"] if parts["members"] else None),
            "of the Brier score averaged away",
        ),
    ]
    shown = "".join(
        f'<div class="tile"><b>{escape(big)}</b><span>{escape(small)}</span></div>' for big, small in tiles
    )
    return f'<div class="tiles">{shown}</div>\n'


def _members(told: Mapping[str, Any], charts: Charts) -> str:
    lines = sorted(told["members"], key=lambda line: -(line["worth"] or 0.0))
    rows = [
        Row(
            [
                line["name"],
                number(line["weight"]),
                number(line["log_loss"], none="∞"),
                change(line["first_order_gain"]) if line["first_order_gain"] is not None else "∞",
                number(line["worth"], none="∞"),
            ],
            kind="off" if line["worth"] == 0 else "",
        )
        for line in lines
    ]
    lead = (
        "g - 1: how fast the log-loss of the others' best weights falls as the member's own weight grows from"
        " zero; it adds nothing where that is 0 or less. Bars, last column: by how much the log-loss of the"
        " best weights rises without it, in nats a row."
    )
    headings = ["member", "weight", "log-loss alone", "g - 1", "loss rises without it"]
    return section("What each member adds", lead, figure(charts.worth(lines)), html_table(headings, rows))


def _pairs(told: Mapping[str, Any]) -> str:
    if not told["pairs"]:
        return ""
    alone = {line["name"]: line["log_loss"] for line in told["members"]}

    def saved(line: Mapping[str, Any]) -> float | None:
        known = [alone[name] for name in line["members"] if alone[name] is not None]
        return None if line["loss_together"] is None or not known else line["loss_together"] - min(known)

    ordered = sorted(told["pairs"], key=lambda line: (line["loss_together"] is None, line["loss_together"]))
    rows = [
        Row(
            [
                " + ".join(line["members"]),
                number(line["loss_together"], none="∞"),
                change(saved(line)),
                number(line["error_correlation"]),
                percent(line["disagreement"]),
                percent(line["double_fault"]),
            ]
        )
        for line in ordered
    ]
    headings = ["pair", "log-loss", "to the better one", "error correlation", "disagreement", "both wrong"]
    lead = "The log-loss of the best weights for the two alone, best first."
    return section("What each pair would give", lead, html_table(headings, rows, less_is_better={2}))


def _ambiguity(told: Mapping[str, Any]) -> str:
    titles = {
        "brier": "Brier score of the weighted average",
        "log_loss_of_geometric_mean": "log-loss of the weighted geometric mean",
    }
    rows = [
        Row([titles[key], number(parts["members"]), number(parts["ambiguity"]), number(parts["ensemble"])])
        for key, parts in told["ambiguity"].items()
    ]
    lead = (
        "The ensemble's loss is the weighted mean of its members' less the ambiguity, which is never below 0"
        " (Krogh and Vedelsby, 1995; Heskes, 1997)."
    )
    headings = ["loss", "members' mean", "ambiguity", "ensemble"]
    return section("What differing takes away", lead, html_table(headings, rows))


def _matrix(told: Mapping[str, Any], measure: str, *, itself: float | None) -> Matrix:
    """Return a figure of pairs as a matrix, `itself` on the diagonal."""
    members: Sequence[str] = [line["name"] for line in told["members"]]
    matrix: Matrix = [[itself if one == other else None for other in members] for one in members]
    for line in told["pairs"]:
        one, other = (members.index(name) for name in line["members"])
        matrix[one][other] = matrix[other][one] = line[measure]
    return matrix


def _mean(told: Mapping[str, Any], measure: str) -> float | None:
    known = [line[measure] for line in told["pairs"] if line[measure] is not None]
    return sum(known) / len(known) if known else None
