import logging
from typing import Any

import pytest

from ensemble.errors import InvalidRequestError, ModelNotFoundError, NotOfferedError, UnavailableError
from server.telemetry.statistics import BatchTimes, Statistics
from server.wire.call import Call
from server.wire.messages import message_class
from server.wire.oip_management import OipManagement
from tests.support.models import FakeModels, FakeRepository


class World:
    def __init__(self, *, model_control: bool = True) -> None:
        self.statistics, self.repository = Statistics(), FakeRepository()
        management = OipManagement(
            FakeModels(), self.statistics, self.repository, model_control=model_control
        )
        self.methods = {method.name: method for method in management.methods()}

    async def ask(self, method: str, **fields: Any) -> Any:
        request = self.methods[method].request(**fields)
        return await self.methods[method].function(request, Call(0))


async def test_statistics_are_the_figures_in_nanoseconds() -> None:
    world = World()
    world.statistics.scored("sums", 3, BatchTimes(5, [0.5, 0.25], 0.001, 0.01, 0.002, {"first": 0.008}))
    world.statistics.handled("ModelInfer", "sums", "3", "OK", 0.75)
    world.statistics.handled("ModelInfer", "sums", "3", "INTERNAL", 0.25)

    [told] = (await world.ask("ModelStatistics", name="sums")).model_stats

    assert (told.name, told.version, told.inference_count, told.execution_count) == ("sums", "3", 5, 1)
    assert told.last_inference > 1_700_000_000_000
    stats = told.inference_stats
    assert {field.name: (value.count, value.ns) for field, value in stats.ListFields()} == {
        "success": (1, 750_000_000),
        "fail": (1, 250_000_000),
        "queue": (2, 750_000_000),
        "compute_input": (2, 2_000_000),
        "compute_infer": (2, 20_000_000),
        "compute_output": (2, 4_000_000),
        "cache_hit": (0, 0),
        "cache_miss": (0, 0),
    }
    [batch] = told.batch_stats
    assert (batch.batch_size, batch.compute_infer.count, batch.compute_infer.ns) == (5, 1, 10_000_000)


async def test_without_a_name_every_model_has_statistics() -> None:
    world = World()
    world.statistics.scored("sums", 3, BatchTimes(1, [0.0], 0, 0.01, 0, {"first": 0.008}))

    told = {each.name: each for each in (await world.ask("ModelStatistics")).model_stats}

    assert set(told) == set(FakeModels().names())
    assert told["sums.first"].inference_stats.compute_infer.ns == 8_000_000


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"name": "x"}, "requested model 'x' is not available"),
        ({"name": "sums", "version": "9"}, "requested model 'sums' version 9 is not available"),
    ],
)
async def test_statistics_of_an_unknown_model_are_refused(fields: dict[str, str], text: str) -> None:
    with pytest.raises(InvalidRequestError) as raised:
        await World().ask("ModelStatistics", **fields)

    assert str(raised.value) == text


async def test_the_index_lists_what_is_published_or_only_what_is_ready() -> None:
    world = World()

    everything = (await world.ask("RepositoryIndex")).models
    ready = (await world.ask("RepositoryIndex", ready=True)).models

    assert [(each.name, each.version, each.state, each.reason) for each in everything] == [
        ("digits", "3", "READY", ""),
        ("letters", "1", "UNAVAILABLE", "unloaded"),
    ]
    assert [each.name for each in ready] == ["digits"]
    with pytest.raises(NotOfferedError, match=r"^'repository_name' specification is not supported$"):
        await world.ask("RepositoryIndex", repository_name="other")


async def test_an_ensemble_is_loaded_and_unloaded_by_name() -> None:
    world = World()
    parameter = message_class("inference.ModelRepositoryParameter")(bool_param=True)

    await world.ask("RepositoryModelUnload", model_name="digits", parameters={"unload_dependents": parameter})
    await world.ask("RepositoryModelLoad", model_name="digits")

    assert world.repository.done == ["unload digits", "load digits"]


@pytest.mark.parametrize("key", ["config", "file:1/model.onnx"])
async def test_no_model_is_taken_from_the_wire(key: str) -> None:
    world = World()
    parameter = message_class("inference.ModelRepositoryParameter")(bytes_param=b"model")

    with pytest.raises(InvalidRequestError, match=f"failed to load 'digits', .* got parameters .'{key}'.*"):
        await world.ask("RepositoryModelLoad", model_name="digits", parameters={key: parameter})

    assert world.repository.done == []


@pytest.mark.parametrize("method", ["RepositoryModelLoad", "RepositoryModelUnload"])
async def test_who_may_not_control_models_is_told_the_way_out(method: str) -> None:
    world = World(model_control=False)

    with pytest.raises(
        UnavailableError, match=r"^explicit model load / unload is not allowed .*--enable-model-control"
    ):
        await world.ask(method, model_name="digits")
    with pytest.raises(InvalidRequestError, match=r"^'digits.cnn' is a member"):
        await World().ask(method, model_name="digits.cnn")

    assert world.repository.done == []


async def test_settings_are_told_and_never_changed(caplog: pytest.LogCaptureFixture) -> None:
    world = World()
    with caplog.at_level(logging.WARNING, "unisono"):
        log = (await world.ask("LogSettings")).settings
    trace = (await world.ask("TraceSetting", model_name="sums")).settings

    assert {name: log[name].bool_param for name in ("log_info", "log_warning", "log_error")} == {
        "log_info": False,
        "log_warning": True,
        "log_error": True,
    }
    assert log["log_verbose_level"].uint32_param == 0
    assert list(trace["trace_level"].value) == ["OFF"]
    with pytest.raises(NotOfferedError, match=r"^log settings can't be changed over the wire"):
        await world.ask("LogSettings", settings={"log_info": {"bool_param": False}})
    with pytest.raises(NotOfferedError, match=r"^trace settings can't be changed over the wire"):
        await world.ask("TraceSetting", settings={"trace_level": {"value": ["TIMESTAMPS"]}})
    with pytest.raises(ModelNotFoundError):
        await world.ask("TraceSetting", model_name="x")
