"""One version of an ensemble, loaded: what the two ways, requests and weights, meet in."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from .errors import InvalidModelError
from .member import Member, Rows, Scores
from .signature import Signature
from .weights import Weights

Pool = Callable[[Mapping[str, Scores]], Scores]


@dataclass(frozen=True, slots=True)
class Servable:
    """Members, their weights and the pool of one version. Immutable, so a request never sees two."""

    name: str
    version: int
    signature: Signature
    classes: tuple[str, ...]
    members: tuple[Member, ...]
    weights: Weights
    pool: Pool = field(repr=False)

    def __post_init__(self) -> None:
        """Refuse weights that are not this ensemble's members'."""
        members, weighed = {member.name for member in self.members}, set(self.weights.by_member)
        if members != weighed:
            raise InvalidModelError(f"weights name {sorted(weighed)}; the members are {sorted(members)}")

    @property
    def voters(self) -> tuple[Member, ...]:
        """The members that weigh something: only they are asked."""
        return tuple(member for member in self.members if self.weights.by_member[member.name] > 0)

    def score(self, rows: Rows) -> Scores:
        """Score `rows` with every voter, one after another, and pool: the plain computation."""
        return self.pool({member.name: member.predict(rows) for member in self.voters})
