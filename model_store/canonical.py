"""JSON whose bytes are the same for the same value, and a reader that takes no second meaning.

What the store hashes must have one spelling: keys sorted, no spaces, ASCII, one newline at the end.
Floats keep every bit: Python writes the shortest text that reads back as the same float64.
"""

import json
from collections.abc import Callable, Mapping
from math import isfinite
from typing import Any, NoReturn, TypeVar

from model_store.errors import StoreCorruptError, StoreError

T = TypeVar("T")

# A manifest of a hundred members with evidence is some hundred kilobytes; beyond this it isn't ours.
MAX_BYTES = 16 * 2**20


def encode(value: Any) -> bytes:
    """Write `value`; ValueError or TypeError for what JSON can't say (NaN, infinity, objects)."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=True)
    return text.encode("ascii") + b"\n"


def decode(data: bytes) -> dict[str, Any]:
    """Read one JSON object; ValueError for anything else, a key said twice, a number not finite."""
    try:
        value = json.loads(
            data.decode("utf-8"), object_pairs_hook=_distinct, parse_constant=_refuse, parse_float=_finite
        )
    except RecursionError:
        raise ValueError("nested too deep") from None
    if not isinstance(value, dict):
        raise ValueError(f"holds a {type(value).__name__}, not an object")  # noqa: TRY004 - data, not a call
    return value


def parsed(read: Callable[[dict[str, Any]], T], data: bytes, role: str) -> T:
    """Read `data` as one JSON object, then by `read`; StoreCorruptError if it isn't what it should be."""
    try:
        return read(decode(data))
    except KeyError as error:
        reason = f"it lacks {error}"
    except (TypeError, ValueError, StoreError) as error:
        reason = str(error)
    raise StoreCorruptError(f"{role} can't be read: {reason}; restore it from a backup")


def part(kind: type[T], data: Mapping[str, Any], key: str) -> T:
    """Return `data[key]` if it is of the JSON type `kind`, and no true or false for a number."""
    if not isinstance(data, Mapping):
        raise TypeError(f"{data!r:.80} is no object")
    value = data[key]
    if not isinstance(value, kind) or isinstance(value, bool):
        raise TypeError(f"{key!r} is {value!r:.80}, not {kind.__name__}")
    return value


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Build an object; two values under one key would let two readers see two truths."""
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError(f"a key twice among {[key for key, _ in pairs]}")
    return value


def _finite(text: str) -> float:
    """Read a number; one too large for a float64 would become infinity."""
    number = float(text)
    return number if isfinite(number) else _refuse(text)


def _refuse(constant: str) -> NoReturn:
    """Refuse NaN, the infinities and what would become one, which Python's reader would take."""
    raise ValueError(f"number {constant}")
