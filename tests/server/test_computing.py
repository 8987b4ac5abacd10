import pytest

from server.computing import sizes_in


@pytest.mark.parametrize(
    ("text", "sizes"),
    [
        ("", ()),
        (" ", ()),
        ("8", (8,)),
        ("1,4, 16,64", (1, 4, 16, 64)),
        ("4,1", None),
        ("4,4", None),
        ("0,4", None),
        ("1,,4", None),
        ("1;4", None),
        ("-1", None),
        ("\u0663", None),
    ],
)
def test_sizes_are_read_as_they_are_typed(text: str, sizes: tuple[int, ...] | None) -> None:
    assert sizes_in(text) == sizes
