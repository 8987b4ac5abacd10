"""The report as one HTML file that needs nothing else: no script, no font, no address."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from html import escape
from typing import Any

from server.cli.tables import duration

from . import parts
from .charts import Charts
from .content import LOG_LOSS
from .markup import Row, change, document, figure, html_table, interval, number, percent, section, shown


def page(report: Mapping[str, Any], charts: Charts) -> str:
    """Render the report that `content` made."""
    return document(f"{report['ensemble']}: {_headline(report)}", "".join(_body(report, charts)))


def _body(report: Mapping[str, Any], charts: Charts) -> Iterator[str]:
    yield '<header><div class="eyebrow">unisono · refit report</div>'
    yield f'<h1>{escape(report["ensemble"])}</h1><p class="under">{escape(_origin(report))}</p></header>\n'
    yield _verdict(report)
    yield _tiles(report)
    yield _weights(report, charts)
    for part, lines in report["losses"].items():
        yield _losses(part, lines, charts, report)
    yield '<div class="pair">'
    part = parts.honest(report["reliability"])
    if part is not None:
        drawn = charts.reliability(report["reliability"][part], part)
        yield section(
            "Are its probabilities true?",
            "On the line, what is said with 80% is right 80 times in 100. Large dots: many rows.",
            figure(drawn),
        )
    if report["error_correlation"]:
        told = report["error_correlation"]
        yield section(
            "Do the members err together?",
            "1: the same errors. 0: unrelated ones, which averaging takes away.",
            figure(charts.correlation(told["members"], told["matrix"])),
        )
    yield "</div>\n"
    yield parts.classes(report)
    yield parts.slices(report)
    yield parts.candidates(report)
    yield parts.pruning(report)
    yield _certificate(report)
    yield f"<footer>{escape(_made_with(report))}</footer>\n"


def _headline(report: Mapping[str, Any]) -> str:
    if report["outcome"] == "published":
        forced = " against the gate's verdict" if report["forced"] else ""
        return f"published as version {report['version']}{forced}"
    if report["outcome"] == "held":
        return f"held: version {report['parent']} stays in service"
    would = "would be published" if report["verdict"]["publish"] else "would be held"
    return f"dry run: these weights {would}"


def _origin(report: Mapping[str, Any]) -> str:
    """Say what was refitted, and who published it when and why, if that is known."""
    said = f"new weights for the members of version {report['parent']}"
    published = report["published"]
    if published is None:
        return said
    when = published["at"].replace("T", " ").replace("Z", " UTC")
    why = f": {published['why']}" if published["why"] else ""
    return f"{said}, published {when} by {published['by']}{why}"


def _verdict(report: Mapping[str, Any]) -> str:
    headline = _headline(report)
    reasons = "".join(f"<li>{escape(reason)}</li>" for reason in report["verdict"]["reasons"])
    notes = "".join(f'<li class="note">{escape(note)}</li>' for note in report["notes"])
    # A forced publish is no success of the gate's.
    kind = "held" if report["forced"] else report["outcome"]
    title = escape(headline[0].upper() + headline[1:])
    return f'<section class="verdict {kind}"><h2>{title}</h2><ul>{reasons}{notes}</ul></section>\n'


def _tiles(report: Mapping[str, Any]) -> str:
    part = "test" if "test" in report["losses"] else "validation"
    lines = {line["kind"]: line for line in report["losses"][part]}
    tiles = [
        (
            f"{number(lines['incumbent']['loss'])} → {number(lines['learned']['loss'])}",
            f"{report['loss']} on {part} rows{', nats' if report['loss'] == LOG_LOSS else ''}",
        ),
        *_tile_beside(report, lines, part),
    ]
    gain = report["held_out_gain"]
    if gain is not None:
        unit = ", nats a row" if report["objective"] == "log_loss" else ""
        tiles.append((change(gain["mean"]), f"held-out gain{unit}"))
    tiles.append((f"{report['data'][part]['rows']:,}", f"{part} rows"))
    made = "".join(
        f'<div class="tile"><b>{escape(big)}</b><span>{escape(small)}</span></div>' for big, small in tiles
    )
    return f'<div class="tiles">{made}</div>\n'


def _tile_beside(
    report: Mapping[str, Any], lines: Mapping[str, Mapping[str, Any]], part: str
) -> list[tuple[str, str]]:
    """Return the tile of the first figure beside the loss, where there is one."""
    return [
        (
            f"{shown(lines['incumbent'][key], kind)} → {shown(lines['learned'][key], kind)}",
            f"{title} on {part} rows",
        )
        for key, title, kind in (tuple(each.values()) for each in report["shown"][:1])
    ]


def _weights(report: Mapping[str, Any], charts: Charts) -> str:
    lines = report["weights"]
    columns = [column for column in _WEIGHT_COLUMNS if column.known(lines)]
    rows = [
        Row([column.shown(line) for column in columns], kind="" if line["after"] > 0 else "off")
        for line in lines
    ]
    lead = "Bars: now. Ticks: before. A member that weighs nothing isn't asked when serving."
    told = " ".join([lead, *(column.lead for column in columns if column.lead)])
    headings = [column.heading for column in columns]
    return section("What each member counts", told, figure(charts.weights(lines)), html_table(headings, rows))


@dataclass(frozen=True, slots=True)
class _Column:
    """A column of the table of weights: left out where no line knows anything of it."""

    heading: str
    key: str
    write: Callable[[Any], str]
    lead: str = ""

    def known(self, lines: Iterable[Mapping[str, Any]]) -> bool:
        """Whether there is something to show."""
        # What a member is worth may be infinite, which is null too.
        return any(self.key in line and (self.key == "worth" or line[self.key] is not None) for line in lines)

    def shown(self, line: Mapping[str, Any]) -> str:
        """Write the cell of one member."""
        return self.write(line.get(self.key))


_WEIGHT_COLUMNS = (
    _Column("member", "member", str),
    _Column("before", "before", number),
    _Column("after", "after", number),
    _Column("change", "change", change),
    _Column(
        "95% interval",
        "interval",
        interval,
        "Whiskers, intervals: where the weight might be, had the rows been others.",
    ),
    _Column("counts in", "used", percent, "It counts in so many of a hundred such redraws."),
    _Column(
        "loss rises without it",
        "worth",
        lambda worth: number(worth, none="∞"),
        "Last column: by how much the validation loss rises without a member, the others fitted anew.",
    ),
)


def _losses(part: str, lines: list[Mapping[str, Any]], charts: Charts, report: Mapping[str, Any]) -> str:
    loss, beside = report["loss"], report["shown"]
    titles = [each["title"] for each in beside]
    headings = ["", loss, "95% interval", *titles, "learned gains, paired 95% interval"]
    rows = []
    for line in lines:
        gain = line["gain"]
        told = (
            "" if gain is None else f"{change(gain['mean'])} {interval([gain['low'], gain['high']])}".strip()
        )
        kinds = {"member": "off", "uniform": "parted", "learned": "learned"}
        rows.append(
            Row(
                [
                    line["name"],
                    number(line["loss"], none="∞"),
                    interval(line["interval"]),
                    *(shown(line[each["key"]], each["kind"]) for each in beside),
                    told,
                ],
                kind=kinds.get(line["kind"], ""),
            )
        )
    lead = {
        "validation": "The rows that the weights were learned on.",
        "test": "Rows that nothing was learned from and nothing was decided on.",
    }[part]
    return section(
        f"Losses on {part} rows", lead, figure(charts.losses(lines, part, loss)), html_table(headings, rows)
    )


def _certificate(report: Mapping[str, Any]) -> str:
    data = "".join(
        f"<dt>{escape(part)}</dt><dd>{told['rows']:,} rows, sha256 <code>{escape(told['digest'])}</code></dd>"
        for part, told in report["data"].items()
    )
    solver = f"{report['solver']['iterations']} iterations, gap {report['solver']['gap']:.2g}"
    took = report["seconds"].get("all")
    if took is not None:
        solver += f"; the whole refit took {duration(took)}"
    pool = ", ".join(f"{key.replace('_', ' ')} {_said(value)}" for key, value in report["pool"].items())
    decides = f"{parts.objective(report)} decides"
    return section(
        "What is proven, and on what",
        "",
        f'<p class="certificate">{escape(report["certificate"])}</p>',
        f"<dl><dt>pool</dt><dd>{escape(pool)}; {escape(decides)}</dd>"
        f"<dt>solver</dt><dd>{escape(solver)}</dd>{data}</dl>",
    )


def _said(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _made_with(report: Mapping[str, Any]) -> str:
    libraries: Iterable[tuple[str, str]] = report["libraries"].items()
    listed = ", ".join(f"{name} {version}" for name, version in libraries)
    unit = {"classes": "Log-losses are in nats a row; ", "labels": "Log-losses are in nats a label; "}
    told = f"{unit.get(report['truth'], '')}intervals are 95%."
    return f"{told[0].upper()}{told[1:]} {f'Learned with {listed}.' if listed else ''}"
