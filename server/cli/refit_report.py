"""What a refit found, for people and for programs."""

from collections.abc import Callable, Iterator
from math import isfinite

from rich.console import Console
from rich.text import Text

from ensemble.decimals import fixed
from ensemble.refit.aims import aim_of
from ensemble.refit.comparison import LOG_LOSS, Comparison, Gain, Losses
from ensemble.refit.job import outcome
from ensemble.refit.learned import Learned
from ensemble.refit.run import RefitResult
from ensemble.truth import Truth

from . import tables
from .reporting import content

# What is shown beside the loss, and what it is called.
SHOWN = {
    "accuracy": "accuracy",
    "calibration_error": "ECE",
    "mean_absolute_error": "MAE",
    "r_squared": "R²",
    "share_below": "below",
}
# What the parts that must not lose are called, and how many are shown at most.
PARTS = {Truth.CLASSES: "class", Truth.LABELS: "label", Truth.VALUES: "value"}
PARTS_SHOWN = 10
# A gain of this many standard errors is not noise.
CLEAR = 2
# A gain below this, in nats, is the solver's tolerance.
NOTHING = 1e-9


def show(console: Console, result: RefitResult, *, dry_run: bool) -> None:
    """Print weights before and after, losses, the certificate, and the verdict with its reasons."""
    learned = result.learned
    title = Text(result.ensemble, style="bold").append(f"  refit of version {result.parent}", style="dim")
    console.print(title)
    _show_weights(console, learned)
    _show_losses(console, learned)
    _show_parts(console, learned)
    console.print(Text(choice(learned)))
    console.print(Text(certificate(learned)))
    for line in (*pruning(learned), *newcomers(learned)):
        console.print(Text(line))
    if learned.test is not None:
        console.print(Text(on_unseen_rows(learned.test)))
    console.print(Text(took(learned), style="dim"))
    console.print()
    _show_verdict(console, result, dry_run=dry_run)


def choice(learned: Learned) -> str:
    """Say which candidate was chosen, and what each lost on rows that it didn't see."""
    listed = ", ".join(
        f"{name.replace('_', ' ')} {fixed(loss)}" for name, loss in learned.choice.held_out.items()
    )
    parameters = ", ".join(
        f"{name} {value:.4g}" for name, value in learned.pool.items() if name in ("temperature", "floor")
    )
    pooled = f" ({learned.pool['form']} pool, {parameters})" if parameters else ""
    chosen = f"Chosen: {learned.choice.name.replace('_', ' ')}{pooled}."
    measure = aim_of(learned.objective).measure
    return f"{chosen} Held-out {measure} of each candidate: {listed}." if listed else chosen


def certificate(learned: Learned) -> str:
    """Say what is proven about the weights."""
    return content.certificate(learned.to_json()["solver"], learned.validation.rows)


def took(learned: Learned) -> str:
    """Say how long it took, and how much of that went where."""
    took = {part: tables.duration(seconds) for part, seconds in learned.seconds.items()}
    return (
        f"Took {took['all']}: {took['scoring']} to read and score the rows, {took['weights']} for the"
        " weights, the rest to choose and to judge."
    )


def pruning(learned: Learned) -> Iterator[str]:
    """Say which members were let go, at what price and for how much time."""
    if learned.pruning is None:
        return
    removed = learned.pruning["removed"]
    if not removed:
        yield f"No member can go for {learned.pruning['max_cost']:g} a row or less."
    for removal in removed:
        saved = removal["milliseconds_a_row"]
        time = "" if saved is None else f", saves {saved:.3g} ms a row"
        yield f"Let go: {removal['member']}; held-out loss {removal['cost']:+.5f} in all by then{time}."


def newcomers(learned: Learned) -> Iterator[str]:
    """Say what each model outside the ensemble would add to the best average of the members."""
    unit = " nats" if learned.validation.loss == LOG_LOSS else ""
    for name, told in learned.newcomers.items():
        gain, weight = told["gain"] or 0.0, told["weight"] or 0.0
        growth = told["first_order_gain"] or 0.0
        if growth <= NOTHING:
            yield f"Candidate {name}: adds nothing to the best average (g - 1 = {growth:.5f})."
            continue
        yield (
            f"Candidate {name}: g - 1 = {growth:.5f}{unit} a row, more it can't add to the best average on"
            f" these rows; weighed {weight:.4f} it adds {gain:.5f}."
        )


def on_unseen_rows(test: Comparison) -> str:
    """Say whether the learned weights beat uniform and the best single member on the test rows."""
    parts = [
        _against("uniform weights", test.gains["uniform"], test.loss),
        _against(f"the best single member ({test.best_single})", test.gains["best_single"], test.loss),
    ]
    return f"On the {test.rows:,} test rows the learned weights {' and '.join(parts)}."


def _against(other: str, gain: Gain, loss: str) -> str:
    if not isfinite(gain.mean):
        return f"can't be compared with {other} (an infinite loss)"
    verb = "beat" if gain.mean > 0 else "lose to" if gain.mean < 0 else "equal"
    doubt = "" if abs(gain.mean) > CLEAR * gain.standard_error else ", within noise"
    unit = " nats" if loss == LOG_LOSS else ""
    by = f" by {fixed(abs(gain.mean))} ± {fixed(gain.standard_error)}{unit}{doubt}" if gain.mean else ""
    return f"{verb} {other}{by}"


def _show_weights(console: Console, learned: Learned) -> None:
    rows = tables.table("member", "before", " ", "after", "  ", numbers=("before", "after"))
    for name in sorted(learned.after, key=lambda name: -learned.after[name]):
        before, after = learned.before[name], learned.after[name]
        rows.add_row(
            Text(name, style="bold" if after > 0 else "dim"),
            Text(_weight(before), style="dim"),
            tables.bar(before),
            Text(_weight(after)),
            tables.bar(after),
        )
    console.print(rows)


def _weight(weight: float) -> str:
    # A member that is never asked looks unlike one that hardly counts.
    return f"{weight:.4f}" if weight > 0 else "0"


def _show_losses(console: Console, learned: Learned) -> None:
    measured = [("validation", learned.validation)] + (
        [("test", learned.test)] if learned.test is not None else []
    )
    rows = tables.table("")
    titles = [title for title, _ in _columns(learned.validation)]
    for data, _ in measured:
        for index, measure in enumerate(titles):
            rows.add_column(f"{'' if index else data}\n{measure}", justify="right")
    for name in learned.validation.members:
        figures = [told for _, compared in measured for told in _figures(compared, compared.members[name])]
        rows.add_row(Text(name, style="dim"), *figures)
    rows.add_section()
    for label, pick, style in _weightings(learned.validation.best_single):
        figures = [told for _, compared in measured for told in _figures(compared, pick(compared))]
        rows.add_row(Text(label), *figures, style=style)
    console.print(rows)


def _weightings(best: str) -> Iterator[tuple[str, Callable[[Comparison], Losses], str]]:
    yield "uniform", lambda compared: compared.uniform, ""
    yield f"best single ({best})", lambda compared: compared.members[best], ""
    yield "being served", lambda compared: compared.incumbent, ""
    yield "learned", lambda compared: compared.learned, "bold green"


def _columns(compared: Comparison) -> Iterator[tuple[str, str]]:
    """Yield what is shown of each weighting: what it is called, and which of its losses it is."""
    yield compared.loss, "loss"
    for figure in compared.told:
        # How many targets are below is what a quantile is about.
        if figure in SHOWN and (figure != "share_below" or compared.loss.startswith("pinball")):
            yield SHOWN[figure], figure
    if compared.decides is not None:
        yield compared.decides, "decides"


def _figures(compared: Comparison, losses: Losses) -> tuple[str, ...]:
    values = [(figure, getattr(losses, figure)) for _, figure in _columns(compared)]
    return tuple(
        fixed(value) if isfinite(value) else "∞" if figure == "loss" else "-" for figure, value in values
    )


def _show_parts(console: Console, learned: Learned) -> None:
    """Print what was found of each class, label or value, and of each slice, the surest losers first."""
    for title, parts in ((PARTS[learned.truth], learned.verdict.parts), ("slice", learned.verdict.slices)):
        told = [(name, part) for name, part in parts.items() if part.chance is not None]
        rows = tables.table(
            title, "held-out gain", "±", "p", "Holm's limit", "", numbers=("held-out gain", "±")
        )
        for name, part in told[:PARTS_SHOWN]:
            rows.add_row(
                Text(name),
                Text(fixed(part.gain.mean, 5, signed=True)),
                Text(fixed(part.gain.standard_error, 5), style="dim"),
                Text(f"{part.chance:.3g}"),
                Text(f"{part.limit:.3g}", style="dim"),
                Text("loses", style="bold red") if part.loses else Text("holds", style="green"),
            )
        if told:
            console.print(rows)
        if len(told) > PARTS_SHOWN:
            console.print(Text(f"... and {len(told) - PARTS_SHOWN} more, less likely to lose", style="dim"))


def _show_verdict(console: Console, result: RefitResult, *, dry_run: bool) -> None:
    verdict = result.learned.verdict
    done = outcome(result, dry_run=dry_run)
    if done == "published":
        forced = " against the gate's verdict" if result.forced else ""
        line = Text(f"published version {result.version}{forced}", style="bold green")
        line.append(f"  (version {result.parent} stays in the store)", style="dim")
    elif done == "held":
        line = Text(f"held: version {result.parent} stays in service", style="bold yellow")
    else:
        would = "would be published" if verdict.publish else "would be held"
        line = Text(f"dry run: these weights {would}", style="bold cyan")
    console.print(line)
    for reason in verdict.reasons:
        console.print(Text(f"  - {reason}"))
    for note in result.learned.findings.notes:
        console.print(Text(f"  note: {note}", style="yellow"))
    if done == "held" and result.learned.solution.converged:
        console.print(
            Text("  to publish all the same: the same command with --force --why REASON", style="dim")
        )
