import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("path", sorted((ROOT / "ensemble").glob("**/*.py")), ids=str)
def test_the_library_names_itself_relatively_so_that_it_works_inside_the_wheel(path: Path) -> None:
    assert re.findall(r"^\s*(?:from|import) ensemble\b", path.read_text(), re.MULTILINE) == []


def test_only_the_message_module_makes_a_descriptor_pool() -> None:
    users = [
        path.relative_to(ROOT).as_posix()
        for path in ROOT.glob("server/**/*.py")
        if "DescriptorPool(" in path.read_text()
    ]
    assert users == ["server/wire/messages.py"]


def test_nothing_unpickles() -> None:
    pattern = re.compile(
        r"^\s*(?:import|from) (?:pickle|joblib|dill|cloudpickle)\b|allow_pickle=True", re.MULTILINE
    )
    sources = [
        path
        for folder in ("server", "ensemble", "model_store", "training")
        for path in (ROOT / folder).rglob("*.py")
    ]
    assert len(sources) > 50
    assert [path.name for path in sources if pattern.search(path.read_text())] == []
