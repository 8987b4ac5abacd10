"""How many rows are read at once, and how many are given to the members at once.

No byte of the output depends on either, so batch sizes are tried on the job's own rows, while it runs:
nothing is measured ahead, and no row is scored in vain.
"""

from dataclasses import dataclass, field

from ..signature import ANY_SIZE, Signature

# What is read at once. Several such blocks are on their way from the file to the results.
BLOCK_BYTES = 4 << 20
BLOCK_ROWS = 8192
# Fewer rows than these are slow for any model, so there are as many unless they have this many bytes.
LEAST_ROWS = 16
BLOCK_BYTES_AT_MOST = 32 << 20

# The least batch that is tried is this much smaller than a block.
SPAN = 64
TRIALS = 3


@dataclass(slots=True)
class Pace:
    """The batch size of a job: the one at which rows were quickest, once all have been tried.

    Every size from `most` down, by halves, is tried `TRIALS` times, in turn, and judged by the best of them.
    With `fixed`, it is `most` at once.
    """

    most: int
    fixed: bool = False
    _trials: list[int] = field(init=False)  # sizes, the next last
    _least: dict[int, float] = field(default_factory=dict)  # seconds a row, by size

    def __post_init__(self) -> None:
        """Try all sizes, the small ones first."""
        sizes = [self.most >> halved for halved in range(SPAN.bit_length()) if self.most >> halved]
        self._trials = [] if self.fixed else sizes * TRIALS

    @property
    def size(self) -> int:
        """How many rows the next batch should have."""
        if self._trials:
            return self._trials[-1]
        return min(self._least, key=self._least.__getitem__, default=self.most)

    def took(self, rows: int, seconds: float) -> None:
        """Learn from a batch of `rows` rows that took so long; only one of `size` rows says anything."""
        if self._trials and rows == self._trials[-1]:
            self._trials.pop()
            self._least[rows] = min(seconds / rows, self._least.get(rows, seconds / rows))

    def limit(self, rows: int) -> None:
        """Let no batch have more than `rows` rows any more."""
        self.most = min(self.most, rows)
        self._trials = [size for size in self._trials if size <= rows]
        self._least = {size: least for size, least in self._least.items() if size <= rows}


def rows_at_once(signature: Signature, seen: int = 0) -> int:
    """How many rows to read at once, by their size: a power of two, so that batches divide it.

    `seen` is how many bytes a row was seen to have: where a size is free, the signature can't say.
    """
    size = max(row_bytes(signature), seen)
    rows = max(min(BLOCK_BYTES // size, BLOCK_ROWS), min(LEAST_ROWS, BLOCK_BYTES_AT_MOST // size), 1)
    return 1 << (rows.bit_length() - 1)


def row_bytes(signature: Signature) -> int:
    """Roughly how many bytes a row of inputs has; a size that is free counts as one."""
    total = 0
    for spec in signature.inputs:
        size = {"bool": 1, "bytes": 64}.get(spec.dtype) or int(spec.dtype.lstrip("uintfloa")) // 8
        for axis in spec.shape:
            size *= 1 if axis == ANY_SIZE else axis
        total += size
    return max(total, 1)
