import pytest
from hypothesis import given
from hypothesis import strategies as st

from ensemble.errors import InvalidModelError
from ensemble.signature import DTYPES, Signature, TensorSpec

IMAGE = TensorSpec("image", "float32", (8, -1, 1))
SCORES = TensorSpec("scores", "float32", (10,))


@pytest.mark.parametrize(
    ("shape", "fits"),
    [((5, 8, 3, 1), True), ((0, 8, 8, 1), True), ((5, 7, 3, 1), False), ((8, 3, 1), False), ((), False)],
)
def test_an_array_fits_when_its_shape_after_the_rows_axis_does(shape: tuple[int, ...], fits: bool) -> None:
    assert IMAGE.fits(shape) is fits


@pytest.mark.parametrize(
    ("dtype", "shape", "said"),
    [
        ("complex64", (2,), "tensor 'x' has dtype 'complex64'; known are"),
        ("float32", (-2,), r"tensor 'x' has shape \(-2,\); sizes are >= -1"),
    ],
)
def test_what_no_tensor_can_be_is_refused(dtype: str, shape: tuple[int, ...], said: str) -> None:
    with pytest.raises(InvalidModelError, match=said):
        TensorSpec("x", dtype, shape)


def test_a_name_means_one_tensor_and_there_is_one_at_least() -> None:
    with pytest.raises(InvalidModelError, match=r"input names must be one or more, and distinct; got \[\]"):
        Signature((), (SCORES,))
    with pytest.raises(InvalidModelError, match=r"output names .* got \['scores', 'scores'\]"):
        Signature((IMAGE,), (SCORES, SCORES))


def test_inputs_and_outputs_are_found_by_name() -> None:
    signature = Signature((IMAGE,), (SCORES,))
    assert (signature.input("image"), signature.input("scores")) == (IMAGE, None)
    assert (signature.output("scores"), signature.output("image")) == (SCORES, None)


specs = st.builds(
    TensorSpec,
    st.text(min_size=1, max_size=5),
    st.sampled_from(DTYPES),
    st.lists(st.integers(-1, 9), max_size=4).map(tuple),
)
several = st.lists(specs, min_size=1, max_size=4, unique_by=lambda spec: spec.name).map(tuple)


@given(st.builds(Signature, several, several))
def test_what_is_written_is_what_is_read(signature: Signature) -> None:
    assert Signature.from_json(signature.to_json()) == signature
