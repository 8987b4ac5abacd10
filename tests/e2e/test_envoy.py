"""What Envoy itself does for us, at a whole server: TLS, certificates that are replaced, large messages."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from server.cli.demonstration.server_process import ServerProcess, serving
from server.wire.messages import message_class
from tests.e2e.test_serve import wait_until
from tests.support.bindings import check_envoy
from tests.support.certificates import Pair, authority, signed

pytestmark = pytest.mark.slow

READY = "/inference.GRPCInferenceService/ServerReady"
UNLIMITED = (("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1))
INFER = "/inference.GRPCInferenceService/ModelInfer"


@pytest.fixture(autouse=True)
def envoy_is_there() -> None:
    check_envoy()


@pytest.fixture
def first(tmp_path: Path) -> Pair:
    return authority(tmp_path, "first")


@pytest.fixture
def server(store: Path, tmp_path: Path, first: Pair) -> Iterator[ServerProcess]:
    """A server under Envoy that wants certificates of its callers."""
    pair = signed(tmp_path, "server", first)
    options = ["--transport", "envoy", "--poll-interval-secs", "0.1"]
    options += ["--tls-cert", str(pair.certificate), "--tls-key", str(pair.key)]
    options += ["--tls-client-ca", str(shutil.copy(first.certificate, tmp_path / "clients.pem"))]
    with serving(str(store), tmp_path / "serve.log", options) as process:
        yield process


def answers(address: str, trusted: Pair, own: Pair | None) -> bool:
    """Whether a caller who trusts that authority, with that certificate, is answered."""
    credentials = grpc.ssl_channel_credentials(
        trusted.certificate.read_bytes(),
        own.key.read_bytes() if own else None,
        own.certificate.read_bytes() if own else None,
    )
    with grpc.secure_channel(address, credentials) as channel:
        try:
            channel.unary_unary(READY)(b"", timeout=5)
        except grpc.RpcError:
            return False
        return True


def test_callers_need_a_certificate_and_a_replaced_one_is_taken_up(
    server: ServerProcess, first: Pair, tmp_path: Path
) -> None:
    caller = signed(tmp_path, "caller", first)
    assert answers(server.address, first, caller)
    assert not answers(server.address, first, None)

    second = authority(tmp_path, "second")
    assert not answers(server.address, second, caller)
    signed(tmp_path, "server", second)
    wait_until(lambda: answers(server.address, second, caller), 20)


def test_messages_are_bounded_before_they_are_read_and_large_ones_pass(store: Path, tmp_path: Path) -> None:
    options = ["--transport", "envoy", "--max-message-bytes", str(32 * 2**20)]
    with (
        serving(str(store), tmp_path / "serve.log", options) as server,
        grpc.insecure_channel(server.address, options=UNLIMITED) as channel,
    ):
        infer = channel.unary_unary(INFER)
        assert len(infer(request(30_000_000), timeout=20)) > 30_000_000
        assert refusal(infer, request(34_000_000)) == "RESOURCE_EXHAUSTED"
        assert refusal(infer, request(1), metadata=[("k", "v" * 17_000)]) == "RESOURCE_EXHAUSTED"
        for compression in (grpc.Compression.Gzip, grpc.Compression.Deflate):
            assert len(infer(request(10_000), compression=compression, timeout=20)) > 10_000
            assert refusal(infer, request(40_000_000), compression=compression) == "RESOURCE_EXHAUSTED"
        stream = channel.stream_stream("/inference.GRPCInferenceService/ModelStreamInfer")
        assert len(list(stream(iter([request(200_000)] * 100), timeout=60))) == 100


def request(padding: int) -> bytes:
    """A request of one row whose id is so long."""
    made = message_class("inference.ModelInferRequest")(model_name="digits", id="x" * padding)
    made.inputs.add(name="image", datatype="FP32", shape=[1, 8, 8, 1])
    made.raw_input_contents.append(bytes(256))
    return bytes(made.SerializeToString())


def refusal(infer: Any, data: bytes, **options: Any) -> str:
    with pytest.raises(grpc.RpcError) as raised:
        infer(data, timeout=20, **options)
    return str(raised.value.code().name)
