"""One version of an ensemble, loaded: what the two ways, requests and weights, meet in."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Self

from .errors import InvalidModelError, InvalidWeightsError
from .member import Member, Rows, Scores, Together
from .pooling.forms import pool_of
from .pooling.linear import LinearPool
from .pooling.pool import Pool
from .signature import Signature
from .truth import Truth
from .weights import Weights


@dataclass(frozen=True, slots=True, eq=False)
class Scored:
    """What some rows came to. `by_member` holds each voter's own scores, `seconds` how long each took.

    Both are in the order of the voters. Members that ran together share the time as they did when they
    last ran one after another. `missing` names the voters that the scores are pooled without.
    """

    scores: Scores
    by_member: Mapping[str, Scores] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)
    missing: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Servable:
    """Members, their weights and the pool of one version. Immutable, so a request never sees two.

    Compared and hashed by identity: two loads of one version are two servables.
    """

    name: str
    version: int
    signature: Signature
    classes: tuple[str, ...]
    members: tuple[Member, ...]
    weights: Weights
    pool: Pool = field(repr=False)
    # Voters that may be asked together, for the same scores in less time.
    together: Together | None = field(default=None, repr=False)
    # Most rows in a batch; 0 leaves it to who makes batches.
    max_batch_size: int = 0
    # If there are any, batches are filled up to one of these sizes, the last of which is the most.
    batch_sizes: tuple[int, ...] = ()
    # By voter: what to pool with while it alone is missing, as it was learned.
    without: Mapping[str, Pool] = field(default_factory=dict, repr=False)
    # Members that could not be loaded; they are never asked.
    absent: frozenset[str] = frozenset()
    # What the scores are about.
    truth: Truth = Truth.CLASSES

    def __post_init__(self) -> None:
        """Refuse weights that are not this ensemble's members'."""
        members, weighed = {member.name for member in self.members}, set(self.weights.by_member)
        if members != weighed:
            raise InvalidModelError(f"weights name {sorted(weighed)}; the members are {sorted(members)}")

    @property
    def voters(self) -> tuple[Member, ...]:
        """The members that weigh something: only they are asked."""
        return tuple(member for member in self.members if self.weights.by_member[member.name] > 0)

    @property
    def silent(self) -> tuple[Member, ...]:
        """The members that weigh nothing: loaded, so that a refit can call on them, but not asked."""
        return tuple(member for member in self.members if self.weights.by_member[member.name] == 0)

    def pool_without(self, missing: frozenset[str]) -> Pool:
        """Return what to pool with while these members are missing; InvalidWeightsError if none is left.

        What was learned for it, if that is known; else the weights of the others, grown to a sum of one.
        """
        if not missing:
            return self.pool
        learned = self.without.get(next(iter(missing))) if len(missing) == 1 else None
        # It may call on members that otherwise weigh nothing, and these may be absent too.
        if learned is not None and not any(learned.weights.by_member[name] for name in self.absent):
            return learned
        left = {name: 0.0 if name in missing else weight for name, weight in self.weights.by_member.items()}
        total = sum(left.values())
        if total == 0:
            raise InvalidWeightsError(f"without {sorted(missing)} no member that weighs anything is left")
        grown = Weights({name: weight / total for name, weight in left.items()})
        return pool_of(self.pool.to_json(), grown)

    def alone(self, member: Member) -> Self:
        """Return `member` as a servable of its own, called NAME.member."""
        weights = Weights({member.name: 1.0})
        return replace(
            self,
            name=f"{self.name}.{member.name}",
            signature=Signature(member.signature.inputs, self.signature.outputs),
            members=(member,),
            weights=weights,
            pool=LinearPool(weights),
            together=None,
            without={},
        )

    def run(self, rows: Rows) -> Mapping[str, Scores]:
        """Score `rows` with every voter, in the quickest way: by name, those that run together first."""
        by_member = {} if self.together is None else dict(self.together.predict(rows))
        rest = (member for member in self.voters if member.name not in by_member)
        return by_member | {member.name: member.predict(rows) for member in rest}

    def score(self, rows: Rows) -> Scores:
        """Score `rows` with every voter, one after another, and pool: the plain computation."""
        return self.pool({member.name: member.predict(rows) for member in self.voters})
