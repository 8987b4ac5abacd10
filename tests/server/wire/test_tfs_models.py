from typing import Any

import pytest

from ensemble.errors import InvalidRequestError, ModelNotFoundError, UnavailableError
from server.lifecycle.repository import IndexEntry
from server.wire.call import Call
from server.wire.messages import message_class
from server.wire.tfs_models import TfsModels
from tests.support.models import FakeRepository

LOADING, AVAILABLE, END = 20, 30, 50


class Published(FakeRepository):
    """`digits` 3 is served and 4 is being loaded, `letters` is unloaded, `words` could not be loaded."""

    async def index(self) -> list[IndexEntry]:
        return [
            IndexEntry("digits", 3, "READY"),
            IndexEntry("digits.cnn", 3, "READY"),
            IndexEntry("digits", 4, "LOADING", "being loaded"),
            IndexEntry("letters", 1, "UNAVAILABLE", "unloaded"),
            IndexEntry("words", 2, "UNAVAILABLE", "not loaded; the server's log says why"),
        ]


def message(kind: str, **fields: Any) -> Any:
    return message_class(f"tensorflow.serving.{kind}")(**fields)


async def status(**spec: Any) -> list[tuple[int, int, int, str]]:
    service = TfsModels(Published(), lambda _: {"stable": 3})
    request = message("GetModelStatusRequest", model_spec=spec)
    answer = await service.get_model_status(request, Call(0))
    return [
        (each.version, each.state, each.status.error_code, each.status.error_message)
        for each in answer.model_version_status
    ]


async def reload(*names: str, model_control: bool = True, **more: Any) -> list[str]:
    repository = Published()
    config = {"model_config_list": {"config": [{"name": name, **more} for name in names]}}
    service = TfsModels(repository, lambda _: {}, model_control=model_control)
    answer = await service.reload_config(message("ReloadConfigRequest", config=config), Call(0))
    assert answer.status.error_code == 0
    return repository.done


def test_the_methods_are_those_of_the_service() -> None:
    methods = TfsModels(Published(), lambda _: {}).methods()

    assert [(each.service, each.name) for each in methods] == [
        ("tensorflow.serving.ModelService", "GetModelStatus"),
        ("tensorflow.serving.ModelService", "HandleReloadConfigRequest"),
    ]


async def test_every_version_has_its_state() -> None:
    assert await status(name="digits") == [(3, AVAILABLE, 0, ""), (4, LOADING, 0, "")]
    assert await status(name="digits", version={"value": 4}) == [(4, LOADING, 0, "")]
    assert await status(name="digits", version_label="stable") == [(3, AVAILABLE, 0, "")]
    assert await status(name="digits.cnn") == [(3, AVAILABLE, 0, "")]


async def test_what_was_unloaded_ended_well_and_what_failed_did_not() -> None:
    assert await status(name="letters") == [(1, END, 0, "")]
    assert await status(name="words") == [(2, END, 2, "not loaded; the server's log says why")]


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        ({"name": "m"}, "Could not find any versions of model m"),
        ({"name": "digits", "version": {"value": 9}}, "Could not find version 9 of model digits"),
    ],
)
async def test_the_status_of_what_is_unknown_is_not_found(spec: dict[str, Any], text: str) -> None:
    with pytest.raises(ModelNotFoundError) as raised:
        await status(**spec)

    assert str(raised.value) == text


async def test_a_status_needs_a_name() -> None:
    with pytest.raises(InvalidRequestError, match=r"^ModelSpec has no name specified\.$"):
        await status()


async def test_a_config_is_what_is_served_from_then_on() -> None:
    assert await reload("letters", "words") == ["load letters", "load words", "unload digits"]
    assert await reload("digits", model_platform="tensorflow") == ["load digits", "unload words"]
    assert await reload("digits", model_version_policy={"latest": {"num_versions": 1}}) == [
        "load digits",
        "unload words",
    ]
    assert await reload() == ["unload digits", "unload words"]


async def test_a_config_with_one_wrong_name_changes_nothing() -> None:
    repository = Published()
    config = {"model_config_list": {"config": [{"name": "digits"}, {"name": "x"}]}}
    service = TfsModels(repository, lambda _: {}, model_control=True)

    with pytest.raises(
        ModelNotFoundError, match=r"^model 'x' isn't published; published are \['digits', 'le"
    ):
        await service.reload_config(message("ReloadConfigRequest", config=config), Call(0))

    assert repository.done == []


@pytest.mark.parametrize(
    "more",
    [
        {"base_path": "/etc"},
        {"version_labels": {"stable": 1}},
        {"model_version_policy": {"specific": {"versions": [1]}}},
        {"model_version_policy": {"all": {}}},
        {"model_version_policy": {"latest": {"num_versions": 2}}},
    ],
)
async def test_only_names_are_taken_from_the_wire(more: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequestError, match=rf"^model 'digits' has {next(iter(more))} in its config"):
        await reload("digits", **more)


async def test_a_model_is_listed_once() -> None:
    with pytest.raises(InvalidRequestError, match=r"^Illegal to list model digits multiple times"):
        await reload("digits", "digits")


@pytest.mark.parametrize("config", [None, {"custom_model_config": {}}])
async def test_a_config_is_a_list_of_models(config: dict[str, Any] | None) -> None:
    service = TfsModels(Published(), lambda _: {}, model_control=True)

    with pytest.raises(InvalidRequestError, match=r"^ServerModelConfig type not supported"):
        await service.reload_config(message("ReloadConfigRequest", config=config), Call(0))


async def test_who_may_not_control_models_is_told_the_way_out() -> None:
    with pytest.raises(
        UnavailableError, match=r"^explicit model load / unload is not allowed .*--enable-model"
    ):
        await reload("digits", model_control=False)
