"""The methods of `unisono.v1.Control`: learn weights, read them, look back, go back.

Data comes by names that the operator gave; no path comes over the wire, or goes.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from math import inf, isfinite
from pathlib import Path
from typing import Any, Protocol

from ensemble.errors import InvalidDataError, InvalidRequestError, ModelNotFoundError
from ensemble.refit.job import RefitJob
from model_store.journal import Entry
from model_store.store import Store

from .call import Call
from .messages import message_class
from .method import Method

SERVICE = "unisono.v1.Control"
DEFAULT_LABEL, DEFAULT_POOLS = "y", ("linear",)
# A refit takes as long as its data; a caller may wait for so many seconds.
REFIT_SECS = 24 * 3600.0


class Refits(Protocol):
    """What runs a refit."""

    async def refit(self, job: RefitJob) -> Mapping[str, Any]:
        """Run `job`; return what it found, as `unisono refit -o json` prints it, and its "seconds"."""
        ...


@dataclass(frozen=True, slots=True)
class ControlOptions:
    """What callers may name: the operator's data by name, and ensembles; none named means all."""

    data: Mapping[str, Path]
    ensembles: tuple[str, ...] = ()


class Control:
    """The methods over `store` and `refits`. `published` is awaited when the current version changes."""

    def __init__(
        self,
        store: Store,
        refits: Refits,
        published: Callable[[], Awaitable[object]],
        options: ControlOptions,
    ) -> None:
        self._store = store
        self._refits = refits
        self._published = published
        self._options = options

    def methods(self) -> list[Method]:
        """List the methods, for a transport to bind."""
        functions = {
            "Refit": self.refit,
            "GetWeights": self.get_weights,
            "History": self.history,
            "Rollback": self.rollback,
        }
        return [
            Method(
                *(SERVICE, name, _class(f"{name}Request"), _class(f"{name}Response"), function),
                longest_secs=REFIT_SECS if name == "Refit" else None,
            )
            for name, function in functions.items()
        ]

    async def refit(self, request: Any, call: Call) -> Any:
        """Learn weights for the current version; publish them if they are surely better."""
        await self._find(request.ensemble, call)
        job = self._job(request)
        try:
            found = await self._refits.refit(job)
        except InvalidDataError as error:
            raise InvalidDataError(self._without_paths(str(error))) from error
        digests = (await asyncio.to_thread(self._store.manifest, job.name, found["parent"])).digests
        losses = found["validation"]["losses"]
        return _class("RefitResponse")(
            outcome=found["outcome"],
            version=found["version"] or 0,
            parent=found["parent"],
            forced=found["forced"],
            weights=_weights(found["weights"], digests),
            reasons=found["verdict"]["reasons"],
            notes=found["notes"],
            incumbent_loss=_number(losses["incumbent"]),
            learned_loss=_number(losses["learned"]),
            gap=found["solver"]["gap"],
            seconds=found["seconds"],
            evidence_json=json.dumps(found, allow_nan=False),
        )

    async def get_weights(self, request: Any, call: Call) -> Any:
        """Say how much each member of one version counts."""
        await self._find(request.ensemble, call)

        def read() -> Any:
            manifest = self._store.manifest(request.ensemble, request.version or None)
            return _class("GetWeightsResponse")(
                version=manifest.version,
                weights=_weights(self._store.weights(manifest), manifest.digests),
                pool_json=json.dumps(dict(manifest.pool), allow_nan=False),
            )

        return await asyncio.to_thread(read)

    async def history(self, request: Any, call: Call) -> Any:
        """Read the journal, newest entry first."""
        current = await self._find(request.ensemble, call)
        if request.limit < 0:
            raise InvalidRequestError(f"limit is {request.limit}; give how many entries, or 0 for all")
        entries = await asyncio.to_thread(self._store.entries, request.ensemble)
        newest_first = entries[::-1][: request.limit or None]
        return _class("HistoryResponse")(current=current, entries=[_entry(entry) for entry in newest_first])

    async def rollback(self, request: Any, call: Call) -> Any:
        """Make an older version the current one again."""
        await self._find(request.ensemble, call)
        who = {"by": _author(request.by), "why": request.why}
        expected = _expected(request)
        entry = await asyncio.to_thread(
            lambda: self._store.rollback(request.ensemble, request.version, **who, expect_seq=expected)
        )
        await self._published()
        return _class("RollbackResponse")(entry=_entry(entry))

    async def _find(self, name: str, call: Call) -> int:
        """Return the current version of an ensemble that callers may name."""
        if self._options.ensembles and name not in self._options.ensembles:
            raise ModelNotFoundError(
                f"ensemble {name!r} is not this server's; it serves {', '.join(self._options.ensembles)}"
            )
        current = await asyncio.to_thread(self._store.current, name)
        call.answered_by(name, current)
        return current

    def _job(self, request: Any) -> RefitJob:
        if not (isfinite(request.min_gain) and request.min_gain >= 0):
            raise InvalidRequestError(f"min_gain is {request.min_gain}; it must be 0 nats or more")
        return RefitJob(
            store=self._store.address,
            name=request.ensemble,
            data=(self._path("data", request.data),),
            test=(self._path("test", request.test),) if request.test else (),
            label=request.label or DEFAULT_LABEL,
            min_gain=request.min_gain,
            dry_run=request.dry_run,
            force=request.force,
            why=request.why,
            by=_author(request.by),
            pools=tuple(request.pools) or DEFAULT_POOLS,
            objective=request.objective,
            sample_weight=request.sample_weight or None,
            group=request.group or None,
            time_order=request.time_order or None,
            slices=tuple(request.slices),
            max_cost=request.max_cost if request.HasField("max_cost") else None,
            expect_seq=_expected(request),
        )

    def _path(self, field: str, name: str) -> Path:
        path = self._options.data.get(name)
        if path is None:
            known = ", ".join(sorted(self._options.data)) or "none"
            raise InvalidRequestError(
                f"{field} is {name!r}; the server was told of {known}: data gets its name from its"
                " --refit-data NAME=PATH"
            )
        return path

    def _without_paths(self, text: str) -> str:
        for name, path in self._options.data.items():
            text = text.replace(str(path), name)
        return text


def _author(name: str) -> str:
    """Write who asks so that the journal doesn't vouch for it: a token says what may be done, not by whom."""
    return f"{name or 'somebody'} (over gRPC)"


def _expected(request: Any) -> int | None:
    """Return the journal entry that the caller looked at, if it says so; 0 is none."""
    return request.expect_seq if request.HasField("expect_seq") else None


def _weights(weights: Mapping[str, float], digests: Mapping[str, str]) -> list[dict[str, Any]]:
    return [{"member": name, "weight": weights[name], "digest": digests[name]} for name in sorted(weights)]


def _entry(entry: Entry) -> dict[str, Any]:
    return {
        "seq": entry.seq,
        "op": entry.op,
        "version": entry.version,
        "label": entry.label or "",
        "previous": entry.prev or 0,
        "manifest_sha256": entry.manifest_sha256,
        "at": entry.at,
        "by": entry.by,
        "why": entry.why,
    }


def _number(value: float | None) -> float:
    """Return what null stands for in evidence: JSON has no infinity."""
    return inf if value is None else value


def _class(name: str) -> Any:
    return message_class(f"unisono.v1.{name}")
