"""JSON whose bytes are the same for the same value, and a reader that takes no second meaning.

What the store hashes must have one spelling: keys sorted, no spaces, ASCII, one newline at the end.
Floats keep every bit: Python writes the shortest text that reads back as the same float64.
"""

import json
from typing import Any, NoReturn

# A manifest of a hundred members with evidence is some hundred kilobytes; beyond this it isn't ours.
MAX_BYTES = 16 * 2**20


def encode(value: Any) -> bytes:
    """Write `value`; ValueError or TypeError for what JSON can't say (NaN, infinity, objects)."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=True)
    return text.encode("ascii") + b"\n"


def decode(data: bytes) -> dict[str, Any]:
    """Read one JSON object; ValueError if it is not one, or says a key twice, or a number is not finite."""
    try:
        value = json.loads(data.decode("utf-8"), object_pairs_hook=_distinct, parse_constant=_refuse)
    except RecursionError:
        raise ValueError("nested too deep") from None
    if not isinstance(value, dict):
        raise ValueError(f"holds a {type(value).__name__}, not an object")  # noqa: TRY004 - data, not a call
    return value


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Build an object; two values under one key would let two readers see two truths."""
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError(f"a key twice among {[key for key, _ in pairs]}")
    return value


def _refuse(constant: str) -> NoReturn:
    """Refuse NaN and the infinities, which Python's reader would take."""
    raise ValueError(f"number {constant}")
