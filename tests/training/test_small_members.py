from pathlib import Path

from tests.support.small_members import FILES


def test_the_small_members_are_there(small_members: Path) -> None:
    assert set(FILES) <= {path.name for path in small_members.iterdir()}
