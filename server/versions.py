"""Which versions of the store's ensembles are to be served, and how one of them is loaded."""

from collections.abc import Callable, Mapping, Sequence
from math import inf

from ensemble.loading.load import Batches, Runtimes, load_servable
from ensemble.member import Member
from ensemble.runtimes.measurements import Measurements, cache_folder
from ensemble.runtimes.merged import Merger
from ensemble.runtimes.opening import opener
from model_store.errors import StoreError
from model_store.store import Store

from .config import ServeSettings
from .lifecycle.labels import Labels
from .lifecycle.manager import Loaded
from .lifecycle.wanted import wanted
from .lifecycle.watcher import Wanted
from .telemetry.refits import RefitFigures


def loader(store: Store, settings: ServeSettings) -> Callable[[str, int, Mapping[str, Member]], Loaded]:
    """Return what loads a version, given the members that are in memory by their digests."""
    measurements = Measurements(settings.cache_dir or cache_folder())
    runtimes = Runtimes(
        opener(settings.runtime, measurements, settings.devices, try_tensorflow=settings.try_tensorflow),
        Merger(measurements, settings.threads),
        Batches(measurements, settings.max_batch_size, settings.batch_sizes or ()),
        settings.quorum,
    )
    threads = settings.threads

    def load(name: str, version: int, reuse: Mapping[str, Member]) -> Loaded:
        servable = load_servable(store, name, version, reuse=reuse, threads=threads, runtimes=runtimes)
        evidence = store.manifest(name, version).evidence
        validation = evidence.get("validation", {})
        # What is told of these is in nats; losses of values have units of their own.
        losses = {} if "loss" in validation else validation.get("losses", {})
        # JSON has no infinity: null says that the member gave some true class no score at all.
        members = {
            member: inf if loss is None else loss for member, loss in losses.get("members", {}).items()
        }
        return Loaded(servable, members, losses.get("learned"), RefitFigures.of(evidence))

    return load


def wanted_versions(store: Store, settings: ServeSettings, labels: Labels) -> Callable[[], Wanted]:
    """Return what reads which versions of each ensemble are to be served."""
    policy, only = settings.version_policy, settings.ensemble

    def wanted_of(name: str) -> Sequence[int] | Exception:
        try:
            labels.refresh(name)
            current = store.current(name)
            live = store.versions(name) if policy.looks_back(name) else [current]
            return wanted(policy, name, current=current, labels=labels.of(name), live=live)
        except StoreError as error:
            return error

    def read() -> Wanted:
        return {name: wanted_of(name) for name in store.ensembles() if not only or name in only}

    return read
