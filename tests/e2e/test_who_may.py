"""Who may call what of a whole server: every kind of caller against every kind of method."""

import ssl
from collections.abc import Iterator
from typing import Any
from urllib.request import urlopen

import grpc
import pytest
from grpc_reflection.v1alpha import reflection_pb2

from server.cli.demonstration.server_process import ServerProcess
from server.wire.messages import message_class
from tests.support.secured import BOTH, CONTROL, PREDICT, Keys, installed, secured

OIP, TFS = "inference.GRPCInferenceService", "tensorflow.serving"
TRANSPORTS = ("grpcio", "http2", "envoy")
OK, UNAUTHENTICATED, PERMISSION_DENIED = "OK", "UNAUTHENTICATED", "PERMISSION_DENIED"
CALLERS = (None, "nobodys-nobodys-nobodys", PREDICT, CONTROL, BOTH)
FOR_PREDICT = (UNAUTHENTICATED, UNAUTHENTICATED, OK, PERMISSION_DENIED, OK)
FOR_CONTROL = (UNAUTHENTICATED, UNAUTHENTICATED, PERMISSION_DENIED, OK, OK)
FOR_EITHER = (UNAUTHENTICATED, UNAUTHENTICATED, OK, OK, OK)
FOR_ALL = (OK, OK, OK, OK, OK)


def infer() -> bytes:
    request = message_class("inference.ModelInferRequest")(model_name="m", raw_input_contents=[bytes(16)])
    request.inputs.add(name="x", datatype="FP32", shape=[1, 4])
    return bytes(request.SerializeToString())


def predict() -> bytes:
    tensor = {"dtype": 1, "tensor_shape": {"dim": [{"size": 1}, {"size": 4}]}, "float_val": [0.0] * 4}
    request = message_class("tensorflow.serving.PredictRequest")(
        model_spec={"name": "m"}, inputs={"x": tensor}
    )
    return bytes(request.SerializeToString())


def only_m() -> bytes:
    listed = {"model_config_list": {"config": [{"name": "m"}]}}
    return bytes(message_class("tensorflow.serving.ReloadConfigRequest")(config=listed).SerializeToString())


NAMED = b"\n\1m"  # a message whose first field, text, is "m"
SPEC = b"\n\3" + NAMED  # one whose first field is such a message
REFLECTED = reflection_pb2.ServerReflectionRequest(list_services="").SerializeToString()
# Method: a right request, and what each of CALLERS is told who shows a certificate of ours.
TABLE: dict[str, tuple[bytes, tuple[str, ...]]] = {
    "grpc.health.v1.Health/Check": (b"", FOR_ALL),
    "grpc.health.v1.Health/Watch": (b"", FOR_ALL),
    f"{OIP}/ServerLive": (b"", FOR_PREDICT),
    f"{OIP}/ServerReady": (b"", FOR_PREDICT),
    f"{OIP}/ModelReady": (NAMED, FOR_PREDICT),
    f"{OIP}/ServerMetadata": (b"", FOR_PREDICT),
    f"{OIP}/ModelMetadata": (NAMED, FOR_PREDICT),
    f"{OIP}/ModelConfig": (NAMED, FOR_PREDICT),
    f"{OIP}/ModelStatistics": (b"", FOR_PREDICT),
    f"{OIP}/ModelInfer": (infer(), FOR_PREDICT),
    f"{OIP}/ModelStreamInfer": (infer(), FOR_PREDICT),
    f"{OIP}/RepositoryIndex": (b"", FOR_PREDICT),
    f"{OIP}/RepositoryModelLoad": (b"\x12\1m", FOR_CONTROL),
    # What nobody else here asks for.
    f"{OIP}/RepositoryModelUnload": (b"\x12\5spare", FOR_CONTROL),
    f"{TFS}.PredictionService/Predict": (predict(), FOR_PREDICT),
    f"{TFS}.ModelService/GetModelStatus": (SPEC, FOR_PREDICT),
    f"{TFS}.ModelService/HandleReloadConfigRequest": (only_m(), FOR_CONTROL),
    "unisono.v1.Control/History": (NAMED, FOR_CONTROL),
    "grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo": (REFLECTED, FOR_EITHER),
}
STREAMS = ("Watch", "ModelStreamInfer", "ServerReflectionInfo")


@pytest.fixture(scope="module", name="keys")
def fixture_keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    return Keys.made(tmp_path_factory.mktemp("keys"))


@pytest.fixture(scope="module", params=TRANSPORTS, name="server")
def fixture_server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, keys: Keys
) -> Iterator[ServerProcess]:
    switches = ("--enable-reflection", "--enable-control", "--enable-model-control")
    options = ("--transport", installed(request.param), *switches)
    with secured(tmp_path_factory.mktemp("secured"), keys, *options, ensembles=("m", "spare")) as server:
        yield server


@pytest.fixture(scope="module", name="channels")
def fixture_channels(server: ServerProcess, keys: Keys) -> Iterator[dict[str | None, Any]]:
    clients = (None, "client", "stranger")
    channels = {client: keys.channel(server.address, client) for client in clients}
    yield channels
    for channel in channels.values():
        channel.close()


def told(channel: Any, method: str, token: str | None) -> str:
    """The code of one call. Of a stream, that of its first answer."""
    metadata = [("authorization", f"Bearer {token}")] if token else []
    data = TABLE[method][0]
    try:
        if method.endswith("Watch"):
            watching = channel.unary_stream(f"/{method}")(data, metadata=metadata, timeout=20)
            next(watching)
            watching.cancel()
        elif method.endswith(STREAMS):
            stream = channel.stream_stream(f"/{method}")(iter([data]), metadata=metadata, timeout=20)
            assert len(list(stream)) == 1
        else:
            channel.unary_unary(f"/{method}")(data, metadata=metadata, timeout=20)
    except grpc.RpcError as error:
        return str(error.code().name)
    return OK


@pytest.mark.parametrize("method", TABLE)
@pytest.mark.parametrize("caller", range(len(CALLERS)))
def test_what_a_token_opens(channels: dict[str | None, Any], method: str, caller: int) -> None:
    assert told(channels["client"], method, CALLERS[caller]) == TABLE[method][1][caller]


@pytest.mark.parametrize("method", TABLE)
@pytest.mark.parametrize("client", [None, "stranger"])
def test_without_a_certificate_of_ours_no_token_opens_anything(
    channels: dict[str | None, Any], method: str, client: str | None
) -> None:
    assert told(channels[client], method, BOTH) == "UNAVAILABLE"


@pytest.mark.parametrize("client", [None, "stranger", "client"])
def test_metrics_are_for_those_who_show_a_certificate(
    server: ServerProcess, keys: Keys, client: str | None
) -> None:
    context = ssl.create_default_context(cafile=str(keys.pairs["ours"].certificate))
    if client:
        context.load_cert_chain(keys.pairs[client].certificate, keys.pairs[client].key)
    if client == "client":
        page = urlopen(server.metrics_url, timeout=20, context=context).read().decode()  # noqa: S310 - ours
        assert "unisono_certificate_end_timestamp_seconds" in page
    else:
        with pytest.raises(OSError, match=r"."):
            urlopen(server.metrics_url, timeout=20, context=context)  # noqa: S310 - ours
