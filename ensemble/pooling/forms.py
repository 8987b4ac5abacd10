"""Which forms of pool there are, and how a manifest names them."""

from collections.abc import Callable, Mapping
from typing import Any

from ..errors import InvalidModelError
from ..weights import Weights
from .linear import LINEAR, LinearPool
from .log import LOG, LogPool
from .pool import Pool
from .tempering import FLOOR, parameter

FORMS: Mapping[str, Callable[[Weights, float, float], Pool]] = {LINEAR: LinearPool, LOG: LogPool}
PARAMETERS = frozenset({"form", "temperature", "floor"})


def pool_of(data: Mapping[str, Any], weights: Weights) -> Pool:
    """Make the pool that a manifest names; InvalidModelError for one that this release doesn't serve."""
    form = data.get("form")
    if not isinstance(form, str) or form not in FORMS:
        raise InvalidModelError(f"the pool is of form {form!r}; this release serves {', '.join(FORMS)}")
    unknown = sorted(set(data) - PARAMETERS)
    if unknown:
        # A parameter that is passed over would change every score without a word.
        raise InvalidModelError(f"the pool has parameters {unknown}, which this release doesn't know")
    return FORMS[form](weights, parameter(data, "temperature", 1.0), parameter(data, "floor", FLOOR))
