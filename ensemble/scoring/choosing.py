"""Which runtime runs each member: settled once for a job, so that all its workers give the same bits.

On the reference no bit depends on the threads. Elsewhere it may, so there the threads are settled too. What
they compute on is the job's: a worker that hasn't it fails, and never computes on something else.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from model_store.manifest import Manifest
from model_store.store import Store

from ..loading.load import Runtimes, source_of
from ..member import Member
from ..runtimes.choice import REFERENCE, Plan
from ..runtimes.devices import Devices, Kind
from ..runtimes.measurements import Measurements, cache_folder
from ..runtimes.merged import Merger
from ..runtimes.opening import check_providers, opener
from ..runtimes.source import Source

# By member, for those that aren't on the reference.
Settled = Mapping[str, Plan]


def settle(store: Store, manifest: Manifest, wish: str, device: Kind = "cpu") -> Settled:
    """Decide by the measurements that a server goes by too; `wish` is a runtime, or "auto".

    InvalidModelError if it isn't installed.
    """
    if wish == REFERENCE:
        return {}
    opened = opener(wish, Measurements(cache_folder()), Devices(device))
    choices = {
        record.name: opened.choice(source_of(store, manifest.ensemble, record)).plan
        for record in manifest.members
    }
    return {name: plan for name, plan in choices.items() if plan.runtime != REFERENCE}


def runtimes(settled: Settled, threads: int, device: Kind = "cpu") -> Runtimes:
    """Return how a worker runs the members: as settled, and on the reference in the fastest way measured.

    UnavailableError where the device isn't.
    """
    devices = Devices(device)
    check_providers(devices)
    measurements = Measurements(cache_folder())
    return Runtimes(_Opener(settled, measurements, devices), Merger(measurements, threads))


@dataclass(frozen=True, slots=True)
class _Opener:
    """Opens members as it was settled."""

    settled: Settled
    measurements: Measurements
    devices: Devices

    def __call__(self, source: Source, threads: int = 0) -> Member:
        plan = self.settled.get(source.name, Plan(REFERENCE, threads))
        return opener(plan.runtime, self.measurements, self.devices)(source, plan.threads)
