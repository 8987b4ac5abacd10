import pytest

from ensemble.errors import EnsembleError, InvalidRequestError, ModelNotFoundError, UnavailableError
from server.wire.serving import find_version, requested_version


def test_no_version_means_the_current_one() -> None:
    assert find_version("m", "", ready=(1, 2, 3), current=2) == 2


def test_no_version_means_the_newest_when_the_current_one_is_not_ready() -> None:
    assert find_version("m", "", ready=(1, 3), current=4) == 3


def test_a_version_that_is_ready_answers() -> None:
    assert find_version("m", "1", ready=(1, 2), current=2) == 1


@pytest.mark.parametrize(
    ("version", "ready", "error", "text"),
    [
        ("", None, ModelNotFoundError, "Request for unknown model: 'm' is not found"),
        ("3", None, ModelNotFoundError, "Request for unknown model: 'm' is not found"),
        ("3", (1,), ModelNotFoundError, "Request for unknown model: 'm' version 3 is not found"),
        ("", (), ModelNotFoundError, "Request for unknown model: 'm' has no available versions"),
        ("2", (1,), UnavailableError, "Request for unknown model: 'm' version 2 is not at ready state"),
    ],
)
def test_a_version_that_is_not_served_says_why(
    version: str, ready: tuple[int, ...] | None, error: type[EnsembleError], text: str
) -> None:
    with pytest.raises(error) as raised:
        find_version("m", version, ready=ready, loading=(2,))

    assert str(raised.value) == text


@pytest.mark.parametrize("version", ["abc", "0", "-1", "1.0", " 1", "1_0", "٣", "9" * 5000])
def test_a_version_is_a_whole_number_above_zero(version: str) -> None:
    with pytest.raises(InvalidRequestError, match=r"^failed to get model version from specified version"):
        requested_version(version)
