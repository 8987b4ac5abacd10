"""For Ray Data: `dataset.map_batches(ScoreBatch, fn_constructor_args=(ensemble,), concurrency=4)`."""

from typing import Any

from .stored_ensemble import StoredEnsemble, score_columns


class ScoreBatch:
    """Adds a column of scores to batches of columns; made once in each of Ray's actors, where it loads."""

    def __init__(self, ensemble: StoredEnsemble, column: str = "scores") -> None:
        self._servable = ensemble.load()
        self._column = column

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Return the batch, in Ray Data's format `numpy`, with scores `[row, class]`."""
        return {**batch, self._column: score_columns(self._servable, batch)}
