"""What `unisono train CONFIG.toml` is told: which rows, which members, how each learns.

The file is read once, checked whole, and frozen. Keys are spelled-with-dashes; a key that nobody knows is an
error, never ignored.
"""

import dataclasses
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Self, get_args

from ensemble.errors import InvalidDataError

from .data.own_files import OwnFiles

SHIPPED = Path(__file__).parent / "configs"
Schedule = Literal["constant", "cosine", "exponential"]


class TrainConfigError(InvalidDataError):
    """A configuration that can't be trained with."""


@dataclass(frozen=True, slots=True)
class StopEarly:
    """Stop when the loss on held-out rows has not fallen by `min_delta` for `patience` epochs."""

    patience: int = 5
    min_delta: float = 0.0


@dataclass(frozen=True, slots=True)
class ReduceRate:
    """Multiply the learning rate by `factor` when the held-out loss has not fallen for `patience` epochs."""

    factor: float = 0.5
    patience: int = 2
    min_rate: float = 1e-6


@dataclass(frozen=True, slots=True)
class Watch:
    """What TensorBoard is shown, beside losses and rates: see docs/training.md."""

    histograms: bool = True  # of parameters, each epoch
    activations: bool = True  # histograms of what each layer gives for held-out rows
    graph: bool = True
    projector: bool = True  # the last hidden layer's view of held-out rows


@dataclass(frozen=True, slots=True)
class Fit:
    """How one network learns: its log-loss, mean squared error or both are made small.

    Attributes:
        epochs: At most so many.
        batch_rows: Rows in one step.
        learning_rate: At the start.
        schedule: constant; cosine, which falls to nothing; exponential, to a hundredth.
        shifted: Also learn from each image moved by a pixel: a convolution can use that, and gets less sure
            of itself where it is wrong; to a dense network it is noise.
        mixed_precision: Compute in 16 bits where the hardware is faster so.
        stop_early, reduce_rate: See there; absent, they aren't done.
        csv: Write each epoch's losses to a CSV file.
        tensorboard: What TensorBoard is shown; absent, nothing.
    """

    epochs: int = 20
    batch_rows: int = 64
    learning_rate: float = 1e-3
    schedule: Schedule = "constant"
    optimizer: Literal["adam", "rmsprop", "sgd"] = "adam"
    shifted: bool = False
    mixed_precision: bool = False
    stop_early: StopEarly | None = None
    reduce_rate: ReduceRate | None = None
    csv: bool = True
    tensorboard: Watch | None = None

    def __post_init__(self) -> None:
        """Refuse what nothing can be learned with."""
        for name in ("epochs", "batch_rows", "learning_rate"):
            if getattr(self, name) <= 0:
                raise TrainConfigError(f"{_dashed(name)} is {getattr(self, name)}; it must be above 0")
        for name, type_ in (("schedule", Schedule), ("optimizer", Literal["adam", "rmsprop", "sgd"])):
            if getattr(self, name) not in get_args(type_):
                raise TrainConfigError(
                    f"{name} is {getattr(self, name)!r}; it is one of {', '.join(get_args(type_))}"
                )
        if self.reduce_rate and self.schedule != "constant":
            raise TrainConfigError(
                f"reduce-rate and schedule = {self.schedule!r} would both set the rate; choose one"
            )


@dataclass(frozen=True, slots=True)
class MemberConfig:
    """One member to make: what it is, with which options, and how it learns (networks only)."""

    name: str
    architecture: str
    options: Mapping[str, Any] = field(default_factory=dict)
    fit: Fit = Fit()


@dataclass(frozen=True, slots=True)
class DataConfig:
    """Rows that come with a library, by name, or a user's own; `extras` adds what can be told of images."""

    source: str = "digits"
    profile: bool = False  # a second input: see training.data.images.with_profile
    ink: bool = False  # a number to predict beside the class: see with_ink
    own: OwnFiles | None = None


@dataclass(frozen=True, slots=True)
class TrainConfig:
    """One run of `unisono train`."""

    data: DataConfig
    members: tuple[MemberConfig, ...]

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
        _known(toml, ("data", "members", "fit"), "the file")
        members = toml.get("members", {})
        if not members:
            raise TrainConfigError("no members; describe each under [members.NAME]")
        shared = toml.get("fit", {})
        return cls(
            _data(toml.get("data", {}), folder),
            tuple(_member(name, table, shared) for name, table in members.items()),
        )


def shipped(name: str) -> Path:
    """Return the configuration of that name which comes with unisono; `TrainConfigError` if none does."""
    path = SHIPPED / f"{name}.toml"
    if not path.is_file():
        names = ", ".join(sorted(path.stem for path in SHIPPED.glob("*.toml")))
        raise TrainConfigError(f"{name!r} is neither a file nor one of {names}")
    return path


def _member(name: str, table: Mapping[str, Any], shared: Mapping[str, Any]) -> MemberConfig:
    where = f"[members.{name}]"
    _known(table, ("architecture", "options", "fit"), where)
    options = {_underscored(key): value for key, value in table.get("options", {}).items()}
    fit = _fit({**shared, **table.get("fit", {})}, where)
    return MemberConfig(name, str(table.get("architecture", name)), options, fit)


def _fit(table: Mapping[str, Any], where: str) -> Fit:
    parts = {"stop-early": StopEarly, "reduce-rate": ReduceRate, "tensorboard": Watch}
    values = dict(table)
    for key, part in parts.items():
        if key in values:
            values[key] = None if values[key] is False else _record(part, values[key], f"{where} {key}")
    made: Fit = _record(Fit, values, where)
    return made


def _data(table: Mapping[str, Any], folder: Path) -> DataConfig:
    if "train" not in table:
        made: DataConfig = _record(DataConfig, table, "[data]")
        return made
    values = dict(table)
    for key in ("train", "validation", "test"):
        paths = values.get(key, ())
        values[key] = tuple(folder / path for path in ([paths] if isinstance(paths, str) else paths))
    values["inputs"] = {name: tuple(shape) for name, shape in values.get("inputs", {}).items()}
    values["classes"] = tuple(values.get("classes", ()))
    own: OwnFiles = _record(OwnFiles, values, "[data]")
    if not own.inputs:
        raise TrainConfigError(
            "[data] needs inputs, each with the shape of a row: inputs = { image = [28, 28, 1] }"
        )
    if not own.label and not own.value:
        raise TrainConfigError("[data] needs label, the name of the classes' column, or value, a number's")
    return DataConfig(source="files", own=own)


def _record(kind: Any, table: Any, where: str) -> Any:
    """Build the dataclass `kind` from a table; types are checked, since TOML's can be any."""
    fields = {_dashed(found.name): found for found in dataclasses.fields(kind)}
    if table is True:
        return kind()
    if not isinstance(table, Mapping):
        raise TrainConfigError(f"{where} is {table!r}; it is a table of {', '.join(fields)}")
    _known(table, tuple(fields), where)
    for key, value in table.items():
        default = fields[key].default
        # A whole number will do for a float.
        wanted = (int, float) if isinstance(default, float) else (type(default),)
        simple = isinstance(default, bool | int | float | str)
        if simple and (not isinstance(value, wanted) or isinstance(value, bool) != isinstance(default, bool)):
            raise TrainConfigError(f"{where} {key} is {value!r}; it is like {default!r}")
    return kind(**{_underscored(key): value for key, value in table.items()})


def _known(table: Mapping[str, Any], known: tuple[str, ...], where: str) -> None:
    unknown = sorted(set(table) - set(known))
    if unknown:
        raise TrainConfigError(f"{where} has unknown keys {unknown}; known are {', '.join(known)}")


def _dashed(name: str) -> str:
    return name.replace("_", "-")


def _underscored(name: str) -> str:
    return name.replace("-", "_")
