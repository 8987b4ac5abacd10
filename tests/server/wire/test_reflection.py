import asyncio
from typing import Any

import grpc
from google.protobuf import descriptor_pool
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from server.wire.health import Health
from server.wire.oip import Oip
from server.wire.reflection import reflection_method
from server.wire.tfs import Tfs
from server.wire.tfs_models import TfsModels
from server.wire.transport_grpcio import GrpcTransport, TransportOptions
from tests.support.models import FakeModels, FakeRepository
from tests.support.observers import Recorder


def learnt(port: int) -> dict[str, Any]:
    """What a client without our protos learns of the services."""
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        database = ProtoReflectionDescriptorDatabase(channel)
        pool = descriptor_pool.DescriptorPool(database)
        return {
            name: [method.name for method in pool.FindServiceByName(name).methods]
            for name in database.get_services()
        }


async def test_a_client_without_our_protos_learns_every_service_and_method() -> None:
    dialects = Oip(FakeModels()), Tfs(FakeModels(), lambda _: {}), TfsModels(FakeRepository(), lambda _: {})
    methods = [method for dialect in dialects for method in dialect.methods()]
    told = Recorder()
    transport = GrpcTransport(
        [*methods, reflection_method(methods)],
        Health(),
        observer=told,
        options=TransportOptions("127.0.0.1:0"),
    )
    port = await transport.start()
    services = await asyncio.to_thread(learnt, port)
    await transport.stop(5)

    assert sorted(services) == [
        "grpc.health.v1.Health",
        "grpc.reflection.v1alpha.ServerReflection",
        "inference.GRPCInferenceService",
        "tensorflow.serving.ModelService",
        "tensorflow.serving.PredictionService",
    ]
    assert services["tensorflow.serving.ModelService"] == ["GetModelStatus", "HandleReloadConfigRequest"]
    assert {"ModelInfer", "ModelStreamInfer", "ModelConfig"} <= set(
        services["inference.GRPCInferenceService"]
    )
    assert "Watch" in services["grpc.health.v1.Health"]
    assert {kwargs["method"] for _, _, kwargs in told.calls} == {"ServerReflectionInfo"}


def test_what_cannot_be_read_is_refused_in_reflections_own_words() -> None:
    method = reflection_method([])
    assert method.refuse is not None

    refusal = method.refuse(None, "the bytes are not a ServerReflectionRequest")

    assert (refusal.error_response.error_code, refusal.error_response.error_message) == (
        13,
        "the bytes are not a ServerReflectionRequest",
    )
    asked = method.request(list_services="*")
    assert method.refuse(asked, "").original_request == asked
