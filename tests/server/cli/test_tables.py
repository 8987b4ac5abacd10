from collections.abc import Mapping
from typing import Any

import pytest

from server.cli import evidence, tables


@pytest.mark.parametrize(
    ("share", "drawn"),
    [
        (0.0, ""),
        (1e-9, "▏"),
        (0.25, "████"),
        (0.5, "████████"),
        (0.53, "████████▌"),
        (1.0, "█" * 16),
        (7.0, "█" * 16),
    ],
)
def test_a_bar_is_as_long_as_its_share_and_anything_above_nothing_shows(share: float, drawn: str) -> None:
    assert tables.bar(share).plain == drawn.ljust(16)


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (50_000_000, "47.7 MiB"), (2**50, "1024.0 TiB")],
)
def test_sizes_are_written_as_people_read_them(count: int, text: str) -> None:
    assert tables.size(count) == text


def test_tensors_are_written_with_the_shape_of_a_row() -> None:
    specs: list[Mapping[str, Any]] = [
        {"name": "x", "dtype": "float32", "shape": [-1, 8]},
        {"name": "y", "dtype": "bytes", "shape": []},
    ]

    assert tables.tensors(specs) == "x float32 [any, 8], y bytes []"


def test_evidence_of_any_shape_is_shown_without_complaint() -> None:
    free = {
        "note": "by hand",
        "losses": {"members": {"forest": 0.1}},
        "validation": {"losses": {"members": {"forest": 0.1, "sepconv": None}, "best_single": {}}},
        "test": 3,
        "deep": {"er": {"x": 1, "y": {"z": [1, 2.5]}}},
        "nothing": None,
    }

    made = evidence.measured(free, ["forest", "sepconv"])
    assert made is not None
    assert [str(cell) for cell in made.columns[1].cells] == ["0.1000", "-", "-"]
    rest = evidence.recorded(free, ["forest", "sepconv"])
    assert rest is not None
    assert [
        (str(key), str(text)) for key, text in zip(rest.columns[0].cells, rest.columns[1].cells, strict=True)
    ] == [
        ("note", "by hand"),
        ("losses.members", "forest 0.1"),
        ("test", "3"),
        ("deep.er.x", "1"),
        ("deep.er.y", "z 1; 2.5"),
    ]
    assert evidence.measured({}, ["forest"]) is None
    assert evidence.recorded({}, ["forest"]) is None
