"""The weights' way, end to end: a version from the store, new weights for it, a new version in the store."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from model_store.errors import ConflictError
from model_store.store import Store
from model_store.weights import weights_json

from ..errors import InvalidRequestError
from ..executors.executor import Executor
from ..loading.golden import Golden
from ..loading.load import load_servable
from ..pooling.forms import pool_of
from ..servable import Servable
from ..weights import Weights
from .cache import ScoresCache
from .distributed import Distributed
from .learn import LearnOptions, learn
from .learned import Learned
from .predictions import LabelledData


@dataclass(frozen=True, slots=True)
class RefitOptions:
    """What to do with what is learned. `by` and `why` go into the journal; a forced refit must say why."""

    dry_run: bool = False
    force: bool = False
    why: str = ""
    by: str = ""
    threads: int = 0  # of each member's runtime; 0 lets it choose
    expect_seq: int | None = None  # the head of the journal that this is meant for; None: whatever it is
    executor: Executor | None = None  # who scores the rows and goes over them; None: this process
    learning: LearnOptions = field(default_factory=LearnOptions)

    def __post_init__(self) -> None:
        """Refuse to override the gate without a reason."""
        if self.force and not self.why.strip():
            raise InvalidRequestError("a forced refit overrides the gate for good: say why")


@dataclass(frozen=True, slots=True, eq=False)
class RefitResult:
    """What a refit learned, for which version, and the version it published, if it did."""

    ensemble: str
    parent: int
    learned: Learned
    version: int | None
    forced: bool  # published against the verdict


def refit(
    store: Store, name: str, validation: LabelledData, options: RefitOptions | None = None
) -> RefitResult:
    """Learn weights for the version being served; publish them if the gate, or `options.force`, lets them.

    Nothing is published over a version that somebody else publishes meanwhile: ConflictError. Bad data
    and members that fail raise InvalidDataError and MemberError; forcing weights that did not converge
    raises SolverError.
    """
    options = options or RefitOptions()
    # Read before the servable: whatever anybody publishes from here on makes the publish below fail.
    head = store.head(name)
    seq = head.seq if head else 0
    if options.expect_seq not in (None, seq):
        raise ConflictError(
            f"the journal of {name!r} is at entry {seq}, not {options.expect_seq}: somebody published or"
            f" rolled back meanwhile; look at it with `unisono history {name}`, and refit again"
        )
    servable = load_servable(store, name, threads=options.threads)
    manifest = store.manifest(name, servable.version)
    with TemporaryDirectory(prefix=".refit-", dir=_place(options.learning.cache)) as scratch:
        learning = _with_workers(store, servable, options, Path(scratch))
        learned = learn(servable, validation, learning, evidence=manifest.evidence)
    forced = options.force and not learned.verdict.publish
    if options.dry_run or not (learned.verdict.publish or forced):
        return RefitResult(name, servable.version, learned, None, forced=False)
    learned.solution.checked()
    # The members are the same, and so is what they give; only the average is another.
    golden = Golden.read(store, manifest) or Golden.asked(servable)
    pool = pool_of(learned.pool, Weights(dict(learned.after)))
    draft = replace(
        manifest.draft,
        pool=dict(learned.pool),
        weights=store.put_blob(name, weights_json(learned.after, manifest.draft.digests)),
        evidence=learned.to_json() | {"forced": options.why if forced else None},
        parent=servable.version,
        golden=Golden.of(golden.rows, golden.members, pool).put(store, name),
    )
    why = options.why or f"refit: {learned.verdict.reasons[0]}"
    entry = store.publish(name, draft, by=options.by, why=why, expect_seq=seq)
    return RefitResult(name, servable.version, learned, entry.version, forced)


def _place(cache: ScoresCache | None) -> Path | None:
    """Return where what memory can't hold goes: beside the scores, or to the system's folder."""
    if cache is None:
        return None
    cache.folder.mkdir(parents=True, exist_ok=True)
    return cache.folder.resolve()


def _with_workers(store: Store, servable: Servable, options: RefitOptions, scratch: Path) -> LearnOptions:
    """Return how to learn: scores that workers find have to be on disk, for this time at least."""
    learning = replace(options.learning, scratch=scratch)
    if options.executor is None:
        return learning
    workers = Distributed(options.executor, store.address, servable.name, servable.version)
    return replace(learning, distributed=workers, cache=learning.cache or ScoresCache(scratch / "scores"))
