import json
import logging

import pytest

from server.telemetry import logs


@pytest.fixture(autouse=True)
def _leave_logging_as_it_was() -> object:
    logger = logging.getLogger("unisono")
    before = (logger.handlers, logger.level, logger.propagate)
    yield
    logger.handlers, logger.level, logger.propagate = before


def test_json_logs_are_one_object_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    logs.set_up("info", "json")
    log = logging.getLogger("unisono.test")
    log.info("ready at %s", "here")
    try:
        int("boom")
    except ValueError:
        log.exception("failed")
    ready, failed = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert {key: ready[key] for key in ("level", "logger", "message")} == {
        "level": "info",
        "logger": "unisono.test",
        "message": "ready at here",
    }
    assert "ValueError: invalid literal" in failed["error"]


def test_text_logs_are_one_line_and_below_the_level_nothing_is_said(
    capsys: pytest.CaptureFixture[str],
) -> None:
    logs.set_up("warning", "text")
    log = logging.getLogger("unisono.test")
    log.info("chatter")
    log.warning("beware")
    [line] = capsys.readouterr().err.splitlines()
    assert line.endswith("WARNING beware")
