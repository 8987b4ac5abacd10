"""What `unisono tune CONFIG.toml` is told: where to look, how, and how long."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, Self, get_args

from ensemble.errors import InvalidDataError
from training.architectures import catalogue
from training.config import DataConfig, MemberConfig, TrainConfig, TrainConfigError

from .space import Space

Sampler = Literal["tpe", "gp", "nsga2", "cmaes", "random"]
Pruner = Literal["median", "halving", "none"]


@dataclass(frozen=True, slots=True)
class Beside:
    """The ensemble that a trial is to add to: one in a store, or a folder of captured predictions."""

    store: str = ""
    name: str = ""
    predictions: Path | None = None


@dataclass(frozen=True, slots=True)
class SearchConfig:
    """How to search.

    Attributes:
        sampler: What draws the next trial: see docs/tuning.md.
        trials: So many, those of earlier runs of the same command included.
        seconds: Begin no trial after this time, 0 for no limit; what is then found depends on the machine.
        pruner: What ends a trial early by its held-out loss.
        seed: Decides what is drawn, and every network's first parameters.
        keep: So many of the best are kept as members.
        beside: Rank trials by what they add to this ensemble, not by their own loss.
    """

    sampler: Sampler = "tpe"
    trials: int = 20
    seconds: float = 0.0
    pruner: Pruner = "median"
    seed: int = 0
    keep: int = 3
    beside: Beside | None = None

    def __post_init__(self) -> None:
        """Refuse what can't be searched with."""
        for name, known in (("sampler", get_args(Sampler)), ("pruner", get_args(Pruner))):
            if getattr(self, name) not in known:
                raise TrainConfigError(
                    f"[search] {name} is {getattr(self, name)!r}; it is one of {', '.join(known)}"
                )
        for name in ("trials", "keep"):
            value = getattr(self, name)
            if not isinstance(value, int) or value < 1:
                raise TrainConfigError(f"[search] {name} is {value!r}; it must be a whole number from 1")


@dataclass(frozen=True, slots=True)
class TuneConfig:
    """One search: rows, how each network learns unless drawn otherwise, the space."""

    search: SearchConfig
    space: Space
    data: DataConfig
    base: Mapping[str, Any]  # the tables data, fit and options, as TOML has them
    folder: Path

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a TOML file; paths in it start at its folder. Raises `TrainConfigError`, naming the key."""
        try:
            with path.open("rb") as file:
                return cls.from_toml(tomllib.load(file), path.parent)
        except OSError as error:
            raise TrainConfigError(f"{path}: can't be read: {error.strerror}") from error
        except (tomllib.TOMLDecodeError, InvalidDataError) as error:
            raise TrainConfigError(f"{path}: {error}") from error

    @classmethod
    def from_toml(cls, toml: Mapping[str, Any], folder: Path) -> Self:
        """Build it from a parsed file."""
        if "search" not in toml:
            raise TrainConfigError("no [search]; say where to look under [search.space]")
        search = dict(toml["search"])
        space = Space.parse(search.pop("space", {}))
        if not space.dimensions and len(space.architecture.values) == 1:
            raise TrainConfigError("[search.space] leaves nothing to choose; see docs/tuning.md")
        rest = {key: value for key, value in toml.items() if key != "search"}
        shared = {"data": rest.pop("data", {}), "fit": rest.pop("fit", {})}
        options = rest.pop("options", {})
        if rest:
            raise TrainConfigError(
                f"the file has unknown keys {sorted(rest)}; known are data, fit, options, search"
            )
        made = cls(_search(search, folder), space, DataConfig(), {**shared, "options": options}, folder)
        # Reads the data's table, and finds what is wrong with the fit before the first trial.
        whole = made._train_config("member", {"architecture": space.architecture.values[0]})
        return cls(made.search, space, whole.data, made.base, folder)

    def member(self, name: str, drawn: Mapping[str, Any]) -> MemberConfig:
        """Return what a trial is to make, of what was drawn from the space."""
        return self._train_config(name, drawn).members[0]

    def told(self) -> dict[str, Any]:
        """Return all that decides what a trial of some number is: as JSON, to know the search again by."""
        search = {found.name: getattr(self.search, found.name) for found in fields(self.search)}
        for key in ("trials", "seconds", "keep"):
            search.pop(key)
        return {"search": repr(search), "space": repr(self.space), **self.base}

    def _train_config(self, name: str, drawn: Mapping[str, Any]) -> TrainConfig:
        architecture, own = drawn["architecture"], self.base["options"]
        has = {option.replace("_", "-") for option in catalogue.option_names(architecture)}
        fixed = {key: value for key, value in own.items() if key.replace("_", "-") in has}
        table = {**drawn, "options": {**fixed, **drawn.get("options", {})}}
        members = {"data": self.base["data"], "fit": self.base["fit"], "members": {name: table}}
        return TrainConfig.from_toml(members, self.folder)


def _search(table: Mapping[str, Any], folder: Path) -> SearchConfig:
    known = [found.name for found in fields(SearchConfig)]
    unknown = sorted(set(table) - set(known))
    if unknown:
        raise TrainConfigError(f"[search] has unknown keys {unknown}; known are space, {', '.join(known)}")
    values = dict(table)
    if "beside" in values:
        values["beside"] = _beside(values["beside"], folder)
        # By its own loss a pruner would end the very trials that differ.
        values.setdefault("pruner", "none")
    return SearchConfig(**values)


def _beside(table: Any, folder: Path) -> Beside:
    if isinstance(table, Mapping) and set(table) == {"store", "name"}:
        return Beside(str(table["store"]), str(table["name"]))
    if isinstance(table, Mapping) and set(table) == {"predictions"}:
        return Beside(predictions=folder / table["predictions"])
    raise TrainConfigError(
        f'[search] beside is {table!r}; it is {{ store = "URI", name = "NAME" }} or'
        ' { predictions = "FOLDER" }'
    )
