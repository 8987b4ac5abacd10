import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ensemble.refit.fingerprints import KEPT, fingerprints, share_seen, sketch


def rows(seed: int, count: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, 2, 3)).astype(np.float32)


@given(st.integers(0, 1000))
def test_a_row_is_known_again_wherever_it_stands_and_other_rows_are_not(seed: int) -> None:
    x = rows(seed, 40)
    order = np.random.default_rng(seed).permutation(40)
    prints = fingerprints({"x": x})
    assert fingerprints({"x": np.asfortranarray(x[order])}).tolist() == prints[order].tolist()
    assert len(set(prints.tolist())) == 40
    assert fingerprints({"x": x + 1}).tolist() != prints.tolist()


def test_every_input_counts_and_their_order_does_not() -> None:
    x, z = rows(0, 3), rows(1, 3)
    both = fingerprints({"x": x, "z": z}).tolist()
    assert both == fingerprints({"z": z, "x": x}).tolist()
    assert both != fingerprints({"x": x, "z": x}).tolist()


def test_text_is_told_apart_value_by_value() -> None:
    texts = np.array([["ab", "c"], ["a", "bc"], [b"ab", "c"]], dtype=object)
    first, second, third = fingerprints({"t": texts}).tolist()
    assert first == third
    assert first != second


def test_of_a_small_file_the_share_is_exact() -> None:
    old, new = rows(0, 50), rows(1, 30)
    kept = sketch(fingerprints({"x": old}))
    mixed = np.concatenate([new, old[:10]])
    assert share_seen(fingerprints({"x": mixed}), kept) == 0.25


def test_of_a_large_file_the_share_is_near() -> None:
    old, new = rows(0, 20_000), rows(1, 6_000)
    kept = sketch(fingerprints({"x": old}))
    assert len(kept) == KEPT
    mixed = np.concatenate([new, old[:14_000]])
    assert share_seen(fingerprints({"x": mixed}), kept) == pytest.approx(0.7, abs=0.1)
    assert share_seen(fingerprints({"x": new}), kept) == 0


def test_where_no_row_tells_the_share_is_not_a_number() -> None:
    kept = sketch(fingerprints({"x": rows(0, 50_000)}))
    assert np.isnan(share_seen(np.array([2**64 - 1], dtype=np.uint64), kept))
