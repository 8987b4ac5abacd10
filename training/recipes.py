"""Which members there are and how each is trained."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from ensemble.errors import InvalidModelError

from .architectures import bnconv, bndense, sepconv

Build = Callable[[tuple[int, int, int], int], Any]


@dataclass(frozen=True, slots=True)
class NetworkRecipe:
    """How one network is trained: Adam on log-loss, stopped when held-out rows get no better."""

    build: Build
    epochs: int  # at most
    batch_rows: int
    learning_rate: float  # at the start; it falls to nothing along half a cosine
    patience: int  # epochs without a gain after which it stops
    # Whether it also learns from each image moved by a pixel: a convolution can use that, and gets less
    # sure of itself where it is wrong; to a dense network it is noise.
    shifted: bool = False


@dataclass(frozen=True, slots=True)
class ForestRecipe:
    """How the forest is trained."""

    trees: int


@dataclass(frozen=True, slots=True)
class Recipe:
    """One member: its name, and what it is made of."""

    name: str
    how: NetworkRecipe | ForestRecipe

    @property
    def kind(self) -> Literal["keras", "onnx"]:
        """The format of its file, which is also how the file's name ends."""
        return "keras" if isinstance(self.how, NetworkRecipe) else "onnx"

    @property
    def file(self) -> str:
        """The name of its file."""
        return f"{self.name}.{self.kind}"

    def capped(self, most_epochs: int | None) -> "Recipe":
        """Return the same recipe with no more than `most_epochs` epochs, if it has any."""
        if most_epochs is None or isinstance(self.how, ForestRecipe):
            return self
        return replace(self, how=replace(self.how, epochs=min(most_epochs, self.how.epochs)))


RECIPES = (
    Recipe(
        "sepconv",
        NetworkRecipe(sepconv.build, epochs=6, batch_rows=64, learning_rate=4e-3, patience=3, shifted=True),
    ),
    Recipe("bndense", NetworkRecipe(bndense.build, epochs=24, batch_rows=32, learning_rate=4e-3, patience=8)),
    Recipe(
        "bnconv",
        NetworkRecipe(bnconv.build, epochs=5, batch_rows=64, learning_rate=3e-3, patience=3, shifted=True),
    ),
    Recipe("forest", ForestRecipe(trees=100)),
)
NAMES = tuple(recipe.name for recipe in RECIPES)


def choose(names: Sequence[str]) -> list[Recipe]:
    """Return the recipes of `names`, each once, in the order of `RECIPES`."""
    unknown = sorted(set(names) - set(NAMES))
    if unknown or not names:
        raise InvalidModelError(f"no recipe for members {unknown}; name one or more of {', '.join(NAMES)}")
    return [recipe for recipe in RECIPES if recipe.name in names]
