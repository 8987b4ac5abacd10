"""A version's weights as bytes: each tied to the digest of its member."""

from collections.abc import Mapping
from math import isfinite
from typing import Any

from model_store import canonical
from model_store.canonical import parsed, part
from model_store.errors import InvalidDraftError, StoreCorruptError


def weights_json(weights: Mapping[str, float], digests: Mapping[str, str]) -> bytes:
    """Write weights, each tied to its member's digest; InvalidDraftError if they don't fit the members."""
    if set(weights) != set(digests):
        raise InvalidDraftError(f"weights name {sorted(weights)}; the members are {sorted(digests)}")
    rows = [
        {"member": name, "digest": digests[name], "weight": float(weights[name])} for name in sorted(weights)
    ]
    try:
        return canonical.encode({"weights": rows})
    except ValueError as error:
        raise InvalidDraftError(f"weights must be finite; got {dict(weights)}") from error


def parse_weights(data: bytes, digests: Mapping[str, str]) -> dict[str, float]:
    """Read what `weights_json` wrote; StoreCorruptError unless it is for the members with these `digests`."""
    rows = parsed(_weight_rows, data, "the weights")
    if {name: digest for name, digest, _ in rows} != dict(digests) or len(rows) != len(digests):
        named = sorted(name for name, _, _ in rows)
        raise StoreCorruptError(
            f"the weights are for the members {named}; these are {sorted(digests)}, or their files differ: "
            "publish the version again"
        )
    return {name: weight for name, _, weight in rows}


def _weight_rows(data: Mapping[str, Any]) -> list[tuple[str, str, float]]:
    """Return member, digest and weight of each row; KeyError, TypeError or ValueError if it isn't so."""
    rows = [
        (part(str, row, "member"), part(str, row, "digest"), part(float, row, "weight"))
        for row in part(list, data, "weights")
    ]
    if not all(isfinite(weight) and weight >= 0 for _, _, weight in rows):
        raise ValueError(f"weights must be finite and >= 0; got {[weight for _, _, weight in rows]}")
    return rows
