"""The tables of a report, each a section of the page; nothing where there is nothing to tell."""

from collections.abc import Mapping
from typing import Any

from .markup import Row, change, html_table, interval, number, percent, section

OBJECTIVES = {
    "log_loss": "log-loss",
    "brier": "Brier score",
    "accuracy": "error rate",
    "f1": "1 - macro F1",
    "auc": "1 - AUC",
}


def classes(report: Mapping[str, Any]) -> str:
    """Return the table of each class before and after."""
    part = honest(report["classes"])
    if part is None:
        return ""
    headings = ["class", "rows", "log-loss before", "after", "change", "accuracy before", "after"]
    rows = []
    for line in report["classes"][part]:
        before, after = line["incumbent"], line["learned"]
        known = before["log_loss"] is not None and after["log_loss"] is not None
        rows.append(
            Row(
                [
                    line["name"],
                    f"{line['rows']:,}",
                    number(before["log_loss"], none="∞"),
                    number(after["log_loss"], none="∞"),
                    change(after["log_loss"] - before["log_loss"] if known else None),
                    percent(before["accuracy"]),
                    percent(after["accuracy"]),
                ]
            )
        )
    return section("Class by class", f"On the {part} rows.", html_table(headings, rows, less_is_better={4}))


def slices(report: Mapping[str, Any]) -> str:
    """Return the table of what each slice gains on held-out rows."""
    if not report["slices"]:
        return ""
    rows = [
        Row([name, change(gain["mean"]), interval([gain["low"], gain["high"]])])
        if gain
        else Row([name, "", ""])
        for name, gain in report["slices"].items()
    ]
    lead = (
        "Gains on rows that took no part in choice and fit. A slice whose loss surely rises by more than 0.01"
        " (Holm's correction over the slices) holds the weights back: the verdict then names it. Nothing is"
        " held where nobody had learned the weights before."
    )
    return section("Slice by slice", lead, html_table(["slice", "held-out gain", "95% interval"], rows))


def candidates(report: Mapping[str, Any]) -> str:
    """Return the table of what competed."""
    losses: Mapping[str, float] = report["candidates"]
    if not losses:
        return ""
    rows = [
        Row([name.replace("_", " "), number(loss)], kind="learned" if name == report["chosen"] else "")
        for name, loss in losses.items()
    ]
    loss_held_out = f"held-out {OBJECTIVES.get(report['objective'], 'loss')}"
    lead = (
        "From simple to rich, each judged on rows it didn't see: the simplest within one standard error of"
        " the best is taken."
    )
    return section("What competed", lead, html_table(["candidate", loss_held_out], rows))


def pruning(report: Mapping[str, Any]) -> str:
    """Return the table of members that were let go."""
    pruning = report["pruning"]
    if not pruning or not pruning["removed"]:
        return ""
    rows = [
        Row([each["member"], number(each["cost"]), number(each["milliseconds_a_row"])])
        for each in pruning["removed"]
    ]
    lead = f"Each for what it costs; --max-cost allowed {pruning['max_cost']:g} nats a row."
    headings = ["member", "held-out loss rises by", "milliseconds a row saved"]
    return section("Members let go", lead, html_table(headings, rows))


def honest(by_part: Mapping[str, Any]) -> str | None:
    """Return the dataset that judges best among those at hand: test rows, else validation rows."""
    return next((part for part in ("test", "validation") if part in by_part), None)
