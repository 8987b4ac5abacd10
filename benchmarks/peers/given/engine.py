"""The engine that every peer is given: all members of an ensemble as one ONNX graph, and their average.

The same graph, the same release of ONNX Runtime and the same options as unisono's own: what differs between
the peers is the server around it.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

DESCRIPTION = "ensembles.json"
MOST_ROWS = 64
Array = NDArray[np.float32]


class Engine:
    """Scores float32 rows [row, ...] of one ensemble: float32 [row, class]."""

    def __init__(self, folder: Path, name: str, facts: dict[str, Any], threads: int = 0) -> None:
        self.name, self.input = name, str(facts["input"])
        self.shape: list[int] = facts["shape"]  # of one row
        self.classes = int(facts["classes"])
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads  # 0: one a core
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.add_session_config_entry("session.inter_op.allow_spinning", "0")
        self._session = onnxruntime.InferenceSession(
            str(folder / f"{name}.onnx"), options, providers=["CPUExecutionProvider"]
        )

    def score(self, rows: Array) -> Array:
        """Return the members' average."""
        members = self._session.run(None, {self.input: rows})
        return np.asarray(sum(members) / np.float32(len(members)), np.float32)

    def score_bytes(self, bodies: list[bytes]) -> list[bytes]:
        """Score rows that came as raw float32, as one batch; return each caller's scores as raw float32."""
        rows = [np.frombuffer(body, np.float32).reshape(-1, *self.shape) for body in bodies]
        scores = self.score(np.concatenate(rows))
        ends = np.cumsum([len(own) for own in rows])[:-1]
        return [own.tobytes() for own in np.split(scores, ends)]


def engines(folder: str | Path, threads: int = 0) -> dict[str, Engine]:
    """Open every ensemble in `folder`, each on `threads`; 0: one a core."""
    described = json.loads((Path(folder) / DESCRIPTION).read_text())
    return {name: Engine(Path(folder), name, facts, threads) for name, facts in described.items()}
