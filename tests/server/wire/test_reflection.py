import asyncio
from typing import Any

import grpc
import pytest
from google.protobuf import descriptor_pool
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from server.wire.health import Health
from server.wire.oip import Oip
from server.wire.reflection import reflection_methods
from server.wire.tfs import Tfs
from server.wire.tfs_models import TfsModels
from tests.support.bindings import Binding
from tests.support.models import FakeModels, FakeRepository
from tests.support.observers import Recorder


class Renamed:
    """A connection that asks v1 where its user asks v1alpha: the stock client knows no other."""

    def __init__(self, channel: Any) -> None:
        self._channel = channel

    def stream_stream(self, path: str, *args: Any, **kwargs: Any) -> Any:
        return self._channel.stream_stream(path.replace("v1alpha", "v1"), *args, **kwargs)


def learnt(address: str, release: str) -> dict[str, Any]:
    """What a client without our protos learns of the services."""
    with grpc.insecure_channel(address) as channel:
        database = ProtoReflectionDescriptorDatabase(channel if release == "v1alpha" else Renamed(channel))
        pool = descriptor_pool.DescriptorPool(database)
        return {
            name: [method.name for method in pool.FindServiceByName(name).methods]
            for name in database.get_services()
        }


@pytest.mark.parametrize("release", ["v1", "v1alpha"])
async def test_a_client_without_our_protos_learns_every_service_and_method(
    binding: Binding, release: str
) -> None:
    dialects = Oip(FakeModels()), Tfs(FakeModels(), lambda _: {}), TfsModels(FakeRepository(), lambda _: {})
    methods = [method for dialect in dialects for method in dialect.methods()]
    told = Recorder()
    served = [*methods, *reflection_methods(methods)]
    async with binding.serve(served, Health(), observer=told) as (_, address):
        services = await asyncio.to_thread(learnt, address, release)

    assert sorted(services) == [
        "grpc.health.v1.Health",
        "grpc.reflection.v1.ServerReflection",
        "grpc.reflection.v1alpha.ServerReflection",
        "inference.GRPCInferenceService",
        "tensorflow.serving.ModelService",
        "tensorflow.serving.PredictionService",
    ]
    assert services["tensorflow.serving.ModelService"] == ["GetModelStatus", "HandleReloadConfigRequest"]
    assert {"ModelInfer", "ModelStreamInfer", "ModelConfig"} <= set(
        services["inference.GRPCInferenceService"]
    )
    assert services["grpc.reflection.v1.ServerReflection"] == ["ServerReflectionInfo"]
    assert "Watch" in services["grpc.health.v1.Health"]
    assert {kwargs["method"] for _, _, kwargs in told.calls} == {"ServerReflectionInfo"}


def test_what_cannot_be_read_is_refused_in_reflections_own_words() -> None:
    method, _ = reflection_methods([])
    assert method.refuse is not None

    refusal = method.refuse(None, "the bytes are not a ServerReflectionRequest")

    assert (refusal.error_response.error_code, refusal.error_response.error_message) == (
        13,
        "the bytes are not a ServerReflectionRequest",
    )
    asked = method.request(list_services="*")
    assert method.refuse(asked, "").original_request == asked
