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
    "mse": "mean squared error",
}
# What the table of parts is called, and what a part is, by what is true of a row.
PARTS = {
    "classes": ("Class by class", "class"),
    "labels": ("Label by label", "label"),
    "values": ("Value by value", "value"),
}
HOLM = ("held-out gain", "95% interval", "p", "Holm")


def classes(report: Mapping[str, Any]) -> str:
    """Return the table of each class, label or value before and after, with what the gate found of it."""
    part = honest(report["classes"])
    if part is None or not report["classes"][part]:
        return ""
    title, one = PARTS[report["truth"]]
    values = report["truth"] == "values"
    # What is true of the whole table: accuracy is of classes and labels, the rest of older evidence.
    accuracies = () if values else ("accuracy before", "after")
    judged = HOLM if report["parts"] else ()
    rows = [
        Row(
            [
                line["name"],
                f"{line['rows']:,}",
                *_before_and_after(line, "loss" if values else "log_loss"),
                *(percent(line[which]["accuracy"]) for which in ("incumbent", "learned") if not values),
                *(_judged(report["parts"].get(line["name"])) if judged else ()),
            ]
        )
        for line in report["classes"][part]
    ]
    headings = [one, "rows", f"{report['loss']} before", "after", "change", *accuracies, *judged]
    lead = f"On the {part} rows."
    if judged:
        lead += " The last columns are of rows that took no part in choice and fit."
    return section(
        title, f"{lead}{_holm(report) if judged else ''}", html_table(headings, rows, less_is_better={4})
    )


def _before_and_after(line: Mapping[str, Any], loss: str) -> list[str]:
    before, after = line["incumbent"][loss], line["learned"][loss]
    known = before is not None and after is not None
    return [number(before, none="∞"), number(after, none="∞"), change(after - before if known else None)]


def _judged(told: Mapping[str, Any] | None) -> list[str]:
    """Write a part's held-out gain, its interval, how likely that is if nothing is lost, and the outcome."""
    if told is None:
        return ["", "", "", ""]
    gain, ends = change(told["mean"]), interval([told["low"], told["high"]])
    if told["chance"] is None:
        return [gain, ends, "", ""]
    limit = f"{told['limit']:.2g}"
    return [
        gain,
        ends,
        f"{told['chance']:.2g}",
        f"loses (p ≤ {limit})" if told["loses"] else f"holds (p > {limit})",
    ]


def _holm(report: Mapping[str, Any]) -> str:
    """Say what the last columns mean."""
    where = (
        ""
        if report["learned_before"]
        else " Nothing is held for it here: nobody had learned the weights before."
    )
    return (
        " Holm's test asks of each whether its loss surely rises by more than is allowed, all of them at a"
        f" level of 5%; what loses holds the weights back.{where}"
    )


def slices(report: Mapping[str, Any]) -> str:
    """Return the table of what each slice gains on held-out rows."""
    if not report["slices"]:
        return ""
    rows = [Row([name, *_judged(told)]) for name, told in report["slices"].items()]
    lead = f"Gains on rows that took no part in choice and fit.{_holm(report)}"
    return section("Slice by slice", lead, html_table(["slice", *HOLM], rows))


def candidates(report: Mapping[str, Any]) -> str:
    """Return the table of what competed."""
    losses: Mapping[str, float] = report["candidates"]
    if not losses:
        return ""
    rows = [
        Row([name.replace("_", " "), number(loss)], kind="learned" if name == report["chosen"] else "")
        for name, loss in losses.items()
    ]
    loss_held_out = f"held-out {objective(report)}"
    lead = (
        "From simple to rich, each judged on rows it didn't see: the simplest within one standard error of"
        " the best is taken."
    )
    return section("What competed", lead, html_table(["candidate", loss_held_out], rows))


def objective(report: Mapping[str, Any]) -> str:
    """Say which loss decides."""
    named: str = report["objective"]
    quantile = named.removeprefix("pinball:")
    return f"pinball loss at {quantile}" if quantile != named else OBJECTIVES.get(named, named)


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
