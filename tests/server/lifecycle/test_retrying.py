from math import inf

import pytest

from ensemble.errors import GoldenMismatchError, InvalidModelError, MemberError
from model_store.errors import StoreCorruptError, StoreUnavailableError, VersionNotFoundError
from server.lifecycle.retrying import RetryOptions, reason_of, rest

OPTIONS = RetryOptions(first=2, last=10, tries=3)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (StoreCorruptError(""), "digest"),
        (GoldenMismatchError(""), "golden"),
        (InvalidModelError(""), "model"),
        (VersionNotFoundError(""), "gone"),
        (StoreUnavailableError(""), "store"),
        (MemberError(""), "other"),
        (OSError(""), "other"),
    ],
)
def test_every_failure_has_a_word(error: Exception, reason: str) -> None:
    assert reason_of(error) == reason


def test_what_may_be_over_by_itself_is_tried_for_ever_and_ever_more_seldom() -> None:
    assert [rest(tries, "store", OPTIONS) for tries in (1, 2, 3, 4, 5, 10**6)] == [2, 4, 8, 10, 10, 10]


@pytest.mark.parametrize("reason", ["digest", "golden", "model"])
def test_what_lies_in_the_bytes_is_tried_a_few_times_and_never_again(reason: str) -> None:
    assert [rest(tries, reason, OPTIONS) for tries in (1, 2, 3, 4)] == [2, 4, inf, inf]
