"""Members and runtimes that take as long as a test says, by a clock that the tests turn."""

from dataclasses import dataclass, field

from ensemble.member import Rows, Scores
from ensemble.runtimes.source import Found, OpenedMember, Source
from ensemble.signature import Signature, TensorSpec
from tests.support.members import Constant

SIGNATURE = Signature((TensorSpec("x", "float32", (4,)),), (TensorSpec("scores", "float32", (3,)),))
FAST, SLOW = 0.0001, 0.003

# What time it is, in seconds: real time would make the tests depend on what else runs here.
CLOCK = [0.0]


@dataclass(frozen=True)
class Timed:
    """Gives `scores` to every row, after `seconds` of the clock that the tests turn."""

    seconds: float
    scores: tuple[float, ...] = (0.5, 0.25, 0.25)
    signature: Signature = SIGNATURE
    name: str = "one"
    digest: str = "d"
    runtime: str = "timed"
    found: Found = field(default_factory=dict)

    def predict(self, rows: Rows) -> Scores:
        CLOCK[0] += self.seconds
        return Constant("one", self.scores).predict(rows)


class TimedRuntime:
    """Opens `member`, and remembers each time: the source, the threads, and what was known."""

    def __init__(self, member: OpenedMember) -> None:
        self.member = member
        self.calls: list[tuple[Source, int, Found | None]] = []

    def __call__(self, source: Source, *, threads: int, known: Found | None = None) -> OpenedMember:
        self.calls.append((source, threads, known))
        return self.member
