import re
from pathlib import Path

from server.wire.messages import pool

PAGE = (Path(__file__).parents[3] / "docs/reference/control.md").read_text()


def test_the_page_has_exactly_the_methods_that_are_answered() -> None:
    service = pool().FindServiceByName("unisono.v1.Control")
    rows = re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE)
    assert rows == [method.name for method in service.methods]
