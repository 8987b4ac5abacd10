"""Names, dtypes and shapes of what goes into a model and what comes out."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from .errors import InvalidModelError

# The numpy names of the dtypes that a tensor may have. Text is served as "bytes".
DTYPES = (
    "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
    "float16", "float32", "float64", "bytes",
)  # fmt: skip

ANY_SIZE = -1


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """One named tensor. `shape` is that of one row: the rows axis, always first, is left out."""

    name: str
    dtype: str
    shape: tuple[int, ...]

    def __post_init__(self) -> None:
        """Refuse what no tensor can be."""
        if self.dtype not in DTYPES:
            raise InvalidModelError(f"tensor {self.name!r} has dtype {self.dtype!r}; known are {DTYPES}")
        if any(size < ANY_SIZE for size in self.shape):
            raise InvalidModelError(f"tensor {self.name!r} has shape {self.shape}; sizes are >= -1")

    def fits(self, shape: tuple[int, ...]) -> bool:
        """Whether an array of `shape`, rows axis included, can be this tensor."""
        return len(shape) == len(self.shape) + 1 and all(
            ours in (ANY_SIZE, theirs) for ours, theirs in zip(self.shape, shape[1:], strict=True)
        )

    def to_json(self) -> dict[str, Any]:
        """Return the form that manifests hold."""
        return {"name": self.name, "dtype": self.dtype, "shape": list(self.shape)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Read what `to_json` wrote."""
        return cls(str(data["name"]), str(data["dtype"]), tuple(int(size) for size in data["shape"]))


@dataclass(frozen=True, slots=True)
class Signature:
    """What a model takes and gives. Order counts on the wire; names count everywhere else."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]

    def __post_init__(self) -> None:
        """Refuse a signature in which a name means two tensors."""
        for kind, specs in (("input", self.inputs), ("output", self.outputs)):
            names = [spec.name for spec in specs]
            if not names or len(set(names)) != len(names):
                raise InvalidModelError(f"{kind} names must be one or more, and distinct; got {names}")

    def input(self, name: str) -> TensorSpec | None:
        """Return the input called `name`, if there is one."""
        return next((spec for spec in self.inputs if spec.name == name), None)

    def output(self, name: str) -> TensorSpec | None:
        """Return the output called `name`, if there is one."""
        return next((spec for spec in self.outputs if spec.name == name), None)

    def to_json(self) -> dict[str, Any]:
        """Return the form that manifests hold."""
        return {
            "inputs": [spec.to_json() for spec in self.inputs],
            "outputs": [spec.to_json() for spec in self.outputs],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Read what `to_json` wrote."""
        return cls(
            tuple(TensorSpec.from_json(spec) for spec in data["inputs"]),
            tuple(TensorSpec.from_json(spec) for spec in data["outputs"]),
        )
