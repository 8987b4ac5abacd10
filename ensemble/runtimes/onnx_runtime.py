"""Members executed by ONNX Runtime, on the CPU or on what its other providers drive.

Rule: a row's scores are bit for bit the same whatever rows share its batch. ONNX Runtime alone doesn't keep
it: some kernels take another way for a lone row, for another number of threads, for the last rows of a batch.
So each member is tried when it is opened, and run in the fastest of three ways that kept the rule.
The evidence is in docs/decisions/0003-batch-invariance.md.
"""

import mmap
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from ..errors import InvalidModelError, MemberError
from ..member import Rows, Scores, row_count
from ..signature import Signature
from .devices import CPU, Providers
from .sample import random_rows
from .source import ONNX, Found, Source
from .trial import TRIAL_ROWS, spread

# ONNX Runtime adds up a small batch's trees in as many parts as there are threads.
_TREES = b"TreeEnsemble"
_FATAL_ONLY = 4


@dataclass(frozen=True, slots=True)
class Way:
    """How a batch is run: on how many threads (0: one a core), and how many rows at a time.

    A batch of fewer than `fewest` rows is filled up with copies of its last; `most` is 1 for row by row.
    Where `pinned`, another number of threads would give other scores.
    """

    threads: int
    fewest: int = 1
    most: int | None = None
    pinned: bool = False

    @property
    def plain(self) -> bool:
        """Whether any batch is run as it is."""
        return self.fewest == 1 and self.most is None


@dataclass(frozen=True, slots=True)
class OnnxMember:
    """A member run by ONNX Runtime. `open` makes one.

    `spread` is how far a row's scores moved with its batch before any remedy: 0.0 is bit for bit, 1e-7 is
    rounding, more is a model that mixes rows.
    """

    name: str
    digest: str
    signature: Signature
    way: Way
    spread: float
    session: Any
    providers: Providers = CPU
    runtime: str = "onnxruntime"

    @classmethod
    def open(
        cls, path: Path, *, name: str, digest: str, signature: Signature, threads: int = 0
    ) -> "OnnxMember":
        """Load the model at `path`, whose scores are the signature's one output; InvalidModelError.

        `threads` is how many may work on one batch; 0: one a core.
        """
        return _opened(path, cls(name, digest, signature, Way(threads), 0.0, None), None)

    @classmethod
    def opened(
        cls, source: Source, *, threads: int, known: Found | None = None, providers: Providers = CPU
    ) -> "OnnxMember":
        """Open a member as `Runtime` says."""
        empty = cls(source.name, source.digest, source.signature, Way(threads), 0.0, None, providers)
        with source.copied(ONNX) as path:
            return _opened(path, empty, known)

    @property
    def found(self) -> Found:
        """What was found out by trying: the way to run it, and why."""
        return asdict(self.way) | {"spread": self.spread}

    def predict(self, rows: Rows) -> Scores:
        """Score `rows`: float32 [row, class], C-contiguous; MemberError if ONNX Runtime can't."""
        try:
            given = {spec.name: rows[spec.name] for spec in self.signature.inputs}
        except KeyError as error:
            raise MemberError(f"member {self.name!r} needs input {error}; got {sorted(rows)}") from None
        count = row_count(given)
        most = self.way.most or max(count, 1)
        parts = [self._run(_cut(given, start, start + most)) for start in range(0, max(count, 1), most)]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _run(self, rows: Rows) -> Scores:
        """Score rows in one go, filled up to the fewest that may run."""
        count = row_count(rows)
        missing = self.way.fewest - count if count else 0
        if missing > 0:
            rows = {name: np.concatenate([array, *[array[-1:]] * missing]) for name, array in rows.items()}
        try:
            scores = self.session.run([self.signature.outputs[0].name], dict(rows))[0]
        except Exception as error:  # ONNX Runtime's errors have no class in common
            raise MemberError(f"member {self.name!r} failed on {count} rows: {one_line(error)}") from error
        if scores.ndim != 2 or len(scores) != count + max(missing, 0):  # noqa: PLR2004 - row and class
            raise MemberError(
                f"member {self.name!r} gave shape {scores.shape} for {count} rows; want [row, class]"
            )
        return np.ascontiguousarray(scores[:count], dtype=np.float32)


def available_providers() -> list[str]:
    """Return what this build of ONNX Runtime can compute with."""
    return list(onnxruntime.get_available_providers())


def _opened(path: Path, empty: OnnxMember, known: Found | None) -> OnnxMember:
    """Give `empty` its session, and run it the way that is known or else found by trying."""
    if known is not None:
        way = Way(*(known[key] for key in ("threads", "fewest", "most", "pinned")))
        member = _started(replace(empty, way=way, spread=float(known["spread"])), path)
        _check_names(member)
        return member
    trees = _holds(path, _TREES)
    member = _started(replace(empty, way=Way(1 if trees else empty.way.threads, pinned=trees)), path)
    _check_names(member)
    found = _spread(member)
    if found == 0:
        return member
    # A second session costs memory only until the first one goes, and only the odd member needs it.
    member = _started(replace(member, way=Way(1, fewest=2, pinned=True), spread=found), path)
    return member if _spread(member) == 0 else replace(member, way=Way(1, most=1, pinned=True))


def _started(member: OnnxMember, path: Path) -> OnnxMember:
    """Give `member` a session that runs it its way."""
    return replace(member, session=open_session(path, member.name, member.way.threads, member.providers))


def open_session(model: Path | bytes, name: str, threads: int, providers: Providers = CPU) -> Any:
    """Start a session that logs nothing and whose threads sleep while they wait; InvalidModelError."""
    given = model if isinstance(model, bytes) else str(model)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = _FATAL_ONLY
    # Spinning threads would take the cores from the members that run beside this one.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(given, options, providers=list(providers))
    except Exception as error:  # ONNX Runtime's errors have no class in common
        raise InvalidModelError(
            f"member {name!r} can't be opened by ONNX Runtime: {one_line(error)}"
        ) from error


def _spread(member: OnnxMember) -> float:
    """Try made-up rows in batches of several sizes: how far scores moved at most, 0.0 if not by a bit.

    Rows that the model can't take say nothing, so they count as the worst: it is run row by row.
    """
    try:
        return spread(member.predict, random_rows(member.signature, TRIAL_ROWS))
    except (MemberError, InvalidModelError):
        return float("inf")


def _check_names(member: OnnxMember) -> None:
    """Refuse a signature that isn't this model's."""
    name, signature = member.name, member.signature
    given = {put.name for put in member.session.get_inputs()}
    made = {put.name for put in member.session.get_outputs()}
    named = {spec.name for spec in signature.inputs}
    if len(signature.outputs) != 1 or signature.outputs[0].name not in made or named != given:
        raise InvalidModelError(
            f"member {name!r} takes {sorted(given)} and gives {sorted(made)}; its signature says "
            f"{sorted(named)} and {[spec.name for spec in signature.outputs]}: publish it again"
        )


def _holds(path: Path, word: bytes) -> bool:
    """Whether the file holds `word`; the names of a graph's operators are plain text in it."""
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return data.find(word) >= 0
    except (OSError, ValueError) as error:
        raise InvalidModelError(f"model file can't be read: {error}") from error


def one_line(error: Exception) -> str:
    """Return what ONNX Runtime says, which may be many lines, in one."""
    return " ".join(str(error).split())


def _cut(rows: Rows, start: int, stop: int) -> Rows:
    return {name: array[start:stop] for name, array in rows.items()}
