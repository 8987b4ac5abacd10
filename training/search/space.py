"""What a search may choose from: the architecture, its options, and how it learns.

A space is a table: keys are `architecture`, `options.NAME` and `fit.NAME`, values say what each may be.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from training.architectures import catalogue
from training.config import TrainConfigError

PARTS = ("options", "fit")
_ENDS = 2  # of a range
_FORMS = (
    "{ int = [LOW, HIGH] }, { float = [LOW, HIGH] }, { log = [LOW, HIGH] }, { choice = [...] } or"
    " { list-of = ..., layers = [FEWEST, MOST] }"
)


class Drawer(Protocol):
    """What an Optuna trial is asked for: see `optuna.trial.Trial`."""

    def suggest_int(self, name: str, low: int, high: int) -> int:
        """Draw a whole number from low to high, both included."""
        ...

    def suggest_float(self, name: str, low: float, high: float, *, log: bool) -> float:
        """Draw a number."""
        ...

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        """Draw one of some."""
        ...


class Choosable(Protocol):
    """One dimension of a space, or several."""

    def draw(self, name: str, drawer: Drawer) -> Any:
        """Return a value as a configuration would have it."""
        ...


@dataclass(frozen=True, slots=True)
class Whole:
    """A whole number from `low` to `high`."""

    low: int
    high: int

    def draw(self, name: str, drawer: Drawer) -> int:
        """Draw it."""
        return drawer.suggest_int(name, self.low, self.high)


@dataclass(frozen=True, slots=True)
class Real:
    """A number from `low` to `high`; with `log`, its logarithm is what is uniform."""

    low: float
    high: float
    log: bool

    def draw(self, name: str, drawer: Drawer) -> float:
        """Draw it."""
        return drawer.suggest_float(name, self.low, self.high, log=self.log)


@dataclass(frozen=True, slots=True)
class Choice:
    """One of `values`, which are whatever TOML can say."""

    values: tuple[Any, ...]

    def draw(self, name: str, drawer: Drawer) -> Any:
        """Draw it; a study keeps no lists, so what isn't plain is drawn by its JSON."""
        if all(isinstance(value, bool | int | float | str) for value in self.values):
            return drawer.suggest_categorical(name, self.values)
        return json.loads(drawer.suggest_categorical(name, [json.dumps(value) for value in self.values]))


@dataclass(frozen=True, slots=True)
class Several:
    """A list of `fewest` to `most` values, each drawn from `each`: the widths of so many layers."""

    each: Choosable
    fewest: int
    most: int

    def draw(self, name: str, drawer: Drawer) -> list[Any]:
        """Draw how many, then each."""
        count = drawer.suggest_int(f"{name}.layers", self.fewest, self.most)
        return [self.each.draw(f"{name}.{index}", drawer) for index in range(count)]


@dataclass(frozen=True, slots=True)
class Space:
    """All that may be chosen, by key."""

    architecture: Choice
    dimensions: Mapping[str, Choosable]

    @classmethod
    def parse(cls, table: Mapping[str, Any]) -> "Space":
        """Read a table; `TrainConfigError` names the key that is wrong or that no architecture knows."""
        flat = _flat(table)
        architecture = _parsed("architecture", flat.pop("architecture", {"choice": ["bndense"]}))
        if not isinstance(architecture, Choice):
            raise TrainConfigError('space architecture is a choice of names: { choice = ["bndense"] }')
        known = {f"options.{option}" for name in architecture.values for option in _options(name)}
        for key in flat:
            if key.startswith("options.") and key not in known:
                names = ", ".join(architecture.values)
                raise TrainConfigError(f"space {key}: none of {names} has it; they have {sorted(known)}")
        return cls(architecture, {key: _parsed(key, told) for key, told in flat.items()})

    def draw(self, drawer: Drawer) -> dict[str, Any]:
        """Return a member's table as `unisono train` reads it; only options that its architecture has."""
        architecture = self.architecture.draw("architecture", drawer)
        has = {f"options.{option}" for option in _options(architecture)}
        drawn: dict[str, Any] = {"architecture": architecture, "options": {}, "fit": {}}
        for key, dimension in self.dimensions.items():
            part, _, name = key.partition(".")
            if part == "fit" or key in has:
                drawn[part][name] = dimension.draw(key, drawer)
        return drawn


def _options(architecture: str) -> tuple[str, ...]:
    if architecture not in catalogue.NAMES:
        known = ", ".join(catalogue.NAMES)
        raise TrainConfigError(f"space architecture names {architecture!r}; a search is over {known}")
    return catalogue.option_names(architecture)


def _flat(table: Mapping[str, Any]) -> dict[str, Any]:
    """Return keys with dots for what TOML nests."""
    flat: dict[str, Any] = {}
    for key, value in table.items():
        part, dot, name = key.partition(".")
        if part in PARTS and not dot:
            flat |= {f"{part}.{inner}": told for inner, told in value.items()}
        elif key == "architecture" or (part in PARTS and name):
            flat[key] = value
        else:
            raise TrainConfigError(f"space has the key {key!r}; it is architecture, options.NAME or fit.NAME")
    return flat


def _parsed(key: str, told: Any) -> Choosable:
    try:
        return _choosable(told)
    except (TypeError, ValueError, KeyError, AttributeError):
        raise TrainConfigError(f"space {key} is {told!r}; it is {_FORMS}") from None


def _choosable(told: Mapping[str, Any]) -> Choosable:
    """Read one dimension; ValueError and its kin for what is none."""
    if set(told) == {"list-of", "layers"}:
        fewest, most = _ends(told["layers"])
        return Several(_choosable(told["list-of"]), int(fewest), int(most))
    ((form, values),) = told.items()
    if form == "choice":
        if not isinstance(values, list) or not values:
            raise ValueError
        return Choice(tuple(values))
    low, high = _ends(values)
    if form == "int":
        return Whole(int(low), int(high))
    if form == "log" and low <= 0:
        raise ValueError
    return Real(float(low), float(high), {"float": False, "log": True}[form])


def _ends(values: Sequence[float]) -> tuple[float, float]:
    if len(values) != _ENDS or values[0] > values[1]:
        raise ValueError
    return values[0], values[1]
