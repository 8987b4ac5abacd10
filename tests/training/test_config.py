import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from training.architectures.catalogue import check_options
from training.config import Fit, ReduceRate, StopEarly, TrainConfig, TrainConfigError, Watch, shipped

ONE: dict[str, Any] = {"members": {"bndense": {}}}


def read(toml: dict[str, Any]) -> TrainConfig:
    return TrainConfig.from_toml(toml, Path("/data"))


def test_a_member_has_the_name_of_its_architecture_unless_it_says_otherwise() -> None:
    first, second = read({"members": {"bndense": {}, "wide": {"architecture": "bndense"}}}).members
    assert (first.name, first.architecture) == ("bndense", "bndense")
    assert (second.name, second.architecture) == ("wide", "bndense")
    assert first.fit == Fit()


def test_what_a_member_says_goes_before_what_is_said_for_all() -> None:
    shared = {"epochs": 9, "stop-early": {"patience": 2}, "tensorboard": True}
    own = {"epochs": 4, "stop-early": False, "reduce-rate": {"factor": 0.1}}
    first, second = read({"fit": shared, "members": {"a": {}, "b": {"fit": own}}}).members
    assert first.fit == Fit(epochs=9, stop_early=StopEarly(patience=2), tensorboard=Watch())
    assert second.fit == Fit(epochs=4, reduce_rate=ReduceRate(factor=0.1), tensorboard=Watch())


def test_own_files_start_at_the_folder_of_the_configuration() -> None:
    data = {
        "train": "train.parquet",
        "test": ["a.csv", "/b.csv"],
        "inputs": {"image": [28, 28, 1]},
        "label": "y",
        "classes": ["cat", "dog"],
    }
    own = read({"data": data, **ONE}).data.own
    assert own is not None
    assert own.train == (Path("/data/train.parquet"),)
    assert own.test == (Path("/data/a.csv"), Path("/b.csv"))
    assert (own.inputs, own.label, own.classes) == ({"image": (28, 28, 1)}, "y", ("cat", "dog"))


@pytest.mark.parametrize(
    ("toml", "message"),
    [
        ({}, "no members; describe each under [members.NAME]"),
        ({**ONE, "model": {}}, "the file has unknown keys ['model']; known are data, members, fit"),
        ({"members": {"a": {"fits": {}}}}, "[members.a] has unknown keys ['fits']"),
        ({"members": {"a": {"fit": {"epoch": 3}}}}, "[members.a] has unknown keys ['epoch']"),
        ({"members": {"a": {"fit": {"epochs": 0}}}}, "epochs is 0; it must be above 0"),
        ({"members": {"a": {"fit": {"epochs": "3"}}}}, "[members.a] epochs is '3'; it is like 20"),
        ({"members": {"a": {"fit": {"shifted": 1}}}}, "[members.a] shifted is 1; it is like False"),
        ({"members": {"a": {"fit": {"epochs": True}}}}, "[members.a] epochs is True; it is like 20"),
        (
            {"members": {"a": {"fit": {"schedule": "sine"}}}},
            "schedule is 'sine'; it is one of constant, cosine, exponential",
        ),
        (
            {"members": {"a": {"fit": {"schedule": "cosine", "reduce-rate": True}}}},
            "reduce-rate and schedule = 'cosine' would both set the rate; choose one",
        ),
        (
            {"members": {"a": {"fit": {"stop-early": 3}}}},
            "[members.a] stop-early is 3; it is a table of patience, min-delta",
        ),
        ({"data": {"sauce": "digits"}, **ONE}, "[data] has unknown keys ['sauce']"),
        ({"data": {"train": "a.csv", "label": "y"}, **ONE}, "[data] needs inputs"),
        (
            {"data": {"train": "a.csv", "inputs": {"x": [3]}}, **ONE},
            "[data] needs label, the name of the classes' column, or value, a number's",
        ),
    ],
)
def test_what_is_wrong_is_named_with_the_way_out(toml: dict[str, Any], message: str) -> None:
    with pytest.raises(TrainConfigError, match=re.escape(message)):
        read(toml)


def test_a_file_names_itself_in_its_errors(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text("members = [")
    with pytest.raises(TrainConfigError, match=re.escape(f"{tmp_path}/a.toml: ")):
        TrainConfig.read(tmp_path / "a.toml")
    with pytest.raises(TrainConfigError, match="can't be read: No such file"):
        TrainConfig.read(tmp_path / "b.toml")


def test_every_configuration_that_comes_along_can_be_read() -> None:
    names = [
        [member.name for member in TrainConfig.read(shipped(name)).members] for name in ("digits", "mnist5k")
    ]
    assert names == [["sepconv", "bndense", "bnconv", "forest"]] * 2
    with pytest.raises(TrainConfigError, match="'mnist' is neither a file nor one of digits, mnist5k"):
        shipped("mnist")


def test_the_configuration_of_the_docs_can_be_trained() -> None:
    page = (Path(__file__).parents[2] / "docs/training.md").read_text()
    (text,) = re.findall(r"^```toml\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    config = read(tomllib.loads(text))
    for member in config.members[:2]:
        check_options(member.architecture, member.options)
    assert [member.architecture for member in config.members] == ["sepconv", "bndense", "random-forest"]
    assert config.members[1].fit.tensorboard == Watch()
