import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("path", sorted((ROOT / "ensemble").glob("**/*.py")), ids=str)
def test_the_library_names_itself_relatively_so_that_it_works_inside_the_wheel(path: Path) -> None:
    assert re.findall(r"^\s*(?:from|import) ensemble\b", path.read_text(), re.MULTILINE) == []


def test_our_descriptors_stay_out_of_the_default_pool_where_stock_clients_have_theirs() -> None:
    sources = {path.relative_to(ROOT).as_posix(): path.read_text() for path in ROOT.glob("server/**/*.py")}
    makers = sorted(name for name, text in sources.items() if "DescriptorPool(" in text)
    assert makers == ["server/wire/messages.py", "server/wire/reflection.py"]
    assert [name for name, text in sources.items() if "descriptor_pool.Default" in text] == []


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
