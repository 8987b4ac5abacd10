from pathlib import Path
from typing import Any

import optuna
import pytest

from training.config import TrainConfigError
from training.search.config import Beside, TuneConfig

SPACE = {
    "architecture": {"choice": ["bndense", "bnconv"]},
    "options.units": {"list-of": {"int": [8, 8]}, "layers": [2, 2]},
    "options": {"normalization": {"choice": ["none"]}, "filters": {"choice": [[4, 8]]}},
    "fit.learning-rate": {"log": [0.01, 0.01]},
    "options.dropout": {"float": [0.25, 0.25]},
}


def config(search: dict[str, Any] | None = None, space: Any = None, **more: Any) -> TuneConfig:
    return TuneConfig.from_toml({"search": {**(search or {}), "space": space or SPACE}, **more}, Path("here"))


def test_a_trial_is_drawn_with_the_options_that_its_architecture_has() -> None:
    read = config(fit={"epochs": 3}, options={"size": 8, "activation": "tanh"})
    drawn = {}
    for name in ("bndense", "bnconv"):
        trial = optuna.trial.FixedTrial(
            {
                "architecture": name,
                "options.units.layers": 2,
                "options.units.0": 8,
                "options.units.1": 8,
                "options.normalization": "none",
                "options.filters": "[4, 8]",
                "options.dropout": 0.25,
                "fit.learning-rate": 0.01,
            }
        )
        drawn[name] = read.member("trial-0001", read.space.draw(trial))
    dense = {"size": 8, "activation": "tanh", "units": [8, 8], "normalization": "none", "dropout": 0.25}
    assert drawn["bndense"].options == dense
    assert drawn["bnconv"].options == {"size": 8, "filters": [4, 8], "dropout": 0.25}
    assert (drawn["bnconv"].fit.epochs, drawn["bnconv"].fit.learning_rate) == (3, 0.01)


def test_beside_an_ensemble_nothing_is_pruned_unless_asked_for() -> None:
    assert config().search.pruner == "median"
    beside = config({"beside": {"predictions": "members/predictions"}}).search
    assert (beside.pruner, beside.beside) == ("none", Beside(predictions=Path("here/members/predictions")))
    named = config({"pruner": "halving", "beside": {"store": "s", "name": "n"}}).search
    assert (named.pruner, named.beside) == ("halving", Beside("s", "n"))


@pytest.mark.parametrize(
    ("search", "space", "said"),
    [
        (
            {"sampler": "grid"},
            None,
            r"\[search\] sampler is 'grid'; it is one of tpe, gp, nsga2, cmaes, random",
        ),
        ({"pruner": "all"}, None, r"\[search\] pruner is 'all'; it is one of median, halving, none"),
        ({"trials": 0}, None, r"\[search\] trials is 0; it must be a whole number from 1"),
        ({"speed": 1}, None, r"\[search\] has unknown keys \['speed'\]; known are space, sampler"),
        ({"beside": "x"}, None, r"\[search\] beside is 'x'; it is \{ store = "),
        ({}, {"architecture": {"choice": ["bndense"]}}, "leaves nothing to choose"),
        ({}, {"units": {"int": [1, 2]}}, "space has the key 'units'; it is architecture, options.NAME"),
        ({}, {"options.depth": {"int": [1, 2]}}, "space options.depth: none of bndense has it"),
        ({}, {"architecture": {"choice": ["forest"]}}, "space architecture names 'forest'; a search is over"),
        ({}, {"architecture": {"int": [1, 2]}}, "space architecture is a choice of names"),
        ({}, {"options.dropout": {"float": [1, 0]}}, "space options.dropout is .*; it is { int ="),
        ({}, {"options.dropout": {"log": [0, 1]}}, "space options.dropout is .*; it is { int ="),
        ({}, {"options.dropout": {"choice": []}}, "space options.dropout is .*; it is { int ="),
        ({}, {"options.dropout": {"normal": [0, 1]}}, "space options.dropout is .*; it is { int ="),
        ({}, {"options.dropout": 0.5}, "space options.dropout is 0.5; it is { int ="),
    ],
)
def test_what_can_not_be_searched_is_named(search: Any, space: Any, said: str) -> None:
    with pytest.raises(TrainConfigError, match=said):
        config(search, space)


def test_a_file_without_a_search_and_unknown_tables_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "tune.toml"
    file.write_text("[data]\n")
    with pytest.raises(TrainConfigError, match=r"tune.toml: no \[search\]; say where to look"):
        TuneConfig.read(file)
    with pytest.raises(TrainConfigError, match="can't be read: No such file"):
        TuneConfig.read(tmp_path / "none.toml")
    with pytest.raises(TrainConfigError, match=r"the file has unknown keys \['members'\]"):
        config(members={})
