"""How a figure is written for people: small ones to so many decimals, large ones with as many digits."""

from math import floor, isfinite, log10

UNDER = 10.0


def fixed(value: float, places: int = 4, *, signed: bool = False) -> str:
    """Write `value` to `places` decimals; from 10 on, to `places` + 1 digits, or all before the point."""
    whole = floor(log10(abs(value))) if isfinite(value) and abs(value) >= UNDER else 0
    return f"{value:{'+' if signed else ''}.{max(0, places - whole)}f}"
