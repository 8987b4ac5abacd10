"""The page about the store names, for each promise, a test that is there."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")


def test_every_promise_of_the_store_names_a_test_that_is_there() -> None:
    page = (ROOT / "docs/reference/store.md").read_text()
    promises = [line for line in page.splitlines() if "tests/" in line and line.startswith("|")]

    assert len(promises) >= 17
    for line in promises:
        ((file, name),) = NAMED.findall(line)
        tree = ast.parse((ROOT / file).read_text())
        assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}, name
