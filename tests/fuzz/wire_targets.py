"""The ways into the server's methods: bytes of messages, dtypes and shapes beside bytes, tokens."""

import asyncio
import base64
import json
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError

from ensemble.errors import EnsembleError
from server.telemetry.statistics import Statistics
from server.wire import framing, tensors
from server.wire.access import Tokens, read_tokens
from server.wire.call import Call
from server.wire.expiry import earliest_end
from server.wire.messages import message_class
from server.wire.method import Method
from server.wire.oip import Oip
from server.wire.oip_management import OipManagement
from server.wire.reloading import UnusableFileError
from server.wire.rest.inference import JSON_LENGTH, read_inference
from server.wire.rest.resource import Asked
from server.wire.status import status_of
from server.wire.tfs import Tfs
from server.wire.tfs_models import TfsModels
from server.wire.tfs_tensors import BY_DTYPE as TFS_TYPES
from server.wire.tfs_tensors import to_proto
from tests.fuzz.target import Scratch, Target
from tests.support.models import FakeModels, FakeRepository, infos

# What a client may be told of its own mistake, and of a model that isn't ready.
CLIENTS = {"OK", "INVALID_ARGUMENT", "NOT_FOUND", "UNIMPLEMENTED", "FAILED_PRECONDITION", "UNAVAILABLE"}
INFER = message_class("inference.ModelInferRequest")
PREDICT = message_class("tensorflow.serving.PredictRequest")
# Those of the table, and BF16.
DTYPES = len(tensors.WIRE_TYPES) + 1
MOST_SIZES = 5
MOST_UNPACKED = 1 << 16
TOKEN_FILE = b"# who\n4f0c4f0c4f0c4f0c4f0c4f0c predict\n9a779a779a779a779a77 control, predict\n"


class Methods:
    """Every method of both dialects, on models that need no files; a byte before the message picks one."""

    def __init__(self) -> None:
        models, repository = FakeModels(), FakeRepository()
        self._loop = asyncio.new_event_loop()
        self.by_place: Sequence[Method] = [
            *Oip(models).methods(),
            *OipManagement(models, Statistics(), repository, model_control=True).methods(),
            *Tfs(models, lambda _: {"stable": 3}).methods(),
            *TfsModels(repository, lambda _: {}, model_control=True).methods(),
        ]

    def place(self, name: str) -> int:
        """Where the method `name` is."""
        return [method.name for method in self.by_place].index(name)

    def ask(self, method: Method, data: bytes) -> str:
        """Do as a transport does; return the code."""
        try:
            request = method.request.FromString(data)
        except DecodeError:
            return "INVALID_ARGUMENT"
        return str(self._loop.run_until_complete(self._code(method, request)))

    def ask_over_http(self, asked: Asked) -> str:
        """Do as the transport over HTTP does; return the code."""
        return str(self._loop.run_until_complete(self._code_over_http(asked)))

    async def _code_over_http(self, asked: Asked) -> str:
        try:
            request, write = read_inference(asked)
            answer = await self.by_place[self.place("ModelInfer")].function(
                request, Call(self._loop.time() + 10)
            )
            write(answer)
        except Exception as error:  # noqa: BLE001 - `_told` raises what is a finding
            return _told(error)
        return "OK"

    async def _code(self, method: Method, request: Any) -> str:
        try:
            answer = await method.function(request, Call(self._loop.time() + 10))
            answer.SerializeToString()
        except Exception as error:  # noqa: BLE001 - `_told` raises what is a finding
            return _told(error)
        return "OK"


def _told(error: Exception) -> str:
    """The code of an error that a client may be told; any other is raised again."""
    code: str = status_of(error)[0].name
    if code not in CLIENTS:
        raise error
    return code


def wire_targets() -> Iterator[Target]:
    """Make the targets; the methods keep an event loop of this thread."""
    methods = Methods()

    def any_method(data: bytes) -> None:
        method = methods.by_place[data[0] % len(methods.by_place)] if data else methods.by_place[0]
        methods.ask(method, data[1:])

    def only(name: str) -> Any:
        method = methods.by_place[methods.place(name)]
        return lambda data: methods.ask(method, data)

    predicts, infers = list(predict_requests()), list(infer_requests())

    def over_http(data: bytes) -> object:
        # The first two bytes say how much of the rest is JSON.
        headers = {JSON_LENGTH: str(int.from_bytes(data[:2], "little"))}
        return methods.ask_over_http(Asked({"model": "sums"}, headers, data[2:], 2**20))

    yield Target("http_infer", over_http, list(http_requests()))
    yield Target("oip_infer", only("ModelInfer"), infers)
    yield Target("tfs_predict", only("Predict"), predicts)
    yield Target("tf_examples", only("Classify"), list(classify_requests()))
    small = [bytes([place]) + data for place in range(len(methods.by_place)) for data in (b"", b"\n\4sums")]
    yield Target("any_method", any_method, small)
    yield Target("tensors", read_tensor, list(four_zeros()), (ValueError,))
    yield Target("framing", read_frame, list(frames()), (EnsembleError,))
    yield Target("certificate", read_certificate, [certificate()], (ValueError,))
    yield Target("tokens", TokenFile().read, [TOKEN_FILE], (UnusableFileError,))


def http_requests() -> Iterator[bytes]:
    """A right request with its tensor in the JSON, and one with it after."""
    x = {"name": "x", "shape": [1, 4], "datatype": "FP32"}
    outputs = [{"name": "scores", "parameters": {"binary_data": True, "classification": 1}}]
    for tensor, after in (
        ({"data": [[1, 2, 3, 4.5]]}, b""),
        ({"parameters": {"binary_data_size": 16}}, bytes(16)),
    ):
        header = json.dumps({"id": "7", "inputs": [x | tensor], "outputs": outputs}).encode()
        yield len(header).to_bytes(2, "little") + header + after


def frames() -> Iterator[bytes]:
    """Packed messages, a byte before them that picks the encoding; and timeouts."""
    for place, encoding in enumerate(framing.WINDOWS):
        yield bytes([place]) + framing.framed(bytes(99), encoding)[framing.PREFIX_BYTES :]
    yield b"\xff10S"


def certificate() -> bytes:
    """As much of a certificate as says when it ends."""

    def part(tag: int, content: bytes) -> bytes:
        return bytes([tag, len(content)]) + content

    times = part(0x17, b"260101000000Z") + part(0x18, b"20560101000000Z")
    signed = part(0xA0, b"\2\1\2") + part(2, b"\1") + part(0x30, b"") * 2 + part(0x30, times)
    return part(0x30, part(0x30, signed))


def read_certificate(data: bytes) -> float:
    """Read `data` as the bytes in a PEM file."""
    text = base64.encodebytes(data)
    return earliest_end(b"-----BEGIN CERTIFICATE-----\n" + text + b"-----END CERTIFICATE-----\n")


def read_frame(data: bytes) -> None:
    """Unpack a message, to 64 KiB at most, or read a timeout."""
    kind, rest = data[:1], data[1:]
    if kind == b"\xff":
        framing.timeout_secs(rest.decode("latin-1"))
        return
    encodings = [*framing.WINDOWS, "br"]
    encoding = encodings[(kind or b"\0")[0] % len(encodings)]
    assert len(framing.unpacked(rest, encoding, MOST_UNPACKED)) <= MOST_UNPACKED


def four_zeros() -> Iterator[bytes]:
    """Four zeros of each dtype, as `read_tensor` takes them."""
    for kind, wire in enumerate(tensors.WIRE_TYPES):
        yield bytes([kind, 1, 4]) + bytes(4 * (wire.item_bytes or tensors.LENGTH_BYTES))
    yield bytes([len(tensors.WIRE_TYPES), 1, 4]) + bytes(4 * tensors.BFLOAT16_BYTES)


def infer_requests() -> Iterator[bytes]:
    """A right request for every model, raw and, where the dtype has a field, typed."""
    for info in infos().values():
        raw, typed = INFER(model_name=info.name), INFER(model_name=info.name)
        for spec in info.signature.inputs:
            wire = tensors.BY_DTYPE[spec.dtype]
            shape = [2, *(3 if size < 0 else size for size in spec.shape)]
            array = np.zeros(shape, wire.numpy) if wire.item_bytes else np.full(shape, b"ab", object)
            for request in (raw, typed):
                request.inputs.add(name=spec.name, datatype=wire.datatype, shape=shape)
            raw.raw_input_contents.append(tensors.to_raw(array, wire))
            if wire.field:
                getattr(typed.inputs[-1].contents, wire.field).extend(array.ravel().tolist())
        raw.outputs.add(name="scores").parameters["classification"].int64_param = 1
        raw.parameters["timeout"].int64_param = 1000
        yield raw.SerializeToString()
        yield typed.SerializeToString()


def predict_requests() -> Iterator[bytes]:
    """A right request for every model, in typed fields and as content."""
    for info in infos().values():
        for as_content in (False, True):
            request = PREDICT(model_spec={"name": info.name}, output_filter=["scores"])
            for spec in info.signature.inputs:
                wire = tensors.BY_DTYPE[spec.dtype]
                shape = [2, *(3 if size < 0 else size for size in spec.shape)]
                array = np.ones(shape, wire.numpy) if wire.item_bytes else np.full(shape, b"ab", object)
                assert spec.dtype in TFS_TYPES
                request.inputs[spec.name].CopyFrom(to_proto(array, as_content=as_content))
            yield request.SerializeToString()


def classify_requests() -> Iterator[bytes]:
    """Examples of floats, whole numbers and bytes, with and without a context."""
    kinds = {"float_list": 0.5, "int64_list": 1, "bytes_list": b"ab"}
    for kind, value in kinds.items():
        values = {kind: {"value": [value] * 4}}
        example = {"features": {"feature": {"x": values, "a": values, "b": {"int64_list": {"value": [1]}}}}}
        for name in ("sums", "pair", "takes_INT64", "takes_BYTES"):
            for given in (
                {"example_list": {"examples": [example]}},
                {"example_list_with_context": {"examples": [{}], "context": example}},
            ):
                request = message_class("tensorflow.serving.ClassificationRequest")(
                    model_spec={"name": name}, input=given
                )
                yield request.SerializeToString()


def read_tensor(data: bytes) -> None:
    """Read the third of `data` after a dtype, a number of sizes, and those; ValueError is how it refuses."""
    kind, rank = (data + b"\0\0")[:2]
    rank %= MOST_SIZES
    sizes = [int.from_bytes(data[at : at + 1], "little", signed=True) for at in range(2, 2 + rank)]
    # A few huge ones too.
    shape = [2 ** (-size % 64) if size < 0 else size for size in sizes]
    raw = data[2 + rank :]
    kind %= DTYPES
    if kind == len(tensors.WIRE_TYPES):
        tensors.from_raw_bfloat16(raw, shape)
    else:
        tensors.from_raw(raw, tensors.WIRE_TYPES[kind], shape)


class TokenFile:
    """Reads bytes as a file of tokens, and as a header."""

    def __init__(self) -> None:
        self._scratch = Scratch()

    @cached_property
    def _tokens(self) -> Tokens:
        return self._read(TOKEN_FILE)

    def _read(self, data: bytes) -> Tokens:
        return read_tokens(self._scratch.holding(data), b"s" * 32)

    def read(self, data: bytes) -> Tokens:
        """Nobody's header has scopes; UnusableFileError for a file that is none."""
        assert self._tokens.scopes_of(data.decode("latin-1")) is None or b"predict" not in data
        return self._read(data)
