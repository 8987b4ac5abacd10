"""What is read and answered as bytes is what reading and writing messages would have come to."""

import asyncio
from math import prod
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError
from hypothesis import given, settings
from hypothesis import strategies as st

from ensemble.errors import EnsembleError
from ensemble.member import Rows, Scores
from ensemble.servable import Scored
from server.wire.call import Call
from server.wire.known_requests import (
    LEARN_EVERY_SECS,
    MOST_KEPT_BYTES,
    MOST_KNOWN,
    MOST_OF_A_LENGTH,
    KnownRequests,
    written_length,
)
from server.wire.messages import message_class
from server.wire.oip import Oip
from server.wire.tensors import BY_DTYPE
from tests.server.wire.test_any_request import nearly_right, oip_requests
from tests.support.models import FakeModels, infos, sums

REQUEST = message_class("inference.ModelInferRequest")
Outcome = tuple[str, str, bytes]  # of an error its class and text; the answer


class Kept:
    """A promise that keeps what it is told."""

    def __init__(self) -> None:
        self.scored: Scored | None = None

    def done(self) -> bool:
        return self.scored is not None

    def set_result(self, result: Scored) -> None:
        self.scored = result

    def set_exception(self, error: Exception) -> None:
        raise error


def quiet_sums(rows: Rows) -> Scores:
    with np.errstate(all="ignore"):  # any bytes at all may be numbers
        return sums(rows)


def plainly(models: FakeModels, data: bytes) -> Outcome:
    """Answer as a transport that knows messages alone."""

    async def answered() -> bytes:
        written = await Oip(models).model_infer(REQUEST.FromString(data), Call(1.0))
        return bytes(written.SerializeToString())

    try:
        return "", "", asyncio.run(answered())
    except (EnsembleError, DecodeError) as error:
        return type(error).__name__, str(error), b""


def shortly(requests: KnownRequests, data: bytes) -> Outcome | None:
    """Answer as bytes; None if that can't be."""
    found, kept = requests.read(data, float("inf")), Kept()
    if found is None:
        return None
    try:
        if found.begin(Call(1.0), kept) is None:
            return None
    except EnsembleError as error:
        return type(error).__name__, str(error), b""
    assert kept.scored is not None
    return "", "", found.answer(kept.scored)


def request_for(name: str, rows: int, *raw: bytes, **more: Any) -> Any:
    info = infos()[name]
    request = REQUEST(model_name=name, **more)
    for spec in info.signature.inputs:
        size = [rows, *(2 if size < 0 else size for size in spec.shape)]
        request.inputs.add(name=spec.name, datatype=BY_DTYPE[spec.dtype].datatype, shape=size)
        if not raw:
            request.raw_input_contents.append(bytes(prod(size) * BY_DTYPE[spec.dtype].item_bytes))
    request.raw_input_contents.extend(raw)
    return request


def sums_request(*values: float, **more: Any) -> bytes:
    raw = np.array(values, np.float32).tobytes()
    return bytes(request_for("sums", len(values) // 4, raw, **more).SerializeToString())


FIXED = sorted(name for name, info in infos().items() if info.signature.inputs[0].dtype != "bytes")


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_known_requests_are_answered_as_messages_are_whatever_numbers_they_bring(data: st.DataObject) -> None:
    models = FakeModels(run=quiet_sums)
    requests = KnownRequests(models)
    outputs = data.draw(st.sampled_from([[], [{"name": "scores"}]]))
    version = data.draw(st.sampled_from(["", "3", "2"]))
    first = request_for(
        data.draw(st.sampled_from(FIXED)),
        data.draw(st.integers(1, 3)),
        model_version=version,
        outputs=outputs,
    )
    shortly(requests, first.SerializeToString())
    for place, raw in enumerate(first.raw_input_contents):
        first.raw_input_contents[place] = data.draw(st.binary(min_size=len(raw), max_size=len(raw)))
    second = bytearray(first.SerializeToString())
    for _ in range(data.draw(st.integers(0, 2))):
        second[data.draw(st.integers(0, len(second) - 1))] ^= data.draw(st.integers(1, 255))
    short = shortly(requests, bytes(second))
    assert short in (None, plainly(models, bytes(second)))


@settings(max_examples=100, deadline=None)
@given(st.one_of(oip_requests(), nearly_right()))
def test_any_other_request_is_answered_as_messages_are_or_left_to_them(request: Any) -> None:
    models = FakeModels(run=quiet_sums)
    short = shortly(KnownRequests(models), request.SerializeToString())
    assert short in (None, plainly(models, request.SerializeToString()))


def test_what_is_plain_is_known_at_once_and_then_for_other_numbers_too() -> None:
    requests, models = KnownRequests(FakeModels()), FakeModels()
    for name in ("sums", "sums.first", "pair", "takes_FP64", "takes_UINT8"):
        data = request_for(name, 2).SerializeToString()
        assert shortly(requests, data) == plainly(models, data)
    assert shortly(requests, sums_request(1, 2, 3, 4, 5, 6, 7, 8)) == plainly(
        models, sums_request(1, 2, 3, 4, 5, 6, 7, 8)
    )


def test_an_output_named_twice_over_or_with_parameters_is_left_to_messages() -> None:
    requests = KnownRequests(FakeModels())
    for more in (
        {"outputs": [{"name": "label"}]},
        {"outputs": [{"name": "scores", "parameters": {"classification": {"int64_param": 1}}}]},
        {"outputs": [{"name": "scores"}, {"name": "scores"}]},
        {"parameters": {"timeout": {"int64_param": 5}}},
        {"id": "7"},
    ):
        assert shortly(requests, sums_request(1, 2, 3, 4, **more)) is None


def test_numbers_within_another_field_are_not_taken_for_the_numbers() -> None:
    """The tail of a message may look as if it were its numbers, and be an unknown field's."""
    right, requests, models = sums_request(1, 2, 3, 4), KnownRequests(FakeModels()), FakeModels()
    tail = right[-18:]
    assert tail[:2] == b"\x3a\x10"
    unknown = b"\x9a\x06" + written_length(len(tail)) + tail  # field 99
    assert shortly(requests, right + unknown) is None
    assert plainly(models, right + unknown)[2]
    # Fields in another order, with the numbers not last.
    assert shortly(requests, tail + right[:-18]) is None


def test_nan_is_left_to_those_who_say_where_it_is_and_infinity_is_none() -> None:
    requests, models = KnownRequests(FakeModels()), FakeModels()
    for values in ((1, float("nan"), 0, 0), (0, float("inf"), 3e38, 3e38)):
        data = sums_request(*values)
        assert shortly(requests, data) in (None, plainly(models, data))
    assert shortly(requests, sums_request(1, float("nan"), 0, 0)) is None
    assert shortly(requests, sums_request(0, float("-inf"), 3e38, 3e38)) is not None


def test_another_version_is_learnt_anew() -> None:
    models = FakeModels()
    requests, data = KnownRequests(models), sums_request(1, 2, 3, 4)
    assert shortly(requests, data) is not None
    known = dict(models.by_name)
    models.by_name = {**known, "sums": infos()["takes_FP32"]}
    assert shortly(requests, data) is None
    models.by_name = known
    assert requests.read(data, float("-inf")) is None  # it was forgotten
    assert shortly(requests, data) == plainly(models, data)
    models.by_name = {}
    assert shortly(requests, data) == plainly(models, data)


def test_what_it_costs_to_learn_and_what_is_kept_is_bounded() -> None:
    requests = KnownRequests(FakeModels())
    assert requests.read(sums_request(1, 2, 3, 4, model_version="3"), 5.0) is not None
    assert requests.read(sums_request(1, 2, 3, 4), 5.0) is None
    assert requests.read(sums_request(1, 2, 3, 4), 5.0 + LEARN_EVERY_SECS) is not None

    versions = [f"{place}3" for place in ("", "0", "00", "000")]
    long = [sums_request(1, 2, 3, 4, model_version=version) for version in versions]
    assert all(shortly(requests, data) for data in long)
    # Of one length, the newest are known.
    extra = REQUEST.FromString(sums_request(1, 2, 3, 4))
    alike = [bytes(extra.SerializeToString()) + b"\x98\x06" + bytes([place]) for place in range(9)]
    alike = [data[-3:] + data[:-3] for data in alike]
    assert all(shortly(requests, data) for data in alike)
    known = [requests.read(data, float("-inf")) is not None for data in alike]
    assert known == [False] * (9 - MOST_OF_A_LENGTH) + [True] * MOST_OF_A_LENGTH

    filler = [b"\x9a\x06" + written_length(size) + bytes(size) for size in range(MOST_KNOWN)]
    assert all(shortly(requests, data + alike[0]) for data in filler)
    assert requests.read(alike[-1], float("-inf")) is None
    assert (
        shortly(requests, b"\x9a\x06" + written_length(MOST_KEPT_BYTES) + bytes(MOST_KEPT_BYTES) + alike[0])
        is None
    )


def test_an_answer_without_all_members_says_so_each_time() -> None:
    requests, kept = KnownRequests(FakeModels()), Kept()
    found = requests.read(sums_request(1, 2, 3, 4), 0.0)
    assert found is not None
    found.begin(Call(1.0), kept)
    scores = np.array([[0.5, 0.5]], np.float32)
    plain, degraded = found.answer(Scored(scores)), found.answer(Scored(scores, missing=frozenset("a")))
    response = message_class("inference.ModelInferResponse")
    assert "degraded" not in response.FromString(plain).parameters
    assert response.FromString(degraded).parameters["degraded"].string_param == "a"
    assert found.answer(Scored(scores)) == plain
