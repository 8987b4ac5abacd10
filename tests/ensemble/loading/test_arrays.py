from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays as any_array

from ensemble.loading import arrays
from model_store.errors import StoreCorruptError

DTYPES = st.sampled_from(["bool", "int8", "uint16", "int64", "float16", "float32", "float64"])
NAMED = st.dictionaries(st.text(max_size=5), DTYPES.flatmap(lambda kind: any_array(kind, (2, 3))), max_size=3)


@given(NAMED)
def test_what_is_written_is_read_bit_for_bit(given_arrays: dict[str, Any]) -> None:
    found = arrays.read(arrays.write(given_arrays), "the rows")

    assert found.keys() == given_arrays.keys()
    for name, array in given_arrays.items():
        assert (found[name].dtype, found[name].shape) == (array.dtype, array.shape)
        assert found[name].tobytes() == array.tobytes()


def test_the_bytes_do_not_depend_on_the_order_or_the_byte_order() -> None:
    one, two = np.arange(3, dtype=">i4").astype("int32"), np.ones((1, 2))
    assert arrays.write({"b": two, "a": one}) == arrays.write({"a": one.astype(">i4"), "b": two})


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "holds|Expecting"),
        (b'{"arrays":[["a","float32",[2]]]}\n1234', "'a' ends at byte 8 of 4"),
        (b'{"arrays":[["a","int8",[2]]]}\n123', "1 bytes are left over"),
        (b'{"arrays":[["a","bytes",[2]]]}\n12', "'a' is of 'bytes'"),
        (b'{"arrays":[["a","object",[2]]]}\n12', "'a' is of 'object'"),
        (b'{"arrays":[["a","int8",[-2]]]}\n12', r"shape \[-2\]"),
        (b'{"arrays":[["a","int8",[2.0]]]}\n12', r"shape \[2.0\]"),
        (b'{"arrays":[["a","int8",[4611686018427387904,4611686018427387904]]]}\n12', "ends at byte"),
        (b'{"arrays":[["a","int8"]]}\n12', "unpack"),
        (b'{"arrays":{}}\n', "not list"),
        (b'{"other":[]}\n', "lacks 'arrays'"),
    ],
)
def test_what_was_not_written_so_is_refused(data: bytes, said: str) -> None:
    with pytest.raises(StoreCorruptError, match=f"the rows can't be read: .*({said})"):
        arrays.read(data, "the rows")
