"""The models that the wire serves: each ensemble, and each of its members as NAME.member."""

from collections.abc import Callable

from ensemble.errors import UnavailableError
from ensemble.member import Rows
from ensemble.servable import Servable
from server.batching.batcher import Batcher
from server.batching.promise import Promise
from server.lifecycle.manager import Manager, Served

from .serving import Answer, ModelInfo, Step, find_version

MOST_FOUND = 1024
ENSEMBLE_PLATFORM = "ensemble"
# What Triton calls those runtimes that it has; any other is called by its own name.
MEMBER_PLATFORMS = {"onnxruntime": "onnxruntime_onnx", "tensorflow": "tensorflow_savedmodel"}


class ServedModels:
    """Finds what the manager serves and has the batcher score rows on it. Used on the event loop only."""

    def __init__(self, manager: Manager, batcher: Batcher, *, max_batch_size: int) -> None:
        self._manager = manager
        self._batcher = batcher
        self._max_batch_size = max_batch_size
        # What callers named and was found, with the state of its ensemble in which it was: as long as that is
        # what the manager serves, so is this. To find and describe it anew takes 20 us.
        self._found: dict[tuple[str, str], tuple[Served, Servable, ModelInfo]] = {}
        self._wanted: frozenset[str] | None = None
        self._draining = False

    def want(self, names: frozenset[str]) -> None:
        """Be ready when all of `names`, ensembles, are served."""
        self._wanted = names

    def drain(self) -> None:
        """Be ready no more; what runs goes on."""
        self._draining = True

    def ready(self) -> bool:
        """Whether every ensemble that is wanted, and one at least, is served.

        One that somebody had unloaded is wanted no more.
        """
        served = self._manager.served.keys()
        if self._draining or self._wanted is None or not served:
            return False
        return self._wanted - set(self._manager.dropped) <= served

    def names(self) -> list[str]:
        """Every model's name: the ensembles, then their members."""
        served = self._manager.served
        members = {
            alone.name: None
            for name in sorted(served)
            for version in served[name].versions.values()
            for alone in version.members.values()
        }
        return [*sorted(served), *members]

    def find(self, name: str, version: str) -> ModelInfo:
        """Describe one model; raise what `find_version` raises."""
        return self._look_up(name, version)[1]

    def tell(self, show: Callable[..., None]) -> None:
        """Let go of what is served no more, and tell `show` what is. To be called after every change."""
        self._found.clear()
        show(ready=self.ready(), models=self.names())

    async def infer(
        self,
        name: str,
        version: str,
        decode: Callable[[ModelInfo], Rows],
        deadline: float,
        *,
        members: bool = False,
    ) -> Answer:
        """Decode and score rows on one and the same servable; with `members`, theirs too."""
        servable, info = self._look_up(name, version)
        scored = await self._batcher.submit(servable, decode(info), deadline, members=members)
        if not (members or scored.missing):
            return Answer(servable.version, scored.scores)
        weights = servable.pool_without(scored.missing).weights.by_member
        asked = {name: weights[name] for name in scored.by_member} if scored.missing else weights
        return Answer(servable.version, scored.scores, scored.by_member, asked, scored.missing)

    def begin(
        self, asked: tuple[str, str], info: ModelInfo, rows: Rows, deadline: float, promise: Promise
    ) -> Callable[[], None] | None:
        """Score rows that were decoded against `info` on the servable that it describes, if it is served."""
        servable, found = self._look_up(*asked)
        return self._batcher.begin(servable, rows, deadline, promise) if found is info else None

    def _look_up(self, name: str, version: str) -> tuple[Servable, ModelInfo]:
        known = self._found.get((name, version))
        if known is not None and self._manager.served.get(name.partition(".")[0]) is known[0]:
            return known[1], known[2]
        servable = self._servable(name, version)
        info = self._info(servable)
        if len(self._found) >= MOST_FOUND:
            # The same version can be written with more or fewer zeros.
            self._found.clear()
        self._found[name, version] = (self._manager.served[name.partition(".")[0]], servable, info)
        return servable, info

    def _servable(self, name: str, version: str) -> Servable:
        ensemble, _, member = name.partition(".")
        served, loading = self._manager.served.get(ensemble), self._manager.loading.get(ensemble)
        coming = () if loading is None else (loading,)
        if served is None:
            # While its first version loads an ensemble is known, though none of it is ready.
            find_version(name, version, ready=() if coming else None, loading=coming)
            raise UnavailableError(f"Request for unknown model: '{name}' is not at ready state")
        found = served.versions[
            find_version(name, version, ready=self._ready(name), loading=coming, current=served.answers)
        ]
        return found.members[member] if member else found.servable

    def _ready(self, name: str) -> tuple[int, ...] | None:
        """Return the versions of a model that are served, which members may lack; None if it is none."""
        ensemble, _, member = name.partition(".")
        versions = self._manager.served[ensemble].versions
        ready = sorted(number for number, each in versions.items() if not member or member in each.members)
        return tuple(ready) or None

    def _info(self, servable: Servable) -> ModelInfo:
        alone = "." in servable.name
        return ModelInfo(
            name=servable.name,
            version=servable.version,
            versions=self._ready(servable.name) or (),
            signature=servable.signature,
            classes=servable.classes,
            max_batch_size=self._max_batch_size,
            platform=_platform(servable.members[0].runtime) if alone else ENSEMBLE_PLATFORM,
            backend=servable.members[0].runtime if alone else "",
            steps=() if alone else _steps(servable),
            truth=servable.truth,
        )


def _platform(runtime: str) -> str:
    return MEMBER_PLATFORMS.get(runtime, runtime)


def _steps(ensemble: Servable) -> tuple[Step, ...]:
    return tuple(Step(f"{ensemble.name}.{member.name}", member.signature) for member in ensemble.voters)
