import logging
from collections.abc import Iterator

import grpc
import pytest

from ensemble import errors
from model_store import errors as store_errors
from server.wire.status import CODES, status_of


def subclasses(error: type[Exception]) -> Iterator[type[Exception]]:
    for child in error.__subclasses__():
        yield child
        yield from subclasses(child)


def test_every_error_has_a_code() -> None:
    raised = [*subclasses(errors.EnsembleError), *subclasses(store_errors.StoreError)]
    # The command line's own (a wrong setting, a demo that failed) never reach the wire.
    ours = [error for error in raised if error.__module__.split(".")[0] in {"ensemble", "model_store"}]

    assert len(ours) >= 16
    assert [error.__name__ for error in ours if error not in CODES] == []


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (errors.InvalidRequestError("no rows"), "INVALID_ARGUMENT", "no rows"),
        (errors.ModelNotFoundError("no m"), "NOT_FOUND", "no m"),
        (errors.OverloadedError("8 rows wait"), "UNAVAILABLE", "Exceeds maximum queue size; 8 rows wait"),
        (
            errors.OverloadedError("Exceeds maximum queue size"),
            "UNAVAILABLE",
            "Exceeds maximum queue size",
        ),
        (errors.DeadlineError("too late"), "DEADLINE_EXCEEDED", "too late"),
        (errors.UnavailableError("Request timeout expired"), "UNAVAILABLE", "Request timeout expired"),
        (errors.MemberError("member 'a' failed"), "INTERNAL", "member 'a' failed"),
        (
            store_errors.StoreCorruptError("/srv/store/blob is not 9 bytes"),
            "DATA_LOSS",
            "the model store is damaged; see the server's log",
        ),
        (KeyError("/etc/secret"), "INTERNAL", "internal error; see the server's log"),
        (errors.EnsembleError("base"), "INTERNAL", "internal error; see the server's log"),
    ],
)
def test_an_error_has_one_code_and_text(error: Exception, code: str, text: str) -> None:
    assert status_of(error) == (grpc.StatusCode[code], text)


def test_an_unexpected_error_is_logged_with_its_traceback(caplog: pytest.LogCaptureFixture) -> None:
    try:
        int("seven")
    except ValueError as error:
        status_of(error)

    assert caplog.records[0].levelno == logging.ERROR
    assert 'int("seven")' in caplog.text


def test_the_cause_of_a_members_failure_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    error = errors.MemberError("member 'a' failed")
    error.__cause__ = RuntimeError("the device is gone")

    status_of(error)

    assert "the device is gone" in caplog.text


def test_a_wrong_request_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    status_of(errors.InvalidRequestError("no rows"))

    assert caplog.records == []


def test_a_text_that_quotes_a_client_at_length_is_cut_at_a_whole_character() -> None:
    _, text = status_of(errors.InvalidRequestError("ä" * 10_000))

    assert text == "ä" * 750 + "...TRUNCATED"
