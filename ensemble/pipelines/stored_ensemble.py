"""A published version by its address: what pipelines send to their workers in the place of a model."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from model_store.store import Store

from ..errors import InvalidDataError
from ..loading.load import load_servable
from ..member import Scores
from ..servable import Servable


@dataclass(frozen=True, slots=True)
class StoredEnsemble:
    """Which version of which ensemble of which store.

    The version is no option: workers that start later would load what is current then.
    """

    store: str
    name: str
    version: int
    threads: int = 1  # of each member's runtime: pipelines run a worker on each core

    def load(self) -> Servable:
        """Load it here, every byte checked."""
        return load_servable(Store.open(self.store), self.name, self.version, threads=self.threads)


def score_columns(servable: Servable, columns: Mapping[str, Any]) -> Scores:
    """Return the scores `[row, class]` of columns named as the inputs; other columns are left alone.

    A row may be flat. InvalidDataError for a column that is missing or can't have the signature's shape.
    """
    rows = {}
    for spec in servable.signature.inputs:
        if spec.name not in columns:
            raise InvalidDataError(f"there is no column {spec.name!r}; there are {sorted(columns)}")
        values = np.asarray(columns[spec.name])
        if values.dtype == object and spec.dtype != "bytes" and len(values):
            # A column of arrays, one a row.
            values = np.stack([np.asarray(value) for value in values])
        if spec.dtype != "bytes":
            values = values.astype(spec.dtype, copy=False)
        if not spec.fits(values.shape):
            try:
                values = values.reshape(len(values), *spec.shape)
            except ValueError:
                raise InvalidDataError(
                    f"a row of column {spec.name!r} has shape {list(values.shape[1:])}; the ensemble takes"
                    f" {list(spec.shape)}"
                ) from None
        rows[spec.name] = values
    return servable.score(rows)
