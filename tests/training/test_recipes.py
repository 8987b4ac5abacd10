import re
from typing import cast

import pytest

from ensemble.errors import InvalidModelError
from training.recipes import NetworkRecipe, Recipe, choose


def epochs(recipe: Recipe) -> int:
    return cast("NetworkRecipe", recipe.how).epochs


def test_members_come_once_each_and_in_one_order() -> None:
    chosen = choose(["forest", "sepconv", "forest"])
    assert [recipe.file for recipe in chosen] == ["sepconv.keras", "forest.onnx"]


@pytest.mark.parametrize(("names", "unknown"), [(["forest", "oak"], "['oak']"), ([], "[]")])
def test_an_unknown_member_is_named_with_those_there_are(names: list[str], unknown: str) -> None:
    message = f"no recipe for members {unknown}; name one or more of sepconv, bndense, bnconv, forest"
    with pytest.raises(InvalidModelError, match=re.escape(message)):
        choose(names)


def test_a_cap_lowers_epochs_and_never_raises_them() -> None:
    bndense, forest = choose(["bndense", "forest"])
    assert epochs(bndense.capped(2)) == 2
    assert bndense.capped(1000) == bndense == bndense.capped(None)
    assert forest.capped(2) == forest
