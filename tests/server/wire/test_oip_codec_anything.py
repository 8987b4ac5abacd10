"""Any tensors in any request are decoded, or refused as a caller's mistake."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from ensemble.errors import InvalidRequestError
from ensemble.signature import TensorSpec
from server.wire.messages import message_class
from server.wire.oip_codec import decode_request
from server.wire.tensors import WIRE_TYPES, WireType
from tests.support.models import info_of

SIZES = st.one_of(st.integers(-1, 5), st.sampled_from([2**31, 2**62, 2**63 - 1, -(2**63)]))
CONTENTS = st.fixed_dictionaries(
    {},
    optional={
        "bool_contents": st.lists(st.booleans(), max_size=5),
        "int_contents": st.lists(st.integers(-(2**31), 2**31 - 1), max_size=5),
        "uint_contents": st.lists(st.integers(0, 2**32 - 1), max_size=5),
        "fp32_contents": st.lists(st.floats(width=32), max_size=5),
        "bytes_contents": st.lists(st.binary(max_size=3), max_size=5),
    },
)


@given(
    wire=st.sampled_from(WIRE_TYPES),
    datatype=st.sampled_from([None, "", "FP32", "BF16", "INT8", "nothing"]),
    shape=st.lists(SIZES, max_size=4),
    contents=CONTENTS,
    raw=st.lists(st.binary(max_size=40), max_size=2),
)
def test_whatever_is_sent_brings_rows_of_its_shape_or_a_refusal(
    *, wire: WireType, datatype: str | None, shape: list[int], contents: dict[str, Any], raw: list[bytes]
) -> None:
    info = info_of("m", TensorSpec("x", wire.dtype, (-1, -1)), max_batch_size=0)
    request = message_class("inference.ModelInferRequest")(raw_input_contents=raw)
    request.inputs.add(
        name="x", datatype=wire.datatype if datatype is None else datatype, shape=shape, contents=contents
    )

    try:
        rows = decode_request(request, info)
    except InvalidRequestError:
        return

    assert rows["x"].shape == tuple(shape)
    assert rows["x"].dtype == wire.numpy
