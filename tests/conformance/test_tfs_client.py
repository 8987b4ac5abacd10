"""The stock TensorFlow Serving client, in its own environment, against a real server over known models."""

from pathlib import Path

import pytest

from tests.support.clients import borrow_tensorflow, run_tfs


@pytest.fixture(scope="module")
def borrowed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("borrowed")
    borrow_tensorflow(folder)
    return folder


@pytest.mark.parametrize("first", ["ours", "theirs"])
async def test_our_messages_are_the_stock_ones_and_both_live_in_one_interpreter(
    first: str, borrowed: Path
) -> None:
    answers = await run_tfs("tfs_one_interpreter.py", first, borrowed=borrowed)

    assert answers == {"messages": 55, "enums": 3, "differences": {}, "tensorflow": False}
