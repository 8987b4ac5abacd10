"""What a child made of a model file beside its ONNX file, handed to the parent as plain values in files."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..member import Rows
from ..signature import Signature


@dataclass(frozen=True, slots=True)
class Exported:
    """What a model takes and gives, who ran it (library and version), and what that answers to `rows`."""

    signature: Signature
    made_by: str
    rows: Rows
    answers: Mapping[str, NDArray[Any]]

    def write(self, folder: Path) -> None:
        """Write the arrays to `folder`; `to_json` has the rest."""
        write_arrays(folder / "rows", self.rows)
        write_arrays(folder / "answers", self.answers)

    def to_json(self) -> dict[str, Any]:
        """Return what `read` wants to be told."""
        return {"signature": self.signature.to_json(), "made_by": self.made_by}

    @classmethod
    def read(cls, folder: Path, told: Mapping[str, Any]) -> "Exported":
        """Read what was written to `folder`."""
        signature = Signature.from_json(told["signature"])
        return cls(
            signature, str(told["made_by"]), read_arrays(folder / "rows"), read_arrays(folder / "answers")
        )


def write_arrays(place: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write arrays to `place`.npz and their names to `place`.json: a name can be no file name."""
    place.with_suffix(".json").write_text(json.dumps(list(arrays)))
    np.savez(place.with_suffix(".npz"), *arrays.values(), allow_pickle=False)


def read_arrays(place: Path) -> dict[str, NDArray[Any]]:
    """Read what `write_arrays` wrote."""
    names = json.loads(place.with_suffix(".json").read_text())
    with np.load(place.with_suffix(".npz"), allow_pickle=False) as arrays:
        return {name: arrays[f"arr_{index}"] for index, name in enumerate(names)}
