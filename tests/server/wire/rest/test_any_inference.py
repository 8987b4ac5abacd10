"""Any JSON and any bytes are answered or refused, and never end in an unknown error."""

from typing import Any

import grpc
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from server.wire.oip import Oip
from server.wire.rest.inference import read_inference
from server.wire.rest.resource import Asked
from server.wire.status import status_of
from tests.server.wire.rest.test_inference import asked
from tests.server.wire.test_any_request import ALLOWED, DATATYPES, NAMES, SHAPES, outcome, zeros
from tests.support.models import FakeModels

JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False)
    | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=8,
)
ANY = settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))


def code_of(request: Asked) -> grpc.StatusCode:
    try:
        message, _ = read_inference(request)
    except Exception as error:  # noqa: BLE001 - any error at all is what is looked for
        return status_of(error)[0]
    return outcome(Oip(FakeModels(run=zeros)).model_infer, message)


@ANY
@given(
    st.fixed_dictionaries(
        {},
        optional={
            "id": st.text(max_size=3) | JSON_VALUES,
            "parameters": st.dictionaries(NAMES, JSON_VALUES, max_size=2) | JSON_VALUES,
            "inputs": st.lists(
                st.fixed_dictionaries(
                    {},
                    optional={
                        "name": NAMES | JSON_VALUES,
                        "shape": SHAPES | JSON_VALUES,
                        "datatype": DATATYPES | JSON_VALUES,
                        "parameters": st.dictionaries(
                            st.sampled_from(["binary_data_size", "shared_memory_region", "y"]), JSON_VALUES
                        ),
                        "data": JSON_VALUES,
                    },
                ),
                max_size=2,
            )
            | JSON_VALUES,
            "outputs": st.lists(
                st.fixed_dictionaries({"name": NAMES}, optional={"parameters": JSON_VALUES}), max_size=2
            ),
        },
    ),
    st.binary(max_size=20),
)
def test_any_json_is_answered_or_refused(document: Any, after: bytes) -> None:
    assert code_of(asked(document, after)) in {*ALLOWED, grpc.StatusCode.RESOURCE_EXHAUSTED}


@ANY
@given(st.binary(max_size=60))
def test_any_bytes_are_answered_or_refused(data: bytes) -> None:
    assert code_of(asked(data)) in ALLOWED
