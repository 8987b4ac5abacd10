"""The metrics of refits: this server's own, and those of others whose versions it takes up."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf
from threading import Lock
from typing import Any, Self

from prometheus_client import CollectorRegistry, Counter, Gauge, Summary

PUBLISHED = "published"


@dataclass(frozen=True, slots=True)
class RefitFigures:
    """What a refit found on its validation rows: losses by weighting, and the proven gap.

    In nats, unless `loss` names one that isn't.
    """

    losses: Mapping[str, float]
    gap: float | None
    loss: str | None = None

    @classmethod
    def of(cls, evidence: Mapping[str, Any]) -> Self | None:
        """Read them from a version's evidence; None if no refit made the version."""
        if "solver" not in evidence or "validation" not in evidence:
            return None
        losses = evidence["validation"].get("losses", {})
        # JSON has no infinity: null is.
        known = {name: losses[name] for name in ("incumbent", "learned") if name in losses}
        return cls(
            {name: inf if loss is None else loss for name, loss in known.items()},
            evidence["solver"].get("gap"),
            evidence["validation"].get("loss"),
        )


class RefitMetrics:
    """Counts refits, each once, and shows the figures of the last. Safe to call from any thread.

    Where several processes serve the same store, one of them `counts_published`: all see what is published.
    """

    def __init__(self, registry: CollectorRegistry, *, counts_published: bool = True) -> None:
        self._counts_published = counts_published
        self._refits = Counter(
            "unisono_refits", "Refits, by what came of them.", ["model", "outcome"], registry=registry
        )
        self._seconds = Summary(
            "unisono_refit_seconds", "How long a refit took, scoring included.", ["model"], registry=registry
        )
        self._loss = Gauge(
            "unisono_refit_loss_nats",
            "Log-loss on the last refit's validation rows, of the weights served then and those learned.",
            ["model", "weighting"],
            registry=registry,
            multiprocess_mode="mostrecent",
        )
        self._gap = Gauge(
            "unisono_refit_gap_nats",
            "How much lower the last refit's loss could be at most, with any weights.",
            ["model"],
            registry=registry,
            multiprocess_mode="mostrecent",
        )
        self._value_loss = Gauge(
            "unisono_refit_value_loss",
            "The last refit's loss on its validation rows, of ensembles of values, in the loss's own unit.",
            ["model", "weighting", "loss"],
            registry=registry,
            multiprocess_mode="mostrecent",
        )
        # The newest version of each model that was counted, or was there when this process started.
        self._newest: dict[str, int] = {}
        self._lock = Lock()

    def finished(
        self,
        model: str,
        outcome: str,
        seconds: float,
        *,
        version: int | None = None,
        figures: RefitFigures | None = None,
    ) -> None:
        """A refit that this process ran ended with `outcome`, and `version` if it published one."""
        self._seconds.labels(model).observe(seconds)
        if version is None or self._is_news(model, version):
            self._refits.labels(model, outcome).inc()
        self._show(model, figures)

    def served(self, model: str, version: int, figures: RefitFigures | None) -> None:
        """`version` is served now. Made by a refit elsewhere since this process started, it is counted."""
        with self._lock:
            known = model in self._newest
            self._newest.setdefault(model, version)
        made = known and self._is_news(model, version)
        if figures is not None:
            if made:
                self._refits.labels(model, PUBLISHED).inc()
            self._show(model, figures)

    def _is_news(self, model: str, version: int) -> bool:
        """Whether `version` is newer than any seen, and this process counts it; it isn't the next time."""
        with self._lock:
            if version <= self._newest.get(model, 0):
                return False
            self._newest[model] = version
            return self._counts_published

    def _show(self, model: str, figures: RefitFigures | None) -> None:
        if figures is None:
            return
        if figures.loss is not None:
            for weighting, loss in figures.losses.items():
                self._value_loss.labels(model, weighting, figures.loss).set(loss)
            return
        for weighting, loss in figures.losses.items():
            self._loss.labels(model, weighting).set(loss)
        if figures.gap is not None:
            self._gap.labels(model).set(figures.gap)
