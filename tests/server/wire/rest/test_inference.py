import json
from typing import Any

import numpy as np
import pytest

from ensemble.errors import InvalidRequestError
from server.wire.messages import message_class
from server.wire.outcome import MessageTooLargeError
from server.wire.rest.inference import JSON_LENGTH, PIECE, json_bytes, read_inference
from server.wire.rest.resource import Asked, Reply
from server.wire.tensors import BY_DTYPE, WIRE_TYPES, to_raw

X: dict[str, Any] = {"name": "x", "shape": [1, 4], "datatype": "FP32"}
UNREADABLE = "failed to parse the request JSON buffer: "
NO_ID = "[request id: <id_unknown>] "
READ = f"{NO_ID}unable to read the values for input 'x' for model 'sums': "


def asked(
    document: Any, after: bytes = b"", *, max_json_bytes: int = 2**20, length: str | None = None
) -> Asked:
    header = document if isinstance(document, bytes) else json.dumps(document).encode()
    headers = {JSON_LENGTH: length or str(len(header))} if after or length else {}
    return Asked({"model": "sums"}, headers, header + after, max_json_bytes)


def request_of(document: Any, after: bytes = b"") -> Any:
    return read_inference(asked(document, after))[0]


def raw_of(data: Any, datatype: str = "FP32", shape: tuple[int, ...] = (1, 4)) -> bytes:
    tensor = {"name": "x", "shape": shape, "datatype": datatype, "data": data}
    [raw] = request_of({"inputs": [tensor]}).raw_input_contents
    return bytes(raw)


def written(document: Any, response: Any) -> Reply:
    return read_inference(asked(document))[1](response)


def response(*tensors: tuple[str, Any], request_id: str = "") -> Any:
    made = message_class("inference.ModelInferResponse")(
        model_name="sums",
        model_version="3",
        id=request_id,
        parameters={"weights_version": {"int64_param": 3}},
    )
    for name, array in tensors:
        wire = BY_DTYPE["bytes" if array.dtype == object else array.dtype.name]
        made.outputs.add(name=name, datatype=wire.datatype, shape=array.shape)
        made.raw_output_contents.append(to_raw(array, wire))
    return made


@pytest.mark.parametrize("data", [[1, 2, 3, 4.5], [[1, 2, 3, 4.5]], [[[1, 2], [3, 4.5]]]])
def test_values_may_be_in_whichever_lists(data: Any) -> None:
    assert np.frombuffer(raw_of(data), "<f4").tolist() == [1, 2, 3, 4.5]


@pytest.mark.parametrize("wire", [wire for wire in WIRE_TYPES if wire.field and wire.item_bytes])
def test_every_datatype_that_has_a_json_form_keeps_its_extremes(wire: Any) -> None:
    extremes: list[Any]
    if wire.numpy.kind == "b":
        extremes = [True, False]
    elif wire.numpy.kind == "f":
        extremes = [float(np.finfo(wire.numpy).min), float(np.finfo(wire.numpy).tiny)]
    else:
        extremes = [int(np.iinfo(wire.numpy).min), int(np.iinfo(wire.numpy).max)]

    assert np.frombuffer(raw_of(extremes, wire.datatype), wire.numpy).tolist() == extremes


def test_text_is_taken_as_utf8() -> None:
    assert raw_of(["a", "ä"], "BYTES") == b"\1\0\0\0a\2\0\0\0\xc3\xa4"


def test_tensors_after_the_json_are_taken_in_order_among_those_in_it() -> None:
    def sized(name: str, size: int) -> dict[str, Any]:
        return {"name": name, "shape": [1], "datatype": "INT32", "parameters": {"binary_data_size": size}}

    in_json = {"name": "b", "shape": [1], "datatype": "INT32", "data": [5]}
    request = request_of({"inputs": [sized("a", 4), in_json, sized("c", 2)]}, b"\1\0\0\0\2\0")

    assert list(request.raw_input_contents) == [b"\1\0\0\0", b"\5\0\0\0", b"\2\0"]
    assert [dict(tensor.parameters) for tensor in request.inputs] == [{}, {}, {}]


def test_id_version_parameters_and_outputs_are_those_of_the_message() -> None:
    document = {
        "id": "7",
        "parameters": {"a": True, "b": -1, "c": 2**64 - 1, "d": 0.5, "e": "f", "binary_data_output": True},
        "inputs": [X | {"data": [1, 2, 3, 4], "parameters": {"g": 1}}],
        "outputs": [{"name": "scores", "parameters": {"classification": 2, "binary_data": False}}],
    }
    request, _ = read_inference(
        Asked({"model": "m", "version": "3"}, {}, json.dumps(document).encode(), 2**20)
    )

    assert (request.model_name, request.model_version, request.id) == ("m", "3", "7")
    assert {key: value.WhichOneof("parameter_choice") for key, value in request.parameters.items()} == {
        "a": "bool_param",
        "b": "int64_param",
        "c": "uint64_param",
        "d": "double_param",
        "e": "string_param",
    }
    assert request.parameters["c"].uint64_param == 2**64 - 1
    assert request.inputs[0].parameters["g"].int64_param == 1
    [output] = request.outputs
    assert {key: value.int64_param for key, value in output.parameters.items()} == {"classification": 2}


@pytest.mark.parametrize(
    ("document", "text"),
    [
        (b"", UNREADABLE),
        (b"{", UNREADABLE),
        (b"[]", f"{UNREADABLE}it must be an object"),
        (b'{"inputs": [{"data": [NaN]}]}', UNREADABLE),
        (b'{"inputs": [{"data": [1e400]}]}', f"{UNREADABLE}number is infinity"),
        (b'{"a":' * 2000 + b"1" + b"}" * 2000, f"{UNREADABLE}depth limit exceeded"),
        ({"id": 7}, f"{UNREADABLE}'id' of the request must be a string"),
        ({"inputs": {}}, f"{UNREADABLE}'inputs' of the request must be a list"),
        ({"inputs": [1]}, f"{UNREADABLE}each of 'inputs' must be an object"),
        ({"outputs": ["scores"]}, f"{UNREADABLE}each of 'outputs' must be an object"),
        (
            {"inputs": [{"name": "x", "shape": [1.5]}]},
            f"{UNREADABLE}'shape' of input 'x' must be a list of whole",
        ),
        ({"inputs": [{"name": "x", "shape": [True]}]}, f"{UNREADABLE}'shape' of input 'x' must be a list of"),
        (
            {"inputs": [{"name": "x", "shape": [2**63]}]},
            f"{UNREADABLE}'shape' of input 'x' must be a list of",
        ),
        ({"inputs": [{"name": "x", "shape": "4"}]}, f"{UNREADABLE}'shape' of input 'x' must be a list"),
        ({"parameters": {"a": None}}, f"{UNREADABLE}parameter 'a' must be a string, a number, true or false"),
        ({"parameters": {"a": {}}}, f"{UNREADABLE}parameter 'a' must be"),
        (
            {"parameters": {"binary_data_output": 1}},
            f"{UNREADABLE}'binary_data_output' of the request must be true",
        ),
        ({"inputs": [X]}, f"{NO_ID}unable to find data for input tensor 'x' for model 'sums' in request."),
        ({"inputs": [X | {"data": 1}]}, f"{READ}data must be a list"),
        ({"inputs": [X | {"data": [[1, 2], [3]]}]}, f"{READ}its lists have different lengths"),
        ({"inputs": [X | {"data": [[1, 2], 3]}]}, f"{READ}its lists have different lengths"),
        ({"inputs": [X | {"data": [1, "2"]}]}, f"{READ}values of FP32 can't be ['int', 'str']"),
        ({"inputs": [X | {"data": [True]}]}, f"{READ}values of FP32 can't be ['bool']"),
        ({"inputs": [X | {"data": [None]}]}, f"{READ}values of FP32 can't be ['NoneType']"),
        ({"inputs": [X | {"data": [1e39]}]}, f"{READ}a value is too large for FP32"),
        ({"inputs": [X | {"datatype": "INT8", "data": [300]}]}, f"{READ}INT8 values must be -128 to 127"),
        ({"inputs": [X | {"datatype": "INT8", "data": [1.5]}]}, f"{READ}values of INT8 can't be ['float']"),
        ({"inputs": [X | {"datatype": "FP16", "data": [1]}]}, f"{READ}FP16 has no JSON form"),
        (
            {"inputs": [X | {"parameters": {"binary_data_size": 16}}]},
            f"{READ}binary_data_size is 16, but 0 bytes are left",
        ),
        ({"inputs": [X | {"parameters": {"binary_data_size": -1}}]}, f"{READ}binary_data_size is -1"),
        (
            {"inputs": [X | {"parameters": {"binary_data_size": "1"}}]},
            f"{UNREADABLE}'binary_data_size' of the",
        ),
    ],
)
def test_what_is_wrong_with_the_json_is_said(document: Any, text: str) -> None:
    with pytest.raises(InvalidRequestError) as raised:
        read_inference(asked(document))
    assert str(raised.value).startswith(text)


def test_bytes_that_no_input_claims_are_refused() -> None:
    with pytest.raises(
        InvalidRequestError, match=r"unexpected additional input data for model 'sums': 2 bytes"
    ):
        request_of({"id": ""}, b"ab")


@pytest.mark.parametrize(("datatype", "dtype"), [("FP32", "<f4"), ("INT16", "<i2")])
def test_more_values_than_are_converted_at_once_are_all_there(datatype: str, dtype: str) -> None:
    values = [number % 1000 for number in range(2 * PIECE + 3)]

    raw = raw_of(values, datatype, (1, len(values)))

    assert np.frombuffer(raw, dtype).tolist() == values


@pytest.mark.parametrize(
    ("length", "bytes_of_json"), [(None, 12), ("3", 3), ("99", 12), ("9" * 30, 12), ("-1", 12), ("", 12)]
)
def test_how_long_the_json_is_is_told_by_the_header_or_the_body(
    length: str | None, bytes_of_json: int
) -> None:
    headers = {} if length is None else {JSON_LENGTH: length}
    assert json_bytes(Asked({}, headers, bytes(12), 99)) == bytes_of_json


@pytest.mark.parametrize("length", ["-1", "x", "99999", "9" * 5000, "²"])
def test_a_length_of_json_that_cannot_be_is_refused(length: str) -> None:
    with pytest.raises(InvalidRequestError, match="header inference-header-content-length is"):
        read_inference(asked({}, length=length))


def test_long_json_is_refused_before_it_is_read_and_long_tensors_are_not() -> None:
    tensor = X | {"parameters": {"binary_data_size": 2000}}
    assert read_inference(asked({"inputs": [tensor]}, bytes(2000), max_json_bytes=200))
    with pytest.raises(MessageTooLargeError, match=r"JSON larger than max \(2000 vs. 1000 bytes\)"):
        read_inference(asked(b"[" * 2000, max_json_bytes=1000))


def test_an_answer_is_json_unless_asked_for_otherwise() -> None:
    scores, label = np.array([[0.1, np.nan]], np.float32), np.array([[b"yes"]], object)
    reply = written({"inputs": []}, response(("scores", scores), ("label", label), request_id="7"))

    assert (reply.media_type, dict(reply.headers)) == ("application/json", {})
    assert json.loads(reply.body) == {
        "id": "7",
        "model_name": "sums",
        "model_version": "3",
        "parameters": {"weights_version": 3},
        "outputs": [
            {"name": "scores", "datatype": "FP32", "shape": [1, 2], "data": [0.1, None]},
            {"name": "label", "datatype": "BYTES", "shape": [1, 1], "data": ["yes"]},
        ],
    }


@pytest.mark.parametrize(
    ("document", "binary"),
    [
        ({"parameters": {"binary_data_output": True}}, ["a", "b"]),
        ({"outputs": [{"name": "a", "parameters": {"binary_data": True}}, {"name": "b"}]}, ["a"]),
        (
            {
                "parameters": {"binary_data_output": True},
                "outputs": [{"name": "a", "parameters": {"binary_data": False}}, {"name": "b"}],
            },
            ["b"],
        ),
    ],
)
def test_outputs_follow_the_json_where_that_is_asked_for(document: Any, binary: list[str]) -> None:
    values = {"a": np.array([[1.5]], np.float32), "b": np.array([[2.5]], np.float32)}
    reply = written(document, response(*values.items()))

    length = int(reply.headers[JSON_LENGTH])
    outputs = {output["name"]: output for output in json.loads(reply.body[:length])["outputs"]}
    assert reply.media_type == "application/octet-stream"
    assert reply.body[length:] == b"".join(values[name].tobytes() for name in binary)
    assert [name for name in outputs if outputs[name].get("parameters") == {"binary_data_size": 4}] == binary
    assert [name for name in outputs if "data" in outputs[name]] == [
        name for name in values if name not in binary
    ]
