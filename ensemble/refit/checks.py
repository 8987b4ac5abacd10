"""Looks at the data before anything is believed that was learned from it.

Each member's loss now is set against the one recorded when the weights being served were learned. One
member's rose: that member broke, and may lose its weight. Most members' rose together: suspect the file. An
alarm doesn't stop the learning, it stops the publishing: the figures are still worth a look.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import hypot, inf, isfinite
from typing import Any

import numpy as np
from scipy.stats import chi2_contingency

from .comparison import LOG_LOSS, Comparison
from .fingerprints import share_seen
from .predictions import Predictions
from .sample import Sample

NAMES_SHOWN = 5
# A rise of this many standard errors is no accident.
SIGMAS = 3.0
# Fewer rows a member than this leave the weights a wide margin.
ROWS_A_MEMBER = 20
# Other shares of the classes than these odds allow are no accident.
UNLIKELY = 1e-3
# Less than this share of rows seen before isn't worth a word.
SEEN_BEFORE = 0.01


@dataclass(frozen=True, slots=True)
class Findings:
    """What the checks found. `alarms` hold the weights back; `broken` members may lose theirs."""

    alarms: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    broken: tuple[str, ...] = ()


def check(sample: Sample, compared: Comparison, evidence: Mapping[str, Any]) -> Findings:
    """Check the rows themselves, and the members' losses on them against the incumbent's `evidence`."""
    recorded, predictions = evidence.get("validation", {}), sample.predictions
    alarms, notes = list(_about_rows(sample)), []
    rows, members = effective_rows(sample), len(predictions.members)
    if members <= rows < ROWS_A_MEMBER * members:
        notes.append(
            f"{_rows(sample)} are few for {members} members: {ROWS_A_MEMBER} a member or more are better"
        )
    if recorded.get("data", {}).get("digest") == compared.digest:
        notes.append("these are the rows that the weights being served were learned on")
    else:
        notes += _seen_before(predictions, evidence)
    notes += _class_shift(predictions, evidence)
    known, risen = _risen(compared, recorded)
    named = "; ".join(f"{name} {before:.4f} -> {now:.4f}" for name, (before, now) in risen.items())
    if risen and 2 * len(risen) > known:
        alarms.append(
            f"the losses of {len(risen)} of {known} members rose together since the weights being served were"
            f" learned ({named}): suspect the file, its labels first"
        )
        return Findings(tuple(alarms), tuple(notes))
    if risen:
        notes.append(f"the loss of {len(risen)} of {known} members rose alone ({named}): suspect the member")
    return Findings(tuple(alarms), tuple(notes), tuple(risen))


def effective_rows(sample: Sample) -> float:
    """Return how many rows of equal weight would say as much: `sum(w)^2 / sum(w^2)` (L. Kish, 1965)."""
    if sample.weights is None:
        return float(sample.predictions.data_rows)
    # Scaled, so that no square is too small or too large.
    weights = sample.weights / sample.weights.max()
    return float(weights.sum() ** 2 / (weights @ weights)) / sample.each


def _rows(sample: Sample) -> str:
    """Say how many rows there are, and how many they are worth."""
    rows = sample.predictions.data_rows
    effective = effective_rows(sample)
    return f"{rows} rows" if effective == rows else f"{rows} rows, which count as {effective:.1f},"


def _about_rows(sample: Sample) -> tuple[str, ...]:
    """Return what is wrong with the rows, one sentence each; those that count for nothing are not there."""
    found, members = [], sample.members
    if effective_rows(sample) < members:
        told = _rows(sample)
        found.append(f"{told} can't tell {members} members apart: use a file of more rows than members")
    alike = sample.weights is None or bool(sample.weights.all())
    counted = sample if alike else sample.take(np.asarray(sample.weights) > 0)
    return (*found, *(_one_sided(counted) if sample.predictions.asked.names else _absent(counted)))


def _one_sided(sample: Sample) -> tuple[str, ...]:
    """Return what is wrong with labels that all rows have, or none; or with values that are all the same."""
    found, place, predictions = [], sample.place, sample.predictions
    parts = predictions.asked.parts(place) or {predictions.asked.names[0]: place >= 0}
    truth = sample.labels if predictions.targets is None else sample.targets
    for name, inside in parts.items():
        told = truth[inside]
        if len(told) > 1 and (told == told[0]).all():
            what = (
                f"label {name!r} is {told[0]}"
                if predictions.targets is None
                else f"value {name!r} is {told[0]:g}"
            )
            found.append(
                f"{what} in every row: the weights would be blind to it; use a file of rows that differ"
            )
    return tuple(found)


def _absent(sample: Sample) -> tuple[str, ...]:
    found, predictions = [], sample.predictions
    counts = np.bincount(sample.labels, minlength=len(predictions.classes))
    absent = [name for name, count in zip(predictions.classes, counts, strict=True) if count == 0]
    if absent:
        named = ", ".join(repr(name) for name in absent[:NAMES_SHOWN])
        more = f" and {len(absent) - NAMES_SHOWN} more" if len(absent) > NAMES_SHOWN else ""
        found.append(
            f"no row is of class {named}{more}: the weights would be blind to"
            f" {len(absent)} of {len(predictions.classes)} classes; use a file with rows of each"
        )
    return tuple(found)


def leaked(validation: Predictions, test: Predictions) -> tuple[str, ...]:
    """Return a note if rows that the weights were learned on are among those that are to judge them."""
    if validation.fingerprints is None or test.fingerprints is None:
        return ()
    both = int(np.isin(test.fingerprints, validation.fingerprints).sum())
    if not both:
        return ()
    return (f"{both} of {test.data_rows} test rows are among the validation rows: the test losses flatter",)


def _seen_before(predictions: Predictions, evidence: Mapping[str, Any]) -> tuple[str, ...]:
    """Return a note if the weights being served were learned on some of these rows."""
    if predictions.fingerprints is None or not evidence.get("rows_seen"):
        return ()
    share = share_seen(predictions.fingerprints, evidence["rows_seen"])
    # Written so that a share that is not a number tells nothing.
    if not share >= SEEN_BEFORE:
        return ()
    return (f"the weights being served were learned on about {share:.0%} of these rows: they tell less anew",)


def _class_shift(predictions: Predictions, evidence: Mapping[str, Any]) -> tuple[str, ...]:
    """Return a note if classes come in other shares than when the weights being served were learned."""
    recorded = evidence.get("figures", {}).get("validation", {}).get("classes", [])
    before = {told["name"]: told["rows"] for told in recorded if "true" not in told}
    if set(before) != set(predictions.classes):
        return ()
    then = np.array([before[name] for name in predictions.classes], dtype=np.float64)
    now = np.bincount(predictions.labels, minlength=len(then)).astype(np.float64)
    seen = then + now > 0
    if seen.sum() < 2 or not then.any():  # noqa: PLR2004 - one class has the same share always
        return ()
    chance = float(chi2_contingency(np.stack([then[seen], now[seen]]), correction=False).pvalue)
    if chance >= UNLIKELY:
        return ()
    shares = then / then.sum(), now / now.sum()
    most = int(np.argmax(np.abs(shares[1] - shares[0])))
    moved = f"{predictions.classes[most]!r} {shares[0][most]:.1%} -> {shares[1][most]:.1%} of the rows"
    return (f"classes come in other shares than before: {moved} (chi squared, p = {chance:.1g})",)


def _risen(compared: Comparison, recorded: Mapping[str, Any]) -> tuple[int, dict[str, tuple[float, float]]]:
    """Return how many members have a recorded loss, and those whose loss rose: before and now."""
    # Losses of another kind can't be compared with these.
    if recorded and recorded.get("loss", LOG_LOSS) != compared.loss:
        return 0, {}
    losses = recorded.get("losses", {}).get("members", {})
    errors = recorded.get("standard_errors", {}).get("members", {})
    known, risen = 0, {}
    for name, now in compared.members.items():
        before, error = losses.get(name), errors.get(name)
        # Null is infinite: from there no loss can rise.
        if before is None or error is None:
            continue
        known += 1
        margin = SIGMAS * hypot(error, now.standard_error) if isfinite(now.loss) else 0.0
        if now.loss == inf or now.loss - before > margin:
            risen[name] = (before, now.loss)
    return known, risen
