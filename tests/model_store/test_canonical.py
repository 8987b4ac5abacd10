import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_store import canonical
from model_store.errors import InvalidDraftError, StoreCorruptError

LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8)
)
OBJECTS = st.dictionaries(
    st.text(max_size=4),
    st.recursive(
        LEAVES,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
        max_leaves=6,
    ),
    max_size=4,
)


def test_there_is_one_spelling() -> None:
    assert canonical.encode({"b": 0.1, "a": ["é", None, True]}) == b'{"a":["\\u00e9",null,true],"b":0.1}\n'


@given(OBJECTS)
def test_what_is_read_is_what_was_written(value: dict[str, object]) -> None:
    data = canonical.encode(value)

    assert canonical.decode(data) == value
    assert canonical.encode(canonical.decode(data)) == data


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_a_number_that_is_not_finite_is_not_written(number: float) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical.encode({"loss": number})


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"[1]", "holds a list, not an object"),
        (b"3", "holds a int, not an object"),
        (b'{"a":1,"a":2}', "a key twice among"),
        (b'{"a":NaN}', "number NaN"),
        (b'{"a":-Infinity}', "number -Infinity"),
        (b'{"a":1e999}', "number 1e999"),
        (b'{"a":' + b"[" * 200_000, "nested too deep"),
        (b'{"a":', "Expecting value"),
        (b"\xff", "can't decode"),
        (b"", "Expecting value"),
    ],
)
def test_anything_with_a_second_meaning_is_refused(data: bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        canonical.decode(data)


@given(st.binary(max_size=60))
def test_bytes_read_as_an_object_or_fail_as_a_value_error(data: bytes) -> None:
    try:
        value = canonical.decode(data)
    except ValueError:
        return
    assert isinstance(value, dict)


def test_a_file_that_lacks_a_key_says_which() -> None:
    with pytest.raises(StoreCorruptError, match="the manifest can't be read: it lacks 'size'; restore it"):
        canonical.parsed(lambda data: data["size"], b"{}", "the manifest")


def test_a_file_whose_value_no_version_may_have_is_corrupt() -> None:
    def refuse(_data: object) -> None:
        raise InvalidDraftError("members must be one or more")

    with pytest.raises(StoreCorruptError, match="the manifest can't be read: members must be one or more"):
        canonical.parsed(refuse, b"{}", "the manifest")


def test_a_part_has_exactly_its_json_type() -> None:
    assert canonical.part(int, {"size": 3}, "size") == 3
    with pytest.raises(TypeError, match="'size' is '3', not int"):
        canonical.part(int, {"size": "3"}, "size")
    with pytest.raises(TypeError, match="'size' is True, not int"):
        canonical.part(int, {"size": True}, "size")
    with pytest.raises(TypeError, match="'text' is no object"):
        canonical.part(int, "text", "size")  # type: ignore[arg-type]  # what a hostile file holds
