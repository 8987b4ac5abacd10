"""Receipts: what was made, from what, and whether it is still whole."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from .files import replace_file, sha256


@dataclass(frozen=True, slots=True)
class Trained:
    """One member that was made; `figures` say how well it does on the validation rows, by name."""

    name: str
    kind: str  # "keras" or "onnx"
    file: str  # its name in the folder
    sha256: str
    parameters: int  # a forest's nodes
    epochs: int | None  # None for what isn't trained in epochs
    seconds: float
    figures: Mapping[str, float]  # accuracy and log_loss, squared_error, or all
    reused: bool = False  # found whole, and not made again


def write_receipt(folder: Path, trained: Trained, made_by: Mapping[str, Any]) -> None:
    """Write the receipt of `trained`, made by `made_by`: whatever decides what comes out."""
    with replace_file(_path(folder, trained.name)) as beside:
        text = json.dumps({"made_by": made_by, "trained": asdict(trained)}, indent=2, sort_keys=True)
        beside.write_text(text + "\n", encoding="utf-8")


def read_receipt(folder: Path, name: str, made_by: Mapping[str, Any]) -> Trained | None:
    """Return what is known of `name`, or None unless its file is whole and was made by `made_by`."""
    try:
        receipt = json.loads(_path(folder, name).read_bytes())
        trained = Trained(**receipt["trained"])
        matches = receipt["made_by"] == made_by and sha256(folder / trained.file) == trained.sha256
    except (OSError, ValueError, KeyError, TypeError):
        # No receipt, or not one of ours: the member is made again, and its receipt with it.
        return None
    return replace(trained, reused=True) if matches else None


def sources_digest() -> str:
    """Return the sha256 of this package's sources: other sources would make other members."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.rglob("*.py")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def _path(folder: Path, name: str) -> Path:
    return folder / f"{name}.json"
