import pytest

from model_store.errors import InvalidNameError
from model_store.names import check_label, check_name, is_digest, is_name


@pytest.mark.parametrize("name", ["digits", "A", "_x", "9", "fraud-2026_v2", "x" * 64])
def test_a_name_is_letters_digits_underscore_and_dash(name: str) -> None:
    assert check_name(name, "ensemble") == name
    assert is_name(name)


@pytest.mark.parametrize(
    "name", ["", ".", "..", "a.b", "a/b", "/a", "a b", "-a", "a\n", "\x00", "é", "a\\b", "x" * 65, "\u0661"]
)
def test_anything_else_is_refused_with_the_value_and_the_rule(name: str) -> None:
    assert not is_name(name)

    with pytest.raises(InvalidNameError, match=r"member name .* can't be used; a name is 1 to 64 characters"):
        check_name(name, "member")


def test_a_long_name_does_not_fill_the_screen() -> None:
    with pytest.raises(InvalidNameError) as refused:
        check_name("x" * 100_000, "ensemble")

    assert len(str(refused.value)) < 300


@pytest.mark.parametrize("label", ["stable", "canary", "v3", "2a"])
def test_a_label_is_a_name(label: str) -> None:
    assert check_label(label) == label


@pytest.mark.parametrize("label", ["3", "latest", "current"])
def test_a_label_that_reads_as_a_version_is_refused(label: str) -> None:
    with pytest.raises(InvalidNameError, match=f"label '{label}' would be taken for a version"):
        check_label(label)


def test_a_digest_is_64_lower_case_hex_digits() -> None:
    assert is_digest("0123456789abcdef" * 4)
    assert not is_digest("0123456789ABCDEF" * 4)
    assert not is_digest("0" * 63)
    assert not is_digest("0" * 64 + "\n")
    assert not is_digest("../" + "0" * 61)
