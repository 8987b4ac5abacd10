"""Looks at the data before anything is believed that was learned from it.

An alarm doesn't stop the learning, it stops the publishing: the figures are still worth a look.
"""

import numpy as np

from .predictions import Predictions

NAMES_SHOWN = 5


def alarms(predictions: Predictions) -> tuple[str, ...]:
    """Return what is wrong with the data, one sentence each; empty if nothing is."""
    found = []
    rows, members = predictions.rows, len(predictions.members)
    if rows < members:
        found.append(f"{rows} rows can't tell {members} members apart: use a file of more rows than members")
    counts = np.bincount(predictions.labels, minlength=len(predictions.classes))
    absent = [name for name, count in zip(predictions.classes, counts, strict=True) if count == 0]
    if absent:
        named = ", ".join(repr(name) for name in absent[:NAMES_SHOWN])
        more = f" and {len(absent) - NAMES_SHOWN} more" if len(absent) > NAMES_SHOWN else ""
        found.append(
            f"no row is of class {named}{more}: the weights would be blind to"
            f" {len(absent)} of {len(predictions.classes)} classes; use a file with rows of each"
        )
    return tuple(found)
