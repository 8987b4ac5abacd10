"""What a report says, as plain data: the JSON form, and all that the page is made of.

Evidence is read leniently: a version published by an older release lacks what that release didn't record,
and its report lacks these parts.
"""

from collections.abc import Iterator, Mapping
from math import ceil, floor, log10
from typing import Any

from ensemble.errors import InvalidRequestError
from ensemble.refit.run import RefitResult
from model_store.journal import Entry
from model_store.manifest import Manifest

# Standard errors on either side of a figure that hold the truth 95 times in 100.
SPREAD = 1.959964
# Sums over the rows carry errors of this size themselves: a smaller bound isn't claimed.
ROUNDING = 1e-12
PARTS = ("validation", "test")
LOG_LOSS = "log-loss"
WEIGHTINGS = (
    ("uniform", "uniform"),
    ("best_single", "best single"),
    ("incumbent", "served before"),
    ("learned", "learned"),
)


def of_refit(result: RefitResult, outcome: str) -> dict[str, Any]:
    """Return the report of a refit that just ran; `outcome` is "published", "held" or "dry_run"."""
    head = {
        "ensemble": result.ensemble,
        "version": result.version,
        "parent": result.parent,
        "outcome": outcome,
        "forced": result.forced,
        "published": None,
    }
    return head | _told(result.learned.after, result.learned.to_json())


def of_version(manifest: Manifest, weights: Mapping[str, float], entry: Entry) -> dict[str, Any]:
    """Return the report of the refit that made a version, `entry` its journal entry.

    InvalidRequestError for a version whose weights nobody learned.
    """
    evidence = manifest.evidence
    if "validation" not in evidence or "solver" not in evidence:
        raise InvalidRequestError(
            f"version {manifest.version} of {manifest.ensemble!r} was not made by a refit, so there is"
            " nothing to report: name another with --version"
        )
    head = {
        "ensemble": manifest.ensemble,
        "version": manifest.version,
        "parent": manifest.parent,
        "outcome": "published",
        "forced": bool(evidence.get("forced")),
        "published": {"at": entry.at, "by": entry.by, "why": entry.why},
    }
    return head | _told(weights, evidence)


def certificate(solver: Mapping[str, Any], rows: int) -> str:
    """Say what is proven about the weights."""
    if not solver["converged"]:
        return f"No certificate: the solver stopped with a gap of {solver['gap']:.2g} nats ({solver['how']})."
    claim = solver.get("proves", "no other weighting of these members can have a log-loss")
    unit = " nats" if "log-loss" in claim else ""
    bound = _rounded_up(max(solver["gap"], ROUNDING))
    return f"Certificate: {claim} on these {rows:,} rows more than {bound}{unit} lower ({solver['how']})."


def _rounded_up(bound: float) -> str:
    """Write a bound with one digit, and never a smaller one than it is."""
    exponent = floor(log10(bound))
    digit = ceil(bound / 10.0**exponent - 1e-9)
    # Between nine and ten, rounding up carries.
    return f"1e{exponent + 1:d}" if digit > 9 else f"{digit:d}e{exponent:d}"  # noqa: PLR2004 - decimal


def _told(weights: Mapping[str, float], evidence: Mapping[str, Any]) -> dict[str, Any]:
    """Return all that evidence says, in the report's words."""
    parts = [part for part in PARTS if part in evidence]
    figures = {part: evidence.get("figures", {}).get(part, {}) for part in parts}
    return {
        "verdict": evidence["verdict"],
        "notes": evidence.get("notes", []),
        "certificate": certificate(evidence["solver"], evidence["validation"]["data"]["rows"]),
        "solver": evidence["solver"],
        "objective": evidence.get("objective", "log_loss"),
        "truth": evidence.get("truth", "classes"),
        "measure": evidence["validation"].get("measure"),
        "loss": evidence["validation"].get("loss", LOG_LOSS),
        "shown": _shown(evidence["validation"]),
        "pool": evidence.get("pool", {"form": "linear"}),
        "pruning": evidence.get("pruning"),
        "chosen": evidence.get("chosen"),
        "candidates": evidence.get("held_out", {}),
        "slices": {name: _part(told) for name, told in evidence.get("slices", {}).items()},
        "learned_before": evidence.get("learned_before", True),
        "parts": {name: _part(told) for name, told in evidence.get("parts", {}).items()},
        "seconds": evidence.get("seconds", {}),
        "held_out_gain": _interval(evidence.get("held_out_gain")),
        "data": {part: evidence[part]["data"] for part in parts},
        "weights": _weights(weights, evidence),
        "losses": {part: list(_losses(evidence[part])) for part in parts},
        "error_correlation": figures["validation"].get("error_correlation"),
        "reliability": {part: told["reliability"] for part, told in figures.items() if "reliability" in told},
        "classes": {part: told["classes"] for part, told in figures.items() if "classes" in told},
        "libraries": evidence.get("libraries", {}),
    }


def _weights(weights: Mapping[str, float], evidence: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return a line for each member, the heaviest first; it lacks "worth" where that wasn't recorded."""
    before = evidence.get("replaced", {})
    intervals, used = evidence.get("weight_intervals", {}), evidence.get("weights_used", {})
    worth = _worth(weights, evidence)
    return [
        {
            "member": name,
            "before": before.get(name),
            "after": weights[name],
            "change": weights[name] - before[name] if name in before else None,
            "interval": intervals.get(name),
            "used": used.get(name),
        }
        | ({"worth": worth[name]} if name in worth else {})
        for name in sorted(weights, key=lambda name: (-weights[name], name))
    ]


def _worth(weights: Mapping[str, float], evidence: Mapping[str, Any]) -> Mapping[str, float | None]:
    """Return by how much the validation loss rises without each member, the others fitted anew.

    In the loss's unit; null is infinite. Empty if it wasn't recorded.
    """
    if "without" not in evidence:
        return {}
    learned = evidence["validation"]["losses"]["learned"]
    found: dict[str, float | None] = dict.fromkeys(weights, 0.0)
    for name, told in evidence["without"].items():
        loss = None if told is None else told.get("log_loss", told.get("loss"))
        found[name] = None if loss is None or learned is None else max(0.0, loss - learned)
    return found


def _losses(measured: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield a line for each member, and for each weighting with what the learned weights gain over it."""
    for name in measured["losses"]["members"]:
        yield _line(
            name, "member", {key: measured.get(key, {}).get("members", {}).get(name) for key in _MEASURES}
        )
    best = measured["losses"]["best_single"]["member"]
    for key, title in WEIGHTINGS:
        name = f"{title} ({best})" if key == "best_single" else title
        figures = {figure: _plain(measured.get(figure, {}).get(key)) for figure in _MEASURES}
        yield _line(name, key, figures) | {"gain": _interval(measured.get("gains", {}).get(key))}


# What is told beside the loss, where it was measured, and as what: see `_shown`.
_FIGURES = {
    "accuracy": ("accuracy", "share"),
    "calibration_error": ("ECE", "number"),
    "mean_absolute_error": ("MAE", "number"),
    "r_squared": ("R²", "number"),
    "share_below": ("targets below", "share"),
}
_MEASURES = ("losses", "standard_errors", "decides", *_FIGURES)


def _shown(measured: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return the columns beside the loss: their key in a line, what they are called, "share" or "number"."""
    # How many targets are below is what a quantile is about, and little else.
    quantile = measured.get("loss", "").startswith("pinball")
    shown = [
        {"key": key, "title": title, "kind": kind}
        for key, (title, kind) in _FIGURES.items()
        if key in measured and (quantile or key != "share_below")
    ]
    name = measured.get("measure")
    return [*shown, {"key": "decides", "title": name, "kind": "number"}] if name else shown


def _line(name: str, kind: str, figures: Mapping[str, float | None]) -> dict[str, Any]:
    """Return a line of losses; `figures` are those of _MEASURES, null where one isn't known."""
    known = {key: value for key, value in figures.items() if key not in ("losses", "standard_errors")}
    loss = figures["losses"]
    return {
        "name": name,
        "kind": kind,
        "loss": loss,
        "interval": _around(loss, figures["standard_errors"]),
        "gain": None,
    } | known


def _part(told: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Return a part's gain with its 95% interval and Holm's outcome; older evidence has the gain alone."""
    if told is None:
        return None
    gain = _interval(told)
    return None if gain is None else gain | {key: told.get(key) for key in ("chance", "limit", "loses")}


def _plain(value: Any) -> float | None:
    """Return the figure of a weighting: that of the best single member comes with its name."""
    figure: float | None = value["loss"] if isinstance(value, Mapping) else value
    return figure


def _interval(gain: Mapping[str, float | None] | None) -> dict[str, float | None] | None:
    """Return a mean with the ends of its 95% interval; null if there is none."""
    if gain is None or gain.get("mean") is None:
        return None
    ends = _around(gain["mean"], gain.get("standard_error"))
    return {"mean": gain["mean"], "low": ends[0] if ends else None, "high": ends[1] if ends else None}


def _around(value: float | None, error: float | None) -> list[float] | None:
    if value is None or error is None:
        return None
    return [value - SPREAD * error, value + SPREAD * error]
